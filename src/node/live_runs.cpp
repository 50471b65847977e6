// LiveRuns: the second half of a run's life on this node.
#include "node/live_runs.h"

#include <filesystem>
#include <set>
#include <unordered_map>

#include "cloudtask/core/log.h"
#include "cloudtask/core/units.h"
#include "cloudtask/task/attempts.h"
#include "cloudtask/task/networks.h"
#include "cloudtask/task/pieces.h"
#include "cloudtask/task/task_secrets.h"
#include "node/http/call_values.h"
#include "node/retries.h"
#include "node/run_texts.h"

namespace cloudtask::node {

namespace {

// What has begun is written down so much later, unless it is over by then: many commands are, and their end says it all. Until then a
// process is found again by the run's id in its environment, as one of which only the intent is known.
constexpr Duration kNotePeriod = std::chrono::milliseconds{20};
constexpr Duration kLogPeriod = std::chrono::milliseconds{100};
constexpr Duration kAdoptRetry = std::chrono::seconds{1};
using Pace = JournalWriter::Pace;

}  // namespace

struct LiveRuns::Impl : std::enable_shared_from_this<Impl> {
    struct Live {
        task::Run run;
        RunningRecord process;
        std::uint64_t stdout_sent = 0, stderr_sent = 0;
        bool stop_asked = false;
        bool noted = true;      // its beginning is in the journal, or on the way there; before that `process` does not name the process
        TaskPointer task = {};  // if its definition is needed yet
        std::int64_t retry = 0;
        Timer soft_timer = {};
        std::shared_ptr<const RunMask> mask = {};  // of one that was given secrets

        RunKeys keys() const { return {task::placed_id(run), task ? task::mutex_key(*task) : std::string{}}; }
        JournalEntry entry() const {
            return {run, noted ? Phase::started : Phase::intent, process, stdout_sent, stderr_sent, stop_asked, task, retry};
        }
    };

    Surroundings around;
    std::unordered_map<std::string, Live> live;              // by run id
    std::unordered_map<std::string, JournalEntry> adopting;  // their processes are there, but cannot be watched yet
    RunCounts counts;                                        // over both
    std::unordered_map<std::string, Holder> holders;         // by mutex
    std::set<std::string> growing;                           // run ids whose log view has grown
    std::vector<std::string> begun;                          // run ids that were not noted when they began
    std::shared_ptr<const task::NetworkRules> networks = std::make_shared<const task::NetworkRules>();  // of calls
    std::size_t starting = 0;  // of `live`, those whose start is on its way
    Timer note_timer, log_timer, adopt_timer;

    explicit Impl(Surroundings s) : around(std::move(s)) {}

    Instant now() const { return around.loop.clock().now(); }

    // Of what the journal has kept. A run under a mutex is kept with its definition.
    static RunKeys kept_keys(const JournalEntry& entry) {
        return {task::placed_id(entry.run), entry.task ? task::mutex_key(*entry.task) : std::string{}};
    }

    void count_in(const RunKeys& keys, const task::Run& run) {
        if (!keys.mutex.empty()) holders.insert_or_assign(keys.mutex, Holder{run.id, keys.task_id, run.group, run.task_name});
        counts.add(keys, around.key_changed);
    }

    void count_out(const RunKeys& keys) {
        counts.remove(keys, around.key_changed);
        if (!keys.mutex.empty() && counts.of(keys.mutex) == 0) holders.erase(keys.mutex);
        around.run_ended(keys);
    }

    Supervisor::OnEnd on_end() {
        return [weak = weak_from_this()](Ended end) {
            if (const auto self = weak.lock()) self->ended(std::move(end));
        };
    }

    void start(task::Run run, const TaskPointer& task, std::int64_t retry, OnStarted on_started) {
        std::string folder = around.folders.of(run.id);
        auto spec = launch_spec(*task, run, folder);
        if (spec) spec->networks = networks;
        const std::string id = run.id;
        run.reason.clear();  // why it waited
        RunningRecord process = limits_of(*task, id, std::move(folder), now());
        count_in(keys_of(*task), run);
        Live entry{.run = std::move(run), .process = std::move(process), .noted = false};
        if (needs_definition(*task)) entry.task = task;
        entry.retry = retry;
        Live& begun_run = live.insert_or_assign(id, std::move(entry)).first->second;
        ++starting;
        auto done = [weak = weak_from_this(), id, on_started = std::move(on_started)](const Result<Started>& started) {
            if (const auto self = weak.lock()) self->start_done(id, started, on_started);
        };
        if (const auto given = give_secrets(spec, *task, begun_run); !given) {
            return around.loop.post([done = std::move(done), refused = given.error()] { done(tl::unexpected(refused)); });
        }
        around.supervisor.start(std::move(*spec), std::move(done), on_end());
    }

