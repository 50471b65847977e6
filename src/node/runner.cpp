// Runner: the life of a run on this node.
#include "node/runner.h"

#include <algorithm>
#include <filesystem>
#include <set>
#include <unordered_set>

#include "cloudtask/core/log.h"
#include "cloudtask/core/units.h"
#include "node/backlog.h"

namespace cloudtask::node {

namespace {

// Fires are taken, and their intents written, so long before they are due: many disk writes' worth, and less than half of a horizon.
constexpr Duration kAhead = std::chrono::milliseconds{800};
constexpr Duration kLogPeriod = std::chrono::milliseconds{100};
constexpr Duration kDiskRetry = std::chrono::milliseconds{500};
constexpr Duration kPackageRetry = std::chrono::seconds{2};
constexpr std::size_t kMaxReason = 4000;  // bytes; what the codec takes, with room

// Reasons quote errors of others, which may be of any length.
std::string bounded(std::string reason) {
    if (reason.size() > kMaxReason) {
        reason.resize(kMaxReason);
        while (!reason.empty() && (static_cast<unsigned char>(reason.back()) & 0x80) != 0)
            reason.pop_back();  // no half of a UTF-8 character
        reason += "...";
    }
    return reason;
}

}  // namespace

struct Runner::Impl : std::enable_shared_from_this<Impl> {
    // A run that is going to be started.
    struct Prepared {
        task::Run run;
        TaskPointer task;
        Instant due{};
        bool intent_written = false;
        bool package_ready = false;
        bool skip_if_late = false;  // by the misfire policy, should this process have been paused, or its disk slow, until then
    };
    struct Running {
        task::Run run;
        TaskPointer task;
        RunningRecord process;
        std::uint64_t stdout_sent = 0, stderr_sent = 0;
    };

    Loop& loop;
    Worker& scratch;  // makes and removes folders
    Disk& disk;
    Supervisor& supervisor;
    PackageCache& packages;
    RunnerOptions options;
    Coordinator* coordinator = nullptr;

    std::unordered_map<std::string, Prepared> prepared;        // by run id
    std::multiset<Instant> unstarted;                          // their fire times
    std::set<std::pair<Instant, std::string>> due;             // the same, by time
    std::unordered_map<std::string, Running> running;          // by run id
    std::unordered_map<std::string, std::int64_t> running_of;  // count by task id
    std::unordered_set<std::string> known_runs;                // in the journal: not begun again
    std::unordered_set<std::string> known_commands;
    std::set<std::string> growing;  // run ids whose log view has grown
    RunnerCounters counters;
    Timer take_timer, due_timer, log_timer;
    std::map<std::uint64_t, Timer> retries;
    std::uint64_t next_retry = 0;

    Impl(Loop& l, Worker& s, Disk& d, Supervisor& sv, PackageCache& p, RunnerOptions o)
        : loop(l), scratch(s), disk(d), supervisor(sv), packages(p), options(std::move(o)) {}

    Instant now() const { return loop.clock().now(); }
    const std::string& incarnation() const { return coordinator->incarnation(); }

    std::string folder_of(const std::string& run_id) const {
        return options.runs_folder + "/" + run_id.substr(run_id.size() - 2) + "/" + run_id;  // 256 shards: no huge directory
    }

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

    // --- fires

    void take_fires() {
        if (coordinator == nullptr) return;
        for (const auto& uncertain : coordinator->take_uncertain()) settle_uncertain(uncertain);
        const Instant until = now() + kAhead;
        while (const auto fire = coordinator->take(until)) accept(*fire);
        start_due();
        // What is permitted later is told by the coordinator; what comes into sight later is ours to remember.
        take_timer.cancel();
        if (const auto next = coordinator->next_due(); next && *next > until) {
            take_timer = loop.after(*next - until, [this] { take_fires(); });
        }
    }

