// Runner: the life of a run on this node.
#include "node/runner.h"

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <set>
#include <unordered_set>

#include "cloudtask/core/ids.h"
#include "cloudtask/core/log.h"
#include "node/backlog.h"
#include "node/journal_writer.h"
#include "node/run_texts.h"

namespace cloudtask::node {

namespace {

// Fires are taken, and their intents written, so long before they are due: many disk writes' worth, and less than half of a horizon.
constexpr Duration kAhead = std::chrono::milliseconds{800};
constexpr Duration kLogPeriod = std::chrono::milliseconds{100};
constexpr Duration kPackageRetry = std::chrono::seconds{2};
constexpr std::size_t kStartsPerTurn = 16;  // of the loop

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
    };
    struct Running {
        task::Run run;
        TaskPointer task;
        RunningRecord process;
        std::uint64_t stdout_sent = 0, stderr_sent = 0;
    };

    Loop& loop;
    Worker& scratch;  // makes and removes folders
    Supervisor& supervisor;
    PackageCache& packages;
    RunnerOptions options;
    Coordinator* coordinator = nullptr;
    JournalWriter journal;

    std::unordered_map<std::string, Prepared> prepared;        // by run id
    std::set<std::pair<Instant, std::string>> due;             // the same, by time
    std::unordered_map<std::string, Running> running;          // by run id
    std::unordered_map<std::string, std::int64_t> running_of;  // count by task id
    std::unordered_set<std::string> known_runs;                // in the journal: not begun again
    std::unordered_set<std::string> known_commands;
    // The times of the fires that were taken and are neither started nor on disk as ended: what ZooKeeper must not hear of as done.
    std::multiset<Instant> open_fires;
    bool fires_closed = false;      // since the coordinator was told
    bool taking_put_off = false;    // as the journal cannot be written
    std::set<std::string> growing;  // run ids whose log view has grown
    RunnerCounters counters;
    Timer take_timer, due_timer, log_timer;
    std::map<std::uint64_t, Timer> retries;
    std::uint64_t next_retry = 0;
    bool starting_more = false;  // a further turn of start_due() is posted

