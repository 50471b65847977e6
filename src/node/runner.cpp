// Runner: a run's life on this node up to its start. What follows is LiveRuns'.
#include "node/runner.h"

#include <algorithm>
#include <deque>
#include <set>
#include <unordered_set>

#include "cloudtask/core/ids.h"
#include "node/backlog.h"
#include "node/journal_writer.h"
#include "node/run_texts.h"

namespace cloudtask::node {

namespace {

// Fires are taken, and their intents written, so long before they are due: many disk writes' worth, and less than a horizon is raised ahead
// (DutyOptions::lead()), so that they need not wait for it.
constexpr Duration kAhead = std::chrono::milliseconds{500};
// And in handfuls: each taking is a turn of the loop, a trip to the disk and a wake-up of the thread that makes folders.
constexpr Duration kTakePeriod = std::chrono::milliseconds{50};
constexpr Duration kPackageRetry = std::chrono::seconds{2};
constexpr Duration kRerunRetry = std::chrono::seconds{1};  // of one that waits for the run before it
constexpr std::size_t kStartsPerTurn = 16;                 // of the loop
// Folders are made for so many runs that are due next, and not for all: a node that has fallen behind would spend its time on making them.
constexpr std::size_t kFoldersAhead = 1000;

}  // namespace

struct Runner::Impl : std::enable_shared_from_this<Impl> {
    // A run that is going to be started.
    struct Prepared {
        task::Run run;
        TaskPointer task;
        Instant due{};
        std::optional<Fire> fire;  // of one that was in time when it was taken: to be held against its tolerance once more
        bool intent_written = false;
        bool package_ready = false;
        bool folder_asked = false;
        bool put_off = false;  // it waits for the run that is in its way
    };

    Loop& loop;
    PackageCache& packages;
    RunnerOptions options;
    Coordinator* coordinator = nullptr;
    RunCounters counters;
    JournalWriter journal;
    RunFolders folders;
    LiveRuns live;

    std::unordered_map<std::string, Prepared> prepared;        // by run id
    std::set<std::pair<Instant, std::string>> due;             // the same, by time
    std::set<std::pair<Instant, std::string>> folderless;      // of these, those whose folder is not made yet, though it could be
    std::size_t folders_ahead = 0;                             // of these, those whose folder is being made or there
    std::unordered_map<std::string, std::int64_t> put_off_of;  // count of what is put off, by task id
    std::unordered_set<std::string> known_runs;                // in the journal: not begun again
    std::unordered_set<std::string> known_commands;
    // Tasks that start nothing any more, by id: why. What they owed by an earlier version is recorded as skipped.
    std::unordered_map<std::string, const char*> ended;
    std::deque<std::pair<Instant, std::string>> deleted;  // of these, in the order in which that was learnt
    // The times of the fires that were taken and are neither started nor on disk as ended: what ZooKeeper must not hear of as done.
    std::multiset<Instant> open_fires;
    bool fires_closed = false;    // since the coordinator was told
    bool taking_put_off = false;  // as the journal cannot be written
    Timer take_timer, due_timer;
    std::map<std::uint64_t, Timer> retries;
    std::uint64_t next_retry = 0;
    bool starting_more = false;  // a further turn of start_due() is posted

    Impl(Loop& l, Worker& scratch, Disk& disk, Supervisor& supervisor, PackageCache& p, RunnerOptions o)
        : loop(l),
          packages(p),
          options(std::move(o)),
          journal(l, disk, [this] { journal_written(); }),
          folders(scratch, options.runs_folder),
          live({l, supervisor, journal, folders, counters, [this] { return incarnation(); },
                [this](const std::string& task_id) { running_changed(task_id); }}) {}

    Instant now() const { return loop.clock().now(); }
    const std::string& incarnation() const { return coordinator->incarnation(); }

    task::Run describe(const TaskPointer& task) const {
        task::Run run;
        run.task_id = task->id;
        run.task_version = task->version;
        run.runtime = task->runtime;
        run.group = task->group;
        run.task_name = task->name;
        run.package = task->package;
        run.node_id = options.node_id;
        run.node_name = options.node_name;
        run.incarnation = incarnation();
        run.epoch = coordinator->epoch();
        return run;
    }

