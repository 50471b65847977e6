// The value types of the domain: Runtime, Group, Task, Package, Run. What they mean is in docs/architecture.md ("Words").
//
// Pure data: no I/O, no clock. Read from and written to JSON by task/codec.h, which also validates. Times are UTC.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/clock.h"
#include "cloudtask/task/calendar.h"
#include "cloudtask/task/policies.h"
#include "cloudtask/task/schedule.h"
#include "cloudtask/task/secrets.h"

namespace cloudtask::task {

class NetworkRules;
struct HttpCall;
struct ParameterValue;
using Parameters = std::map<std::string, std::optional<ParameterValue>>;
struct TaskParameters;
struct RunParameters;

// A cluster of nodes with the same environment: the unit of allocation and of access. Its name is its identity.
struct Runtime {
    std::string name;  // slug
    std::string description;
    std::vector<std::string> notify;  // mail addresses told of failures in this runtime, where neither task nor group names any
    std::shared_ptr<const NetworkRules> http = {};      // where HTTP calls may connect to; none: where they may by default
    std::shared_ptr<const Parameters> parameters = {};  // null: none
    std::int64_t version = 1;                           // grows by one with each change; the ETag
    Instant created_at{}, updated_at{};
};

// A folder of tasks in a runtime. (runtime, name) is unique.
struct Group {
    std::string id;  // UUID
    std::string runtime;
    std::string name;  // slug
    std::string description;
    std::vector<std::string> notify;
    bool exclusive = false;                             // no two runs of its tasks overlap
    std::shared_ptr<const Parameters> parameters = {};  // null: none
    std::int64_t version = 1;
    Instant created_at{}, updated_at{};
};

enum class Misfire { skip, once, all };
enum class Overlap { forbid, allow, queue, replace };
enum class Guarantee { at_most_once, at_least_once };

// How many runs a fire has: one; one for each shard; one on each node. See pieces.h.
enum class Mode : std::uint8_t { single, shards, broadcast };
inline constexpr std::uint16_t kMostShards = 256;
struct Piece;

// Late fires of one task that are dealt with one by one; of a longer backlog the rest is recorded in one entry.
inline constexpr std::int64_t kMostMisfires = 1000;

// A versioned definition: what to run, when, and by which policies. (runtime, group, name) is unique.
struct Task {
    std::string id;  // UUID; what the ring hashes
    std::string runtime, group, name;
    std::string description;
    std::map<std::string, std::string> tags;  // the task's own, to find it by: where it runs does not depend on them
    bool enabled = true;
    Mode mode = Mode::single;
    std::uint16_t shards = 1;  // with Mode::shards

    // What to run: exactly one of the first three. The child starts in a fresh working folder with the package unpacked in it.
    std::shared_ptr<const HttpCall> http = {};  // an address is called instead: no program, package or environment
    std::vector<std::string> command;           // argv; a first word with '/' that is relative is looked up in the working folder
    std::string shell;                          // run by `/bin/sh -c`
    std::string package;                        // SHA-256 of an uploaded package, or empty
    std::map<std::string, std::string> environment;
    std::shared_ptr<const SecretUses> secrets;              // none: null
    std::shared_ptr<const TaskParameters> parameters = {};  // none: nothing in the definition is a template

    std::vector<Schedule> schedules;
    // Those that the schedules name, as they were when this version was saved: a version of a task is complete in itself, wherever it is
    // read. Only the center writes them.
    Calendars calendars;

    // Where it may run: all must hold. Empty: on any node of the runtime.
    std::vector<std::string> targets;           // node names
    std::map<std::string, std::string> labels;  // every one must be a label of the node

    Duration time_limit = std::chrono::hours{1};            // then the run is TIMED_OUT
    std::optional<Duration> soft_limit;                     // then it is told that the run takes long
    std::optional<Duration> start_deadline;                 // no attempt of a fire begins later than so long after the fire time
    Duration grace = std::chrono::seconds{10};              // between TERM and KILL
    std::uint64_t output_limit = 16ULL << 20;               // bytes kept per stream of a run: first and last half
    std::optional<Misfire> misfire;                         // default: once for `at`, skip for periodic schedules
    Duration misfire_tolerance = std::chrono::seconds{10};  // a fire later than this is a misfire
    std::int64_t misfire_limit = kMostMisfires;             // of a backlog so many are run at the most (Misfire::all)
    Overlap overlap = Overlap::forbid;
    std::int64_t max_parallel = 1;  // with Overlap::allow and Overlap::queue
    std::int64_t queue_limit = 10;  // with Overlap::queue: fires that wait
    Guarantee guarantee = Guarantee::at_most_once;
    bool exclusive_group = false;                // its group was exclusive when this version was saved: only the center writes it
    std::shared_ptr<const std::string> mutex;    // a slug: no two runs of the runtime's tasks that name it overlap; null: none (mutex.h)
    std::shared_ptr<const Retry> retry;          // none: a run is tried once
    std::shared_ptr<const SuccessRule> success;  // none: exit code 0
    std::vector<std::string> notify;             // mail addresses told when a run fails