    Impl(Loop& l, Worker& s, Disk& d, Supervisor& sv, PackageCache& p, RunnerOptions o)
        : loop(l), scratch(s), supervisor(sv), packages(p), options(std::move(o)), journal(l, d, [this] { journal_written(); }) {}

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
            take_timer = loop.after(*next - until, [this] { take_fires(); });
        }
    }

    void accept(const Fire& fire) {
        const Backlog backlog = gather_backlog(fire, now());
        if (backlog.late.empty()) {
            prepare({}, {describe_fire(fire.task, fire.time, 1), fire.task, fire.time, fire});
            return;
        }
        coordinator->skip_until(fire.task->id, backlog.passed_until);
        const MisfireDecision decision = decide_misfires(backlog, now());
        for (const auto& skipped : decision.skipped) {
            record_unstarted(describe_fire(fire.task, skipped.fire.time, 1), task::RunState::skipped, skipped.reason);
        }
        for (const auto& late : decision.run) prepare({}, {describe_fire(late.task, late.time, 1), late.task, now(), std::nullopt});
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
            if (cut) reason += fmt::format("; so it is with all further ones up to {}", format_instant(uncertain.fires.until));
            const bool rerun = !cut && uncertain.task->guarantee == task::Guarantee::at_least_once;
            Batch batch;
            add_unstarted(batch, std::move(lost), task::RunState::lost, std::move(reason));
            // In one transaction with what makes it necessary. It is begun also where the loss was recorded before: by a process of this
            // node that came no further.
            const bool begun =
                rerun && prepare(std::move(batch), {describe_fire(uncertain.task, fire->time, 2), uncertain.task, now(), {}});
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
        const RunningRecord limits{id, folder_of(id), {}, entry.due, entry.task->time_limit, entry.task->grace, entry.task->output_limit};
        batch.entries.push_back({entry.run, Phase::intent, limits, 0, 0});
        journal.write(std::move(batch), [this, id] {
            const auto found = prepared.find(id);
            if (found != prepared.end()) found->second.intent_written = true;
        });
        const bool package_ready = entry.package_ready;
        prepared.insert_or_assign(id, std::move(entry));
        if (package_ready) {
            make_folder(id);
        } else {
            fetch_package(id);
        }
        return true;
    }

    // Ahead of time and off the loop, so that the start has nothing to make. What this cannot make, the supervisor tries again and tells
    // of.
    void make_folder(const std::string& run_id) {
        scratch.submit([folder = folder_of(run_id)] {
            std::error_code ignored;
            std::filesystem::create_directories(folder + "/work", ignored);
            for (const Stream stream : {Stream::out, Stream::err}) std::ofstream(output_path(folder, stream), std::ios::app);
        });
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
            self->packages.materialise(sha256, self->folder_of(run_id), [weak, run_id](const Result<>& made) {
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
        due.erase({entry.due, run.id});
        remove_work_folder(run.id);
        prepared.erase(run.id);
        Batch batch;
        batch.reports.push_back(run_report(incarnation(), run));
        const auto fire_time = run.fire_time;
        batch.entries.push_back({std::move(run), Phase::ended, std::nullopt, 0, 0});
        journal.write(std::move(batch), [this, fire_time] { close_fire(fire_time); });
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
        const auto others = running_of.find(entry.task->id);
        if (others != running_of.end() && others->second >= limit) {
            ++counters.skipped;
            return end_prepared(
                entry, task::RunState::skipped,
                limit == 1 ? "overlap: the run before it is still going" : fmt::format("overlap: {} runs are still going", limit));
        }
        const LaunchSpec spec = launch_spec(*entry.task, entry.run, folder_of(run_id));
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
        due.erase({entry.due, run_id});
        close_fire(live.run.fire_time);  // its intent is on disk
        prepared.erase(found);
        Batch batch;
        batch.entries.push_back({live.run, Phase::started, live.process, 0, 0});
        batch.reports.push_back(run_report(incarnation(), live.run));
        running.insert_or_assign(run_id, std::move(live));
        journal.write(std::move(batch));
    }

    // --- output and end

    void output_grew(const std::string& run_id) {
        growing.insert(run_id);
        if (!log_timer) log_timer = loop.after(kLogPeriod, [this] { send_logs(); });
    }

    void send_logs() {
        log_timer.cancel();
        if (journal.failing()) {
            log_timer = loop.after(kLogPeriod, [this] { send_logs(); });
            return;
        }
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
        if (!batch.reports.empty()) journal.write(std::move(batch));
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
        run.reason = end_reason(end, live.process.time_limit);
        count(run.state);
        batch.reports.push_back(run_report(incarnation(), run));
        batch.entries.push_back({run, Phase::ended, live.process, live.stdout_sent, live.stderr_sent});
        journal.write(std::move(batch));
        remove_work_folder(run.id);
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
        if (!known_commands.insert(command.id).second) return;  // its report is in the outbox
        if (!is_uuid(command.run_id)) return answer(command, false, "the run id is not a UUID");
        if (command.kind == Command::Kind::stop) return stop(command);
        if (!command.task) return answer(command, false, "the command names no task that this node can read");
        const auto task = std::make_shared<const task::Task>(*command.task);
        task::Run run = describe(task);
        run.id = command.run_id;
        run.trigger = task::Trigger::manual;
        run.started_by = command.started_by;
        // Taken on in the same transaction as its run's intent.
        Batch batch;
        batch.commands.push_back(command.id);
        batch.reports.push_back(command_report(incarnation(), command.id, true));
        if (!prepare(std::move(batch), {std::move(run), task, now(), std::nullopt})) answer(command, true, "");
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
        journal.write(std::move(batch));
    }

    // --- recovery

    void recover(std::vector<JournalEntry> unfinished, const std::vector<std::string>& run_ids,
                 const std::vector<std::string>& command_ids) {
        known_runs.insert(run_ids.begin(), run_ids.end());
        known_commands.insert(command_ids.begin(), command_ids.end());
        for (auto& entry : unfinished) {
            if (!find_process(entry) || !adopt(entry)) lose(std::move(entry));
        }
    }

    // Whether the entry names a process. Where the journal knows of the intent only, the process may be there all the same.
    bool find_process(JournalEntry& entry) const {
        if (!entry.process) return false;
        if (entry.phase != Phase::intent) return true;
        const auto process = supervisor.find(entry.run.id);
        if (!process) return false;
        entry.process->process = *process;
        entry.process->started_at = now();  // nobody noted it; its time limit counts from here
        entry.run.started_at = entry.process->started_at;
        entry.run.state = task::RunState::running;
        return true;
    }

    bool adopt(const JournalEntry& entry) {
        const auto adopted = supervisor.adopt(*entry.process, [weak = weak_from_this()](Ended end) {
            if (const auto self = weak.lock()) self->ended(std::move(end));
        });
        if (!adopted) {
            log::warn("run {} of {} is lost: {}", entry.run.id, entry.run.task_name, adopted.error().message);
            return false;
        }
        log::info("run {} of {} goes on: taken over from the earlier process of this node", entry.run.id, entry.run.task_name);
        auto task = std::make_shared<task::Task>();  // what the end of a run needs of it
        task->id = entry.run.task_id;
        ++running_of[task->id];
        if (entry.phase == Phase::intent) {
            Batch batch;
            batch.reports.push_back(run_report(incarnation(), entry.run));
            batch.entries.push_back({entry.run, Phase::started, entry.process, 0, 0});
            journal.write(std::move(batch));
        }
        running.insert_or_assign(entry.run.id, Running{entry.run, std::move(task), *entry.process, entry.stdout_sent, entry.stderr_sent});
        return true;
    }

    void lose(JournalEntry entry) {
        task::Run& run = entry.run;
        run.state = task::RunState::lost;
        run.ended_at = now();
        run.reason = entry.phase == Phase::intent ? "the node was restarted as it was due, and may have started it or not"
                                                  : "the node was restarted while it ran, so how it ended is not known";
        ++counters.lost;
        Batch batch;
        if (entry.process) {
            append_rest(batch, entry, Stream::out, entry.stdout_sent);
            append_rest(batch, entry, Stream::err, entry.stderr_sent);
        }
        batch.reports.push_back(run_report(incarnation(), run));
        entry.phase = Phase::ended;
        remove_work_folder(run.id);
        batch.entries.push_back(std::move(entry));
        journal.write(std::move(batch));
    }

    // What a process that is gone wrote after its output was reported last: of a lost run it is the best that can be had.
    void append_rest(Batch& batch, JournalEntry& entry, Stream stream, std::uint64_t& sent) const {
        std::error_code missing;
        const auto size = std::filesystem::file_size(output_path(entry.process->folder, stream), missing);
        if (missing) return;
        const LogShape shape{entry.process->output_limit, size, true};
        if (shape.available() <= sent) return;
        batch.reports.push_back(log_report(incarnation(), entry.run.id, stream, sent, shape.available(), shape));
        sent = shape.available();
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

std::string Runner::strays_folder(const std::string& runs_folder) { return runs_folder + "/strays"; }

Result<> Runner::set_strays_aside(const std::string& runs_folder, const std::vector<std::string>& known) {
    namespace fs = std::filesystem;
    const std::unordered_set<std::string> keep(known.begin(), known.end());
    const fs::path strays = strays_folder(runs_folder);
    std::error_code error;
    std::vector<fs::path> found;
    for (fs::directory_iterator shard(runs_folder, error), end; !error && shard != end; shard.increment(error)) {
        if (shard->path() == strays || !shard->is_directory(error)) continue;
        for (fs::directory_iterator run(shard->path(), error); !error && run != end; run.increment(error)) {
            if (!keep.contains(run->path().filename())) found.push_back(run->path());
        }
    }
    if (!error && !found.empty()) fs::remove_all(strays, error);
    if (!error && !found.empty()) fs::create_directories(strays, error);
    for (const auto& path : found) {
        if (!error) fs::rename(path, strays / path.filename(), error);
    }
    if (error) return fail(Errc::io, "cannot tidy up {}: {}", runs_folder, error.message());
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
    if (impl_->open_fires.empty()) return std::nullopt;
    return *impl_->open_fires.begin();
}

void Runner::handle(Command command) { impl_->handle(command); }

bool Runner::idle() const { return impl_->running.empty() && impl_->prepared.empty() && impl_->journal.idle(); }
std::size_t Runner::running() const { return impl_->running.size(); }
std::size_t Runner::prepared() const { return impl_->prepared.size(); }
const RunnerCounters& Runner::counters() const { return impl_->counters; }
std::string Runner::run_folder(const std::string& run_id) const { return impl_->folder_of(run_id); }

void Runner::forget(const NodeStore::Forgotten& forgotten) {
    for (const auto& id : forgotten.commands) impl_->known_commands.erase(id);
    for (const auto& id : forgotten.runs) {
        impl_->known_runs.erase(id);
        impl_->scratch.submit([folder = impl_->folder_of(id)] {
            std::error_code ignored;  // a folder that stays is erased at the next start
            std::filesystem::remove_all(folder, ignored);
        });
    }
}

}  // namespace cloudtask::node