    task::Run describe_fire(const TaskPointer& task, Instant time, std::int64_t attempt) const {
        task::Run run = describe(task);
        run.id = task::run_id(task->id, time, attempt);
        run.trigger = attempt == 1 ? task::Trigger::schedule : task::Trigger::rerun;
        run.fire_time = time;
        run.attempt = attempt;
        return run;
    }

    // By the epoch that claimed it, which is not the newest when the claim outlived its session.
    task::Run describe_claimed(const Fire& fire, Instant time) const {
        task::Run run = describe_fire(fire.task, time, 1);
        run.epoch = fire.epoch;
        return run;
    }

    // --- fires

    void take_fires() {
        if (coordinator == nullptr) return;
        take_timer.cancel();
        for (const auto& uncertain : coordinator->take_uncertain()) settle_uncertain(uncertain);
        // A fire whose intent cannot be written is left where it is: the misfire policy decides once the disk is back.
        taking_put_off = journal.failing();
        if (taking_put_off) return;
        const Instant until = now() + kAhead;
        while (const auto fire = coordinator->take(until)) accept(*fire);
        start_due();
        // What is permitted later is told by the coordinator; what comes into sight later is ours to remember.
        if (const auto next = coordinator->next_due(); next && *next > until) {
            take_timer = loop.after(std::max<Duration>(*next - until, kTakePeriod), [this] { take_fires(); });
        }
    }

    void accept(const Fire& fire) {
        if (const auto why = ended.find(fire.task->id); why != ended.end()) {
            return record_unstarted(describe_claimed(fire, fire.time), task::RunState::skipped, why->second);
        }
        const Backlog backlog = gather_backlog(fire, now());
        if (backlog.late.empty()) {
            prepare({}, {describe_claimed(fire, fire.time), fire.task, fire.time, fire});
            return;
        }
        coordinator->skip_until(fire.task->id, backlog.passed_until);
        const MisfireDecision decision = decide_misfires(backlog, now());
        for (const auto& skipped : decision.skipped) {
            task::Run run = describe_claimed(fire, skipped.fire.time);
            run.covers_until = skipped.covers_until;
            record_unstarted(std::move(run), task::RunState::skipped, skipped.reason);
        }
        for (const auto& late : decision.run) prepare({}, {describe_claimed(fire, late.time), late.task, now(), std::nullopt});
    }

    // Fires that an incarnation which is gone may have started: reported as lost, and run again if the task wants that.
    void settle_uncertain(const UncertainFires& uncertain) {
        std::size_t count = 0;
        for (auto fire = next_fire(uncertain.task, uncertain.fires.after); fire && fire->time <= uncertain.fires.until;
             fire = next_fire(uncertain.task, fire->time)) {
            task::Run lost = describe_fire(uncertain.task, fire->time, 1);
            lost.incarnation = uncertain.incarnation;
            std::string reason = "its node went away around the time it was due, and may have started it or not";
            const bool cut = ++count > kMaxMisfires;
            if (cut) {
                reason += fmt::format("; so it is with all further ones up to {}", format_instant(uncertain.fires.until));
                lost.covers_until = uncertain.fires.until;
            }
            const bool rerun = !cut && uncertain.task->guarantee == task::Guarantee::at_least_once && !ended.contains(uncertain.task->id);
            Batch batch;
            // Each attempt that may have been begun is accounted for, and none is begun a second time.
            const int told = uncertain.incarnation.empty() ? 1 : uncertain.begun;
            for (int attempt = 2; rerun && attempt <= told; ++attempt) {
                task::Run again = describe_fire(uncertain.task, fire->time, attempt);
                again.incarnation = uncertain.incarnation;
                add_unstarted(batch, std::move(again), task::RunState::lost, reason);
            }
            add_unstarted(batch, std::move(lost), task::RunState::lost, std::move(reason));
            // In one transaction with what makes it necessary. It is begun also where the loss was recorded before: by a process of this
            // node that came no further.
            const bool begun = rerun && prepare(std::move(batch), {describe_fire(uncertain.task, fire->time, uncertain.begun + 1),
                                                                   uncertain.task,
                                                                   std::max(now(), fire->time),
                                                                   {}});  // a claim reaches beyond now, and its clock may have been ahead
            if (!begun) write_unstarted(std::move(batch), fire->time);
            if (cut) return;
        }
    }

