// The Supervisor for Linux: spawn(), pidfds on Asio, /proc only where a tree does not end by itself. Lives on the loop, but for
// launched(), which the threads that start call as well.
#include <utility>  // Asio 1.74 uses std::exchange without it

#include "node/process/supervisor.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <mutex>
#include <unordered_map>

#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "cloudtask/core/worker.h"
#include "node/process/children.h"
#include "node/process/launch.h"
#include "node/process/pidfd.h"
#include "node/process/tree.h"

namespace cloudtask::node {
namespace {

namespace asio = boost::asio;
using namespace std::chrono_literals;

// How often a running process's output is looked at: from the first while it writes, doubling to the second while it does not.
constexpr Duration kBusyPoll = 50ms, kQuietPoll = 1s;
// How often a tree that is being ended is looked at: from the first, doubling to the second.
constexpr Duration kFirstLook = 2ms, kLongestLook = 100ms;
// Between two KILLs of what does not go (a process in the middle of a system call, or one that came up in between).
constexpr Duration kKillAgain = 1s;
// How long the kernel may take from a foreign child's exit until it tells how it ended.
constexpr Duration kExitStatusPatience = 500ms;
// In the middle of execve(2) a process has no environment, so nobody can tell whose it is. So long an orphan may take to show one.
constexpr Duration kOrphanPatience = 20ms;
// A start that comes so long after the one before it, and finds none on its way, is made on the loop: to wake another thread costs more.
// What comes closer is the starters': a loop that waits for each start does little else.
constexpr Duration kAlone = 1500us;
// Orphans that ended while their run goes on are reaped this often.
constexpr Duration kReapPeriod = 1s;

struct Run {
    std::string id;
    ProcessIdentity process;  // its start time only once it was asked for: identify()
    Duration grace{};
    OutputFile out, err;
    bool output_lost = false;
    Supervisor::OnEnd on_end;
    std::optional<asio::posix::stream_descriptor> pidfd;
    bool child = true;  // of this process; an adopted one is init's

    bool stopped = false, timed_out = false;
    bool exited = false;               // the first process; from then on the run is in the hands of examine()
    std::optional<ExitStatus> status;  // of the first process
    SteadyInstant status_by{};         // how long to ask for it
    std::set<pid_t> orphans;           // see TreeRoots

    bool rest_told = false;                // what outlived the first process has got its TERM
    std::optional<SteadyInstant> kill_at;  // set with the first TERM; steps on with each KILL
    Duration look = kFirstLook;
    Timer limit_timer, tree_timer;

    Duration poll_period = kBusyPoll;
    SteadyInstant next_poll{};
    LogProgress told;

    TreeRoots roots() const { return {process.pid, process.start_time, exited && child, orphans, child ? std::string{} : id}; }
    LogProgress progress() const { return {out.shape(false).available(), err.shape(false).available()}; }
};
struct Orphan {
    std::string owner;  // a run's id; empty: nobody's, as far as is known
    SteadyInstant first_seen{};
};
using RunPointer = std::shared_ptr<Run>;

// A start that is on its way: nobody knows of a process yet.
struct Starting {
    RunPointer run;
    Duration time_limit{};
    Supervisor::OnStarted on_started;
};

class PosixSupervisor final : public Supervisor {
  public:
    explicit PosixSupervisor(AsioLoop& loop) : loop_(loop), boot_id_(boot_id()), launcher_(loop.clock()) { become_subreaper(); }

    // What waits for its start is started; nobody hears of it here any more.
    ~PosixSupervisor() override { starters_.reset(); }

    void start(LaunchSpec spec, OnStarted on_started, OnEnd on_end) override {
        loop_.assert_on_loop();
        std::string id = spec.run_id;
        if (is_known(id)) {
            loop_.post([id = std::move(id), on_started = std::move(on_started)] {
                on_started(fail(Errc::invalid_argument, "run {} is running already", id));
            });
            return;
        }
        auto run = std::make_shared<Run>();
        run->id = id;
        run->grace = spec.grace;
        run->on_end = std::move(on_end);
        starting_.emplace(id, Starting{std::move(run), spec.time_limit, std::move(on_started)});

        const SteadyInstant now = loop_.clock().steady_now();
        const bool alone = starting_.size() == 1 && now - last_start_ >= kAlone;
        last_start_ = now;
        if (alone) return launched(std::move(id), launcher_.launch(std::move(spec)));
        starters_->submit([this, spec = std::make_shared<LaunchSpec>(std::move(spec))] {
            std::string run_id = spec->run_id;
            launched(std::move(run_id), launcher_.launch(std::move(*spec)));
        });
    }

