// The attempt that follows: see retries.h. Pure.
#include "node/retries.h"

#include "cloudtask/task/attempts.h"
#include "cloudtask/task/mutex.h"
#include "node/run_texts.h"

namespace cloudtask::node {

bool needs_definition(const task::Task& task) {
    return task::has_mutex(task) || task::retry_of(task) || task.success || task.soft_limit || task.overlap == task::Overlap::queue ||
           task.overlap == task::Overlap::replace;
}

RunningRecord limits_of(const task::Task& task, const std::string& run_id, std::string folder, Instant due) {
    return {run_id, std::move(folder), {}, due, task.time_limit, task.grace, task.output_limit};
}

std::optional<JournalEntry> add_next_attempt(Batch& batch, task::Run& run, const EndedAttempt& ended) {
    task::NextAttempt next = task::next_attempt(*ended.task, run, ended.retry + 1, ended.refused);
    if (!next.note.empty()) run.reason = bounded_reason(run.reason.empty() ? next.note : run.reason + "; " + next.note);
    if (!next.run) return std::nullopt;
    next.run->incarnation = ended.incarnation;
    if (next.elsewhere) {
        batch.reports.push_back(hand_over_report(ended.incarnation, *next.run, {next.due, ended.retry + 1, next.run->node_id}));
        return std::nullopt;
    }
    RunningRecord limits = limits_of(*ended.task, next.run->id, {}, next.due);
    JournalEntry entry{
        .run = std::move(*next.run), .phase = Phase::waiting, .process = std::move(limits), .task = ended.task, .retry = ended.retry + 1};
    batch.reports.push_back(run_report(ended.incarnation, entry.run));
    batch.entries.push_back(entry);
    return entry;
}

}  // namespace cloudtask::node
