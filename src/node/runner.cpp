// Runner: a run's life on this node up to its start. What follows is LiveRuns'.
#include "node/runner.h"

#include <algorithm>
#include <deque>
#include <unordered_map>
#include <unordered_set>

#include "cloudtask/core/ids.h"
#include "cloudtask/core/log.h"
#include "cloudtask/task/decisions.h"
#include "cloudtask/task/pieces.h"
#include "node/backlog.h"
#include "node/journal_writer.h"
#include "node/prepared_runs.h"
#include "node/retries.h"

namespace cloudtask::node {

namespace {

// Fires are taken, and their intents written, so long before they are due: many disk writes' worth, and less than a horizon is raised ahead
// (DutyOptions::lead()), so that they need not wait for it.
constexpr Duration kAhead = std::chrono::milliseconds{500};
// And in handfuls: each taking is a turn of the loop, a trip to the disk and a wake-up of the thread that makes folders.
constexpr Duration kTakePeriod = std::chrono::milliseconds{50};
constexpr const char* kDisabled = "disabled: the task was disabled before the fire was started";
constexpr const char* kDeleted = "deleted: the task was deleted before the fire was started";

}  // namespace

struct Runner::Impl : std::enable_shared_from_this<Impl> {
    Loop& loop;
    RunnerOptions options;
    Coordinator* coordinator = nullptr;
    RunCounters counters;
    JournalWriter journal;
    RunFolders folders;
    LiveRuns live;
    PreparedRuns prepared;

    std::unordered_set<std::string> known_commands;
    // Tasks that start nothing any more, by id: why. What they owed by an earlier version is recorded as skipped.
    std::unordered_map<std::string, const char*> ended;
    std::deque<std::pair<Instant, std::string>> deleted;  // of these, in the order in which that was learnt
    bool taking_put_off = false;                          // as the journal cannot be written
    Timer take_timer;

    Impl(Loop& l, Worker& scratch, Disk& disk, Supervisor& supervisor, PackageCache& p, RunnerOptions o)
        : loop(l),
          options(std::move(o)),
          journal(l, disk, [this] { journal_written(); }),
          folders(scratch, options.runs_folder),
          live({l, supervisor, journal, folders, *options.secrets, counters, [this] { return incarnation(); },
                [this](const std::string& key) { running_changed(key); }, [this](const RunKeys& keys) { prepared.wake(keys); },
                [this](const std::string& task_id) { return refused(task_id); },
                [this](JournalEntry entry) { prepared.resume(std::move(entry)); }}),
          prepared({l, p, journal, folders, *options.secrets, live, counters, [this] { return incarnation(); },
                    [this](const std::string& name) { return coordinator->running_elsewhere(name); },
                    [this](const std::string& task_id) { return coordinator->unsettled(task_id); },
                    [this](const std::string& task_id) { return coordinator->owns(task_id); },
                    [this] { return coordinator != nullptr && coordinator->took_part(); },
                    [this](const std::string& task_id) { return refused(task_id); },
                    [this](const std::string& key) { running_changed(key); },
                    [this] {
                        if (coordinator != nullptr) coordinator->started();
                    }}) {}

    Instant now() const { return loop.clock().now(); }
    const std::string& incarnation() const { return coordinator->incarnation(); }