    // Error: that of the spec, or the secret that the run cannot have: then nothing is started or called.
    Result<> give_secrets(Result<LaunchSpec>& spec, const task::Task& task, Live& run) {
        if (!spec) return propagate(spec);
        if (task.http) {
            if (const auto made = put_call_values(*spec, task, run.run, around.secrets); !made) return propagate(made);
        } else if (task.secrets) {
            auto given = around.secrets.give(task, run.run);
            if (!given) return propagate(given);
            spec->environment.merge(*given);
        }
        if (task::names_secrets(task)) run.mask = around.secrets.mask_of(run.run.id);
        return {};
    }

    void start_done(const std::string& id, const Result<Started>& started, const OnStarted& on_started) {
        --starting;
        const auto found = live.find(id);
        if (!started) {
            const Live refused = std::move(found->second);
            live.erase(found);
            around.secrets.take_back(id);
            const TaskPointer nothing_follows;
            on_started(propagate(started), refused.run, refused.stop_asked ? nothing_follows : refused.task, refused.retry);
            return count_out(refused.keys());  // not before the attempt that follows counts: its fire goes on
        }
        task::Run& run = found->second.run;
        found->second.process.started_at = started->started_at;
        run.state = task::RunState::running;
        run.started_at = started->started_at;
        if (run.fire_time && run.trigger != task::Trigger::retry) run.lateness = started->started_at - *run.fire_time;
        RunCounters& counters = around.counters;
        ++counters.started;
        if (run.lateness) {
            counters.last_lateness = *run.lateness;
            counters.max_lateness = std::max(counters.max_lateness, *run.lateness);
        }
        watch_soft_limit(found->second);
        begun.push_back(id);
        if (!note_timer) note_timer = around.loop.after(kNotePeriod, [this] { note_begun(); });
        on_started({}, run, found->second.task, found->second.retry);
    }

    // It is told once, in the run's reason, while the run goes on.
    void watch_soft_limit(Live& run) {
        if (!run.task || !run.task->soft_limit || !run.run.reason.empty()) return;
        const Instant limit = run.process.started_at + *run.task->soft_limit;
        run.soft_timer = around.loop.after(std::max<Duration>(limit - now(), Duration{}), [this, id = run.run.id] { pass_soft_limit(id); });
    }

    void pass_soft_limit(const std::string& run_id) {
        const auto found = live.find(run_id);
        if (found == live.end() || found->second.stop_asked) return;
        Live& run = found->second;
        Batch batch;
        const bool noted = note(batch, run);
        const std::string told = fmt::format("its soft limit of {} has passed", format_duration(*run.task->soft_limit));
        if (!noted || around.journal.failing()) {
            run.soft_timer = around.loop.after(kLogPeriod, [this, run_id] { pass_soft_limit(run_id); });
        } else {
            run.run.reason = run.run.reason.empty() ? told : run.run.reason + "; " + told;
            add_started(batch, run);
        }
        if (!batch.empty()) around.journal.write(std::move(batch), Pace::soon);
    }

    void note_begun() {
        note_timer.cancel();
        Batch batch;
        for (auto& id : std::exchange(begun, {})) {
            const auto found = live.find(id);
            if (found != live.end() && !note(batch, found->second)) begun.push_back(std::move(id));
        }
        if (!batch.empty()) around.journal.write(std::move(batch), Pace::gathered);
        if (!begun.empty()) note_timer = around.loop.after(kNotePeriod, [this] { note_begun(); });
    }

    // Adds the beginning of a run to the batch, if it is not noted yet. False if that has to be tried again.
    bool note(Batch& batch, Live& run) {
        if (run.noted) return true;
        const auto process = around.supervisor.identity(run.run.id);
        if (!process) return false;
        run.process.process = *process;
        run.noted = true;
        add_started(batch, run);
        return true;
    }

    void add_started(Batch& batch, const Live& run) const {
        batch.entries.push_back(run.entry());
        batch.reports.push_back(begun_report(run));
    }

    // Why it was stopped is said with its end: a reason of what goes on is that it takes long.
    Report begun_report(const Live& run) const {
        if (!run.stop_asked) return run_report(around.incarnation(), run.run);
        task::Run told = run.run;
        told.reason.clear();
        return run_report(around.incarnation(), told);
    }

