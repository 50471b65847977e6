// PreparedRuns: see prepared_runs.h.
#include "node/prepared_runs.h"

#include <algorithm>
#include <map>
#include <set>
#include <unordered_map>
#include <unordered_set>
#include <utility>

#include "cloudtask/task/decisions.h"
#include "node/backlog.h"
#include "node/run_texts.h"

namespace cloudtask::node {

namespace {

constexpr Duration kPackageRetry = std::chrono::seconds{2};
constexpr Duration kRerunRetry = std::chrono::seconds{1};  // of one that waits for the run before it
constexpr std::size_t kMostStarting = 16;                  // on their way at a time
// Folders are made for so many runs that are due next, and not for all: a node that has fallen behind would spend its time on making them.
constexpr std::size_t kFoldersAhead = 1000;

}  // namespace

struct PreparedRuns::Impl : std::enable_shared_from_this<Impl> {
    struct Prepared : PreparedRun {
        bool intent_written = false;
        bool package_ready = false;
        bool folder_asked = false;
        bool put_off = false;  // it waits for the run that is in its way
    };

    Surroundings around;
    std::unordered_map<std::string, Prepared> prepared;        // by run id
    std::set<std::pair<Instant, std::string>> due;             // the same, by time
    std::set<std::pair<Instant, std::string>> folderless;      // of these, those whose folder is not made yet, though it could be
    std::size_t folders_ahead = 0;                             // of these, those whose folder is being made or there
    std::unordered_map<std::string, std::int64_t> put_off_of;  // count of what is put off, by task id
    std::unordered_set<std::string> known_runs;                // in the journal: not begun again
    // The times of the fires that were taken and are neither started nor on disk as ended: what ZooKeeper must not hear of as done.
    std::multiset<Instant> open_fires;
    bool fires_closed = false;  // since that was told
    Timer due_timer;
    std::map<std::uint64_t, Timer> retries;
    std::uint64_t next_retry = 0;
    bool starting_more = false;  // a further turn of start_due() is posted

    explicit Impl(Surroundings surroundings) : around(std::move(surroundings)) {}

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
        batch.entries.push_back({std::move(run), Phase::ended, std::nullopt, 0, 0});
    }

    void write_unstarted(Batch batch, Instant fire_time) {
        if (batch.empty()) return;
        open_fires.insert(fire_time);
        around.journal.write(std::move(batch), [this, fire_time] { close_fire(fire_time); });
    }

    void close_fire(const std::optional<Instant>& fire_time) {
        if (!fire_time) return;
        open_fires.erase(open_fires.find(*fire_time));
        fires_closed = true;
    }
    // --- from intent to start