    task::Run describe(const TaskPointer& task) const {
        task::Run run;
        run.task_id = task::definition_id(*task);
        if (task->piece) {
            run.piece = task->id;
            run.shard = task->piece->shard;
        }
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
        prepared.start_due();
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
            prepared.prepare({}, {describe_claimed(fire, fire.time), fire.task, fire.time, fire});
            return;
        }
        coordinator->skip_until(fire.task->id, backlog.passed_until);
        const MisfireDecision decision = decide_misfires(backlog, now());
        for (const auto& skipped : decision.skipped) {
            task::Run run = describe_claimed(fire, skipped.fire.time);
            run.covers_until = skipped.covers_until;
            record_unstarted(std::move(run), task::RunState::skipped, skipped.reason);
        }
        for (const auto& late : decision.run) prepared.prepare({}, {describe_claimed(fire, late.time), late.task, now(), std::nullopt});
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
            const bool rerun = !cut && task::is_begun_again(*uncertain.task) && !ended.contains(uncertain.task->id);
            Batch batch;
            // Each attempt that may have been begun is accounted for, and none is begun a second time.
            const int told = uncertain.incarnation.empty() ? 1 : uncertain.begun;
            for (int attempt = 2; rerun && attempt <= told; ++attempt) {
                task::Run again = describe_fire(uncertain.task, fire->time, attempt);
                again.incarnation = uncertain.incarnation;
                prepared.add_unstarted(batch, std::move(again), task::RunState::lost, reason);
            }
            prepared.add_unstarted(batch, std::move(lost), task::RunState::lost, std::move(reason));
            // In one transaction with what makes it necessary. It is begun also where the loss was recorded before: by a process of this
            // node that came no further.
            const bool begun =
                rerun && prepared.prepare(std::move(batch), {describe_fire(uncertain.task, fire->time, uncertain.begun + 1),
                                                             uncertain.task,
                                                             std::max(now(), fire->time),
                                                             {}});  // a claim reaches beyond now, and its clock may have been ahead
            if (!begun) prepared.write_unstarted(std::move(batch), fire->time);
            if (cut) return;
        }
    }

    // A run that ends without having been started.
    void record_unstarted(task::Run run, task::RunState state, std::string reason) {
        const Instant fire_time = *run.fire_time;
        Batch batch;
        prepared.add_unstarted(batch, std::move(run), state, std::move(reason));
        prepared.write_unstarted(std::move(batch), fire_time);
    }

    void journal_written() {
        prepared.start_due();
        if (taking_put_off) take_fires();
    }

    // By then no fire of them can come up any more.
    void forget_deleted() {
        const Instant before = now() - 2 * task::kSupersededKept;
        while (!deleted.empty() && deleted.front().first < before) {
            const std::string id = std::move(deleted.front().second);
            deleted.pop_front();
            if (live.counts().of(id) > 0 || prepared.waits(id)) {
                deleted.emplace_back(now(), id);  // what follows its run is refused
            } else {
                ended.erase(id);
            }
        }
    }

    void running_changed(const std::string& key) {
        if (coordinator != nullptr) coordinator->set_running(key, live.counts().of(key) > 0 || prepared.waits(key));
    }

    std::string refused(const std::string& task_id) const {
        const auto why = ended.find(task_id);
        if (why == ended.end()) return {};
        return why->second == kDisabled ? "the task was disabled" : "the task was deleted";
    }

    // --- commands

    void handle(const Command& command) {
        if (!known_commands.insert(command.id).second) return;  // its report is in the outbox
        if (!is_uuid(command.run_id)) return answer({}, command, false, "the run id is not a UUID");
        if (command.kind == Command::Kind::stop) return stop(command);
        if (!command.task) return answer({}, command, false, "the command names no task that this node can read");
        const auto task = std::make_shared<const task::Task>(*command.task);
        if (command.run && command.hand_over) return take_over(command, task);
        task::Run run = describe(task);
        run.id = command.run_id;
        run.trigger = task::Trigger::manual;
        run.started_by = command.started_by;
        run.parameters = command.parameters;
        // Taken on in the same transaction as its run's intent.
        Batch batch;
        batch.commands.push_back(command.id);
        batch.reports.push_back(command_report(incarnation(), command.id, true));
        if (!prepared.prepare(std::move(batch), {std::move(run), task, now(), std::nullopt})) answer({}, command, true, "");
    }

    // An attempt that follows one of another node: from this transaction on it is this node's, and nobody else's.
    void take_over(const Command& command, const TaskPointer& task) {
        task::Run run = *command.run;
        run.node_id = options.node_id;
        run.node_name = options.node_name;
        run.incarnation = incarnation();
        Batch batch;
        if (const auto why = ended.find(task->id); why != ended.end()) {
            prepared.add_unstarted(batch, std::move(run), task::RunState::skipped, why->second);
            return answer(std::move(batch), command, true, "");
        }
        batch.commands.push_back(command.id);
        batch.reports.push_back(command_report(incarnation(), command.id, true));
        RunningRecord limits = limits_of(*task, run.id, {}, command.hand_over->due);
        JournalEntry entry{
            .run = std::move(run), .phase = Phase::waiting, .process = std::move(limits), .task = task, .retry = command.hand_over->made};
        if (!prepared.take_over(std::move(batch), std::move(entry))) answer({}, command, true, "");
    }

    void stop(const Command& command) {
        if (auto entry = live.stop(command.run_id)) {
            Batch batch;
            batch.entries.push_back(std::move(*entry));
            return answer(std::move(batch), command, true, "");
        }
        if (prepared.end(command.run_id, task::RunState::stopped, "it was stopped before it began")) return answer({}, command, true, "");
        answer({}, command, false, "the run is not going on here, or is ending already");
    }

    // Together with `batch`, which is what carries the command out.
    void answer(Batch batch, const Command& command, bool done, std::string_view detail) {
        batch.commands.push_back(command.id);
        batch.reports.push_back(command_report(incarnation(), command.id, done, detail));
        journal.write(std::move(batch), JournalWriter::Pace::soon);
    }

    void recover(std::vector<JournalEntry> unfinished, const std::vector<KnownRun>& runs, const std::vector<std::string>& command_ids) {
        // What waits begins in another folder: this one may have half a package in it.
        std::unordered_set<std::string> waiting;
        for (const auto& entry : unfinished) {
            if (entry.phase == Phase::waiting) waiting.insert(entry.run.id);
        }
        for (const auto& run : runs) {
            prepared.know(run.id);
            options.secrets->note(run.id, run.secrets);
            if (!run.folder.empty() && !waiting.contains(run.id)) folders.recall(run.id, run.folder);
        }
        folders.tidy();
        known_commands.insert(command_ids.begin(), command_ids.end());
        // What waited is there before an end of what ran has anything follow it.
        std::vector<JournalEntry> begun;
        for (auto& entry : unfinished) {
            if (entry.phase == Phase::waiting && entry.task && entry.process) {
                prepared.resume(std::move(entry));
            } else {
                begun.push_back(std::move(entry));
            }
        }
        live.recover(std::move(begun));
    }

    // From the moment that the node learns of it, also of fires that were taken by a version before.
    void end_task(const std::string& task_id, const char* reason) {
        ended.insert_or_assign(task_id, reason);
        prepared.skip_task(task_id, reason);
    }
};