    // A run that ends without having been started.
    void record_unstarted(task::Run run, task::RunState state, std::string reason) {
        const Instant fire_time = *run.fire_time;
        Batch batch;
        add_unstarted(batch, std::move(run), state, std::move(reason));
        write_unstarted(std::move(batch), fire_time);
    }

    // Nothing if the journal knows the run already.
    void add_unstarted(Batch& batch, task::Run run, task::RunState state, std::string reason) {
        if (!known_runs.insert(run.id).second) return;
        run.state = state;
        run.reason = bounded_reason(std::move(reason));
        run.ended_at = now();
        if (state == task::RunState::skipped) ++counters.skipped;
        if (state == task::RunState::lost) ++counters.lost;
        batch.reports.push_back(run_report(incarnation(), run));
        batch.entries.push_back({std::move(run), Phase::ended, std::nullopt, 0, 0});
    }

    void write_unstarted(Batch batch, Instant fire_time) {
        if (batch.empty()) return;
        open_fires.insert(fire_time);
        journal.write(std::move(batch), [this, fire_time] { close_fire(fire_time); });
    }

    void close_fire(const std::optional<Instant>& fire_time) {
        if (!fire_time) return;
        open_fires.erase(open_fires.find(*fire_time));
        fires_closed = true;
    }

    // --- from intent to start

