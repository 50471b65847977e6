// PreparedRuns: see prepared_runs.h.
#include "node/prepared_runs.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "cloudtask/task/attempts.h"
#include "node/backlog.h"
#include "node/retries.h"
#include "node/run_texts.h"
#include "node/waiting_line.h"

namespace cloudtask::node {

namespace {

constexpr Duration kPackageRetry = std::chrono::seconds{2};
// What waits for a run that goes on is looked at when one ends here; of what goes on elsewhere nobody tells.
constexpr Duration kLookAgain = std::chrono::seconds{1};
constexpr Duration kLookRarely = std::chrono::minutes{1};        // at what is not next in its line
constexpr Duration kClockStep = std::chrono::milliseconds{500};  // less is drift
constexpr std::size_t kMostStarting = 16;                        // on their way at a time
// Folders are made for so many runs that are due next, and not for all: a node that has fallen behind would spend its time on making them.
constexpr std::size_t kFoldersAhead = 1000;
// An intent that is given to the journal so long before it is due is there in time, whatever else is gathered with it.
constexpr Duration kEarly = 10 * JournalWriter::kGathered;
using Pace = JournalWriter::Pace;

}  // namespace

struct PreparedRuns::Impl : std::enable_shared_from_this<Impl> {
    struct Prepared : PreparedRun {
        bool intent_written = false;
        bool package_ready = false;
        bool package_asked = false;  // it is being fetched or unpacked
        bool folder_asked = false;
        std::int64_t retry = 0;  // see JournalEntry
        Instant order{};         // in its task's line
        Instant not_before{};    // of a further attempt: its time
        bool in_line = false;    // it waits for others of its task, and its fire is closed
        bool parked = false;     // the journal has it as waiting
        bool reported = false;   // as PENDING

        Asking asking() const { return {run.id, order, run.trigger}; }
    };

    static inline const WaitingLine kNobody;

    Surroundings around;
    std::unordered_map<std::string, Prepared> prepared;    // by run id
    std::set<std::pair<Instant, std::string>> due;         // the same, by time
    std::set<std::pair<Instant, std::string>> folderless;  // of these, those whose folder is not made yet, though it could be
    std::size_t folders_ahead = 0;                         // of these, those whose folder is being made or there
    std::size_t parked_count = 0;                          // of these, what only waits
    std::unordered_map<std::string, WaitingLine> lines;    // by task id; none is empty
    std::unordered_set<std::string> known_runs;            // in the journal: not begun again
    // The times of the fires that were taken and are neither started nor on disk as ended: what ZooKeeper must not hear of as done.
    std::multiset<Instant> open_fires;
    bool fires_closed = false;  // since that was told
    Duration clock_offset{};    // of the wall clock from the steady one
    Timer due_timer;
    Instant due_timer_at{};
    std::map<std::uint64_t, Timer> retries;
    std::uint64_t next_retry = 0;
    bool starting_more = false;  // a further turn of start_due() is posted

    explicit Impl(Surroundings surroundings)
        : around(std::move(surroundings)), clock_offset(now().time_since_epoch() - around.loop.clock().steady_now().time_since_epoch()) {}

    Instant now() const { return around.loop.clock().now(); }

    // --- accounts

    // Nothing if the journal knows the run already.
    void add_unstarted(Batch& batch, task::Run run, task::RunState state, std::string reason) {
        if (!known_runs.insert(run.id).second) return;
        run.state = state;
        run.reason = bounded_reason(std::move(reason));
        run.ended_at = now();
        if (state == task::RunState::skipped) ++around.counters.skipped;
        if (state == task::RunState::lost) ++around.counters.lost;
        batch.reports.push_back(run_report(around.incarnation(), run));
        batch.entries.push_back({.run = std::move(run), .phase = Phase::ended});
    }

    void write_unstarted(Batch batch, Instant fire_time) {
        if (batch.empty()) return;
        open_fires.insert(fire_time);
        around.journal.write(std::move(batch), Pace::gathered, [this, fire_time] { close_fire(fire_time); });
    }

    void close_fire(const std::optional<Instant>& fire_time) {
        if (!fire_time) return;
        open_fires.erase(open_fires.find(*fire_time));
        fires_closed = true;
    }

    // --- from intent to start