    std::optional<JournalEntry> stop(const std::string& run_id, const std::string& note_of_stop) {
        if (const auto found = adopting.find(run_id); found != adopting.end()) {
            found->second.stop_asked = true;  // once it is watched
            if (!note_of_stop.empty()) found->second.run.reason = note_of_stop;
            return found->second;
        }
        const auto found = live.find(run_id);
        if (found == live.end() || !around.supervisor.stop(run_id)) return std::nullopt;
        Live& run = found->second;
        run.stop_asked = true;
        Batch batch;
        if (note(batch, run) && !batch.empty()) around.journal.write(std::move(batch), Pace::soon);
        if (!note_of_stop.empty()) run.run.reason = note_of_stop;  // for its end
        return run.entry();
    }

    // --- output and end

    void output_grew(const std::string& run_id) {
        growing.insert(run_id);
        if (!log_timer) log_timer = around.loop.after(kLogPeriod, [this] { send_logs(); });
    }

    void send_logs() {
        log_timer.cancel();
        if (around.journal.failing()) {
            log_timer = around.loop.after(kLogPeriod, [this] { send_logs(); });
            return;
        }
        Batch batch;
        for (const auto& run_id : std::exchange(growing, {})) {
            const auto found = live.find(run_id);
            const auto progress = around.supervisor.progress(run_id);
            if (found == live.end() || !progress) continue;
            Live& run = found->second;
            if (!note(batch, run)) {
                output_grew(run_id);  // another time
                continue;
            }
            append_log(batch, run, Stream::out, {run.process.output_limit, progress->stdout_available, false});
            append_log(batch, run, Stream::err, {run.process.output_limit, progress->stderr_available, false});
            batch.entries.push_back(run.entry());
        }
        if (!batch.reports.empty()) around.journal.write(std::move(batch), Pace::gathered);
    }

    // Reports what the log view has beyond what is in the outbox already.
    void append_log(Batch& batch, Live& run, Stream stream, const LogShape& shape) {
        std::uint64_t& sent = stream == Stream::out ? run.stdout_sent : run.stderr_sent;
        std::uint64_t until = shape.available();
        // What may be the beginning of a secret waits for what follows.
        if (run.mask && !shape.final && until > sent) until -= undecided(output_path(run.process.folder, stream), shape, *run.mask);
        if (until <= sent) return;
        batch.reports.push_back(log_report(around.incarnation(), run.run.id, stream, sent, until, shape));
        sent = until;
    }

    void ended(Ended end) {
        const auto found = live.find(end.run_id);
        if (found == live.end()) return;
        Live ending = std::move(found->second);
        live.erase(found);
        growing.erase(end.run_id);
        around.secrets.take_back(end.run_id);

        Batch batch;
        const bool silent = end.stdout_bytes == 0 && end.stderr_bytes == 0 && ending.stdout_sent == 0 && ending.stderr_sent == 0;
        // A log is of a run that the center knows.
        if (!silent && !ending.noted) batch.reports.push_back(begun_report(ending));
        const std::uint64_t limit = ending.process.output_limit;
        if (!end.output_lost) {
            append_log(batch, ending, Stream::out, {limit, end.stdout_bytes, true});
            append_log(batch, ending, Stream::err, {limit, end.stderr_bytes, true});
        }
        task::Run& run = ending.run;
        const std::string noted_before = std::move(run.reason);
        run.state = end.state();
        run.ended_at = end.ended_at;
        run.exit_code = end.exit_code;
        run.signal = end.signal;
        run.http_status = end.http_status;
        run.stdout_bytes = end.stdout_bytes;
        run.stderr_bytes = end.stderr_bytes;
        run.output_truncated = end.output_truncated;
        run.reason = end_reason(end, ending.process.time_limit);
        if (ending.task && ending.task->success) judge_success(ending, end);
        if (!noted_before.empty()) run.reason = run.reason.empty() ? noted_before : run.reason + "; " + noted_before;
        count(run.state);
        auto next = ending.stop_asked ? std::nullopt : follow(batch, run, ending.task, ending.retry);
        batch.reports.push_back(run_report(around.incarnation(), run));
        const RunKeys keys = ending.keys();
        if (silent) ending.process.folder.clear();  // no report needs it: the next run gets it
        batch.entries.push_back(
            {std::move(run), Phase::ended, std::move(ending.process), ending.stdout_sent, ending.stderr_sent, ending.stop_asked, {}, 0});
        if (silent) {
            around.journal.write(std::move(batch), Pace::gathered, [this, id = end.run_id] { around.folders.release(id); });
        } else {
            around.journal.write(std::move(batch), Pace::gathered);
            around.folders.clear_work(end.run_id);
        }
        if (next) around.waits(std::move(*next));  // before the run counts no more: its fire goes on
        count_out(keys);
    }

