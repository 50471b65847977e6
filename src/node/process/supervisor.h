// Supervisor: starts the commands of runs, learns how they end, ends them on a stop or at their time limit, and bounds their output.
//
// Lives on the loop: every method is called there, every callback is called there, never inline. A start waits until the child has begun
// its program; where several come at once, threads of the supervisor's own do that. A run's process is found again after a restart of the
// node: destroying a Supervisor leaves the processes running (what start() was called for is started even then), and adopt() takes them
// over.
//
// When is a run over? When its whole tree is gone, not when its first process exits: as long as anything that it started still works,
// another run of the task would not have the machine to itself. So after the first process has exited, what it left behind (in its process
// group, or escaped with setsid) gets TERM, after `grace` KILL, and only then comes Ended. What a run wants to leave behind it must hand to
// the system (systemd-run, at).
//
// What it does not do: decide whether a run may start, keep a journal, deliver logs. It reads no clock but the loop's.
//
// Several Supervisors in one process are allowed (tests); they do not take each other's children.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/asio_loop.h"
#include "cloudtask/core/result.h"
#include "cloudtask/task/types.h"
#include "node/process/output.h"

namespace cloudtask::node {

struct LaunchSpec {
    std::string run_id;  // becomes CLOUDTASK_RUN_ID, by which the members of the run's tree are known
    // Absolute; its parent exists. The supervisor makes what is missing of: folder, folder/work (the working folder), folder/stdout,
    // folder/stderr.
    std::string folder;

    // Exactly one is set, as in task::Task.
    std::vector<std::string> command;
    std::string shell;
    std::shared_ptr<const task::HttpCall> http;  // no process is started, but an address called

    std::map<std::string, std::string> environment;      // the task's
    std::map<std::string, std::string> run_environment;  // CLOUDTASK_* of the run; stands above the task's

    // Of a call only: what the request says of the run, the key if it is to be signed, and where it may connect to.
    std::map<std::string, std::string> run_headers;
    std::string signing_key;
    bool private_body = false;  // its body has a secret
    std::shared_ptr<const task::NetworkRules> networks;

    Duration time_limit = std::chrono::hours{1};
    Duration grace = std::chrono::seconds{10};
    std::uint64_t output_limit = 16ULL << 20;  // bytes kept per stream
};

// What tells one process from every other, also across restarts of the node and of the machine.
struct ProcessIdentity {
    pid_t pid = 0;
    std::uint64_t start_time = 0;  // clock ticks since boot: field 22 of /proc/<pid>/stat, proc(5)
    std::string boot_id;           // /proc/sys/kernel/random/boot_id

    friend bool operator==(const ProcessIdentity&, const ProcessIdentity&) = default;
};

struct Started {
    pid_t pid = 0;
    Instant started_at{};
    // The files for its output could not be made (disk full): it runs all the same, because a full disk must not stop a schedule, with its
    // output to /dev/null.
    bool output_lost = false;
};

// How a run ended. Exactly one of exit_code, signal, exit_unknown, call_fault is set.
struct Ended {
    std::string run_id;
    std::optional<std::int64_t> exit_code;
    std::optional<std::int64_t> signal;
    bool exit_unknown = false;  // an adopted process is not our child, and the kernel told nobody else

    // Of an HTTP call: why its answer does not count as a success, as a sentence part, empty if it does; and the status of the last answer.
    std::optional<std::string> call_fault;
    std::optional<std::int64_t> http_status;

    bool timed_out = false;  // the time limit came first; never a success, whatever the exit code
    bool stopped = false;    // stop() came first; neither a success nor a failure

    std::uint64_t stdout_bytes = 0, stderr_bytes = 0;  // written by the tree, before any cut
    bool output_truncated = false;                     // at least one stream passed the limit
    bool output_lost = false;
    Instant ended_at{};  // when the tree was gone

    // SUCCEEDED only for exit code 0, or a call without fault, without stop or time-out; LOST for exit_unknown.
    task::RunState state() const;
};

// What the journal knows of a run that was started by an earlier process of this node.
struct RunningRecord {
    std::string run_id;
    std::string folder;
    ProcessIdentity process;
    Instant started_at{};
    Duration time_limit = std::chrono::hours{1};
    Duration grace = std::chrono::seconds{10};
    std::uint64_t output_limit = 16ULL << 20;
};

// How much of each stream's log view (see output.h) can be read now.
struct LogProgress {
    std::uint64_t stdout_available = 0, stderr_available = 0;

    friend bool operator==(const LogProgress&, const LogProgress&) = default;
};

// A Supervisor starts programs; which one makes calls as well is in node/http/call_supervisor.h.
class Supervisor {
  public:
    using OnStarted = std::function<void(const Result<Started>&)>;
    using OnEnd = std::function<void(Ended)>;
    using OnOutput = std::function<void(const std::string& run_id, const LogProgress&)>;

    virtual ~Supervisor() = default;

    // Starts the command and tells `on_started`, exactly once. After a success `on_end` is called exactly once; after an error never.
    // Errors name the file and what is wrong with it: Errc::not_found (no such program, or its interpreter), permission_denied (not
    // executable), invalid_argument (not a program for this machine; run id in use), unavailable (no more processes or descriptors), io.
    virtual void start(LaunchSpec spec, OnStarted on_started, OnEnd on_end) = 0;

    // The first process of a run, by which it is found again; its start time is 0 if it is over, but not its tree. Apart from start(),
    // because a run that is over at once needs none. {} for a call, which nobody finds again. Empty when no such run is running, or nobody
    // can tell just now (it is on its way, or there are no descriptors).
    virtual std::optional<ProcessIdentity> identity(std::string_view run_id) = 0;

    // Takes over a process that an earlier node process started. Errc::not_found if it is gone (also: another boot, or the pid is another
    // process's now), though what it left of its tree is then not ended. The time limit counts from started_at.
    virtual Result<> adopt(RunningRecord record, OnEnd on_end) = 0;

    // The first process of each of the runs that has one, by run id. For runs of which the journal knows only that start() was called, and
    // may have come to pass or not. Blocks; at start only.
    virtual std::map<std::string, ProcessIdentity> find(const std::set<std::string>& run_ids);

    // Ends the run's tree; that of a run whose start is on its way, as soon as it has begun. False when there is no such run, or when it is
    // ending already (its first process has exited, or it was stopped or timed out before).
    virtual bool stop(std::string_view run_id) = 0;

    // Empty when no such run is running.
    virtual std::optional<LogProgress> progress(std::string_view run_id) = 0;

    // Called when a running run's log view has grown, after up to 50 ms for a busy run and up to 1 s for a quiet one. Not called for what
    // is written last: Ended tells.
    virtual void on_output(OnOutput callback) = 0;

    // Those whose start is on its way count.
    virtual std::size_t running() const = 0;
};

// Makes the process a child subreaper (prctl(2)), so that orphans of runs come to it.
std::unique_ptr<Supervisor> make_supervisor(AsioLoop& loop);

// The same by the processes' environments: walks /proc once. Blocking, any thread.
std::map<std::string, ProcessIdentity> find_by_run_ids(const std::set<std::string>& run_ids);

}  // namespace cloudtask::node
