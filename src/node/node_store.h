// NodeStore: what the node keeps on its own disk, in one SQLite file: its identity, whether it is cordoned, the catalog
// replica, the journal of runs, and the outbox of reports.
//
// A run's change and the report that tells of it are one transaction (a Batch): neither is ever without the other. What commit() has
// returned is durable (WAL, synchronous=FULL).
//
// Threads: blocks; used from one worker thread at a time (disk.h gives it a face on the loop). Knows nothing of schedules, claims or
// processes.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cloudtask/core/result.h"
#include "cloudtask/ring/allocation.h"
#include "cloudtask/task/hand_over.h"
#include "cloudtask/task/types.h"
#include "node/kept_secret.h"
#include "node/process/supervisor.h"

namespace cloudtask::node {

// Who this node is; written when it has joined.
struct Identity {
    std::string node_id, node_token, runtime;
    std::string name;
    std::string center_url;
    std::string zookeeper_servers, zookeeper_chroot, zookeeper_secret;
    Duration zookeeper_session_timeout{};
};

// How far a run is, as the journal knows it.
enum class Phase {
    waiting = -1,  // it certainly has not begun: it is to be, when its time or its turn comes
    intent = 0,    // it is going to be started: nobody else will, and after a crash it may have been
    started,       // its process is known
    ended,
};

struct JournalEntry {
    task::Run run;
    Phase phase = Phase::intent;
    // From `started` on; before that without a process, and `started_at` is when it is due.
    std::optional<RunningRecord> process = {};
    std::uint64_t stdout_sent = 0, stderr_sent = 0;  // bytes of the log views that are in the outbox already
    bool stop_asked = false;                         // who takes the process over ends it
    // What is needed once the run ends, or while it waits; nothing if that is nothing.
    std::shared_ptr<const task::Task> task = {};
    std::int64_t retry = 0;  // attempts before it since its fire, or the rerun of it, was begun
};

struct KnownRun {
    std::string id;
    std::string folder;                                        // empty: it has none, or needs it no more
    std::shared_ptr<const task::SecretVersions> secrets = {};  // that it was given
};

// A report to the center, as docs/wire.md has it. `log` reports carry no bytes: these are read from the run's output when the report is
// sent.
struct Report {
    enum class Kind { run, log, command };
    Kind kind = Kind::run;
    std::string incarnation;
    std::string body;  // run and command: a JSON object of the report's own members, {"run": ...}, without incarnation, sequence and kind
    // run: what the store makes the body of. Nothing in what is read back.
    std::optional<task::Run> run = {};
    std::optional<task::HandOver> hand_over = {};  // with it, of an attempt that another node is to begin
    // run and log:
    std::string run_id;
    // log:
    Stream stream = Stream::out;
    std::uint64_t from = 0, until = 0;  // offsets in the log view
    LogShape shape;                     // by which the view is read
    // Given by the store:
    std::int64_t position = 0;  // grows over all reports of the node
    std::int64_t sequence = 0;  // from 1 within an incarnation
};

// Reports as docs/wire.md has them; for the rest see Report.
Report run_report(const std::string& incarnation, const task::Run& run);
// Of an attempt that this node gives up to another one.
Report hand_over_report(const std::string& incarnation, const task::Run& run, task::HandOver hand_over);
// Of the bytes [from, until) of the run's log view.
Report log_report(const std::string& incarnation, const std::string& run_id, Stream stream, std::uint64_t from, std::uint64_t until,
                  const LogShape& shape);
// A command is carried out (done), or not, and then why.
Report command_report(const std::string& incarnation, const std::string& command_id, bool done, std::string_view detail = {});

// One transaction.
struct Batch {
    std::vector<JournalEntry> entries;  // inserted or replaced by run.id
    std::vector<Report> reports;        // appended in this order
    std::vector<std::string> commands;  // ids of commands that are taken on: each is taken on once
    std::optional<bool> cordoned = {};  // from now on
    bool empty() const { return entries.empty() && reports.empty() && commands.empty() && !cordoned; }
};

struct DeletedTask {
    std::string id;
    Instant at{};  // when the center deleted it: up to there its versions may owe something
};

struct CatalogChange {
    ring::Memory past{};  // as the center knows it
    std::int64_t revision = 0;
    bool full = false;  // what `tasks` does not name is gone
    // Versions, those of one task beside each other and oldest first. The last of them is the task as it is now, whatever the replica had
    // before; the others are superseded, and may be known already.
    std::vector<task::Task> tasks;
    std::vector<DeletedTask> deleted;                         // may have versions in `tasks`, too: what they owed until then
    std::shared_ptr<const task::NetworkRules> networks = {};  // of the runtime's calls; null: the default ones
};

// The newest instant that the change tells of: the center's clock was there. A task that a full answer does not name ended then at the
// latest. Instant{} if it tells of none.
Instant newest_instant(const CatalogChange& change);

class NodeStore {
  public:
    // Opens or makes <path>; migrates forward. Errors: disk, not a database, a newer schema.
    static Result<std::unique_ptr<NodeStore>> open(const std::string& path);
    ~NodeStore();

    Result<std::optional<Identity>> load_identity();
    Result<> save_identity(const Identity& identity);

    // Whether the node is kept out of the ring, as commit() last had it.
    Result<bool> load_cordoned();

    // What is known of the runtime's past; nothing is {}. remember() does nothing if it knows of a later epoch.
    Result<ring::Memory> load_memory();
    Result<> remember(const ring::Memory& memory);

    // A version that is superseded is kept for task::kSupersededKept after its end, also if its task is deleted. Of a disabled one, that
    // it ended the one before; what was never in force is not kept.
    struct Catalog {
        std::int64_t revision = 0;
        std::vector<task::Task> tasks;                       // the superseded versions of a task come before it, oldest first
        std::vector<DeletedTask> deleted;                    // tasks of which only superseded versions are left
        std::shared_ptr<const task::NetworkRules> networks;  // as in CatalogChange
    };
    Result<Catalog> load_catalog();
    Result<> apply_catalog(const CatalogChange& change);
    // Holds no task; deleted ones do not count.
    Result<bool> catalog_empty();

    Result<std::vector<KeptSecret>> load_secrets();
    Result<> change_secrets(const SecretChange& change);

    // A log report of more than 64 KiB becomes several; one of no bytes, none. A command that was taken on before stays as it is. Errors:
    // Errc::io (disk full, in a sentence that says so): nothing of the batch is kept.
    Result<> commit(const Batch& batch);
    // Entries of runs that have not ended, for the recovery at start.
    Result<std::vector<JournalEntry>> load_unfinished();
    // All runs in the journal, and the ids of all commands that were taken on.
    Result<std::vector<KnownRun>> load_runs();
    Result<std::vector<std::string>> load_command_ids();
    struct Forgotten {
        std::vector<std::string> runs, commands;  // ids
    };
    // Forgets ended runs (and commands, by the time in their id) whose fire time (else end) lies before `before` and whose reports are
    // delivered; at most 200 of each a call.
    Result<Forgotten> forget_before(Instant before);

    // The oldest undelivered reports, in order: at most `count`.
    Result<std::vector<Report>> oldest_reports(std::size_t count);
    // Drops the reports up to `position`.
    Result<> delivered_until(std::int64_t position);
    Result<std::int64_t> outbox_depth();

    struct Impl;

  private:
    explicit NodeStore(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

}  // namespace cloudtask::node