    std::optional<ProcessIdentity> identity(std::string_view run_id) override {
        loop_.assert_on_loop();
        const auto found = runs_.find(run_id);
        if (found == runs_.end() || !identify(*found->second)) return std::nullopt;
        return found->second->process;
    }

    Result<> adopt(RunningRecord record, OnEnd on_end) override {
        loop_.assert_on_loop();
        if (is_known(record.run_id)) return fail(Errc::invalid_argument, "run {} is running already", record.run_id);
        const pid_t number = record.process.pid;
        if (record.process.boot_id != boot_id_) return fail(Errc::not_found, "the machine was restarted since process {} began", number);

        Pidfd pidfd(number);
        const std::optional<ProcessStat> stat = read_stat(number);
        const bool child = pidfd && register_if_child(number);
        // What lacks a descriptor cannot tell whether the process is there.
        if ((!pidfd || !stat) && ::kill(number, 0) == 0) {
            return fail(Errc::unavailable, "process {} of run {} is there, but the node has too few file descriptors to watch it", number,
                        record.run_id);
        }
        // A dead child can still be asked how it ended; another's dead child cannot.
        if (!pidfd || !stat || stat->start_time != record.process.start_time || (stat->dead() && !child)) {
            return fail(Errc::not_found, "process {} of run {} is gone", number, record.run_id);
        }

        auto run = std::make_shared<Run>();
        run->id = record.run_id;
        run->grace = record.grace;
        run->on_end = std::move(on_end);
        run->child = child;
        run->process = record.process;
        for (const auto& [stream, file] : {std::pair{Stream::out, &run->out}, std::pair{Stream::err, &run->err}}) {
            if (Result<> opened = open_output(record.folder, stream, record.output_limit, *file, run->output_lost); !opened) {
                return propagate(opened);
            }
            file->close();
        }
        if (!watch(run, std::move(pidfd))) return fail(Errc::unavailable, "the node has too few file descriptors to watch a process");
        take_on(run, record.started_at + record.time_limit - loop_.clock().now());
        return {};
    }

    bool stop(std::string_view run_id) override {
        loop_.assert_on_loop();
        if (const auto starting = starting_.find(run_id); starting != starting_.end()) {
            return !std::exchange(starting->second.run->stopped, true);
        }
        const auto found = runs_.find(run_id);
        if (found == runs_.end()) return false;
        const RunPointer& run = found->second;
        if (run->exited || run->stopped || run->timed_out || has_exited(run->pidfd->native_handle())) return false;
        run->stopped = true;
        terminate(run);
        return true;
    }

    std::optional<LogProgress> progress(std::string_view run_id) override {
        loop_.assert_on_loop();
        const auto found = runs_.find(run_id);
        if (found == runs_.end()) return std::nullopt;
        found->second->out.poll();
        found->second->err.poll();
        return found->second->progress();
    }

    void on_output(OnOutput callback) override { on_output_ = std::move(callback); }

    std::size_t running() const override { return runs_.size() + starting_.size(); }

  private:
    // Wraps a member call so that it does nothing once the run or the supervisor is gone.
    template <class Function>
    auto guarded(const RunPointer& run, Function function) {
        return [alive = std::weak_ptr(alive_), weak = std::weak_ptr(run), function = std::move(function)] {
            const RunPointer held = weak.lock();
            if (!alive.expired() && held) function(held);
        };
    }

    bool is_known(const std::string& run_id) const { return runs_.contains(run_id) || starting_.contains(run_id); }

    // ---- the beginning of a run

    // Any thread.
    void launched(std::string run_id, Launched launched) {
        {
            const std::lock_guard lock(launched_mutex_);
            launched_.emplace_back(std::move(run_id), std::move(launched));
            if (launched_.size() > 1) return;  // the loop knows that there is something
        }
        loop_.post([this, alive = std::weak_ptr(alive_)] {
            if (!alive.expired()) tell_launched();
        });
    }

    void tell_launched() {
        std::vector<std::pair<std::string, Launched>> all;
        {
            const std::lock_guard lock(launched_mutex_);
            all.swap(launched_);
        }
        const std::weak_ptr alive(alive_);
        for (auto& [id, launched] : all) {
            const Starting starting = std::move(starting_.extract(id).mapped());
            const Result<Started> started = begin(starting, launched);
            starting.on_started(started);
            if (alive.expired()) return;
        }
    }

