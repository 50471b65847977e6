// The rows of runs, and what a task's row remembers of its runs. SQL only: which state may follow which is in run_rules.h.
//
// Any thread that holds a transaction of Store. Functions throw SOCI's errors, which Store maps.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "center/run_rules.h"
#include "cloudtask/task/types.h"

namespace soci {
class session;
}

namespace cloudtask::center {

struct StoredRun {
    task::Run run;
    std::string log_note;     // what the center had to drop of its log; empty: nothing
    std::string late_report;  // JSON of the last report that came after its end and was not applied; empty: none
};

struct RunFilter {
    std::string runtime, group, task_id, node_id;  // empty: any
    std::optional<std::int64_t> shard;
    std::optional<task::RunState> state;
    std::optional<Instant> since, until;  // by the time in the id: the fire time, or when it was started by hand
    std::string beyond;                   // the id of the last run of the page before
    bool oldest_first = false;
    std::size_t limit = 50;
};

std::optional<StoredRun> find_run(soci::session& sql, std::string_view id);
std::vector<StoredRun> list_runs(soci::session& sql, const RunFilter& filter);

// PENDING and RUNNING runs of one node that are not over once it is gone for good: not what waits there while the node may come back.
std::vector<StoredRun> unfinished_runs(soci::session& sql, std::string_view node_id);

// How many PENDING and RUNNING runs it has.
std::int64_t count_unfinished_runs(soci::session& sql, std::string_view node_id);

struct NodeOfRuns {
    std::string runtime, node_id;
    friend bool operator==(const NodeOfRuns&, const NodeOfRuns&) = default;
};
// The nodes that have such unfinished_runs().
std::vector<NodeOfRuns> nodes_with_unfinished_runs(soci::session& sql);

// Writes runs with statements that are prepared once for the transaction.
class RunWriter {
  public:
    explicit RunWriter(soci::session& sql);
    ~RunWriter();

    std::optional<KnownRun> find(std::string_view id);
    // What the runtime's catalog knows of a task.
    enum class TaskIs { present, deleted, unknown };
    TaskIs find_task(std::string_view task_id, std::string_view runtime);

    void insert(const task::Run& run);
    // Everything but what names the run (its task, trigger, fire time, attempt, and who started it) and what it covers. Parameters stay
    // where `run` has none.
    void update(const task::Run& run);
    // The run's entry stands for further fires up to `reported.covers_until`, as `reported` says of them. What it covers never shrinks.
    void set_covers(const task::Run& reported);
    void set_late_report(std::string_view id, std::string_view report);
    void set_log_note(std::string_view id, std::string_view note);

    // Keeps the task's summary: its last run (the one with the greatest id, skipped ones apart: they never ran) and how many are RUNNING.
    // A task that is deleted has none.
    void update_task(const task::Run& run, std::optional<task::RunState> before);

  private:
    void set_parameters(const task::Run& run);
    void set_secrets(const task::Run& run);

    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace cloudtask::center