    // Writes the intent, together with `batch`, and makes everything ready. False if the journal knows the run already: nothing is done.
    bool prepare(Batch&& batch, PreparedRun wanted) {
        Prepared entry{std::move(wanted)};
        const std::string id = entry.run.id;
        if (!known_runs.insert(id).second) return false;
        entry.run.state = task::RunState::pending;
        entry.package_ready = entry.task->package.empty();
        if (entry.run.fire_time) open_fires.insert(*entry.run.fire_time);
        due.emplace(entry.due, id);
        // Without a process; for its limits, should the process be found whose start was not written down any more.
        const RunningRecord limits{
            id, around.folders.of(id), {}, entry.due, entry.task->time_limit, entry.task->grace, entry.task->output_limit};
        batch.entries.push_back({entry.run, Phase::intent, limits, 0, 0});
        around.journal.write(std::move(batch), [this, id] {
            const auto found = prepared.find(id);
            if (found != prepared.end()) found->second.intent_written = true;
        });
        const bool package_ready = entry.package_ready;
        const Instant entry_due = entry.due;
        prepared.insert_or_assign(id, std::move(entry));
        if (package_ready) {
            folderless.emplace(entry_due, id);
            make_folders();
        } else {
            fetch_package(id);
        }
        return true;
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
        around.packages.ensure(sha256, [weak = weak_from_this(), run_id, sha256](const Result<>& fetched) {
            const auto self = weak.lock();
            if (!self || !self->prepared.contains(run_id)) return;
            if (!fetched) return self->package_failed(run_id, fetched.error());
            self->around.packages.materialise(sha256, self->around.folders.of(run_id), [weak, run_id](const Result<>& made) {
                const auto again = weak.lock();
                if (!again) return;
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
        const bool closed = entry.put_off;
        if (closed) release(entry);
        drop_prepared(run.id);
        end_unstarted(std::move(run), closed, state, std::move(reason));
    }

    // Ends a run whose intent is written and that nothing was started for. `closed`: ZooKeeper does not wait for it any more.
    void end_unstarted(task::Run run, bool closed, task::RunState state, std::string reason) {
        run.state = state;
        run.reason = bounded_reason(std::move(reason));
        run.ended_at = now();
        around.folders.clear_and_release(run.id);
        Batch batch;
        batch.reports.push_back(run_report(around.incarnation(), run));
        const auto fire_time = run.fire_time;
        batch.entries.push_back({std::move(run), Phase::ended, std::nullopt, 0, 0});
        around.journal.write(std::move(batch), [this, fire_time, closed] {
            if (!closed) close_fire(fire_time);
        });
    }

    void start_due() {
        const Instant at = now();
        const std::size_t room = kMostStarting - std::min(kMostStarting, around.live.starting());
        bool held_back = false;
        std::vector<std::string> ready;
        std::unordered_map<std::string, Backlog> late;  // by task id
        for (const auto& [time, id] : due) {
            if (time > at) break;
            const Prepared& entry = prepared.at(id);
            if (!entry.package_ready) continue;
            if (too_late(entry, at)) {
                late[entry.task->id].late.push_back(*entry.fire);
            } else if (entry.intent_written) {
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
        if (next != due.end()) due_timer = around.loop.after(next->first - now(), [this] { start_due(); });
        tell_closed();
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
        const std::int64_t limit = task::runs_at_once(*entry.task);
        const std::int64_t others = around.live.count_of(entry.task->id);
        const std::string elsewhere = around.running_elsewhere(entry.task->id);
        const bool rerun = entry.run.trigger == task::Trigger::rerun;
        // What was put off goes before what is due later.
        const auto before = rerun ? put_off_of.end() : put_off_of.find(entry.task->id);
        const std::int64_t waiting = before == put_off_of.end() ? 0 : before->second;
        if (others + waiting + (elsewhere.empty() ? 0 : 1) >= limit) {
            if (rerun) return put_off(entry);
            ++around.counters.skipped;
            return end_prepared(entry, task::RunState::skipped, overlap_reason(others + waiting, elsewhere));
        }
        const bool closed = entry.put_off;
        if (closed) release(entry);  // from here on it counts as one that is going on
        task::Run run = entry.run;
        const TaskPointer task = entry.task;
        drop_prepared(run_id);
        around.live.start(std::move(run), task,
                          [this, closed](const Result<>& started, const task::Run& told) { start_done(started, told, closed); });
    }

    void start_done(const Result<>& started, const task::Run& run, bool closed) {
        if (!started) {
            ++around.counters.failed_to_start;
            end_unstarted(run, closed, task::RunState::failed, fmt::format("it could not be started: {}", started.error().message));
        } else if (!closed) {
            close_fire(run.fire_time);  // its intent is on disk
        }
        start_more();
    }

    // It is put off no more.
    void release(const Prepared& entry) {
        if (--put_off_of[entry.task->id] == 0) put_off_of.erase(entry.task->id);
    }

    // To be run at least once is what its task wants: it waits for the run that is in its way.
    void put_off(Prepared& entry) {
        // ZooKeeper need not wait for it: that it is to be run is on disk.
        if (!std::exchange(entry.put_off, true)) {
            ++put_off_of[entry.task->id];
            close_fire(entry.run.fire_time);
        }
        const bool without_folder = folderless.erase({entry.due, entry.run.id}) > 0;
        due.erase({entry.due, entry.run.id});
        entry.due = now() + kRerunRetry;
        due.emplace(entry.due, entry.run.id);
        if (without_folder) folderless.emplace(entry.due, entry.run.id);
        retry(kRerunRetry, [this] { start_due(); });
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

void PreparedRuns::know(const std::vector<std::string>& run_ids) { impl_->known_runs.insert(run_ids.begin(), run_ids.end()); }
void PreparedRuns::forget(const std::string& run_id) { impl_->known_runs.erase(run_id); }
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

}  // namespace cloudtask::node