    // What exited by itself is held against the task's rule.
    static void judge_success(Live& ending, const Ended& end) {
        task::Run& run = ending.run;
        if (!end.exit_code || (run.state != task::RunState::succeeded && run.state != task::RunState::failed)) return;
        const task::SuccessRule& rule = *ending.task->success;
        std::string problem;
        if (rule.output && end.output_lost && rule.exit_codes.contains(*end.exit_code)) {
            problem = "its output could not be kept, so that nobody can tell whether it succeeded";
        } else {
            const auto tail = tail_of(ending.process, end, rule);
            problem = tail ? task::why_no_success(rule, *end.exit_code, *tail)
                           : "its output cannot be read, so that nobody can tell whether it succeeded";
        }
        run.state = problem.empty() ? task::RunState::succeeded : task::RunState::failed;
        run.reason = problem;
    }

    // Nothing if it cannot be read.
    static std::optional<std::string> tail_of(const RunningRecord& process, const Ended& end, const task::SuccessRule& rule) {
        if (!rule.output) return std::string{};
        const Stream stream = rule.output->standard_error ? Stream::err : Stream::out;
        const LogShape shape{process.output_limit, stream == Stream::err ? end.stderr_bytes : end.stdout_bytes, true};
        const std::uint64_t from = shape.available() - std::min<std::uint64_t>(shape.available(), task::kOutputLookedAt);
        auto tail = read_log(output_path(process.folder, stream), shape, from, task::kOutputLookedAt);
        if (tail && tail->size() == shape.available() - from) {
            // A line that begins before it is none: ^ would stand for its middle. One line alone is taken as it is.
            const std::size_t line_end = from == 0 ? std::string::npos : tail->find('\n');
            if (line_end != std::string::npos) tail->erase(0, line_end + 1);
            return std::move(*tail);
        }
        log::error("the end of the output of run {} cannot be read: {}", process.run_id,
                   tail ? "it is shorter than it was" : tail.error().message);
        return std::nullopt;
    }

    std::optional<JournalEntry> follow(Batch& batch, task::Run& run, const TaskPointer& task, std::int64_t retry) const {
        if (!task || !task::retry_of(*task)) return std::nullopt;
        return add_next_attempt(batch, run, {task, retry, around.refused(task::placed_id(run)), around.incarnation()});
    }