    // Writes the intent, together with `batch`, and makes everything ready. False if the journal knows the run already: nothing is done.
    bool prepare(Batch&& batch, PreparedRun wanted) {
        Prepared entry;
        static_cast<PreparedRun&>(entry) = std::move(wanted);
        const std::string id = entry.run.id;
        if (!known_runs.insert(id).second) return false;
        entry.run.state = task::RunState::pending;
        entry.package_ready = entry.task->package.empty();
        if (entry.run.fire_time) open_fires.insert(*entry.run.fire_time);
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

    // As the journal keeps it.
    JournalEntry journal_entry(const Prepared& entry, Phase phase) const {
        // Without a process; for its limits, should the process be found whose start was not written down any more.
        RunningRecord limits = limits_of(*entry.task, entry.run.id, around.folders.of(entry.run.id), std::max(entry.due, entry.not_before));
        JournalEntry kept{.run = entry.run, .phase = phase, .process = std::move(limits), .task = {}, .retry = entry.retry};
        if (phase == Phase::waiting || needs_definition(*entry.task)) kept.task = entry.task;
        return kept;
    }

    // Gives the run a folder, if it has none yet. False if nothing of that is there.
    bool write_intent(Batch&& batch, const Prepared& entry) {
        const std::string id = entry.run.id;
        const bool with_folder = !around.folders.of(id).empty() || around.folders.assign(id);
        batch.entries.push_back(journal_entry(entry, Phase::intent));
        const bool early = entry.due > now() + kEarly;
        around.journal.write(std::move(batch), early ? Pace::gathered : Pace::soon, [this, id] {
            const auto found = prepared.find(id);
            if (found != prepared.end() && !found->second.parked) found->second.intent_written = true;
        });
        return with_folder;
    }

    // Of a run without a package; PackageCache makes the others'.
    void make_folders() {
        while (!folderless.empty() && folders_ahead < kFoldersAhead) {
            const std::string id = folderless.extract(folderless.begin()).value().second;
            prepared.at(id).folder_asked = true;
            ++folders_ahead;
            around.folders.make(id);
        }
    }

    // It is started, or will not be.
    void drop_prepared(const std::string& run_id) {
        const auto node = prepared.extract(run_id);
        const Prepared& entry = node.mapped();
        due.erase({entry.due, run_id});
        folderless.erase({entry.due, run_id});
        if (entry.folder_asked) --folders_ahead;
        if (entry.parked) --parked_count;
        make_folders();
    }

    void retry(Duration delay, std::function<void()> function) {
        const std::uint64_t number = next_retry++;
        retries[number] = around.loop.after(delay, [this, number, function = std::move(function)] {
            const Timer keep = std::move(retries[number]);
            retries.erase(number);
            function();
        });
    }

    void fetch_package(const std::string& run_id) {
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

    // A center that is away may come back within the task's tolerance; a package that is not what it should be will not mend.
    void package_failed(const std::string& run_id, const Error& error) {
        const auto found = prepared.find(run_id);
        const bool transient = error.is(Errc::unavailable) || error.is(Errc::timeout) || error.is(Errc::cancelled);
        if (transient && now() < found->second.due + found->second.task->misfire_tolerance) {
            return retry(kPackageRetry, [this, run_id] { fetch_package(run_id); });
        }
        fail_prepared(run_id, fmt::format("its package cannot be had: {}", error.message));
    }

    // Ends a prepared run that could not be started.
    void fail_prepared(const std::string& run_id, std::string reason) {
        const auto found = prepared.find(run_id);
        if (found == prepared.end()) return;
        ++around.counters.failed_to_start;
        end_prepared(found->second, task::RunState::failed, std::move(reason));
    }

    void end_prepared(const Prepared& entry, task::RunState state, std::string reason) {
        task::Run run = entry.run;
        const TaskPointer task = entry.task;
        const std::int64_t retry = entry.retry;
        const bool closed = entry.in_line;
        if (closed) leave_line(entry);
        drop_prepared(run.id);
        end_unstarted(std::move(run), task, retry, closed, state, std::move(reason));
    }

    // Ends a run whose intent is written and that nothing was started for. `closed`: ZooKeeper does not wait for it any more.
    void end_unstarted(task::Run run, const TaskPointer& task, std::int64_t retry, bool closed, task::RunState state, std::string reason) {
        run.state = state;
        run.reason = bounded_reason(std::move(reason));
        run.ended_at = now();
        Batch batch;
        std::optional<JournalEntry> next;
        if (task && task->retry) {
            next = add_next_attempt(batch, run, {task, retry, around.refused(run.task_id), around.incarnation()});
        }
        batch.reports.push_back(run_report(around.incarnation(), run));
        const auto fire_time = run.fire_time;
        const std::string task_id = run.task_id, id = run.id;
        batch.entries.push_back({.run = std::move(run), .phase = Phase::ended});
        around.journal.write(std::move(batch), Pace::gathered, [this, id, fire_time, closed] {
            around.folders.release(id);
            if (!closed) close_fire(fire_time);
        });
        if (next) resume(std::move(*next));
        wake(task_id);
    }

    // What waits does so for a while, and fires for an instant: when the clock is set, the former go with it.
    void follow_clock() {
        const Duration offset = now().time_since_epoch() - around.loop.clock().steady_now().time_since_epoch();
        const Duration step = offset - std::exchange(clock_offset, offset);
        if (lines.empty() || (step < kClockStep && step > -kClockStep)) return;
        std::vector<std::string> waiting;
        for (const auto& [task_id, line] : lines) {
            waiting.insert(waiting.end(), line.held().begin(), line.held().end());
            for (const auto& [order, id] : line.queued()) waiting.push_back(id);
        }
        for (const auto& id : waiting) {
            Prepared& entry = prepared.at(id);
            if (entry.not_before != Instant{}) entry.not_before += step;
            look_at(entry, entry.due + step);
        }
    }

    void start_due() {
        follow_clock();
        const Instant at = now();
        const std::size_t room = kMostStarting - std::min(kMostStarting, around.live.starting());
        bool held_back = false;
        std::vector<std::string> ready;
        std::unordered_map<std::string, Backlog> late;  // by task id
        for (const auto& [time, id] : due) {
            if (time > at) break;
            const Prepared& entry = prepared.at(id);
            if (!entry.package_ready && !entry.parked) continue;
            if (too_late(entry, at)) {
                late[entry.task->id].late.push_back(*entry.fire);
            } else if (entry.intent_written || entry.parked) {
                held_back = ready.size() == room;
                if (held_back) break;
                ready.push_back(id);
            }
        }
        for (const auto& id : ready) start(id);
        for (const auto& [task_id, backlog] : late) start_late(backlog);
        if (held_back && around.live.starting() == 0) start_more();  // none of these was to be started
        due_timer.cancel();
        const auto next = due.upper_bound({at, std::string(1, '\x7f')});
        if (next != due.end()) arm(next->first);
        tell_closed();
    }

    void arm(Instant time) {
        due_timer_at = time;
        due_timer = around.loop.after(std::max<Duration>(time - now(), Duration{}), [this] { start_due(); });
    }

    // The rest of a burst comes as starts come to pass: what waits here can still be too late, or stopped. And were all of it begun in one
    // turn of the loop, nobody would learn of exits meanwhile.
    void start_more() {
        if (std::exchange(starting_more, true)) return;
        around.loop.post([weak = weak_from_this()] {
            const auto self = weak.lock();
            if (!self) return;
            self->starting_more = false;
            self->start_due();
        });
    }

    bool too_late(const Prepared& entry, Instant at) const { return entry.fire && at - entry.due > entry.task->misfire_tolerance; }

    // What is ready ahead of time is started by the timer, what was written late by the journal; what got its package late, here.
    void start_if_due(const Prepared& entry) {
        follow_clock();
        const Instant at = now();
        if (!entry.intent_written || entry.due > at) return;
        if (too_late(entry, at)) return start_due();
        start(std::string{entry.run.id});
        tell_closed();
    }

    void tell_closed() {
        if (std::exchange(fires_closed, false)) around.fires_closed();
    }

    // Fires of one task that were taken in time, but whose intent or package was not there in time: misfires as well. They are judged
    // together, and what is to run starts when its own intent is written.
    void start_late(const Backlog& backlog) {
        const MisfireDecision decision = decide_misfires(backlog, now());
        for (const auto& skipped : decision.skipped) {
            const auto found = prepared.find(task::run_id(skipped.fire.task->id, skipped.fire.time, 1));
            if (found == prepared.end()) continue;
            ++around.counters.skipped;
            end_prepared(found->second, task::RunState::skipped, skipped.reason);
        }
        for (const auto& fire : decision.run) {
            const std::string id = task::run_id(fire.task->id, fire.time, 1);
            if (prepared.at(id).intent_written) start(id);
        }
    }

    void start(const std::string& run_id) {
        const auto found = prepared.find(run_id);
        if (found == prepared.end()) return;
        Prepared& entry = found->second;
        if (const auto deadline = task::start_deadline(*entry.task, entry.run); deadline && now() > *deadline) {
            return skip(entry, deadline_reason(*entry.task->start_deadline));
        }
        // What waited while no process of this node was there: others may have begun runs meanwhile.
        if (entry.parked && !around.took_part()) return look_at(entry, now() + kLookAgain);
        const std::int64_t here = around.live.count_of(entry.task->id);
        // The owner waits for others. They do not wait for each other, nor for the owner: that would be for ever.
        const bool waits_for_others = !entry.in_line || around.owns(entry.task->id);
        const std::string elsewhere = waits_for_others ? around.running_elsewhere(entry.task->id) : std::string{};
        const auto line = lines.find(entry.task->id);
        const WaitingLine& waiting = line == lines.end() ? kNobody : line->second;
        switch (waiting.ask(*entry.task, entry.asking(), here + (elsewhere.empty() ? 0 : 1))) {
            case Admission::begin:
                return entry.parked ? unpark(entry) : begin(entry);
            case Admission::hold:
                return hold(entry);
            case Admission::queue:
                return queue(entry, {}, waits_reason(here, elsewhere));
            case Admission::full:
                return skip(entry, full_reason(waiting.queued().size()));
            case Admission::replace:
                return replace(entry, elsewhere);
            case Admission::skip:
                return skip(entry, overlap_reason(here, elsewhere, waiting.before(entry.asking())));
        }
    }

    void skip(const Prepared& entry, std::string reason) {
        ++around.counters.skipped;
        end_prepared(entry, task::RunState::skipped, std::move(reason));
    }

    // Its intent is on disk.
    void begin(Prepared& entry) {
        const std::string id = entry.run.id;
        const bool closed = entry.in_line;
        const auto done = [this, closed](const Result<>& started, const task::Run& run, const TaskPointer& task, std::int64_t retry) {
            start_done(started, run, task, retry, closed);
        };
        around.live.start(entry.run, entry.task, entry.retry, done);
        if (closed) leave_line(entry);  // from here on it counts as one that is going on
        drop_prepared(id);
    }

    void start_done(const Result<>& started, const task::Run& run, const TaskPointer& task, std::int64_t retry, bool closed) {
        if (!started) {
            ++around.counters.failed_to_start;
            const std::string reason = fmt::format("it could not be started: {}", started.error().message);
            end_unstarted(run, task, retry, closed, task::RunState::failed, reason);
        } else if (!closed) {
            close_fire(run.fire_time);  // its intent is on disk
        }
        start_more();
    }

    // --- waiting

    // A fire that goes on, or waits in a line, is closed: that it is to be run is on disk, so ZooKeeper need not wait for it.
    void enter_line(Prepared& entry, bool held) {
        const auto [line, is_new] = lines.try_emplace(entry.task->id);
        held ? line->second.hold(entry.asking()) : line->second.queue(entry.asking());
        entry.fire.reset();  // it was in time
        if (!std::exchange(entry.in_line, true)) close_fire(entry.run.fire_time);
        if (is_new) around.task_changed(entry.task->id);
    }

    void leave_line(const Prepared& entry) {
        const auto line = lines.find(entry.task->id);
        if (line == lines.end()) return;
        line->second.leave(entry.asking());
        if (!line->second.empty()) return;
        const std::string task_id = entry.task->id;
        lines.erase(line);
        around.task_changed(task_id);
    }

    // It is looked at again then, or when a run of its task ends.
    void look_at(Prepared& entry, Instant time) {
        // Where it is late, that is to be told.
        if (const auto deadline = task::start_deadline(*entry.task, entry.run)) time = std::min(time, *deadline + Duration{1});
        const bool without_folder = folderless.erase({entry.due, entry.run.id}) > 0;
        due.erase({entry.due, entry.run.id});
        entry.due = time;
        due.emplace(entry.due, entry.run.id);
        if (without_folder) folderless.emplace(entry.due, entry.run.id);
        if (!due_timer || time < due_timer_at) arm(time);
    }

    // From here on the journal has it as certainly not begun. The center is told once.
    void park(Prepared& entry, Batch&& batch, std::string reason) {
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

    // It has its turn: it is held until its intent is on disk again.
    void unpark(Prepared& entry) {
        enter_line(entry, true);
        entry.parked = false;
        --parked_count;
        entry.run.reason.clear();
        entry.run.incarnation = around.incarnation();
        look_at(entry, now());
        write_intent({}, entry);
        if (!entry.package_ready && !entry.package_asked) fetch_package(entry.run.id);
    }

    // To be run is what its task wants: it waits for the run that is in its way.
    void hold(Prepared& entry) {
        enter_line(entry, true);
        if (entry.run.trigger != task::Trigger::rerun) park(entry, {}, waits_reason(1, {}));
        look_at(entry, now() + kLookAgain);
    }

    void queue(Prepared& entry, Batch&& batch, std::string reason) {
        enter_line(entry, false);
        park(entry, std::move(batch), std::move(reason));
        const WaitingLine& line = lines.at(entry.task->id);
        const bool next = line.held().empty() && line.queued().begin()->second == entry.run.id;
        look_at(entry, now() + (next ? kLookAgain : kLookRarely));
    }

    // The newest run goes before all others of its task: those that wait are not run, those that run are stopped, and it begins when their
    // trees are gone. One that runs on another node is waited for.
    void replace(Prepared& entry, const std::string& elsewhere) {
        const std::string id = entry.run.id;
        const std::string by = fmt::format("replaced by the run {} of {}", id, format_instant(entry.order));
        std::vector<std::string> others;
        if (const auto line = lines.find(entry.task->id); line != lines.end()) {
            others.assign(line->second.held().begin(), line->second.held().end());
            for (const auto& [order, other] : line->second.queued()) others.push_back(other);
        }
        Batch batch;
        const std::string task_id = entry.task->id;
        const auto running = around.live.ids_of(task_id);
        for (const auto& each : running) {
            if (auto stopped = around.live.stop(each, by)) batch.entries.push_back(std::move(*stopped));
        }
        queue(entry, std::move(batch), waits_reason(static_cast<std::int64_t>(running.size()), elsewhere));
        for (const auto& other : others) {
            const auto found = prepared.find(other);
            if (found != prepared.end() && other != id) skip(found->second, "overlap: " + by);
        }
    }

    void wake(const std::string& task_id) {
        const auto line = lines.find(task_id);
        if (line == lines.end()) return;
        follow_clock();
        std::vector<std::string> next(line->second.held().begin(), line->second.held().end());
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

    // Takes its place in memory; on disk it has it.
    void resume(JournalEntry kept) {
        follow_clock();
        const std::string id = kept.run.id;
        known_runs.insert(id);
        Prepared entry;
        entry.run = std::move(kept.run);
        entry.task = std::move(kept.task);
        entry.due = kept.process->started_at;
        entry.retry = kept.retry;
        // The clock by which it was planned may have been ahead.
        if (entry.run.trigger == task::Trigger::retry && entry.task->retry) {
            entry.due = std::min(entry.due, now() + task::longest_retry_delay(*entry.task->retry, entry.retry));
        }
        entry.order = entry.run.fire_time.value_or(entry.due);
        entry.parked = entry.in_line = entry.reported = true;
        entry.package_ready = entry.task->package.empty();
        const bool further = entry.run.trigger == task::Trigger::retry;
        if (further) entry.not_before = entry.due;
        ++parked_count;
        due.emplace(entry.due, id);
        Prepared& put = prepared.insert_or_assign(id, std::move(entry)).first->second;
        enter_line(put, further);
        look_at(put, further ? put.due : now());
        if (put.due <= now()) start_more();
    }

    bool end(const std::string& run_id, task::RunState state, std::string reason) {
        const auto found = prepared.find(run_id);
        if (found == prepared.end()) return false;
        end_prepared(found->second, state, std::move(reason));
        return true;
    }

    void skip_task(const std::string& task_id, const std::string& reason) {
        std::vector<std::string> ids;
        for (const auto& [id, entry] : prepared) {
            if (entry.task->id == task_id && entry.run.trigger != task::Trigger::manual) ids.push_back(id);
        }
        for (const auto& id : ids) {
            ++around.counters.skipped;
            end_prepared(prepared.at(id), task::RunState::skipped, reason);
        }
    }
};

PreparedRuns::PreparedRuns(Surroundings surroundings) : impl_(std::make_shared<Impl>(std::move(surroundings))) {}

PreparedRuns::~PreparedRuns() = default;

void PreparedRuns::know(const std::string& run_id) { impl_->known_runs.insert(run_id); }
void PreparedRuns::forget(const std::string& run_id) { impl_->known_runs.erase(run_id); }
void PreparedRuns::resume(JournalEntry entry) { impl_->resume(std::move(entry)); }
bool PreparedRuns::waits(const std::string& task_id) const { return impl_->lines.contains(task_id); }
void PreparedRuns::wake(const std::string& task_id) { impl_->wake(task_id); }
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
