// World: see world.h.
#include "tests/sim/world.h"

#include <spdlog/spdlog.h>

#include <algorithm>
#include <filesystem>
#include <map>
#include <memory>
#include <optional>
#include <utility>

#include "cloudtask/core/check.h"
#include "cloudtask/ring/allocation.h"
#include "cloudtask/ring/placement.h"
#include "cloudtask/task/http_call.h"
#include "cloudtask/task/parameters.h"
#include "tests/sim/catalog_watch.h"
#include "tests/sim/invariants.h"
#include "tests/sim/machine.h"
#include "tests/sim/mutant_keeper.h"

namespace cloudtask::sim {

using namespace std::chrono_literals;

namespace {

constexpr Duration kSessionTimeout = 4s;
constexpr Duration kMoveAhead = 5s;  // as the center has it
constexpr Duration kPeace = 90s;     // for the cluster to come together again, at the most
constexpr Duration kLater = 12s;     // by which every fire that was due is dealt with: more than the longest tolerance
constexpr Duration kLate = 1500ms;   // in a calm world
constexpr Duration kLook = 250ms;    // how often the nodes' catalogs are looked at
constexpr std::uint64_t kMaxJobs = 3'000'000;
constexpr std::size_t kCallsEvery = 4;  // one task in so many calls an address instead of starting a program

// What the invariants hold against the fire and the attempt.
std::shared_ptr<const task::TaskParameters> fire_and_attempt() {
    const std::string text = "${fire_time as %s}/${attempt}";
    task::TemplateFault fault;
    return std::make_shared<const task::TaskParameters>(
        task::TaskParameters{{{"fire", task::ParameterValue{text, task::Template::parse(text, fault).value()}}}, {}, {}});
}

// The packages of all worlds: there are none.
node::PackageStore& no_packages() {
    static const std::string path = [] {
        std::string made = (std::filesystem::temp_directory_path() / "cloudtask-sim-XXXXXX").string();
        CLOUDTASK_CHECK(::mkdtemp(made.data()) != nullptr, "a folder for temporary files is needed");
        return made;
    }();
    static const auto store = std::move(*node::PackageStore::open(path));
    static const struct Remover {
        ~Remover() {
            std::error_code ignored;
            std::filesystem::remove_all(path, ignored);
        }
    } remover;
    return *store;
}

std::vector<std::string> node_names(std::uint32_t nodes) {
    std::vector<std::string> names;
    for (int node = 0; nodes >> node != 0; ++node) {
        if ((nodes >> node & 1) != 0) names.push_back(fmt::format("n{}", node));
    }
    return names;
}

class World {
  public:
    World(const Script& script, const Options& options);
    ~World();
    Outcome run();

  private:
    void note(int machine, const std::string& what);
    void violated(std::optional<Violation> violation);
    void check_job(int machine);
    void applied(int machine, const std::vector<zk::Op>& ops);
    Fate fate_of_call(int machine);

    void happen(const Event& event);
    void happen_to_catalog(const Event& event);
    // Runs later, unless the world is healed before.
    void later(Duration delay, std::function<void()> function);
    void heal();
    void check_alone(int machine, const Start& start);
    bool at_peace();
    void look_at_catalogs();
    task::Task make_task(std::size_t index) const;
    std::vector<std::string> under_mutex(const std::string& mutex) const;
    void adopt_place(task::Task& task) const;
    void move(task::Task& task, std::int64_t targets) const;
    Instant now() const { return loop_.clock().now(); }
    Machine& machine(int number) { return *machines_.at(static_cast<std::size_t>(number)); }
    void start(int number) { machine(number).start(); }
    bool go_on(Duration limit, const std::function<bool()>& condition);