    void accept(const Fire& fire) {
        const Backlog backlog = gather_backlog(fire, now());
        if (backlog.late.empty()) {
            return prepare(fire.task, describe_fire(fire.task, fire.time, 1), fire.time, {}, fire.misfire == task::Misfire::skip);
        }
        coordinator->skip_until(fire.task->id, backlog.passed_until);
        const MisfireDecision decision = decide_misfires(backlog, now());
        for (const auto& skipped : decision.skipped) {
            record_unstarted(describe_fire(fire.task, skipped.fire.time, 1), task::RunState::skipped, skipped.reason);
        }
        for (const auto& late : decision.run) prepare(late.task, describe_fire(late.task, late.time, 1), now(), {});
    }

    // Fires that an incarnation which is gone may have started: reported as lost, and run again if the task wants that.
    void settle_uncertain(const UncertainFires& uncertain) {
        std::size_t count = 0;
        for (auto fire = next_fire(uncertain.task, uncertain.fires.after);
             fire && fire->time <= uncertain.fires.until && count < kMaxMisfires; fire = next_fire(uncertain.task, fire->time), ++count) {
            task::Run lost = describe_fire(uncertain.task, fire->time, 1);
            const std::string id = lost.id;
            lost.incarnation = uncertain.incarnation;
            record_unstarted(std::move(lost), task::RunState::lost,
                             "its node went away around the time it was due, and may have started it or not");
            if (uncertain.task->on_lost == task::OnLost::at_least_once) {
                prepare(uncertain.task, describe_fire(uncertain.task, fire->time, 2), now(), {});
            }
        }
    }

    // A run that ends without having been started.
    void record_unstarted(task::Run run, task::RunState state, std::string reason) {
        if (!known_runs.insert(run.id).second) return;
        run.state = state;
        run.reason = bounded(std::move(reason));
        run.ended_at = now();
        if (state == task::RunState::skipped) ++counters.skipped;
        if (state == task::RunState::lost) ++counters.lost;
        Batch batch;
        batch.reports.push_back(run_report(incarnation(), run));
        batch.entries.push_back({std::move(run), Phase::ended, std::nullopt, 0, 0});
        commit(std::move(batch));
    }

    // --- from intent to start

    // Writes the intent and makes everything ready. `command`: the id of the center's command, which is taken on in the same transaction.
    void prepare(const TaskPointer& task, task::Run run, Instant at, const std::string& command, bool skip_if_late = false) {
        const std::string id = run.id;
        if (!known_runs.insert(id).second) return;
        run.state = task::RunState::pending;
        Prepared entry{std::move(run), task, at};
        entry.skip_if_late = skip_if_late;
        entry.package_ready = task->package.empty();
        if (entry.run.fire_time) unstarted.insert(*entry.run.fire_time);
        due.emplace(at, id);
        const auto& stored = prepared.insert_or_assign(id, std::move(entry)).first->second;
        write_intent(stored, command);
        if (!stored.package_ready) fetch_package(id);
    }

    void write_intent(const Prepared& entry, const std::string& command) {
        Batch batch;
        batch.entries.push_back({entry.run, Phase::intent, std::nullopt, 0, 0});
        if (!command.empty()) {
            batch.commands.push_back(command);
            batch.reports.push_back(command_report(incarnation(), command, true));
        }
        commit(std::move(batch), [this, id = entry.run.id] {
            const auto found = prepared.find(id);
            if (found == prepared.end()) return;
            found->second.intent_written = true;
            start_if_ready(id);
        });
    }

