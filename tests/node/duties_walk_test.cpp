// A random walk over the hand-over protocol, with the classes that the node and the allocator really run: joins, leaves, nodes that are
// cordoned and come back, deaths, restarts, cut-off and paused nodes, skewed clocks, writes that are lost or land late, tasks that are
// made, edited, moved, disabled, enabled and deleted, of which the nodes learn at different times.
//
// Checked: no fire is started twice (I1); with no death every fire is started (I2); with deaths every fire is started or reported as
// uncertain (I5); without a change of membership the allocation is not rewritten (I6).
#include <catch2/catch.hpp>

#include <map>
#include <memory>
#include <random>
#include <set>

#include <fmt/format.h>

#include "node/duties.h"
#include "tests/support/sanitized.h"

using namespace cloudtask;
using namespace cloudtask::node;
using namespace std::chrono_literals;

namespace {

constexpr Instant kWalkStart{1'900'000'000s};
constexpr DutyOptions kOptions{.horizon = 3s};

constexpr Duration kMoveAhead = 5s;  // the center's, for changes of targets

using FireKey = std::pair<std::string, Instant>;

struct Definition {
    std::vector<TaskPointer> versions;
    std::optional<Instant> deleted_at;
};

// One change of the catalog; its place in the list is its revision.
struct Change {
    TaskPointer task;
    std::optional<Instant> erased_at;
};

struct Incarnation {
    std::string node_id, name;
    std::unique_ptr<Duties> duties;
    std::int64_t catalog = 0;                 // revision that it has pulled
    std::optional<ring::HorizonRecord> sent;  // a write under way
    bool landed = false;                      // and whether it has happened
    std::map<FireKey, Fire> prepared;         // given out, not started yet
};

// One machine: its disk (the journal) survives its incarnations.
struct WalkMachine {
    std::set<FireKey> journal;
    Duration skew{};
    bool paused = false;
    bool cordoned = false;                            // stays over its incarnations
    std::vector<std::unique_ptr<Incarnation>> alive;  // the last is current; earlier ones are retired
};

enum class Edits { none, calm, all };

class World {
  public:
    World(std::uint64_t seed, bool deaths, Edits edits) : random_(seed), deaths_(deaths), edits_(edits) {
        for (int i = 0; i < 8; ++i) add_task();
        join();
        join();
    }

    // The first violation, or empty.
    std::string run() {
        const Instant end = kWalkStart + 40s;
        while (now_ < end && violation_.empty()) step();
        quiesce();
        if (violation_.empty()) check_all_accounted(end);
        return violation_;
    }

    std::size_t started() const { return started_.size(); }
    const std::string& trace() const { return trace_; }
    std::size_t uncertain() const { return uncertain_.size(); }

  private:
    // What happened, for whoever must explain a violation.
    template <class... Args>
    void trace(fmt::format_string<Args...> format, Args&&... args) {
        trace_ += fmt::format("{} ", format_instant(now_)) + fmt::format(format, std::forward<Args>(args)...) + "\n";
    }

    std::uint64_t below(std::uint64_t bound) { return random_() % bound; }
    bool chance(double p) { return std::uniform_real_distribution<>(0, 1)(random_) < p; }

    void publish(std::shared_ptr<task::Task> task) {
        task->revision = ++revision_;
        if (task->version == 1) task->created_revision = revision_;
        const auto& earlier = catalog_[task->id].versions;
        const bool same = !earlier.empty() && earlier.back()->schedules == task->schedules && earlier.back()->enabled == task->enabled &&
                          earlier.back()->targets == task->targets;
        if (!same) task->effective_revision = revision_;
        changes_.push_back({task, std::nullopt});
        catalog_[task->id].versions.push_back(std::move(task));
    }

    void add_task() {
        auto task = std::make_shared<task::Task>();
        task->id = fmt::format("task-{}", catalog_.size());
        task->version = 1;
        task->schedules.push_back(*task::Schedule::every(std::chrono::seconds{1 + below(3)}, Instant{}));
        task->effective_from = task->updated_at = now_;
        publish(std::move(task));
    }

    // As the center makes a next version (center/tasks.cpp).
    void edit_task() {
        auto picked = catalog_.begin();
        std::advance(picked, below(catalog_.size()));
        Definition& definition = picked->second;
        if (definition.deleted_at) return;
        auto task = std::make_shared<task::Task>(*definition.versions.back());
        ++task->version;
        task->updated_at = now_;
        switch (below(edits_ == Edits::calm ? 3 : 7)) {
            case 0:  // neither its fires nor its place change
                break;
            case 1:
            case 2:
                task->schedules = {*task::Schedule::every(std::chrono::seconds{1 + below(3)}, Instant{})};
                task->effective_from = std::max(task->effective_from, now_);
                break;
            case 3:
                task->enabled = !task->enabled;
                if (task->enabled) task->effective_from = std::max(task->effective_from, now_);
                break;
            case 4:
            case 5:
                task->targets.clear();
                for (char node = 'A'; node < 'E'; ++node) {
                    if (chance(0.4)) task->targets.emplace_back(1, node);
                }
                if (chance(0.3)) task->targets.clear();
                if (task->targets == definition.versions.back()->targets) break;
                task->effective_from = std::max(task->effective_from, now_ + kMoveAhead);
                break;
            case 6:
                if (chance(0.7)) return;
                definition.deleted_at = now_;
                ++revision_;
                changes_.push_back({definition.versions.back(), now_});
                trace("{} is deleted", picked->first);
                return;
        }
        trace("{} is changed: version {}, from {}, {}, targets {}", task->id, task->version, format_instant(task->effective_from),
              task->enabled ? "enabled" : "disabled", fmt::join(task->targets, " "));
        publish(std::move(task));
    }

    void begin_incarnation(const std::string& id, WalkMachine& machine) {
        auto incarnation = std::make_unique<Incarnation>();
        incarnation->node_id = id;
        incarnation->name = fmt::format("{}.{}", id, ++incarnations_);
        incarnation->duties = std::make_unique<Duties>(id, incarnation->name, kOptions);
        pull_catalog(*incarnation);
        horizons_[incarnation->name] = {};
        present_[incarnation->name] = {{id, incarnation->name, id, {}, 1}, "", "", machine.cordoned, {}, revision_};
        machine.alive.push_back(std::move(incarnation));
    }

    void join() {
        const std::string id(1, static_cast<char>('A' + below(4)));
        WalkMachine& machine = machines_[id];
        if (!machine.alive.empty()) return;
        machine.skew = std::chrono::seconds{below(3)} - 1s;
        machine.paused = false;
        begin_incarnation(id, machine);
    }

    Instant local(const WalkMachine& machine) const { return now_ + machine.skew; }

    void pull_catalog(Incarnation& node) {
        for (; node.catalog < revision_; ++node.catalog) {
            const Change& change = changes_[static_cast<std::size_t>(node.catalog)];
            if (change.erased_at) {
                node.duties->erase_task(change.task->id, *change.erased_at);
            } else {
                node.duties->put_task(change.task);
            }
        }
        node.duties->set_catalog_revision(revision_);
        if (const auto registration = present_.find(node.name); registration != present_.end()) registration->second.revision = revision_;
    }

    void allocate() {
        const ring::ClusterState state{allocation_, present_, horizons_, {}, revision_};
        const auto next = ring::next_allocation(state, true);
        if (!next) return;
        allocation_ = *next;
        ++rewrites_;
        trace("allocation {}", ring::write_allocation(allocation_));
    }

    void start(WalkMachine& machine, Incarnation& node, bool all) {
        while (auto fire = node.duties->take(local(machine))) {
            const FireKey key{fire->task->id, fire->time};
            if (!machine.journal.insert(key).second) continue;
            node.prepared.emplace(key, *fire);
            if (!all && chance(0.3)) break;
        }
        for (auto next = node.prepared.begin(); next != node.prepared.end();) {
            if (!all && chance(0.2)) break;  // a slow spawn
            trace("{} starts {} at {}, version {}", node.name, next->first.first, format_instant(next->first.second),
                  next->second.task->version);
            const auto [other, first] = started_.emplace(next->first, Started{node.name, next->second.task->version});
            if (!first)
                violation_ = fmt::format("{} at {} was started by {} and by {}", next->first.first, format_instant(next->first.second),
                                         other->second.by, node.name);
            next = node.prepared.erase(next);
        }
    }

    void write(WalkMachine& machine, Incarnation& node) {
        if (!present_.contains(node.name)) return;
        if (!node.sent) {
            std::optional<Instant> earliest;
            for (const auto& [key, fire] : node.prepared) earliest = std::min(earliest.value_or(fire.time), fire.time);
            node.sent = node.duties->next_write(local(machine), earliest);
            node.landed = false;
        } else if (!node.landed) {
            horizons_[node.name] = *node.sent;
            node.landed = true;
            trace("{} writes {}", node.name, ring::write_horizon(*node.sent));
        } else {
            node.sent.reset();
            node.duties->written();
        }
    }

    void act(WalkMachine& machine, Incarnation& node) {
        const bool connected = present_.contains(node.name);
        switch (below(6)) {
            case 0:
                if (connected) node.duties->observe(allocation_, local(machine));
                break;
            case 1:
                if (connected) node.duties->set_horizons(horizons_);
                break;
            case 2:
            case 3:
                write(machine, node);
                break;
            case 4:
                start(machine, node, false);
                break;
            case 5:
                if (connected) pull_catalog(node);
                break;
        }
        for (const auto& report : node.duties->take_uncertain()) {
            for (auto fire = next_fire(report.task, report.fires.after); fire && fire->time <= report.fires.until;
                 fire = next_fire(report.task, fire->time)) {
                uncertain_.emplace(report.task->id, fire->time);
            }
        }
    }

    Incarnation* current(WalkMachine& machine) { return machine.alive.empty() ? nullptr : machine.alive.back().get(); }

    void end_session(Incarnation& node) {
        if (!present_.contains(node.name)) return;
        trace("{} ends", node.name);
        if (node.sent && !node.landed && chance(0.5)) horizons_[node.name] = *node.sent;
        present_.erase(node.name);
        died_ = true;
    }

    // Process, session or machine trouble.
    void disturb(const std::string& id, WalkMachine& machine) {
        Incarnation* node = current(machine);
        if (node == nullptr) return;
        switch (below(4)) {
            case 0:  // the machine is gone for good
                end_session(*node);
                for (const auto& one : machine.alive) report_journal(*one);
                machine.alive.clear();
                break;
            case 1:  // the process is killed and starts again at once: its journal knows what was begun
                end_session(*node);
                for (const auto& one : machine.alive) report_journal(*one);
                machine.alive.clear();
                begin_incarnation(id, machine);
                break;
            case 2:  // the session expires; the process goes on within its horizon and registers anew
                end_session(*node);
                node->duties->retire();
                begin_incarnation(id, machine);
                break;
            case 3:  // cut off: the session expires, the process does not know and goes on
                end_session(*node);
                break;
        }
    }

    // Nodes that are here and do not want to leave.
    std::size_t staying() const {
        return static_cast<std::size_t>(
            std::count_if(present_.begin(), present_.end(), [](const auto& entry) { return !entry.second.leaving; }));
    }

    // A journal with an intent that was not started: the restarted node reports it as lost (the successor does so as well if the node never
    // comes back).
    void report_journal(const Incarnation& node) {
        for (const auto& [key, fire] : node.prepared) uncertain_.insert(key);
    }

    void step() {
        const double dice = std::uniform_real_distribution<>(0, 1)(random_);
        const bool late = now_ > kWalkStart + 28s;
        if (dice < 0.10) {
            now_ += 1s;
        } else if (dice < 0.26) {
            allocate();
        } else if (dice < 0.28) {
            if (!late) join();
        } else if (dice < 0.29) {
            if (!late && catalog_.size() < 20) add_task();
        } else if (dice < 0.295) {
            for (auto& [incarnation, registration] : present_) {
                if (late || staying() <= 1 || !chance(0.3)) continue;
                registration.leaving = true;
                leavers_.insert(incarnation);
            }
        } else if (dice < 0.298) {
            auto machine = machines_.begin();
            std::advance(machine, below(machines_.size()));
            set_cordoned(machine->second, !machine->second.cordoned);
        } else if (dice < 0.31) {
            auto machine = machines_.begin();
            std::advance(machine, below(machines_.size()));
            if (deaths_ && !late) disturb(machine->first, machine->second);
        } else if (dice < 0.33) {
            auto machine = machines_.begin();
            std::advance(machine, below(machines_.size()));
            machine->second.paused = !machine->second.paused;
        } else if (dice < 0.35) {
            if (!late && edits_ != Edits::none) edit_task();
        } else {
            auto machine = machines_.begin();
            std::advance(machine, below(machines_.size()));
            if (machine->second.paused) return;
            for (const auto& node : machine->second.alive) act(machine->second, *node);
        }
        leave();
    }

    // Also of the last node, and of one that is about to come back.
    void set_cordoned(WalkMachine& machine, bool cordoned) {
        Incarnation* node = current(machine);
        if (node == nullptr || !present_.contains(node->name)) return;
        if (leavers_.contains(node->name)) return;
        trace("{} is {}cordoned", node->name, cordoned ? "" : "un");
        machine.cordoned = cordoned;
        present_.at(node->name).leaving = cordoned;
    }

    // A leaver goes once it owes nothing.
    void leave() {
        for (auto& [id, machine] : machines_) {
            Incarnation* node = current(machine);
            if (node == nullptr || machine.alive.size() > 1 || !present_.contains(node->name) || !leavers_.contains(node->name)) continue;
            const bool released = std::none_of(allocation_.nodes.begin(), allocation_.nodes.end(),
                                               [&](const auto& m) { return m.incarnation == node->name; });
            if (!released || !allocation_.previous.empty() || !node->duties->handed_over(local(machine)) || !node->prepared.empty())
                continue;
            present_.erase(node->name);
            machine.alive.clear();
        }
    }

    // Everybody runs and nothing changes any more.
    void quiesce() {
        // A runtime without nodes settles nothing.
        for (auto& [id, machine] : machines_) set_cordoned(machine, false);
        if (staying() == 0) begin_incarnation("E", machines_["E"]);
        for (auto& [id, machine] : machines_) machine.paused = false;
        for (int round = 0; round < 400 && violation_.empty(); ++round) {
            if (round % 8 == 0 && round < 160) now_ += 1s;
            allocate();
            for (auto& [id, machine] : machines_) {
                for (const auto& node : machine.alive) {
                    for (int i = 0; i < 12; ++i) act(machine, *node);
                    start(machine, *node, true);
                }
            }
            leave();
        }
        const int before = rewrites_;
        for (int i = 0; i < 50; ++i) allocate();
        if (rewrites_ != before) violation_ = "the allocation was rewritten without a change of membership";
        if (!allocation_.previous.empty() && violation_.empty()) violation_ = "the last transition was never settled: " + describe();
    }

    std::string describe() const {
        std::string text = ring::write_allocation(allocation_);
        for (const auto& [name, record] : horizons_) {
            text += fmt::format("\n  {} {}: {}", name, present_.contains(name) ? "present" : "gone", ring::write_horizon(record));
        }
        return text;
    }

    // Until when a version is in force: the next ones tell.
    static Instant tenure_of(const Definition& definition, std::size_t index) {
        Instant end = definition.deleted_at.value_or(Instant::max());
        for (std::size_t i = index + 1; i < definition.versions.size(); ++i) end = std::min(end, task::tenure_end(*definition.versions[i]));
        return end;
    }

    bool can_be_taken(const task::Task& version) const {
        return std::any_of(allocation_.nodes.begin(), allocation_.nodes.end(),
                           [&](const ring::Member& member) { return ring::Placement{version.targets, version.labels}.accepts(member); });
    }

    // A node that learnt late of a change went on by the version before.
    bool overtaken(const task::Task& version, Instant time) const {
        const auto last = started_.upper_bound({version.id, Instant::max()});
        return std::any_of(started_.lower_bound({version.id, time}), last,
                           [&](const auto& entry) { return entry.second.version < version.version; });
    }

    void check_all_accounted(Instant end) {
        for (const auto& [id, definition] : catalog_) {
            for (std::size_t i = 0; i < definition.versions.size(); ++i) check_version(definition, i, end);
        }
    }

    void check_version(const Definition& definition, std::size_t index, Instant end) {
        const TaskPointer& version = definition.versions[index];
        const Instant until = std::min(end, tenure_of(definition, index));
        if (!can_be_taken(*version)) return;
        for (auto fire = next_fire(version, version->effective_from); fire && fire->time <= until; fire = next_fire(version, fire->time)) {
            const FireKey key{version->id, fire->time};
            if (started_.contains(key) || overtaken(*version, fire->time)) continue;
            const std::string what = fmt::format("{} at {}, version {},", key.first, format_instant(key.second), version->version);
            if (!died_) {
                violation_ = what + " was never started, and nobody died";
            } else if (!uncertain_.contains(key)) {
                violation_ = what + " was neither started nor reported";
            }
        }
    }

    struct Started {
        std::string by;
        std::int64_t version = 0;
    };

    std::mt19937_64 random_;
    bool deaths_;
    Edits edits_;
    bool died_ = false;
    Instant now_ = kWalkStart;
    std::int64_t revision_ = 0;
    int incarnations_ = 0;
    int rewrites_ = 0;
    std::map<std::string, Definition> catalog_;
    std::vector<Change> changes_;
    ring::Allocation allocation_;
    std::map<std::string, ring::Registration> present_;
    std::set<std::string> leavers_;  // incarnations that go for good
    std::map<std::string, ring::HorizonRecord> horizons_;
    std::map<std::string, WalkMachine> machines_;
    std::map<FireKey, Started> started_;
    std::set<FireKey> uncertain_;
    std::string violation_;
    std::string trace_;
};

// CLOUDTASK_WALKS sets the number of walks, CLOUDTASK_WALK_SEED the first seed; CLOUDTASK_WALK_TRACE prints what happened in a bad one.
void walk(bool deaths, Edits edits, std::uint64_t first_seed) {
    const char* wanted = std::getenv("CLOUDTASK_WALKS");
    constexpr int kUsual = kSanitized ? 15 : 300;  // pure code on one thread: there is little for a sanitizer to see
    const int walks = wanted == nullptr ? kUsual : std::atoi(wanted);
    if (const char* seed = std::getenv("CLOUDTASK_WALK_SEED")) first_seed = std::strtoull(seed, nullptr, 10);
    std::size_t started = 0;
    std::size_t uncertain = 0;
    for (int i = 0; i < walks; ++i) {
        const std::uint64_t seed = first_seed + static_cast<std::uint64_t>(i);
        World world(seed, deaths, edits);
        const std::string violation = world.run();
        if (!violation.empty() && std::getenv("CLOUDTASK_WALK_TRACE") != nullptr) std::fputs(world.trace().c_str(), stderr);
        INFO("seed " << seed << (deaths ? " with deaths: " : " without deaths: ") << violation);
        REQUIRE(violation.empty());
        started += world.started();
        uncertain += world.uncertain();
    }
    // The walk itself must have done something.
    REQUIRE(started > static_cast<std::size_t>(walks) * 50);
    if (!deaths) REQUIRE(uncertain == 0);
}

}  // namespace

TEST_CASE("random walks without deaths start every fire exactly once") { walk(false, Edits::none, 1); }

TEST_CASE("random walks with deaths start no fire twice and account for every fire") { walk(true, Edits::none, 1'000'000); }

TEST_CASE("random walks with edited schedules and deaths account for every version's fires") { walk(true, Edits::calm, 2'000'000); }

TEST_CASE("random walks with moved, disabled and deleted tasks start no fire twice and lose none") { walk(false, Edits::all, 3'000'000); }

TEST_CASE("random walks with moved, disabled and deleted tasks, and deaths, account for every version's fires") {
    walk(true, Edits::all, 4'000'000);
}