    void count(task::RunState state) {
        RunCounters& counters = around.counters;
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

    // --- recovery

    void recover(std::vector<JournalEntry> unfinished) {
        find_unnoted(unfinished);
        for (auto& entry : unfinished) {
            if (!entry.process || entry.process->process.pid == 0) {
                lose(std::move(entry));
            } else {
                count_in(kept_keys(entry), entry.run);
                adopting.emplace(std::string{entry.run.id}, std::move(entry));
            }
        }
        std::set<std::string> going_on;
        for (const auto& [id, entry] : adopting) going_on.insert(id);
        around.secrets.tidy(going_on);
        adopt_all();
    }

    // Where the journal knows of the intent only, the process may be there all the same.
    void find_unnoted(std::vector<JournalEntry>& unfinished) const {
        std::set<std::string> ids;
        for (const auto& entry : unfinished) {
            if (entry.phase == Phase::intent && entry.process) ids.insert(entry.run.id);
        }
        if (ids.empty()) return;
        const auto found = around.supervisor.find(ids);
        for (auto& entry : unfinished) {
            const auto process = found.find(entry.run.id);
            if (process == found.end()) continue;
            entry.process->process = process->second;
            entry.process->started_at = now();  // nobody noted it; its time limit counts from here
            entry.run.started_at = entry.process->started_at;
            entry.run.state = task::RunState::running;
        }
    }

    // What lacks descriptors is tried again: to call a process lost that runs would let another one run beside it.
    void adopt_all() {
        for (auto next = adopting.begin(); next != adopting.end();) {
            const auto entry = next++;
            const auto adopted = around.supervisor.adopt(*entry->second.process, on_end());
            if (adopted) {
                adopt(std::move(adopting.extract(entry).mapped()));
            } else if (adopted.error().is(Errc::not_found)) {
                log::warn("run {} of {} is lost: {}", entry->first, entry->second.run.task_name, adopted.error().message);
                JournalEntry gone = std::move(adopting.extract(entry).mapped());
                const RunKeys keys = kept_keys(gone);
                around.secrets.take_back(gone.run.id);
                lose(std::move(gone));
                count_out(keys);
            } else {
                log::error("run {} of {} goes on unwatched: {}", entry->first, entry->second.run.task_name, adopted.error().message);
            }
        }
        if (!adopting.empty()) adopt_timer = around.loop.after(kAdoptRetry, [this] { adopt_all(); });
    }

    void adopt(JournalEntry entry) {
        log::info("run {} of {} goes on: taken over from the earlier process of this node", entry.run.id, entry.run.task_name);
        const std::string id = entry.run.id;
        Live taken{std::move(entry.run), std::move(*entry.process), entry.stdout_sent, entry.stderr_sent, entry.stop_asked};
        taken.task = std::move(entry.task);
        taken.retry = entry.retry;
        taken.mask = around.secrets.mask_of(id);
        Live& run = live.insert_or_assign(id, std::move(taken)).first->second;
        watch_soft_limit(run);
        if (entry.phase == Phase::intent) {
            Batch batch;
            add_started(batch, run);
            around.journal.write(std::move(batch), Pace::gathered);
        }
        if (entry.stop_asked) around.supervisor.stop(id);  // its grace begins anew
    }

    void lose(JournalEntry entry) {
        task::Run& run = entry.run;
        run.state = task::RunState::lost;
        run.ended_at = now();
        run.reason = loss_reason(entry);
        ++around.counters.lost;
        Batch batch;
        if (entry.process) {
            append_rest(batch, entry, Stream::out, entry.stdout_sent);
            append_rest(batch, entry, Stream::err, entry.stderr_sent);
        }
        auto next = entry.stop_asked ? std::nullopt : follow(batch, run, entry.task, entry.retry);
        batch.reports.push_back(run_report(around.incarnation(), run));
        entry.phase = Phase::ended;
        entry.task.reset();
        around.folders.clear_work(run.id);
        batch.entries.push_back(std::move(entry));
        around.journal.write(std::move(batch), Pace::gathered);
        if (next) around.waits(std::move(*next));
    }

    // What a process that is gone wrote after its output was reported last: of a lost run it is the best that can be had.
    void append_rest(Batch& batch, const JournalEntry& entry, Stream stream, std::uint64_t& sent) const {
        std::error_code missing;
        const auto size = std::filesystem::file_size(output_path(entry.process->folder, stream), missing);
        if (missing) return;
        const LogShape shape{entry.process->output_limit, size, true};
        if (shape.available() <= sent) return;
        batch.reports.push_back(log_report(around.incarnation(), entry.run.id, stream, sent, shape.available(), shape));
        sent = shape.available();
    }
};

LiveRuns::LiveRuns(Surroundings surroundings) : impl_(std::make_shared<Impl>(std::move(surroundings))) {
    impl_->around.supervisor.on_output([weak = std::weak_ptr(impl_)](const std::string& run_id, const LogProgress&) {
        if (const auto self = weak.lock()) self->output_grew(run_id);
    });
}

LiveRuns::~LiveRuns() = default;

void LiveRuns::start(task::Run run, const TaskPointer& task, std::int64_t retry, OnStarted on_started) {
    impl_->start(std::move(run), task, retry, std::move(on_started));
}

std::optional<JournalEntry> LiveRuns::stop(const std::string& run_id, const std::string& note) { return impl_->stop(run_id, note); }

void LiveRuns::set_networks(std::shared_ptr<const task::NetworkRules> networks) { impl_->networks = std::move(networks); }

void LiveRuns::recover(std::vector<JournalEntry> unfinished) { impl_->recover(std::move(unfinished)); }

const RunCounts& LiveRuns::counts() const { return impl_->counts; }

const LiveRuns::Holder* LiveRuns::holder(const std::string& mutex) const {
    const auto found = impl_->holders.find(mutex);
    return found == impl_->holders.end() ? nullptr : &found->second;
}

std::vector<std::string> LiveRuns::ids_of(const std::string& task_id) const {
    std::vector<std::string> ids;
    for (const auto& [id, run] : impl_->live) {
        if (task::placed_id(run.run) == task_id) ids.push_back(id);
    }
    for (const auto& [id, entry] : impl_->adopting) {
        if (task::placed_id(entry.run) == task_id) ids.push_back(id);
    }
    return ids;
}

std::size_t LiveRuns::size() const { return impl_->live.size() + impl_->adopting.size(); }
std::size_t LiveRuns::starting() const { return impl_->starting; }

}  // namespace cloudtask::node