    // Writes the intent, together with `batch`, and makes everything ready. False if the journal knows the run already: nothing is done.
    bool prepare(Batch&& batch, Prepared entry) {
        const std::string id = entry.run.id;
        if (!known_runs.insert(id).second) return false;
        entry.run.state = task::RunState::pending;
        entry.package_ready = entry.task->package.empty();
        if (entry.run.fire_time) open_fires.insert(*entry.run.fire_time);
        due.emplace(entry.due, id);
        // Without a process; for its limits, should the process be found whose start was not written down any more.
        const RunningRecord limits{id, folders.of(id), {}, entry.due, entry.task->time_limit, entry.task->grace, entry.task->output_limit};
        batch.entries.push_back({entry.run, Phase::intent, limits, 0, 0});
        journal.write(std::move(batch), [this, id] {
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
            folders.make(id);
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

    void journal_written() {
        start_due();
        if (taking_put_off) take_fires();
    }

    void retry(Duration delay, std::function<void()> function) {
        const std::uint64_t number = next_retry++;
        retries[number] = loop.after(delay, [this, number, function = std::move(function)] {
            const Timer keep = std::move(retries[number]);
            retries.erase(number);
            function();
        });
    }

    void fetch_package(const std::string& run_id) {
        const auto found = prepared.find(run_id);
        if (found == prepared.end()) return;
        const std::string sha256 = found->second.task->package;
        packages.ensure(sha256, [weak = weak_from_this(), run_id, sha256](const Result<>& fetched) {
            const auto self = weak.lock();
            if (!self || !self->prepared.contains(run_id)) return;
            if (!fetched) return self->package_failed(run_id, fetched.error());
            self->packages.materialise(sha256, self->folders.of(run_id), [weak, run_id](const Result<>& made) {
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
        ++counters.failed_to_start;
        end_prepared(found->second, task::RunState::failed, std::move(reason));
    }

    void end_prepared(const Prepared& entry, task::RunState state, std::string reason) {
        task::Run run = entry.run;
        run.state = state;
        run.reason = bounded_reason(std::move(reason));
        run.ended_at = now();
        folders.clear_and_release(run.id);
        const bool closed = entry.put_off;
        if (closed) release(entry);
        drop_prepared(run.id);
        Batch batch;
        batch.reports.push_back(run_report(incarnation(), run));
        const auto fire_time = run.fire_time;
        batch.entries.push_back({std::move(run), Phase::ended, std::nullopt, 0, 0});
        journal.write(std::move(batch), [this, fire_time, closed] {
            if (!closed) close_fire(fire_time);
        });
    }

    void start_due() {
        const Instant at = now();
        std::vector<std::string> ready;
        std::unordered_map<std::string, Backlog> late;  // by task id
        for (const auto& [time, id] : due) {
            if (time > at) break;
            const Prepared& entry = prepared.at(id);
            if (!entry.package_ready) continue;
            if (too_late(entry, at)) {
                late[entry.task->id].late.push_back(*entry.fire);
            } else if (entry.intent_written) {
                if (ready.size() == kStartsPerTurn) {
                    start_more();
                    break;
                }
                ready.push_back(id);
            }
        }
        for (const auto& id : ready) start(id);
        for (const auto& [task_id, backlog] : late) start_late(backlog);
        due_timer.cancel();
        const auto next = due.upper_bound({at, std::string(1, '\x7f')});
        if (next != due.end()) due_timer = loop.after(next->first - now(), [this] { start_due(); });
        tell_closed();
    }

    // The rest of a burst comes in the next turn of the loop: were all of it started in one, nobody would learn of exits meanwhile, and a
    // node that is pushed beyond its limit would do nothing but start.
    void start_more() {
        if (std::exchange(starting_more, true)) return;
        loop.post([weak = weak_from_this()] {
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
        if (std::exchange(fires_closed, false) && coordinator != nullptr) coordinator->started();
    }

    // Fires of one task that were taken in time, but whose intent or package was not there in time: misfires as well. They are judged
    // together, and what is to run starts when its own intent is written.
    void start_late(const Backlog& backlog) {
        const MisfireDecision decision = decide_misfires(backlog, now());
        for (const auto& skipped : decision.skipped) {
            const auto found = prepared.find(task::run_id(skipped.fire.task->id, skipped.fire.time, 1));
            if (found == prepared.end()) continue;
            ++counters.skipped;
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
        const std::int64_t limit = entry.task->overlap == task::Overlap::forbid ? 1 : entry.task->max_parallel;
        const std::int64_t others = live.count_of(entry.task->id);
        const std::string elsewhere = coordinator->running_elsewhere(entry.task->id);
        const bool rerun = entry.run.trigger == task::Trigger::rerun;
        // What was put off goes before what is due later.
        const auto before = rerun ? put_off_of.end() : put_off_of.find(entry.task->id);
        const std::int64_t waiting = before == put_off_of.end() ? 0 : before->second;
        if (others + waiting + (elsewhere.empty() ? 0 : 1) >= limit) {
            if (rerun) return put_off(entry);
            ++counters.skipped;
            return end_prepared(entry, task::RunState::skipped, overlap_reason(others + waiting, elsewhere));
        }
        const auto started = live.start(entry.run, entry.task);
        if (!started) return fail_prepared(run_id, fmt::format("it could not be started: {}", started.error().message));
        release(entry);  // its intent is on disk
        drop_prepared(run_id);
    }

    // It is accounted for.
    void release(const Prepared& entry) {
        if (!entry.put_off) return close_fire(entry.run.fire_time);
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

    // By then no fire of them can come up any more.
    void forget_deleted() {
        const Instant before = now() - 2 * task::kSupersededKept;
        for (; !deleted.empty() && deleted.front().first < before; deleted.pop_front()) ended.erase(deleted.front().second);
    }

    void running_changed(const std::string& task_id) {
        if (coordinator != nullptr) coordinator->set_running(task_id, live.count_of(task_id) > 0);
    }

    // --- commands

    void handle(const Command& command) {
        if (!known_commands.insert(command.id).second) return;  // its report is in the outbox
        if (!is_uuid(command.run_id)) return answer({}, command, false, "the run id is not a UUID");
        if (command.kind == Command::Kind::stop) return stop(command);
        if (!command.task) return answer({}, command, false, "the command names no task that this node can read");
        const auto task = std::make_shared<const task::Task>(*command.task);
        task::Run run = describe(task);
        run.id = command.run_id;
        run.trigger = task::Trigger::manual;
        run.started_by = command.started_by;
        // Taken on in the same transaction as its run's intent.
        Batch batch;
        batch.commands.push_back(command.id);
        batch.reports.push_back(command_report(incarnation(), command.id, true));
        if (!prepare(std::move(batch), {std::move(run), task, now(), std::nullopt})) answer({}, command, true, "");
    }

    void stop(const Command& command) {
        if (auto entry = live.stop(command.run_id)) {
            Batch batch;
            batch.entries.push_back(std::move(*entry));
            return answer(std::move(batch), command, true, "");
        }
        const auto waiting = prepared.find(command.run_id);
        if (waiting != prepared.end()) {
            end_prepared(waiting->second, task::RunState::stopped, "it was stopped before it began");
            return answer({}, command, true, "");
        }
        answer({}, command, false, "the run is not going on here, or is ending already");
    }

    // Together with `batch`, which is what carries the command out.
    void answer(Batch batch, const Command& command, bool done, std::string_view detail) {
        batch.commands.push_back(command.id);
        batch.reports.push_back(command_report(incarnation(), command.id, done, detail));
        journal.write(std::move(batch));
    }

    void recover(std::vector<JournalEntry> unfinished, const std::vector<std::string>& run_ids,
                 const std::vector<std::string>& command_ids) {
        known_runs.insert(run_ids.begin(), run_ids.end());
        known_commands.insert(command_ids.begin(), command_ids.end());
        live.recover(std::move(unfinished));
    }

    // From the moment that the node learns of it, also of fires that were taken by a version before.
    void end_task(const std::string& task_id, const char* reason) {
        ended.insert_or_assign(task_id, reason);
        std::vector<std::string> ids;
        for (const auto& [id, entry] : prepared) {
            if (entry.task->id == task_id && entry.run.trigger != task::Trigger::manual) ids.push_back(id);
        }
        for (const auto& id : ids) {
            ++counters.skipped;
            end_prepared(prepared.at(id), task::RunState::skipped, reason);
        }
    }
};

Runner::Runner(Loop& loop, Worker& scratch, Disk& disk, Supervisor& supervisor, PackageCache& packages, RunnerOptions options)
    : impl_(std::make_shared<Impl>(loop, scratch, disk, supervisor, packages, std::move(options))) {}

Runner::~Runner() = default;

void Runner::set_coordinator(Coordinator& coordinator) { impl_->coordinator = &coordinator; }

void Runner::recover(std::vector<JournalEntry> unfinished, const std::vector<std::string>& known_run_ids,
                     const std::vector<std::string>& known_command_ids) {
    impl_->recover(std::move(unfinished), known_run_ids, known_command_ids);
}

void Runner::put_task(TaskPointer task) {
    if (task->enabled) {
        impl_->ended.erase(task->id);
        return;
    }
    impl_->end_task(task->id, "disabled: the task was disabled before the fire was started");
}

void Runner::erase_task(const std::string& task_id) {
    impl_->end_task(task_id, "deleted: the task was deleted before the fire was started");
    impl_->forget_deleted();
    impl_->deleted.emplace_back(impl_->now(), task_id);
}

void Runner::duties_changed() { impl_->take_fires(); }

std::optional<Instant> Runner::earliest_unstarted() const {
    if (impl_->open_fires.empty()) return std::nullopt;
    return *impl_->open_fires.begin();
}

void Runner::handle(Command command) { impl_->handle(command); }

bool Runner::idle() const { return impl_->live.size() == 0 && impl_->prepared.empty() && impl_->journal.idle(); }
std::size_t Runner::running() const { return impl_->live.size(); }
std::size_t Runner::prepared() const { return impl_->prepared.size(); }
const RunCounters& Runner::counters() const { return impl_->counters; }
std::string Runner::run_folder(const std::string& run_id) const { return impl_->folders.of(run_id); }

void Runner::forget(const NodeStore::Forgotten& forgotten) {
    for (const auto& id : forgotten.commands) impl_->known_commands.erase(id);
    for (const auto& id : forgotten.runs) {
        impl_->known_runs.erase(id);
        impl_->folders.release(id);
    }
}

}  // namespace cloudtask::node