    std::int64_t version = 1;           // the ETag
    std::int64_t revision = 0;          // the catalog revision of the last change
    std::int64_t created_revision = 0;  // the catalog revision that brought the task
    Instant created_at{}, updated_at{};
    Instant
        effective_from{};  // fires after this instant count: set when created, enabled, or its mode, schedules, targets or labels change
    std::int64_t effective_revision = 0;  // the catalog revision of the last change of enabled, mode, schedules, targets or labels
    std::shared_ptr<const Piece> piece;   // set: no definition, but one of the pieces that nodes make of it

    Misfire misfire_for(const Schedule& schedule) const {
        return misfire.value_or(schedule.kind() == Schedule::Kind::at ? Misfire::once : Misfire::skip);
    }
};

// Makes the task's schedules those of its id and its calendars (Schedule::for_task, with_calendars). Whoever gives a task another id, or
// other calendars, calls it.
void adopt_schedules(Task& task);

// What a version of a task owes when the next one comes is still to be accounted for: so long after its end, nodes know of it.
inline constexpr Duration kSupersededKept = std::chrono::minutes{10};

// Until when (inclusive) the versions before `next` are in force at most: by the least of all that came after it, a version ends. For the
// same reason it is from when on (exclusive) `next` itself is in force, also when it is disabled and fires nothing.
Instant tenure_end(const Task& next);

// An uploaded program, immutable, named by its content.
struct Package {
    std::string sha256;
    std::string filename;  // as uploaded; its ending tells the format
    std::string format;    // "tar.gz", "zip" or "script"
    std::uint64_t size = 0;
    std::string uploaded_by;
    Instant created_at{};
};

enum class RunState { pending, running, succeeded, failed, timed_out, stopped, lost, skipped };
// rerun: of a fire whose node went away (Guarantee::at_least_once); retry: of a run that did not succeed (Retry).
enum class Trigger { schedule, manual, rerun, retry };

// One attempt to execute: of a fire, or of a manual start. For a fire its id follows from (task, instant, attempt), see run_id(), and that
// of a retry from the run before it, see attempts.h.
struct Run {
    std::string id;
    std::string task_id;
    std::string piece;                  // of a sharded or broadcast task: the id of the piece that it is a run of; see placed_id()
    std::optional<std::int64_t> shard;  // from 0 on
    std::int64_t task_version = 0;
    std::string runtime, group, task_name;
    Trigger trigger = Trigger::schedule;
    std::optional<Instant> fire_time;  // for schedule and rerun, and their retries
    std::int64_t attempt = 1;
    RunState state = RunState::pending;
    std::string reason;  // why it was skipped, lost or failed, or waits, as a sentence; of a run that goes on: what is to be told of it
    std::string package;

    std::string node_id, node_name, incarnation;
    std::int64_t epoch = 0;  // of the allocation by which the node owned the task

    std::optional<Instant> started_at, ended_at;
    std::optional<Duration> lateness;                  // started_at - fire_time; not of a retry
    std::optional<Instant> covers_until;               // the entry also stands for all further fires of its task up to here (inclusive)
    std::optional<std::int64_t> exit_code, signal;     // of a program
    std::optional<std::int64_t> http_status = {};      // of the last answer to an HTTP call
    std::uint64_t stdout_bytes = 0, stderr_bytes = 0;  // written by the child; what was cut is not in the log
    bool output_truncated = false;
    std::string started_by;                                // the user of a manual start
    std::shared_ptr<const SecretVersions> secrets;         // that it was given; none: null
    std::string first_run = {};                            // of a further attempt of a manual start: the id of the first one
    std::shared_ptr<const RunParameters> parameters = {};  // of a task with parameters: what it is started with
};

bool is_terminal(RunState state);
std::string_view to_string(RunState state);  // "PENDING", ...
std::string_view to_string(Trigger trigger);
std::string_view to_string(Misfire misfire);
std::string_view to_string(Overlap overlap);
std::string_view to_string(Guarantee guarantee);
std::string_view to_string(Mode mode);
Result<RunState> parse_run_state(std::string_view text);
Result<Trigger> parse_trigger(std::string_view text);

// The id of the run of a fire: a UUIDv7 with the fire's time, and a hash of (task, instant, attempt) for its random bits. Every node
// computes the same, so the history cannot hold two runs of one (fire, attempt). Of a sharded or broadcast task each piece has fires of its
// own: `placed_id` is the piece's, else the task's.
std::string run_id(std::string_view placed_id, Instant fire_time, std::int64_t attempt);

}  // namespace cloudtask::task
