// PreparedRuns: from the intent to a run that is ready; and runs that end without having been started. See prepared_runs.h.
#include "node/prepared_runs.h"

#include <algorithm>

#include "cloudtask/task/attempts.h"
#include "cloudtask/task/pieces.h"
#include "cloudtask/task/task_parameters.h"
#include "cloudtask/task/task_secrets.h"
#include "node/prepared_runs_impl.h"
#include "node/retries.h"
#include "node/run_texts.h"

namespace cloudtask::node {

namespace {

constexpr Duration kPackageRetry = std::chrono::seconds{2};
// Folders are made for so many runs that are due next, and not for all: a node that has fallen behind would spend its time on making them.
constexpr std::size_t kFoldersAhead = 1000;
// An intent that is given to the journal so long before it is due is there in time, whatever else is gathered with it.
constexpr Duration kEarly = 10 * JournalWriter::kGathered;

}  // namespace

void PreparedRuns::Impl::add_unstarted(Batch& batch, task::Run run, task::RunState state, std::string reason) {
    if (!known_runs.insert(run.id).second) return;
    run.state = state;
    run.reason = bounded_reason(std::move(reason));
    run.ended_at = now();
    if (state == task::RunState::skipped) ++around.counters.skipped;
    if (state == task::RunState::lost) ++around.counters.lost;
    batch.reports.push_back(run_report(around.incarnation(), run));
    batch.entries.push_back({.run = std::move(run), .phase = Phase::ended});
}

void PreparedRuns::Impl::write_unstarted(Batch batch, Instant fire_time) {
    if (batch.empty()) return;
    open_fires.insert(fire_time);
    around.journal.write(std::move(batch), Pace::gathered, [this, fire_time] { close_fire(fire_time); });
}

void PreparedRuns::Impl::close_fire(const std::optional<Instant>& fire_time) {
    if (!fire_time) return;
    open_fires.erase(open_fires.find(*fire_time));
    fires_closed = true;
}

bool PreparedRuns::Impl::prepare(Batch&& batch, PreparedRun wanted) {
    Prepared entry;
    static_cast<PreparedRun&>(entry) = std::move(wanted);
    const std::string id = entry.run.id;
    if (!known_runs.insert(id).second) return false;
    entry.run.state = task::RunState::pending;
    if (entry.task->parameters) work_out(entry);
    entry.package_ready = entry.task->package.empty();
    if (entry.run.fire_time) open_fires.insert(*entry.run.fire_time);
    entry.mutex = task::mutex_key(*entry.task);
    entry.order = entry.run.fire_time.value_or(entry.due);
    due.emplace(entry.due, id);
    const bool with_folder = write_intent(std::move(batch), entry);
    const bool package_ready = entry.package_ready;
    const Instant entry_due = entry.due;
    prepared.insert_or_assign(id, std::move(entry));
    if (!package_ready) {
        fetch_package(id);
    } else if (!with_folder) {
        folderless.emplace(entry_due, id);
        make_folders();
    }
    return true;
}

void PreparedRuns::Impl::work_out(Prepared& entry) {
    const auto done = task::work_out_parameters(*entry.task, entry.run);
    entry.refusal = done ? std::string{} : fmt::format("its parameters cannot be worked out: {}", done.error().message);
}

JournalEntry PreparedRuns::Impl::journal_entry(const Prepared& entry, Phase phase) const {
    // Without a process; for its limits, should the process be found whose start was not written down any more.
    RunningRecord limits = limits_of(*entry.task, entry.run.id, around.folders.of(entry.run.id), std::max(entry.due, entry.not_before));
    JournalEntry kept{.run = entry.run, .phase = phase, .process = std::move(limits), .task = {}, .retry = entry.retry};
    if (phase == Phase::waiting || needs_definition(*entry.task)) kept.task = entry.task;
    return kept;
}

bool PreparedRuns::Impl::write_intent(Batch&& batch, Prepared& entry) {
    const std::string id = entry.run.id;
    if (task::names_secrets(*entry.task)) {
        entry.run.secrets = around.secrets.versions_for(*entry.task);
        around.secrets.note(id, entry.run.secrets);
    }
    const bool with_folder = !around.folders.of(id).empty() || around.folders.assign(id);
    batch.entries.push_back(journal_entry(entry, Phase::intent));
    const bool early = entry.due > now() + kEarly;
    around.journal.write(std::move(batch), early ? Pace::gathered : Pace::soon, [this, id] {
        const auto found = prepared.find(id);
        if (found != prepared.end() && !found->second.parked) found->second.intent_written = true;
    });
    return with_folder;
}

void PreparedRuns::Impl::make_folders() {
    while (!folderless.empty() && folders_ahead < kFoldersAhead) {
        const std::string id = folderless.extract(folderless.begin()).value().second;
        prepared.at(id).folder_asked = true;
        ++folders_ahead;
        around.folders.make(id);
    }
}

void PreparedRuns::Impl::drop_prepared(const std::string& run_id) {
    const auto node = prepared.extract(run_id);
    const Prepared& entry = node.mapped();
    due.erase({entry.due, run_id});
    folderless.erase({entry.due, run_id});
    if (entry.folder_asked) --folders_ahead;
    if (entry.parked) --parked_count;
    make_folders();
}

void PreparedRuns::Impl::retry(Duration delay, std::function<void()> function) {
    const std::uint64_t number = next_retry++;
    retries[number] = around.loop.after(delay, [this, number, function = std::move(function)] {
        const Timer keep = std::move(retries[number]);
        retries.erase(number);
        function();
    });
}

void PreparedRuns::Impl::fetch_package(const std::string& run_id) {
    const auto found = prepared.find(run_id);
    if (found == prepared.end()) return;
    const std::string sha256 = found->second.task->package;
    found->second.package_asked = true;
    around.packages.ensure(sha256, [weak = weak_from_this(), run_id, sha256](const Result<>& fetched) {
        const auto self = weak.lock();
        if (!self || !self->prepared.contains(run_id)) return;
        if (!fetched) return self->package_failed(run_id, fetched.error());
        self->around.folders.begin_unpacking(run_id);
        self->around.packages.materialise(sha256, self->around.folders.of(run_id), [weak, run_id](const Result<>& made) {
            const auto again = weak.lock();
            if (!again) return;
            again->around.folders.end_unpacking(run_id);
            const auto entry = again->prepared.find(run_id);
            if (entry == again->prepared.end()) return;
            if (!made) return again->package_failed(run_id, made.error());
            entry->second.package_ready = true;
            again->start_if_due(entry->second);
        });
    });
}

void PreparedRuns::Impl::package_failed(const std::string& run_id, const Error& error) {
    const auto found = prepared.find(run_id);
    const bool transient = error.is(Errc::unavailable) || error.is(Errc::timeout) || error.is(Errc::cancelled);
    if (transient && now() < found->second.due + found->second.task->misfire_tolerance) {
        return retry(kPackageRetry, [this, run_id] { fetch_package(run_id); });
    }
    fail_prepared(run_id, fmt::format("its package cannot be had: {}", error.message));
}

void PreparedRuns::Impl::fail_prepared(const std::string& run_id, std::string reason) {
    const auto found = prepared.find(run_id);
    if (found == prepared.end()) return;
    ++around.counters.failed_to_start;
    end_prepared(found->second, task::RunState::failed, std::move(reason));
}

void PreparedRuns::Impl::end_prepared(const Prepared& entry, task::RunState state, std::string reason) {
    task::Run run = entry.run;
    const TaskPointer task = entry.task;
    const std::int64_t retry = entry.retry;
    const bool closed = entry.in_line;
    const RunKeys keys = entry.keys();
    // It counts until the attempt that follows does: its fire goes on.
    if (closed) waiting.add(keys, around.key_changed);
    if (closed) leave_line(entry);
    drop_prepared(run.id);
    end_unstarted(std::move(run), task, retry, closed, state, std::move(reason));
    if (closed) waiting.remove(keys, around.key_changed);
}

void PreparedRuns::Impl::end_unstarted(task::Run run, const TaskPointer& task, std::int64_t retry, bool closed, task::RunState state,
                                       std::string reason) {
    run.state = state;
    run.reason = bounded_reason(std::move(reason));
    run.ended_at = now();
    Batch batch;
    std::optional<JournalEntry> next;
    if (task && task::retry_of(*task)) {
        next = add_next_attempt(batch, run, {task, retry, around.refused(task::placed_id(run)), around.incarnation()});
    }
    batch.reports.push_back(run_report(around.incarnation(), run));
    const auto fire_time = run.fire_time;
    const RunKeys keys = task ? keys_of(*task) : RunKeys{task::placed_id(run), {}};
    const std::string id = run.id;
    batch.entries.push_back({.run = std::move(run), .phase = Phase::ended});
    around.journal.write(std::move(batch), Pace::gathered, [this, id, fire_time, closed] {
        around.folders.release(id);
        if (!closed) close_fire(fire_time);
    });
    if (next) resume(std::move(*next));
    wake(keys);
}

bool PreparedRuns::Impl::end(const std::string& run_id, task::RunState state, std::string reason) {
    const auto found = prepared.find(run_id);
    if (found == prepared.end()) return false;
    end_prepared(found->second, state, std::move(reason));
    return true;
}

void PreparedRuns::Impl::skip_task(const std::string& task_id, const std::string& reason) {
    std::vector<std::string> ids;
    for (const auto& [id, entry] : prepared) {
        if (entry.task->id == task_id && entry.run.trigger != task::Trigger::manual) ids.push_back(id);
    }
    for (const auto& id : ids) {
        ++around.counters.skipped;
        end_prepared(prepared.at(id), task::RunState::skipped, reason);
    }
}

PreparedRuns::PreparedRuns(Surroundings surroundings) : impl_(std::make_shared<Impl>(std::move(surroundings))) {}

PreparedRuns::~PreparedRuns() = default;

void PreparedRuns::know(const std::string& run_id) { impl_->known_runs.insert(run_id); }
void PreparedRuns::forget(const std::string& run_id) { impl_->known_runs.erase(run_id); }
void PreparedRuns::resume(JournalEntry entry) { impl_->resume(std::move(entry)); }
bool PreparedRuns::waits(const std::string& key) const { return impl_->waiting.of(key) > 0; }
bool PreparedRuns::take_over(Batch&& batch, JournalEntry entry) { return impl_->take_over(std::move(batch), std::move(entry)); }
void PreparedRuns::wake(const RunKeys& keys) { impl_->wake(keys); }
bool PreparedRuns::prepare(Batch&& batch, PreparedRun entry) { return impl_->prepare(std::move(batch), std::move(entry)); }

void PreparedRuns::add_unstarted(Batch& batch, task::Run run, task::RunState state, std::string reason) {
    impl_->add_unstarted(batch, std::move(run), state, std::move(reason));
}

void PreparedRuns::write_unstarted(Batch batch, Instant fire_time) { impl_->write_unstarted(std::move(batch), fire_time); }
void PreparedRuns::start_due() { impl_->start_due(); }

bool PreparedRuns::end(const std::string& run_id, task::RunState state, std::string reason) {
    return impl_->end(run_id, state, std::move(reason));
}

void PreparedRuns::skip_task(const std::string& task_id, const std::string& reason) { impl_->skip_task(task_id, reason); }

std::optional<Instant> PreparedRuns::earliest_unstarted() const {
    if (impl_->open_fires.empty()) return std::nullopt;
    return *impl_->open_fires.begin();
}

std::size_t PreparedRuns::size() const { return impl_->prepared.size(); }
std::size_t PreparedRuns::under_way() const { return impl_->prepared.size() - impl_->parked_count; }

}  // namespace cloudtask::node