    Result<Started> begin(const Starting& starting, Launched& launched) {
        if (!launched.pid) return propagate(launched.pid);
        const RunPointer& run = starting.run;
        run->out = std::move(launched.out);
        run->err = std::move(launched.err);
        run->output_lost = launched.output_lost;
        run->process = {*launched.pid, 0, boot_id_};
        if (!watch(run, std::move(launched.pidfd))) {
            end_registered(*launched.pid);  // it must not run on
            return fail(Errc::unavailable, "the node has too few file descriptors to watch one more process");
        }
        take_on(run, starting.time_limit);
        if (run->stopped) terminate(run);
        return Started{*launched.pid, launched.started_at, run->output_lost};
    }

    bool watch(const RunPointer& run, Pidfd pidfd) {
        boost::system::error_code error;
        run->pidfd.emplace(loop_.context());
        run->pidfd->assign(pidfd.descriptor(), error);
        if (error) return false;
        pidfd.release();
        wait_for_exit(run);
        return true;
    }

    void wait_for_exit(const RunPointer& run) {
        run->pidfd->async_wait(asio::posix::stream_descriptor::wait_read,
                               [call = guarded(run, [this](const RunPointer& held) { exited(held); })](const auto& error) {
                                   if (!error) call();
                               });
    }

    void take_on(const RunPointer& run, Duration time_left) {
        run->limit_timer =
            loop_.after(std::max(time_left, Duration::zero()), guarded(run, [this](const RunPointer& held) { time_out(held); }));
        run->next_poll = loop_.clock().steady_now() + kBusyPoll;
        poll_by(run->next_poll);
        runs_.emplace(run->id, run);
    }

    // Looks the start time of the first process up. Once that is reaped there is none, and no process is taken for it any more.
    static bool identify(Run& run) {
        if (run.process.start_time != 0 || run.exited) return true;
        const auto stat = read_stat(run.process.pid);
        if (stat) run.process.start_time = stat->start_time;
        return stat.has_value();
    }

    // ---- the end of a run

    void time_out(const RunPointer& run) {
        if (run->exited || run->stopped || has_exited(run->pidfd->native_handle())) return;
        run->timed_out = true;
        terminate(run);
    }

    // TERM to the group. The first process is not reaped yet, so the number is still its own.
    void terminate(const RunPointer& run) {
        signal_group(*run, SIGTERM);
        signal_group(*run, SIGCONT);  // a stopped process would not see its TERM
        run->kill_at = loop_.clock().steady_now() + run->grace;
        run->tree_timer = loop_.after(run->grace, guarded(run, [this](const RunPointer& held) { kill_running(held); }));
    }

    void kill_running(const RunPointer& run) {
        if (run->exited) return;
        identify(*run);
        find_orphans();
        signal_group(*run, SIGKILL);
        for (const ProcessStat& member : members_of(run->roots(), read_processes())) signal_process(member, SIGKILL);
        run->tree_timer = loop_.after(kKillAgain, guarded(run, [this](const RunPointer& held) { kill_running(held); }));
    }

    static void signal_group(Run& run, int signal) {
        if (run.child || !has_exited(run.pidfd->native_handle())) ::kill(-run.process.pid, signal);
    }

    void exited(const RunPointer& run) {
        if (run->child) {
            run->status = reap_registered(run->process.pid);
            if (!run->status) return wait_for_exit(run);
        }
        run->exited = true;
        run->status_by = loop_.clock().steady_now() + kExitStatusPatience;
        run->limit_timer.cancel();
        run->tree_timer.cancel();
        examine_soon(run);
    }

    // All that ends in one turn of the loop is examined at once: one look at the children serves all.
    void examine_soon(const RunPointer& run) {
        exited_.push_back(run);
        if (exited_.size() > 1) return;
        loop_.post([this, alive = std::weak_ptr(alive_)] {
            if (!alive.expired()) examine();
        });
    }

