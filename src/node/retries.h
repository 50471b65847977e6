// What a node keeps of a run beyond its start, and the attempt that follows its end. Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "node/node_store.h"

namespace cloudtask::node {

// Whether the task's definition is needed until a run of it has ended, or while one waits: it is then kept in the journal with the run, so
// that a run goes by the version that it was begun by, whatever becomes of the node process and of the task.
bool needs_definition(const task::Task& task);

// By which a process of the run is supervised, should it be found again; without a process. Of a run that waits: it is due at `due`.
RunningRecord limits_of(const task::Task& task, const std::string& run_id, std::string folder, Instant due);

struct EndedAttempt {
    const std::shared_ptr<const task::Task>& task;
    std::int64_t retry = 0;    // attempts before it since the fire, or its rerun, was begun
    std::string_view refused;  // why the task starts nothing any more; empty: it does
    std::string incarnation;   // to report by
};

// Adds the attempt that follows `run`, which has ended and whose task has a retry policy, to the batch, with its report, and says in the
// run's reason what follows. What was added, if there is one: it waits from the batch's transaction on. Of an attempt that another node is
// to begin only the report is added, by which the center hands it over: from the transaction on it is this node's no more. The report that
// `run` has ended is to come behind it.
std::optional<JournalEntry> add_next_attempt(Batch& batch, task::Run& run, const EndedAttempt& ended);

}  // namespace cloudtask::node