    // A commit that fails is tried again until the disk takes it: what it stands for must not be lost, and nothing later may overtake it
    // for good.
    void commit(Batch batch, std::function<void()> done = {}) {
        auto shared = std::make_shared<Batch>(std::move(batch));
        disk.commit(*shared, [weak = weak_from_this(), shared, done = std::move(done)](const Result<>& written) mutable {
            const auto self = weak.lock();
            if (!self) return;
            if (written) {
                if (done) done();
                return;
            }
            log::error("the journal cannot be written, trying again: {}", written.error().message);
            self->retry(kDiskRetry, [self = self.get(), shared, done = std::move(done)]() mutable {
                self->commit(std::move(*shared), std::move(done));
            });
        });
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
            self->packages.materialise(sha256, self->folder_of(run_id), [weak, run_id](const Result<>& made) {
                const auto again = weak.lock();
                if (!again) return;
                const auto entry = again->prepared.find(run_id);
                if (entry == again->prepared.end()) return;
                if (!made) return again->package_failed(run_id, made.error());
                entry->second.package_ready = true;
                again->start_if_ready(run_id);
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
        run.reason = bounded(std::move(reason));
        run.ended_at = now();
        forget_due(entry);
        remove_work_folder(run.id);
        Batch batch;
        batch.reports.push_back(run_report(incarnation(), run));
        prepared.erase(run.id);
        batch.entries.push_back({std::move(run), Phase::ended, std::nullopt, 0, 0});
        commit(std::move(batch));
    }

    void forget_due(const Prepared& entry) {
        due.erase({entry.due, entry.run.id});
        if (entry.run.fire_time) unstarted.erase(unstarted.find(*entry.run.fire_time));
    }

    // What is ready ahead of time is started by the timer; what becomes ready too late, at once.
    void start_if_ready(const std::string& run_id) {
        const Prepared& entry = prepared.at(run_id);
        if (!entry.intent_written || !entry.package_ready || entry.due > now()) return;
        start(run_id);
        coordinator->started();
    }

    void start_due() {
        const Instant at = now();
        std::vector<std::string> ready;
        for (const auto& [time, id] : due) {
            if (time > at) break;
            const Prepared& entry = prepared.at(id);
            if (entry.intent_written && entry.package_ready) ready.push_back(id);
        }
        for (const auto& id : ready) start(id);
        due_timer.cancel();
        const auto next = due.upper_bound({at, std::string(1, '\x7f')});
        if (next != due.end()) due_timer = loop.after(next->first - now(), [this] { start_due(); });
        if (!ready.empty() && coordinator != nullptr) coordinator->started();
    }

    void start(const std::string& run_id) {
        const auto found = prepared.find(run_id);
        if (found == prepared.end()) return;
        Prepared& entry = found->second;
        if (const Duration late = now() - entry.due; entry.skip_if_late && late > entry.task->misfire_tolerance) {
            ++counters.skipped;
            return end_prepared(entry, task::RunState::skipped,
                                fmt::format("misfire: the node was held up, {} late, tolerance {}; the policy is to skip",
                                            format_duration(std::chrono::floor<std::chrono::milliseconds>(late)),
                                            format_duration(entry.task->misfire_tolerance)));
        }
        const std::int64_t limit = entry.task->overlap == task::Overlap::forbid ? 1 : entry.task->max_parallel;
        if (running_of[entry.task->id] >= limit) {
            ++counters.skipped;
            return end_prepared(
                entry, task::RunState::skipped,
                limit == 1 ? "overlap: the run before it is still going" : fmt::format("overlap: {} runs are still going", limit));
        }
        const LaunchSpec spec = launch_spec(entry);
        const auto started = supervisor.start(spec, [weak = weak_from_this()](Ended ended) {
            if (const auto self = weak.lock()) self->ended(std::move(ended));
        });
        if (!started) return fail_prepared(run_id, fmt::format("it could not be started: {}", started.error().message));

        Running live{entry.run,
                     entry.task,
                     {run_id, spec.folder, started->process, started->started_at, spec.time_limit, spec.grace, spec.output_limit},
                     0,
                     0};
        live.run.state = task::RunState::running;
        live.run.started_at = started->started_at;
        if (live.run.fire_time) live.run.lateness = started->started_at - *live.run.fire_time;
        ++counters.started;
        if (live.run.lateness) {
            counters.last_lateness = *live.run.lateness;
            counters.max_lateness = std::max(counters.max_lateness, *live.run.lateness);
        }
        ++running_of[live.task->id];
        forget_due(entry);
        prepared.erase(found);
        Batch batch;
        batch.entries.push_back({live.run, Phase::started, live.process, 0, 0});
        batch.reports.push_back(run_report(incarnation(), live.run));
        running.insert_or_assign(run_id, std::move(live));
        commit(std::move(batch));
    }

    LaunchSpec launch_spec(const Prepared& entry) const {
        const task::Task& task = *entry.task;
        const task::Run& run = entry.run;
        LaunchSpec spec;
        spec.run_id = run.id;
        spec.folder = folder_of(run.id);
        spec.command = task.command;
        spec.shell = task.shell;
        spec.environment = task.environment;
        spec.time_limit = task.time_limit;
        spec.grace = task.grace;
        spec.output_limit = task.output_limit;
        spec.run_environment = {
            {"CLOUDTASK_RUNTIME", run.runtime},
            {"CLOUDTASK_GROUP", run.group},
            {"CLOUDTASK_TASK", run.task_name},
            {"CLOUDTASK_TASK_ID", run.task_id},
            {"CLOUDTASK_TRIGGER", std::string{task::to_string(run.trigger)}},
            {"CLOUDTASK_ATTEMPT", std::to_string(run.attempt)},
            {"CLOUDTASK_NODE", options.node_name},
            {"CLOUDTASK_EPOCH", std::to_string(run.epoch)},
        };
        if (run.fire_time) spec.run_environment.emplace("CLOUDTASK_FIRE_TIME", format_instant(*run.fire_time));
        return spec;
    }

    // --- output and end

    void output_grew(const std::string& run_id) {
        growing.insert(run_id);
        if (!log_timer) log_timer = loop.after(kLogPeriod, [this] { send_logs(); });
    }

    void send_logs() {
        log_timer.cancel();
        Batch batch;
        for (const auto& run_id : std::exchange(growing, {})) {
            const auto live = running.find(run_id);
            const auto progress = supervisor.progress(run_id);
            if (live == running.end() || !progress) continue;
            const std::uint64_t limit = live->second.process.output_limit;
            append_log(batch, live->second, Stream::out, {limit, progress->stdout_available, false});
            append_log(batch, live->second, Stream::err, {limit, progress->stderr_available, false});
            batch.entries.push_back(
                {live->second.run, Phase::started, live->second.process, live->second.stdout_sent, live->second.stderr_sent});
        }
        if (!batch.reports.empty()) commit(std::move(batch));
    }

    // Reports what the log view has beyond what is in the outbox already.
    void append_log(Batch& batch, Running& live, Stream stream, const LogShape& shape) {
        std::uint64_t& sent = stream == Stream::out ? live.stdout_sent : live.stderr_sent;
        if (shape.available() <= sent) return;
        batch.reports.push_back(log_report(incarnation(), live.run.id, stream, sent, shape.available(), shape));
        sent = shape.available();
    }

    void ended(Ended end) {
        const auto found = running.find(end.run_id);
        if (found == running.end()) return;
        Running live = std::move(found->second);
        running.erase(found);
        growing.erase(end.run_id);
        if (--running_of[live.task->id] == 0) running_of.erase(live.task->id);

        Batch batch;
        const std::uint64_t limit = live.process.output_limit;
        if (!end.output_lost) {
            append_log(batch, live, Stream::out, {limit, end.stdout_bytes, true});
            append_log(batch, live, Stream::err, {limit, end.stderr_bytes, true});
        }
        task::Run& run = live.run;
        run.state = end.state();
        run.ended_at = end.ended_at;
        run.exit_code = end.exit_code;
        run.signal = end.signal;
        run.stdout_bytes = end.stdout_bytes;
        run.stderr_bytes = end.stderr_bytes;
        run.output_truncated = end.output_truncated;
        run.reason = reason_of(end, *live.task);
        count(run.state);
        batch.reports.push_back(run_report(incarnation(), run));
        batch.entries.push_back({run, Phase::ended, live.process, live.stdout_sent, live.stderr_sent});
        commit(std::move(batch));
        remove_work_folder(run.id);
    }

    static std::string reason_of(const Ended& end, const task::Task& task) {
        std::string reason;
        if (end.timed_out) {
            reason = fmt::format("it ran longer than its time limit of {}", format_duration(task.time_limit));
        } else if (end.stopped) {
            reason = "it was stopped";
        } else if (end.exit_unknown) {
            reason = "the node was restarted while it ran, so how it ended is not known";
        } else if (end.signal) {
            reason = fmt::format("it was ended by signal {}", *end.signal);
        } else if (end.exit_code && *end.exit_code != 0) {
            reason = fmt::format("it exited with {}", *end.exit_code);
        }
        if (end.output_lost)
            reason +=
                reason.empty() ? "its output could not be kept: the disk is full" : "; its output could not be kept: the disk is full";
        return reason;
    }

    void count(task::RunState state) {
        switch (state) {
            case task::RunState::succeeded:
                ++counters.succeeded;
                break;
            case task::RunState::failed:
                ++counters.failed;
                break;
            case task::RunState::timed_out:
                ++counters.timed_out;
                break;
            case task::RunState::stopped:
                ++counters.stopped;
                break;
            case task::RunState::lost:
                ++counters.lost;
                break;
            default:
                break;
        }
    }

    void remove_work_folder(const std::string& run_id) {
        scratch.submit([folder = folder_of(run_id) + "/work"] {
            std::error_code ignored;  // what cannot be removed now goes with the whole folder
            std::filesystem::remove_all(folder, ignored);
        });
    }

    // --- commands

    void handle(const Command& command) {
        if (known_commands.contains(command.id)) return;  // its report is in the outbox
        known_commands.insert(command.id);
        if (command.kind == Command::Kind::stop) return stop(command);
        if (!command.task) return answer(command, false, "the command names no task");
        task::Run run = describe(std::make_shared<const task::Task>(*command.task));
        run.id = command.run_id;
        run.trigger = task::Trigger::manual;
        run.started_by = command.started_by;
        if (known_runs.contains(run.id)) return answer(command, true, "");
        prepare(std::make_shared<const task::Task>(*command.task), std::move(run), now(), command.id);
    }

    void stop(const Command& command) {
        if (supervisor.stop(command.run_id)) return answer(command, true, "");
        const auto waiting = prepared.find(command.run_id);
        if (waiting != prepared.end()) {
            end_prepared(waiting->second, task::RunState::stopped, "it was stopped before it began");
            return answer(command, true, "");
        }
        answer(command, false, "the run is not going on here, or is ending already");
    }

    void answer(const Command& command, bool done, std::string_view detail) {
        Batch batch;
        batch.commands.push_back(command.id);
        batch.reports.push_back(command_report(incarnation(), command.id, done, detail));
        commit(std::move(batch));
    }

    // --- recovery

    void recover(std::vector<JournalEntry> unfinished, const std::vector<std::string>& run_ids,
                 const std::vector<std::string>& command_ids) {
        known_runs.insert(run_ids.begin(), run_ids.end());
        known_commands.insert(command_ids.begin(), command_ids.end());
        for (auto& entry : unfinished) {
            if (!entry.process) {
                // The journal knows of the intent only: the process may be there all the same.
                if (const auto process = find_by_run_id(entry.run.id)) {
                    entry.process = RunningRecord{entry.run.id, folder_of(entry.run.id), *process, now()};
                    entry.run.state = task::RunState::running;
                }
            }
            if (!entry.process || !adopt(entry)) lose(entry);
        }
    }

    bool adopt(const JournalEntry& entry) {
        const auto adopted = supervisor.adopt(*entry.process, [weak = weak_from_this()](Ended end) {
            if (const auto self = weak.lock()) self->ended(std::move(end));
        });
        if (!adopted) return false;
        log::info("run {} of {} goes on: taken over from the earlier process of this node", entry.run.id, entry.run.task_name);
        auto task = std::make_shared<task::Task>();  // what the end of a run needs of it
        task->id = entry.run.task_id;
        task->time_limit = entry.process->time_limit;
        ++running_of[task->id];
        running.insert_or_assign(entry.run.id, Running{entry.run, std::move(task), *entry.process, entry.stdout_sent, entry.stderr_sent});
        return true;
    }

    void lose(const JournalEntry& entry) {
        task::Run run = entry.run;
        run.state = task::RunState::lost;
        run.ended_at = now();
        run.reason = entry.phase == Phase::intent ? "the node was restarted as it was due, and may have started it or not"
                                                  : "the node was restarted while it ran, so how it ended is not known";
        ++counters.lost;
        Batch batch;
        batch.reports.push_back(run_report(incarnation(), run));
        batch.entries.push_back({std::move(run), Phase::ended, entry.process, entry.stdout_sent, entry.stderr_sent});
        commit(std::move(batch));
    }

    void cancel_prepared(const std::string& task_id, const char* reason) {
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
    : impl_(std::make_shared<Impl>(loop, scratch, disk, supervisor, packages, std::move(options))) {
    supervisor.on_output([weak = std::weak_ptr(impl_)](const std::string& run_id, const LogProgress&) {
        if (const auto self = weak.lock()) self->output_grew(run_id);
    });
}

Runner::~Runner() = default;

Result<> Runner::make_folders(const std::string& runs_folder) {
    for (int shard = 0; shard < 256; ++shard) {
        std::error_code error;
        const auto path = fmt::format("{}/{:02x}", runs_folder, shard);
        std::filesystem::create_directories(path, error);
        if (error) return fail(Errc::io, "cannot make {}: {}", path, error.message());
    }
    return {};
}

void Runner::set_coordinator(Coordinator& coordinator) { impl_->coordinator = &coordinator; }

void Runner::recover(std::vector<JournalEntry> unfinished, const std::vector<std::string>& known_run_ids,
                     const std::vector<std::string>& known_command_ids) {
    impl_->recover(std::move(unfinished), known_run_ids, known_command_ids);
}

void Runner::put_task(TaskPointer task) {
    // Fires that were taken by the old definition: a disabled task starts nothing any more, from the moment that the node learns of it.
    if (!task->enabled) impl_->cancel_prepared(task->id, "disabled: the task was disabled before the fire was due");
}

void Runner::erase_task(const std::string& task_id) {
    impl_->cancel_prepared(task_id, "deleted: the task was deleted before the fire was due");
}

void Runner::duties_changed() { impl_->take_fires(); }

std::optional<Instant> Runner::earliest_unstarted() const {
    if (impl_->unstarted.empty()) return std::nullopt;
    return *impl_->unstarted.begin();
}

void Runner::handle(Command command) { impl_->handle(command); }

std::size_t Runner::running() const { return impl_->running.size(); }
std::size_t Runner::prepared() const { return impl_->prepared.size(); }
const RunnerCounters& Runner::counters() const { return impl_->counters; }
std::string Runner::run_folder(const std::string& run_id) const { return impl_->folder_of(run_id); }

void Runner::forget(const std::vector<std::string>& run_ids) {
    for (const auto& id : run_ids) {
        impl_->known_runs.erase(id);
        impl_->scratch.submit([folder = impl_->folder_of(id)] {
            std::error_code ignored;  // a folder that stays is erased at the next start
            std::filesystem::remove_all(folder, ignored);
        });
    }
}

}  // namespace cloudtask::node