    void examine() {
        find_orphans();
        std::vector<RunPointer> over;
        for (const RunPointer& run : std::exchange(exited_, {})) {
            if (is_over(*run)) {
                over.push_back(run);
            } else {
                run->tree_timer = loop_.after(run->look, guarded(run, [this](const RunPointer& held) { examine_soon(held); }));
                run->look = std::min(run->look * 2, kLongestLook);
            }
        }
        const std::weak_ptr alive(alive_);
        for (const RunPointer& run : over) {
            Ended ended = finish(*run);
            const OnEnd on_end = std::move(run->on_end);
            runs_.erase(run->id);
            on_end(std::move(ended));
            if (alive.expired()) return;
        }
    }

    // Whether the tree of a run whose first process has exited is gone; works towards it if not.
    bool is_over(Run& run) {
        if (run.child && unsettled_) return false;
        const SteadyInstant now = loop_.clock().steady_now();
        // The usual case costs one system call. A group that we may not signal still is there.
        bool gone = run.child && run.orphans.empty() && ::kill(-run.process.pid, 0) != 0 && errno == ESRCH;
        const bool act = !run.rest_told || now >= *run.kill_at;
        if (!gone && (act || !run.child)) {
            const std::vector<ProcessStat> members = members_of(run.roots(), read_processes());
            gone = members.empty();
            if (!gone && act) end_rest(run, members, now);
        }
        if (!gone) return false;
        if (!run.child && !run.status) {
            const Result<ExitStatus> told = exit_status_of(run.pidfd->native_handle());
            if (told) run.status = *told;
            // Until its parent reaps it, the table of processes knows.
            if (const auto stat = read_stat(run.process.pid);
                !run.status && stat && stat->start_time == run.process.start_time && stat->wait_status) {
                run.status = exit_status_from(*stat->wait_status);
                return true;
            }
            if (!told && told.error().is(Errc::unavailable) && now < run.status_by) return false;
        }
        return true;
    }

    // TERM first, KILL when the grace is over. Who got a TERM with the group, by a stop or time-out, gets no second one: many programs take
    // that for "at once".
    static void end_rest(Run& run, const std::vector<ProcessStat>& members, SteadyInstant now) {
        if (!run.kill_at) run.kill_at = now + run.grace;
        const bool kill = now >= *run.kill_at;
        // A group that has a member now has its number to itself; the signal to all of it at once is what ends one that keeps forking.
        const bool group = std::any_of(members.begin(), members.end(), [&run](const auto& each) { return each.group == run.process.pid; });
        if (kill && group) ::kill(-run.process.pid, SIGKILL);
        for (const ProcessStat& member : members) {
            if (kill) {
                signal_process(member, SIGKILL);
            } else if (!(run.stopped || run.timed_out) || member.group != run.process.pid) {
                signal_process(member, SIGTERM);
                signal_process(member, SIGCONT);
            }
        }
        if (kill) {
            run.kill_at = now + kKillAgain;
            run.look = kFirstLook;
        }
        run.rest_told = true;
    }

    // Reaps what has ended of the orphans, and finds out whose the others are.
    void find_orphans() {
        next_reap_ = loop_.clock().steady_now() + kReapPeriod;
        std::unordered_map<pid_t, Orphan> known;
        unsettled_ = false;
        for (const auto& [pid, orphan] : orphans_) {
            if (const auto run = runs_.find(orphan.owner); run != runs_.end()) run->second->orphans.erase(pid);
        }
        for (const pid_t pid : reap_orphans()) {
            // An orphan keeps its number until it is reaped here, so what was found out about it stays true.
            const auto before = orphans_.find(pid);
            Orphan orphan = before != orphans_.end() ? before->second : Orphan{{}, loop_.clock().steady_now()};
            if (orphan.owner.empty()) orphan.owner = owner_of(pid);
            unsettled_ = unsettled_ || (orphan.owner.empty() && loop_.clock().steady_now() < orphan.first_seen + kOrphanPatience);
            if (const auto run = runs_.find(orphan.owner); run != runs_.end()) run->second->orphans.insert(pid);
            known.emplace(pid, std::move(orphan));
        }
        orphans_ = std::move(known);
    }

    std::string owner_of(pid_t pid) const {
        if (std::string id = run_id_of(pid); !id.empty()) return id;
        const std::optional<ProcessStat> stat = read_stat(pid);
        for (const auto& [id, run] : runs_) {
            if (stat && run->child && (stat->session == run->process.pid || stat->group == run->process.pid)) return id;
        }
        return {};
    }

