// PreparedRuns: what waits for others of its task, or for its time as a further attempt. See prepared_runs.h.
#include <algorithm>

#include "cloudtask/task/attempts.h"
#include "node/prepared_runs_impl.h"
#include "node/run_texts.h"

namespace cloudtask::node {

namespace {

constexpr Duration kLookRarely = std::chrono::minutes{1};  // at what is not next in its line

}  // namespace

void PreparedRuns::Impl::enter_line(Prepared& entry, Place place) {
    WaitingLine& line = lines[entry.line()];
    switch (place) {
        case Place::held:
            line.hold(entry.asking());
            break;
        case Place::resting:
            line.rest(entry.asking());
            break;
        case Place::queued:
            line.queue(entry.asking());
            break;
    }
    entry.fire.reset();  // it was in time
    if (std::exchange(entry.in_line, true)) return;
    waiting.add(entry.keys(), around.key_changed);
    if (!entry.parked) close_fire(entry.run.fire_time);  // of what an earlier process of this node left, none is open
}

void PreparedRuns::Impl::leave_line(const Prepared& entry) {
    const auto line = lines.find(entry.line());
    if (line == lines.end()) return;
    line->second.leave(entry.asking());
    if (line->second.empty()) lines.erase(line);
    waiting.remove(entry.keys(), around.key_changed);
}

void PreparedRuns::Impl::look_at(Prepared& entry, Instant time) {
    // Where it is late, that is to be told.
    if (const auto deadline = task::start_deadline(*entry.task, entry.run)) time = std::min(time, *deadline + Duration{1});
    const bool without_folder = folderless.erase({entry.due, entry.run.id}) > 0;
    due.erase({entry.due, entry.run.id});
    entry.due = time;
    due.emplace(entry.due, entry.run.id);
    if (without_folder) folderless.emplace(entry.due, entry.run.id);
    if (!due_timer || time < due_timer_at) arm(time);
}

void PreparedRuns::Impl::park(Prepared& entry, Batch&& batch, std::string reason) {
    if (entry.parked) {
        if (!batch.empty()) around.journal.write(std::move(batch), Pace::gathered);
        return;
    }
    entry.parked = true;
    entry.intent_written = false;
    if (std::exchange(entry.folder_asked, false)) --folders_ahead;  // it is not next any more
    ++parked_count;
    entry.run.reason = std::move(reason);
    if (!std::exchange(entry.reported, true)) batch.reports.push_back(run_report(around.incarnation(), entry.run));
    batch.entries.push_back(journal_entry(entry, Phase::waiting));
    around.journal.write(std::move(batch), Pace::gathered);
}

void PreparedRuns::Impl::unpark(Prepared& entry) {
    enter_line(entry, Place::held);
    entry.parked = false;
    --parked_count;
    entry.run.reason.clear();
    entry.run.incarnation = around.incarnation();
    if (entry.task->parameters) work_out(entry);
    look_at(entry, now());
    write_intent({}, entry);
    if (!entry.package_ready && !entry.package_asked) fetch_package(entry.run.id);
}

void PreparedRuns::Impl::hold(Prepared& entry, std::string reason) {
    enter_line(entry, Place::held);
    if (entry.run.trigger != task::Trigger::rerun) park(entry, {}, std::move(reason));
    look_at(entry, now() + kLookAgain);
}

void PreparedRuns::Impl::queue(Prepared& entry, Batch&& batch, std::string reason) {
    enter_line(entry, Place::queued);
    park(entry, std::move(batch), std::move(reason));
    look_at(entry, now() + (lines.at(entry.line()).is_next(entry.run.id) ? kLookAgain : kLookRarely));
}

void PreparedRuns::Impl::replace(Prepared& entry, const std::string& elsewhere) {
    const std::string id = entry.run.id;
    const std::string by = fmt::format("replaced by the run {} of {}", id, format_instant(entry.order));
    std::vector<std::string> others;
    if (const auto line = lines.find(entry.line()); line != lines.end()) others = line->second.all();
    Batch batch;
    const std::string task_id = entry.task->id;
    const auto running = around.live.ids_of(task_id);
    for (const auto& each : running) {
        if (auto stopped = around.live.stop(each, by)) batch.entries.push_back(std::move(*stopped));
    }
    queue(entry, std::move(batch), waits_reason({static_cast<std::int64_t>(running.size()), elsewhere}));
    for (const auto& other : others) {
        const auto found = prepared.find(other);
        if (found != prepared.end() && other != id) skip(found->second, "overlap: " + by);
    }
}

void PreparedRuns::Impl::wake(const RunKeys& keys) {
    wake_line(keys.task_id);
    if (!keys.mutex.empty()) wake_line(keys.mutex);
}

void PreparedRuns::Impl::wake_line(const std::string& key) {
    const auto line = lines.find(key);
    if (line == lines.end()) return;
    follow_clock();
    std::vector<std::string> next = line->second.first();
    std::int64_t most = 0;
    for (auto queued = line->second.queued().begin(); queued != line->second.queued().end(); ++queued, ++most) {
        if (most > 0 && most >= prepared.at(queued->second).task->max_parallel) break;
        next.push_back(queued->second);
    }
    for (const auto& id : next) {
        Prepared& entry = prepared.at(id);
        look_at(entry, std::max(now(), entry.not_before));
    }
    start_more();
}

void PreparedRuns::Impl::resume(JournalEntry kept) {
    follow_clock();
    const std::string id = kept.run.id;
    known_runs.insert(id);
    Prepared entry;
    entry.run = std::move(kept.run);
    entry.task = std::move(kept.task);
    entry.due = kept.process->started_at;
    entry.retry = kept.retry;
    // The clock by which it was planned may have been ahead.
    if (const auto again = task::retry_of(*entry.task); entry.run.trigger == task::Trigger::retry && again) {
        entry.due = std::min(entry.due, now() + task::longest_retry_delay(*again, entry.retry));
    }
    entry.order = entry.run.fire_time.value_or(entry.due);
    entry.parked = entry.reported = true;
    entry.mutex = task::mutex_key(*entry.task);
    entry.package_ready = entry.task->package.empty();
    const bool further = entry.run.trigger == task::Trigger::retry;
    if (further) entry.not_before = entry.due;
    ++parked_count;
    due.emplace(entry.due, id);
    Prepared& put = prepared.insert_or_assign(id, std::move(entry)).first->second;
    enter_line(put, further ? Place::resting : Place::queued);
    look_at(put, further ? put.due : now());
    if (put.due <= now()) start_more();
}

bool PreparedRuns::Impl::take_over(Batch&& batch, JournalEntry entry) {
    if (known_runs.contains(entry.run.id)) return false;
    batch.reports.push_back(run_report(around.incarnation(), entry.run));
    batch.entries.push_back(entry);
    around.journal.write(std::move(batch), Pace::soon);
    resume(std::move(entry));
    return true;
}

}  // namespace cloudtask::node