Runner::Runner(Loop& loop, Worker& scratch, Disk& disk, Supervisor& supervisor, PackageCache& packages, RunnerOptions options)
    : impl_(std::make_shared<Impl>(loop, scratch, disk, supervisor, packages, std::move(options))) {}

Runner::~Runner() = default;

void Runner::set_coordinator(Coordinator& coordinator) { impl_->coordinator = &coordinator; }

void Runner::recover(std::vector<JournalEntry> unfinished, const std::vector<KnownRun>& known_runs,
                     const std::vector<std::string>& known_command_ids) {
    impl_->recover(std::move(unfinished), known_runs, known_command_ids);
}

void Runner::put_task(TaskPointer task) {
    if (task->enabled) {
        impl_->ended.erase(task->id);
        return;
    }
    impl_->end_task(task->id, kDisabled);
}

void Runner::erase_task(const std::string& task_id) {
    impl_->end_task(task_id, kDeleted);
    impl_->forget_deleted();
    impl_->deleted.emplace_back(impl_->now(), task_id);
}

void Runner::set_networks(std::shared_ptr<const task::NetworkRules> networks) { impl_->live.set_networks(std::move(networks)); }

void Runner::duties_changed() { impl_->take_fires(); }

std::optional<Instant> Runner::earliest_unstarted() const { return impl_->prepared.earliest_unstarted(); }

NodeSecrets& Runner::secrets() { return *impl_->options.secrets; }

void Runner::handle(Command command) { impl_->handle(command); }

bool Runner::idle() const { return impl_->live.size() == 0 && impl_->prepared.under_way() == 0 && impl_->journal.idle(); }
std::size_t Runner::running() const { return impl_->live.size(); }
std::size_t Runner::prepared() const { return impl_->prepared.size(); }
const RunCounters& Runner::counters() const { return impl_->counters; }
std::string Runner::run_folder(const std::string& run_id) const {
    std::string folder = impl_->folders.of(run_id);
    if (!folder.empty()) return folder;
    log::error("run {} has no folder any more: its output cannot be sent", run_id);
    return impl_->options.runs_folder + "/none";
}

void Runner::forget(const NodeStore::Forgotten& forgotten) {
    for (const auto& id : forgotten.commands) impl_->known_commands.erase(id);
    for (const auto& id : forgotten.runs) {
        impl_->prepared.forget(id);
        impl_->options.secrets->forget(id);
        impl_->folders.release(id);
    }
}

}  // namespace cloudtask::node