    Ended finish(Run& run) {
        run.out.poll();
        run.err.poll();
        Ended ended;
        ended.run_id = run.id;
        if (!run.status) {
            ended.exit_unknown = true;
        } else {
            (run.status->signalled ? ended.signal : ended.exit_code) = run.status->value;
        }
        ended.timed_out = run.timed_out;
        ended.stopped = run.stopped;
        ended.stdout_bytes = run.out.shape(true).written;
        ended.stderr_bytes = run.err.shape(true).written;
        ended.output_truncated = run.out.shape(true).cut() || run.err.shape(true).cut();
        ended.output_lost = run.output_lost;
        ended.ended_at = loop_.clock().now();
        return ended;
    }

    // ---- output

    void poll_by(SteadyInstant when) {
        if (poll_timer_ && poll_at_ <= when) return;
        poll_at_ = when;
        poll_timer_ = loop_.after(when - loop_.clock().steady_now(), [this] { poll_outputs(); });
    }

    void poll_outputs() {
        poll_timer_.cancel();
        if (runs_.empty()) return;
        const SteadyInstant now = loop_.clock().steady_now();
        if (now >= next_reap_) find_orphans();

        SteadyInstant next = SteadyInstant::max();
        std::vector<std::pair<std::string, LogProgress>> grown;
        for (const auto& [id, run] : runs_) {
            if (run->next_poll <= now) {
                const bool out_grew = run->out.poll();
                const bool err_grew = run->err.poll();
                run->poll_period = out_grew || err_grew ? kBusyPoll : std::min(run->poll_period * 2, kQuietPoll);
                run->next_poll = now + run->poll_period;
                const LogProgress progress = run->progress();
                if (progress != run->told) grown.emplace_back(id, run->told = progress);
            }
            next = std::min(next, run->next_poll);
        }
        poll_by(next);

        if (!on_output_) return;
        const OnOutput tell = on_output_;
        const std::weak_ptr alive(alive_);
        for (const auto& [id, progress] : grown) {
            tell(id, progress);
            if (alive.expired()) return;
        }
    }

    AsioLoop& loop_;
    const std::string boot_id_;
    const Launcher launcher_;
    OnOutput on_output_;
    std::map<std::string, RunPointer, std::less<>> runs_;
    std::map<std::string, Starting, std::less<>> starting_;
    SteadyInstant last_start_{};
    std::mutex launched_mutex_;
    std::vector<std::pair<std::string, Launched>> launched_;  // guarded by launched_mutex_: what the loop has not heard of yet
    // Two: on a busy machine a child may wait for a processor before it begins, and who waits for it waits as well.
    std::unique_ptr<ThreadWorker> starters_ = std::make_unique<ThreadWorker>("starter", 2);
    std::vector<RunPointer> exited_;             // to be looked at in this turn of the loop
    std::unordered_map<pid_t, Orphan> orphans_;  // those that are alive
    bool unsettled_ = false;                     // one of them may yet turn out to be a run's
    SteadyInstant next_reap_{};
    Timer poll_timer_;
    SteadyInstant poll_at_{};
    std::shared_ptr<const bool> alive_ = std::make_shared<const bool>(true);
};

}  // namespace

task::RunState Ended::state() const {
    if (stopped) return task::RunState::stopped;
    if (timed_out) return task::RunState::timed_out;
    if (exit_unknown) return task::RunState::lost;
    if (call_fault) return call_fault->empty() ? task::RunState::succeeded : task::RunState::failed;
    return exit_code == 0 ? task::RunState::succeeded : task::RunState::failed;
}

std::unique_ptr<Supervisor> make_supervisor(AsioLoop& loop) { return std::make_unique<PosixSupervisor>(loop); }

std::map<std::string, ProcessIdentity> Supervisor::find(const std::set<std::string>& run_ids) { return find_by_run_ids(run_ids); }

std::map<std::string, ProcessIdentity> find_by_run_ids(const std::set<std::string>& run_ids) {
    // Of all that carries the id, the run's first process is the oldest that leads a session.
    const std::string boot = boot_id();
    std::map<std::string, ProcessIdentity> first;
    for (const ProcessStat& process : read_processes()) {
        if (process.dead() || process.session != process.pid) continue;
        const std::string run_id = run_id_of(process.pid);
        if (!run_ids.contains(run_id)) continue;
        const auto [found, added] = first.try_emplace(run_id, ProcessIdentity{process.pid, process.start_time, boot});
        if (!added && process.start_time < found->second.start_time) found->second = {process.pid, process.start_time, boot};
    }
    return first;
}

}  // namespace cloudtask::node
