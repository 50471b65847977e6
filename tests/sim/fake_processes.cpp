// Processes and FakeSupervisor: see fake_processes.h.
#include "tests/sim/fake_processes.h"

#include <algorithm>
#include <utility>

#include "cloudtask/core/hash.h"

namespace cloudtask::sim {

using namespace node;

namespace {

constexpr std::uint64_t kSlowStarts = 4;  // one in so many
constexpr Duration kSlowestStart = std::chrono::milliseconds{50};

}  // namespace

Processes::Processes(FakeLoop& world, Random& random, OnStart on_start, std::function<Duration(const std::string&)> run_for,
                     std::function<std::string(const std::string&, const std::string&)> placed)
    : world_(world), random_(random), on_start_(std::move(on_start)), run_for_(std::move(run_for)), placed_(std::move(placed)) {}

Result<Started> Processes::start(const LaunchSpec& spec, Instant now) {
    if (refusing_) return fail(Errc::unavailable, "no more processes");
    if (alive_.contains(spec.run_id)) return fail(Errc::invalid_argument, "the run id is in use");
    const auto said = [&spec](const char* name) {
        const auto found = spec.run_environment.find(name);
        return found == spec.run_environment.end() ? std::string{} : found->second;
    };
    const std::string task_id = said("CLOUDTASK_TASK_ID");
    Start start{spec.run_id,
                placed_(task_id, said("CLOUDTASK_SHARD")),
                {},
                std::atoi(said("CLOUDTASK_ATTEMPT").c_str()),
                said("CLOUDTASK_PARAM_FIRE")};
    if (const auto time = said("CLOUDTASK_FIRE_TIME"); !time.empty()) start.fire_time = *parse_instant(time);
    Process& process = alive_[spec.run_id];
    process.call = spec.http != nullptr;
    if (!process.call) process.identity = {static_cast<pid_t>(next_pid_++), 1, std::to_string(boot_)};
    process.task_id = start.task_id;
    process.exit_code = random_.below(8) < 2 ? 1 : 0;
    const auto longest = static_cast<std::uint64_t>(run_for_(task_id).count());
    process.end = world_.after(Duration{static_cast<Duration::rep>(random_.below(longest + 1))}, [this, id = spec.run_id] { end(id); });
    on_start_(start);
    return Started{process.identity.pid, now, false};
}

void Processes::end(const std::string& run_id) {
    const auto process = alive_.extract(run_id);
    if (process.empty()) return;
    if (supervisor_ != nullptr) supervisor_->ended(run_id, process.mapped().exit_code);
}

std::size_t Processes::running_of(const std::string& task_id) const {
    return static_cast<std::size_t>(
        std::count_if(alive_.begin(), alive_.end(), [&](const auto& process) { return process.second.task_id == task_id; }));
}

// It was told to.
void Processes::end_soon(const std::string& run_id) {
    const auto process = alive_.find(run_id);
    if (process == alive_.end()) return;
    process->second.end = world_.after(std::chrono::milliseconds{100}, [this, run_id] { end(run_id); });
}

void Processes::end_calls() {
    std::erase_if(alive_, [](const auto& process) { return process.second.call; });
}

void Processes::end_all() {
    alive_.clear();
    ++boot_;
}

FakeSupervisor::FakeSupervisor(Processes& processes, MachineLoop& loop) : processes_(processes), loop_(loop) {
    processes_.supervisor_ = this;
}

FakeSupervisor::~FakeSupervisor() {
    processes_.supervisor_ = nullptr;
    processes_.end_calls();
}

void FakeSupervisor::start(LaunchSpec spec, OnStarted on_started, OnEnd on_end) {
    if (loop_.dead()) return;
    const std::string id = spec.run_id;
    Starting& starting = starting_[id] = {std::move(spec), std::move(on_started), std::move(on_end), false, {}};
    const std::uint64_t chance = xxhash64(id);
    if (chance % kSlowStarts > 0) return spawn(id);
    const auto delay = chance / kSlowStarts % static_cast<std::uint64_t>(kSlowestStart.count());
    starting.timer = loop_.after(Duration{static_cast<Duration::rep>(delay)}, [this, id] { spawn(id); });
}

void FakeSupervisor::spawn(const std::string& run_id) {
    Starting starting = std::move(starting_.extract(run_id).mapped());
    auto started = processes_.start(starting.spec, loop_.clock().now());
    if (started) watched_[run_id] = {std::move(starting.on_end), false, starting.stopped, false};
    if (started && starting.stopped) processes_.end_soon(run_id);
    loop_.post([this, run_id, started = std::move(started), on_started = std::move(starting.on_started)] {
        if (started) watched_.at(run_id).told = true;
        on_started(started);
    });
}

std::optional<ProcessIdentity> FakeSupervisor::identity(std::string_view run_id) {
    const auto process = processes_.alive_.find(std::string{run_id});
    const auto watched = watched_.find(run_id);
    if (loop_.dead() || process == processes_.alive_.end() || watched == watched_.end() || !watched->second.told) return std::nullopt;
    return process->second.identity;
}

Result<> FakeSupervisor::adopt(RunningRecord record, OnEnd on_end) {
    const auto process = processes_.alive_.find(record.run_id);
    if (process == processes_.alive_.end() || process->second.identity != record.process) return fail(Errc::not_found, "it is gone");
    watched_[record.run_id] = {std::move(on_end), true, false, true};
    return {};
}

std::map<std::string, ProcessIdentity> FakeSupervisor::find(const std::set<std::string>& run_ids) {
    std::map<std::string, ProcessIdentity> found;
    for (const auto& id : run_ids) {
        const auto process = processes_.alive_.find(id);
        if (process != processes_.alive_.end() && !process->second.call) found.emplace(id, process->second.identity);
    }
    return found;
}

bool FakeSupervisor::stop(std::string_view run_id) {
    if (const auto starting = starting_.find(run_id); starting != starting_.end()) return !std::exchange(starting->second.stopped, true);
    const auto watched = watched_.find(run_id);
    if (watched == watched_.end() || watched->second.stopped) return false;
    watched->second.stopped = true;
    processes_.end_soon(std::string{run_id});
    return true;
}

void FakeSupervisor::ended(const std::string& run_id, std::int64_t exit_code) {
    if (!watched_.contains(run_id)) return;
    loop_.post([this, run_id, exit_code] {
        const auto watched = watched_.extract(run_id);
        if (watched.empty()) return;
        Ended end;
        end.run_id = run_id;
        // The kernel tells nobody but the parent.
        if (watched.mapped().adopted) {
            end.exit_unknown = true;
        } else {
            end.exit_code = exit_code;
        }
        end.stopped = watched.mapped().stopped;
        end.ended_at = loop_.clock().now();
        watched.mapped().on_end(std::move(end));
    });
}

}  // namespace cloudtask::sim