    const Script& script_;
    const Options& options_;
    Outcome outcome_;
    FakeLoop loop_;
    const Instant began_ = loop_.clock().now();
    SeededRandom random_;
    Ensemble ensemble_;
    SimCenter center_;
    Invariants invariants_{center_};
    CatalogWatch catalog_watch_;
    Timer look_;
    Surroundings surroundings_;
    std::vector<std::unique_ptr<Machine>> machines_;
    std::vector<Timer> timers_;
    std::optional<Event> leader_crash_;
    bool healed_ = false;
    std::optional<Instant> first_peace_;
};

World::World(const Script& script, const Options& options)
    : script_(script),
      options_(options),
      random_(script.seed),
      ensemble_(loop_, random_, script.network, kSessionTimeout,
                {[this](int machine) { return fate_of_call(machine); },
                 [this](int machine, const std::vector<zk::Op>& ops) { applied(machine, ops); },
                 [this](int machine, const std::string& what) { note(machine, what); }}),
      center_(loop_.clock(), ensemble_.admin(), [this](const std::string& what) { note(-1, what); }),
      surroundings_{loop_,
                    ensemble_,
                    center_,
                    no_packages(),
                    random_,
                    script.network,
                    [this](int machine, const Start& start) {
                        note(machine, fmt::format("starts {} of {} for {}, attempt {}", start.run_id, start.task_id,
                                                  start.fire_time ? format_instant(*start.fire_time) : "nobody", start.attempt));
                        violated(invariants_.started(machines_[static_cast<std::size_t>(machine)]->id(), start, now()));
                        if (script_.calm) check_alone(machine, start);
                    },
                    [this](const std::string& task_id) {
                        return script_.tasks[static_cast<std::size_t>(std::stoul(task_id.substr(24), nullptr, 16) / 7919)].run_for;
                    },
                    [this](int machine, const std::string& what) { note(machine, what); },
                    [this](int machine) { check_job(machine); },
                    {},
                    options.mutation == Mutation::journal_forgotten,
                    false} {
    if (options_.mutation != Mutation::none && options_.mutation != Mutation::journal_forgotten) {
        surroundings_.wrap = [mutation = options_.mutation](std::unique_ptr<zk::Keeper> inner, Loop&) {
            return make_mutant_keeper(std::move(inner), mutation);
        };
    }
    std::vector<std::string> nodes;
    for (int node = 0; node < script.nodes; ++node) nodes.push_back(fmt::format("n{}", node));
    center_.set_nodes(std::move(nodes));
    center_.set_online([this](const std::string& node_id) {
        for (const auto& each : machines_) {
            if (each->id() == node_id) return each->registered();
        }
        return false;
    });
    center_.set_elsewhere([this](const task::Task& task, const task::Run& run, const std::string& but_not) {
        const ring::Ring ring(invariants_.allocation().nodes);
        for (const auto* member : ring.preference(run.id, ring::placement_of(task), 2)) {
            if (member->id != but_not) return member->id;
        }
        return but_not;
    });
    center_.set_waiting([this](const std::string& node_id) {
        for (const auto& each : machines_) {
            if (each->id() == node_id) each->command_waits();
        }
    });
    loop_.settle();
    center_.publish();
    loop_.settle();
}

World::~World() {
    look_.cancel();
    timers_.clear();
    machines_.clear();
    loop_.settle();
}

void World::note(int machine, const std::string& what) {
    if (!options_.keep_log) return;
    const Duration since = now() - began_;
    outcome_.log.push_back(
        fmt::format("{:>4}.{:06} {:<6} {}", since / 1s, since % 1s / 1us, machine < 0 ? "-" : fmt::format("n{}", machine), what));
    if (options_.print) fmt::print(stderr, "{}\n", outcome_.log.back());
}

void World::violated(std::optional<Violation> violation) {
    if (!violation || !outcome_.good()) return;
    outcome_.kind = violation->kind;
    outcome_.detail = violation->detail;
    note(-1, fmt::format("VIOLATED: {}: {}", violation->kind, violation->detail));
}

void World::check_job(int) {
    if (++outcome_.jobs == kMaxJobs) {
        violated(Violation{"busy", "the nodes do not come to rest"});
        for (const auto& each : machines_) each->crash();
    }
    if (!center_.problem().empty()) violated(Violation{"report", center_.problem()});
}

void World::applied(int machine, const std::vector<zk::Op>& ops) {
    for (const auto& op : ops) {
        if (op.kind == zk::Op::Kind::check) continue;
        const bool writes = op.kind != zk::Op::Kind::erase;
        note(machine,
             fmt::format("{} {} {}", op.kind == zk::Op::Kind::create ? "creates" : (writes ? "writes" : "erases"), op.path, op.data));
        if (!writes) continue;
        if (op.path.find("/horizons/") != std::string::npos) {
            // A ghost's record may be sealed by its successor, which is the same node.
            violated(invariants_.horizon_written(machines_[static_cast<std::size_t>(machine)]->id(), op.data));
        }
        if (op.path.ends_with("/allocation")) {
            violated(invariants_.allocation_written(op.data, now()));
            if (const auto allocation = ring::read_allocation(op.data)) center_.note_epoch(allocation->epoch);
        }
    }
}

Fate World::fate_of_call(int machine) {
    Machine& sender = this->machine(machine);
    if (leader_crash_ && sender.leading() && --leader_crash_->amount <= 0) {
        const Event event = *leader_crash_;
        leader_crash_.reset();
        const Fate fate = random_.below(2) == 0 ? Fate::lost : Fate::arrives;
        sender.crash();
        later(event.lasting, [this, machine] { start(machine); });
        return fate;
    }
    return sender.fate_of_call();
}

void World::later(Duration delay, std::function<void()> function) {
    timers_.push_back(loop_.after(delay, [this, function = std::move(function)] {
        if (!healed_) function();
    }));
}

task::Task World::make_task(std::size_t index) const {
    const ScriptTask& described = script_.tasks[index];
    task::Task made;
    made.id = fmt::format("018f3c2e-0000-7000-8000-{:012x}", index * 7919);
    made.runtime = "demo";
    made.group = "all";
    made.name = fmt::format("task-{}", index);
    if (index % kCallsEvery == kCallsEvery - 1) {
        task::HttpCall call;
        call.url = "http://example.org/";
        made.http = std::make_shared<const task::HttpCall>(std::move(call));
    } else {
        made.command = {"true"};
        if (index % 3 == 1) made.parameters = fire_and_attempt();
    }
    made.schedules.push_back(described.interval == 0s
                                 ? *task::Schedule::at(began_ + std::chrono::floor<std::chrono::seconds>(described.offset))
                                 : *task::Schedule::every(described.interval, Instant{described.offset}));
    made.misfire = static_cast<task::Misfire>(described.misfire);
    made.misfire_tolerance = described.tolerance;
    made.overlap = described.overlapping ? task::Overlap::allow : task::Overlap::forbid;
    made.max_parallel = described.overlapping ? 100 : 1;
    if (described.replaces) made.overlap = task::Overlap::replace;
    if (described.queue > 0) {
        made.overlap = task::Overlap::queue;
        made.queue_limit = described.queue;
    }
    if (described.attempts > 1) {
        task::Retry retry;
        retry.attempts = described.attempts;
        retry.delay = described.delay;
        retry.factor = 1.5;
        retry.jitter = 0.2;
        retry.lost = described.retries_lost;
        retry.elsewhere = described.elsewhere && !described.broadcast;
        made.retry = std::make_shared<const task::Retry>(retry);
    }
    if (described.mutex > 0) made.mutex = std::make_shared<const std::string>(fmt::format("mutex-{}", described.mutex));
    if (described.deadline > 0s) made.start_deadline = described.deadline;
    made.guarantee = described.at_least_once ? task::Guarantee::at_least_once : task::Guarantee::at_most_once;
    if (described.shards > 0) {
        made.mode = task::Mode::shards;
        made.shards = static_cast<std::uint16_t>(described.shards);
    }
    if (described.broadcast) made.mode = task::Mode::broadcast;
    made.targets = node_names(described.targets);
    if (described.zone != kNoZone) made.labels = {{"zone", zone_name(described.zone)}};
    made.created_at = made.updated_at = made.effective_from = now();
    return made;
}

// The tasks that go under it as they are now.
std::vector<std::string> World::under_mutex(const std::string& mutex) const {
    std::vector<std::string> ids;
    if (mutex.empty()) return ids;
    for (const auto& [id, versions] : center_.all_versions()) {
        const task::Task* task = center_.find(id);
        if (task != nullptr && task::mutex_key(*task) == mutex) ids.push_back(id);
    }
    return ids;
}

// The center refuses a task whose nodes are not those of the others under its mutex.
void World::adopt_place(task::Task& task) const {
    for (const std::string& id : under_mutex(task::mutex_key(task))) {
        if (id == task.id) continue;
        task.targets = center_.find(id)->targets;
        task.labels = center_.find(id)->labels;
    }
}

void World::move(task::Task& task, std::int64_t targets) const {
    const task::Task before = task;
    task.targets = node_names(static_cast<std::uint32_t>(targets));
    task.labels.clear();
    if (!ring::same_place(before, task)) task.effective_from = std::max(before.effective_from, now() + kMoveAhead);
    task.updated_at = now();
}

void World::happen_to_catalog(const Event& event) {
    if (surroundings_.center_away) return;  // nobody can save anything
    const auto index = static_cast<std::size_t>(event.task);
    const std::string id = make_task(index).id;
    if (event.what == Happening::create_task) {
        if (center_.knew(id)) return;
        task::Task made = make_task(index);
        adopt_place(made);
        return center_.put(std::move(made));
    }
    const task::Task* present = center_.find(id);
    if (present == nullptr) return;
    if (event.what == Happening::delete_task) return center_.erase(id);
    task::Task changed = *present;
    const Instant before = changed.effective_from;
    switch (event.what) {
        case Happening::edit_task:
            if (script_.tasks[index].shards > 0 && changed.version % 2 == 0) {
                changed.mode = changed.version % 4 == 0 ? task::Mode::single : task::Mode::shards;
                changed.shards = static_cast<std::uint16_t>(changed.mode == task::Mode::single ? 1 : 1 + changed.version % 5);
                changed.effective_from = std::max(before, now() + kMoveAhead);
                break;
            }
            changed.schedules = {*task::Schedule::every(std::chrono::seconds{2 + changed.version % 3}, Instant{changed.version * 70ms})};
            changed.effective_from = std::max(before, now());
            break;
        case Happening::move_task:
            for (const std::string& other : under_mutex(task::mutex_key(changed))) {
                if (other == id) continue;
                task::Task beside = *center_.find(other);
                move(beside, event.amount);
                center_.put(std::move(beside));
            }
            move(changed, event.amount);
            break;
        case Happening::leave_mutex:
        case Happening::enter_mutex:
            changed.mutex = event.what == Happening::enter_mutex ? make_task(index).mutex : nullptr;
            adopt_place(changed);
            if (!ring::same_place(*present, changed)) changed.effective_from = std::max(before, now() + kMoveAhead);
            break;
        case Happening::disable_task:
            changed.enabled = false;
            break;
        default:
            if (!changed.enabled) changed.effective_from = std::max(before, now());
            changed.enabled = true;
            break;
    }
    changed.updated_at = now();
    center_.put(std::move(changed));
}

void World::happen(const Event& event) {
    note(-1, "HAPPENS" + describe(event));
    const int number = event.node % script_.nodes;  // a shrunk script has fewer
    Machine& on = machine(number);
    switch (event.what) {
        case Happening::join:
            return start(number);
        case Happening::leave:
            return on.leave([this, event, number] {
                // It may still have something to tell.
                if (healed_) return start(number);
                if (event.lasting > 0s) later(event.lasting, [this, number] { start(number); });
            });
        case Happening::cordon:
            on.set_cordoned(true);
            return later(event.lasting, [this, number] { machine(number).set_cordoned(false); });
        case Happening::crash:
            if (!on.running()) return;
            event.amount == 0 ? on.crash() : on.crash_after(event.amount);
            return later(event.lasting, [this, number] { start(number); });
        case Happening::reboot:
            if (!on.running()) return;
            on.power_off();
            return later(event.lasting, [this, number] { start(number); });
        case Happening::pause:
            on.set_paused(true);
            return later(event.lasting, [this, number] { machine(number).set_paused(false); });
        case Happening::cut_zookeeper:
            ensemble_.set_cut(number, true);
            return later(event.lasting, [this, number] { ensemble_.set_cut(number, false); });
        case Happening::cut_center:
            on.set_center_cut(true);
            return later(event.lasting, [this, number] { machine(number).set_center_cut(false); });
        case Happening::expire:
            return ensemble_.expire(number);
        case Happening::lose_answers:
            on.set_lost_answers(static_cast<std::uint32_t>(event.amount));
            return later(event.lasting, [this, number] { machine(number).set_lost_answers(0); });
        case Happening::step_clock:
            on.set_clock(std::chrono::milliseconds{event.amount});
            return later(event.lasting, [this, number] { machine(number).set_clock(0s); });
        case Happening::slow_disk:
            on.set_slow_disk(std::chrono::milliseconds{event.amount});
            return later(event.lasting, [this, number] { machine(number).set_slow_disk(0s); });
        case Happening::fail_disk:
            on.set_full_disk(true);
            return later(event.lasting, [this, number] { machine(number).set_full_disk(false); });
        case Happening::crash_leader:
            leader_crash_ = event;
            return;
        case Happening::zookeeper_outage:
            ensemble_.set_outage(true);
            return later(event.lasting, [this] { ensemble_.set_outage(false); });
        case Happening::zookeeper_wiped:
            ensemble_.wipe();
            invariants_.forget_allocation();
            return center_.publish();
        case Happening::center_outage:
            surroundings_.center_away = true;
            return later(event.lasting, [this] { surroundings_.center_away = false; });
        case Happening::spawn_fails:
            on.set_refusing(true);
            return later(event.lasting, [this, number] { machine(number).set_refusing(false); });
        default:
            return happen_to_catalog(event);
    }
}

void World::heal() {
    note(-1, "HEALED");
    healed_ = true;
    leader_crash_.reset();
    ensemble_.set_outage(false);
    surroundings_.center_away = false;
    for (const auto& each : machines_) {
        const int number = each->number();
        ensemble_.set_cut(number, false);
        each->set_paused(false);
        each->crash_after(0);
        each->set_center_cut(false);
        each->set_lost_answers(0);
        each->set_clock(0s);
        each->set_slow_disk(0s);
        each->set_full_disk(false);
        each->set_refusing(false);
        each->set_cordoned(false);
    }
    loop_.settle();  // what was dying is gone
}

void World::look_at_catalogs() {
    catalog_watch_.look(now(), center_.revision());
    for (const auto& each : machines_) {
        const bool hindered = each->hindered() || !ensemble_.reachable(each->number());
        if (auto late = catalog_watch_.node(each->number(), hindered, each->catalog_revision()))
            violated(Violation{"late catalog", std::move(*late)});
    }
    look_ = loop_.after(kLook, [this] { look_at_catalogs(); });
}

// Where nothing dies, all runs are known to the owner of the task who starts another. Who owned it before may begin what waited there, or
// what an older version still owes.
void World::check_alone(int machine, const Start& start) {
    const auto& versions = center_.versions(start.task_id);
    const task::Task* task = versions.back().deleted ? nullptr : &versions.back().task;
    if (task == nullptr || task->overlap == task::Overlap::allow) return;
    if (!invariants_.owns(machines_[static_cast<std::size_t>(machine)]->id(), *task)) return;
    std::size_t running = 0;
    for (const auto& each : machines_) running += each->running_of(start.task_id);
    if (running > 1) violated(Violation{"overlap", fmt::format("{} runs {} times at once", task->name, running)});
    const std::string mutex = task::mutex_key(*task);
    const auto others = under_mutex(mutex);
    // A run goes by the version by which it was begun, and a node by the one that it knows.
    const auto was_not_always = [&](const std::string& id) {
        const auto& of_other = center_.versions(id);
        return std::any_of(of_other.begin(), of_other.end(),
                           [&](const Version& version) { return task::mutex_key(version.task) != mutex; });
    };
    if (std::any_of(others.begin(), others.end(), was_not_always)) return;
    running = 0;
    for (const auto& each : machines_) {
        for (const std::string& id : others) running += each->running_of(id);
    }
    if (running > 1) violated(Violation{"overlap", fmt::format("{} runs go on under {} as {} begins", running, mutex, task->name)});
}

// Every node that is to run is a member of a settled ring, and the center has heard all that there is to tell.
bool World::at_peace() {
    const ring::Allocation& allocation = invariants_.allocation();
    if (!allocation.previous.empty()) return false;
    std::size_t members = 0;
    for (const auto& each : machines_) {
        if (!each->running()) continue;
        if (!each->registered() || each->catalog_revision() != center_.revision()) return false;
        ++members;
    }
    return allocation.nodes.size() == members && members > 0;
}

bool World::go_on(Duration limit, const std::function<bool()>& condition) {
    return loop_.advance_until([&] { return !outcome_.good() || condition(); }, limit);
}

Outcome World::run() {
    for (int number = 0; number < script_.nodes; ++number) {
        machines_.push_back(std::make_unique<Machine>(surroundings_, script_.seed, number));
    }
    for (std::size_t i = 0; i < script_.tasks.size(); ++i) {
        if (script_.tasks[i].from_start) center_.put(make_task(i));
    }
    for (int number = 0; number < script_.early; ++number) start(number);
    look_at_catalogs();
    for (const Event& event : script_.events) timers_.push_back(loop_.after(event.at, [this, &event] { happen(event); }));
    go_on(script_.trouble, [this] {
        if (!first_peace_ && at_peace()) first_peace_ = now();
        return false;
    });
    if (outcome_.good()) {
        heal();
        // Also those that left for good: they may still have something to tell.
        for (const auto& each : machines_) each->start();
        if (!go_on(kPeace, [this] { return at_peace(); }) && outcome_.good()) {
            violated(Violation{"no peace", "the cluster does not come together again"});
        }
    }
    const Instant until = now();
    if (outcome_.good()) {
        go_on(kLater, [] { return false; });
    }
    if (outcome_.good()) {
        violated(invariants_.settled(until, script_.calm ? first_peace_ : std::nullopt, kLate));
    }
    outcome_.fires = invariants_.fires();
    outcome_.starts = invariants_.starts();
    for (const auto& [id, recorded] : center_.history()) {
        outcome_.lost += recorded.run.state == task::RunState::lost ? 1 : 0;
        outcome_.skipped += recorded.run.state == task::RunState::skipped ? 1 : 0;
    }
    outcome_.epochs = static_cast<std::uint64_t>(invariants_.allocation().epoch);
    return std::move(outcome_);
}

}  // namespace

Outcome play(const Script& script, const Options& options) {
    spdlog::set_level(options.print ? spdlog::level::info : spdlog::level::off);
    World world(script, options);
    return world.run();
}

}  // namespace cloudtask::sim
