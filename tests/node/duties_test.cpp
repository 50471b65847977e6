// Duties, step by step, where the random walks would be hard to read: what is owed of versions that are superseded, and of tasks that move
// by their targets while an owner does not know it yet.
#include "node/duties.h"

#include <catch2/catch.hpp>

#include "cloudtask/core/ids.h"
#include "cloudtask/ring/placement.h"
#include "cloudtask/zk/keeper.h"

using namespace cloudtask;
using namespace cloudtask::node;
using namespace std::chrono_literals;

namespace {

constexpr Instant kDay{1'900'000'000s};

std::shared_ptr<task::Task> first_version() {
    auto task = std::make_shared<task::Task>();
    task->id = "task";
    task->version = 1;
    task->revision = task->created_revision = task->effective_revision = 1;
    task->schedules = {*task::Schedule::every(1s, kDay)};
    task->effective_from = task->updated_at = kDay;
    return task;
}

std::shared_ptr<task::Task> edited(const task::Task& before, std::int64_t revision, Instant at) {
    auto task = std::make_shared<task::Task>(before);
    ++task->version;
    task->revision = revision;
    task->updated_at = at;
    return task;
}

// It is in force from `at` on.
void begin(task::Task& version, Instant at) {
    version.effective_from = at;
    version.effective_revision = version.revision;
}

ring::Member member(const std::string& id) { return {id, id + ".1", id, {}, 1}; }

// One node of a runtime whose ring is settled.
struct RingNode {
    explicit RingNode(const std::string& id, std::vector<ring::Member> members = {member("a"), member("b")})
        : duties(id, id + ".1", {.horizon = 2s}) {
        ring::Allocation allocation;
        allocation.epoch = 1;
        allocation.nodes = std::move(members);
        allocation.previous = {{0, {}}};
        duties.observe(allocation, kDay);
        write(kDay);
        allocation.previous.clear();
        duties.observe(allocation, kDay);
        write(kDay);
    }

    void put(const TaskPointer& task, Instant now) {
        duties.put_task(task);
        duties.set_catalog_revision(task->revision);
        write(now);
        write(now);
    }

    void write(Instant now) {
        if (duties.next_write(now, std::nullopt)) duties.written();
    }

    // Node a, one of the `members` of epoch 1, is dead: it knew revision 1, had done all up to `claimed.after` and claimed up to
    // `claimed.until`.
    void take_over_from_a(std::vector<ring::Member> members, const Interval& claimed, Instant now) {
        ring::Departed departed;
        departed.incarnation = "a.1";
        departed.epoch = departed.resumed = departed.revision = 1;
        departed.done = claimed.after;
        departed.horizon = claimed.until;
        ring::Allocation allocation;
        allocation.epoch = 2;
        allocation.nodes = {member("b")};
        allocation.previous = {{1, std::move(members)}};
        allocation.departed = {departed};
        duties.observe(allocation, now);
        write(now);
        write(now);
    }

    std::vector<Duration> start_until(Instant now) {
        std::vector<Duration> times;
        for (Instant at = kDay; at <= now; at += 500ms) {
            write(at);
            while (const auto fire = duties.take(at)) times.push_back(fire->time - kDay);
        }
        return times;
    }

    Duties duties;
};

using Fired = std::vector<Duration>;

std::shared_ptr<task::Task> targeted(std::shared_ptr<task::Task> task, const std::string& target) {
    task->targets = {target};
    return task;
}

// Node a's first version, and the second, which is made at kDay + 1s and is node b's from `at` on.
std::pair<TaskPointer, TaskPointer> moved_to_b(Instant at) {
    auto first = targeted(first_version(), "a");
    auto second = targeted(edited(*first, 2, kDay + 1s), "b");
    begin(*second, at);
    return {std::move(first), std::move(second)};
}

}  // namespace

TEST_CASE("an owner that learns of a move in time fires up to it, and the new owner beyond") {
    const auto [first, second] = moved_to_b(kDay + 6s);
    RingNode a("a"), b("b");
    for (RingNode* node : {&a, &b}) {
        node->put(first, kDay);
        node->put(second, kDay + 1s);
    }
    CHECK(b.duties.waiting());
    CHECK(b.start_until(kDay + 5s).empty());
    b.duties.set_horizons({{"a.1", a.duties.record()}});
    CHECK_FALSE(b.duties.waiting());
    CHECK(a.duties.record().late.empty());
    CHECK(a.start_until(kDay + 9s) == Fired{1s, 2s, 3s, 4s, 5s, 6s});
    CHECK(b.start_until(kDay + 9s) == Fired{7s, 8s, 9s});
}

TEST_CASE("a run of a task that moves is named once it goes on, or when the new owner's fires are near") {
    const auto [first, second] = moved_to_b(kDay + 6s);
    RingNode a("a");
    a.put(first, kDay);
    a.put(second, kDay + 1s);
    const auto named = [&a](Duration at) {
        a.write(kDay + at);
        return !a.duties.record().running.empty();
    };
    const auto begin_run = [&a, &named](Duration at) {
        a.duties.set_running("task", true, kDay + at);
        return named(at);
    };
    const auto end_run = [&a, &named](Duration at) {
        a.duties.set_running("task", false, kDay + at);
        return named(at);
    };
    SECTION("it is over before that") {
        CHECK_FALSE(begin_run(3s));
        CHECK(a.duties.naming_due() == kDay + 3100ms);
        CHECK_FALSE(named(3050ms));
        CHECK_FALSE(end_run(3050ms));
        CHECK_FALSE(named(3100ms));
        CHECK(a.duties.naming_due() == std::nullopt);
    }
    SECTION("it goes on") {
        CHECK_FALSE(begin_run(3s));
        CHECK(named(3100ms));
        CHECK(a.duties.naming_due() == std::nullopt);
        CHECK_FALSE(end_run(4s));
    }
    SECTION("the new owner's fires are near") {
        CHECK_FALSE(begin_run(5750ms));
        CHECK(a.duties.naming_due() == kDay + 5800ms);
        CHECK(named(5800ms));
    }
    SECTION("nearer than that") { CHECK(begin_run(5900ms)); }
    SECTION("what waited begins after the move") { CHECK(begin_run(7s)); }
}

TEST_CASE("a record names no more runs than fit into a znode") {
    const auto [first, second] = moved_to_b(kDay + 2s);
    RingNode a("a");
    a.put(first, kDay);
    a.put(second, kDay + 1s);
    const std::string mutex = " mutex:" + std::string(63, 'm');
    for (int i = 0; i < 5000; ++i) {
        const std::string task = make_named_uuid(kDay, std::to_string(i));
        for (const auto& key : {task, task + mutex}) a.duties.set_running(key, true, kDay + 3s);
    }
    a.write(kDay + 4s);
    CHECK(a.duties.record().running.size() > 2000);
    CHECK(ring::write_horizon(a.duties.record()).size() < zk::kMaxDataBytes);
}

TEST_CASE("an owner that learns of a move too late is waited for, and says how far it went") {
    const auto [first, second] = moved_to_b(kDay + 6s);
    RingNode a("a"), b("b");
    a.put(first, kDay);
    b.put(first, kDay);
    b.put(second, kDay + 1s);
    CHECK(a.start_until(kDay + 8s) == Fired{1s, 2s, 3s, 4s, 5s, 6s, 7s, 8s});
    b.duties.set_horizons({{"a.1", a.duties.record()}});
    CHECK(b.start_until(kDay + 8s).empty());
    a.put(second, kDay + 8s);
    CHECK(a.duties.record().late == std::vector<ring::LateMove>{{2, 2, kDay + 8s, first->id}});
    b.duties.set_horizons({{"a.1", a.duties.record()}});
    CHECK(a.start_until(kDay + 11s).empty());
    CHECK(b.start_until(kDay + 11s) == Fired{9s, 10s, 11s});
}

TEST_CASE("an owner that has handed a task over says how far it went, also when it learns of a move after the transition") {
    const std::vector<ring::Member> joined{member("a"), member("b"), member("c")};
    const auto first = first_version();
    first->targets = {"a", "c"};
    for (int number = 0; ring::Ring(joined).owner(first->id, {first->targets, {}})->id != "c"; ++number) {
        first->id = fmt::format("task-{}", number);
    }
    const auto second = targeted(edited(*first, 2, kDay + 1s), "b");
    begin(*second, kDay + 2s);
    RingNode a("a");
    a.put(first, kDay);
    CHECK(a.start_until(kDay + 3s) == Fired{1s, 2s, 3s});
    ring::Allocation allocation;
    allocation.epoch = 2;
    allocation.nodes = joined;
    allocation.previous = {{1, {member("a"), member("b")}}};
    a.duties.observe(allocation, kDay + 3s);
    a.write(kDay + 3s);
    REQUIRE(a.duties.record().handovers.size() == 1);
    const Instant handed_over = a.duties.record().handovers[0].at;
    CHECK(a.start_until(kDay + 10s) == Fired{4s, 5s});
    REQUIRE(handed_over == kDay + 5s);
    allocation.previous.clear();
    a.duties.observe(allocation, kDay + 10s);
    a.put(second, kDay + 10s);
    CHECK(a.duties.record().late == std::vector<ring::LateMove>{{2, 2, handed_over, first->id}});
    CHECK(a.start_until(kDay + 12s).empty());
}

TEST_CASE("an owner that dies before it has learnt of a move may have fired up to its horizon") {
    const auto [first, second] = moved_to_b(kDay + 3s);
    RingNode b("b");
    b.put(first, kDay);
    b.put(second, kDay + 1s);
    b.take_over_from_a({member("a"), member("b")}, {kDay + 4s, kDay + 5s}, kDay + 5s);
    const auto uncertain = b.duties.take_uncertain();
    REQUIRE(uncertain.size() == 1);
    CHECK(uncertain.front().task->version == 2);
    CHECK(uncertain.front().fires == Interval{kDay + 4s, kDay + 5s});
    CHECK(b.start_until(kDay + 8s) == Fired{6s, 7s, 8s});
}

TEST_CASE("who takes over from the dead accounts for what each version owed") {
    const auto first = first_version();
    const auto second = edited(*first, 2, kDay + 2500ms);
    second->schedules = {*task::Schedule::every(2s, kDay)};
    begin(*second, kDay + 2500ms);
    RingNode b("b", {member("a")});
    b.put(first, kDay);
    b.put(second, kDay + 3s);
    b.take_over_from_a({member("a")}, {kDay + 1s, kDay + 4s}, kDay + 3s);
    std::map<std::int64_t, Interval> uncertain;
    for (const auto& one : b.duties.take_uncertain()) uncertain.emplace(one.task->version, one.fires);
    CHECK(uncertain == std::map<std::int64_t, Interval>{{1, {kDay + 1s, kDay + 2500ms}}, {2, {kDay + 2500ms, kDay + 4s}}});
    CHECK(b.start_until(kDay + 8s) == Fired{6s, 8s});
}

TEST_CASE("what is reported by a version is reported by the next one too, should that have been in force by then") {
    const auto first = first_version();
    RingNode b("b", {member("a")});
    b.put(first, kDay);
    b.take_over_from_a({member("a")}, {kDay + 1s, kDay + 4s}, kDay + 3s);
    CHECK(b.duties.take_uncertain().size() == 1);
    const auto second = edited(*first, 2, kDay + 2s);
    begin(*second, kDay + 2s);
    b.put(second, kDay + 3s);
    const auto uncertain = b.duties.take_uncertain();
    REQUIRE(uncertain.size() == 1);
    CHECK(uncertain.front().task->version == 2);
    CHECK(uncertain.front().fires == Interval{kDay + 2s, kDay + 4s});
}

TEST_CASE("a task that is disabled or deleted leaves what was due before") {
    for (const bool deleted : {false, true}) {
        const auto first = first_version();
        RingNode b("b", {member("b")});
        b.put(first, kDay);
        if (deleted) {
            b.duties.erase_task("task", kDay + 2s);
        } else {
            const auto disabled = edited(*first, 2, kDay + 2s);
            disabled->enabled = false;
            b.put(disabled, kDay + 3s);
        }
        CHECK(b.start_until(kDay + 5s) == Fired{1s, 2s});
    }
}

TEST_CASE("a version that comes while another is not in force yet ends it with the one before") {
    const auto first = targeted(first_version(), "b");
    const auto second = targeted(edited(*first, 2, kDay + 1s), "a");
    begin(*second, kDay + 6s);
    auto disabled = edited(*second, 3, kDay + 2s);
    disabled->enabled = false;
    RingNode b("b");
    for (const auto& version : {first, second, disabled}) b.put(version, kDay + 2s);
    CHECK(b.start_until(kDay + 8s) == Fired{1s, 2s});
}

TEST_CASE("a task that moves twice waits for the owner that knows of neither move") {
    const std::vector<ring::Member> three{member("a"), member("b"), member("c")};
    const auto [first, second] = moved_to_b(kDay + 6s);
    const auto third = targeted(edited(*second, 3, kDay + 2s), "c");
    begin(*third, kDay + 7s);
    RingNode a("a", three), b("b", three), c("c", three);
    a.put(first, kDay);
    for (RingNode* node : {&b, &c}) {
        for (const TaskPointer& version : {first, second, TaskPointer(third)}) node->put(version, kDay + 2s);
    }
    CHECK(a.start_until(kDay + 9s).back() == 9s);
    const auto tell = [&] {
        const Claims::Horizons records{{"a.1", a.duties.record()}, {"b.1", b.duties.record()}};
        b.duties.set_horizons(records);
        c.duties.set_horizons(records);
    };
    tell();
    CHECK(c.start_until(kDay + 9s).empty());
    for (const TaskPointer& version : {second, TaskPointer(third)}) a.put(version, kDay + 9s);
    tell();
    CHECK(c.start_until(kDay + 11s) == Fired{10s, 11s});
    CHECK(a.start_until(kDay + 11s).empty());
    CHECK(b.start_until(kDay + 11s).empty());
}

TEST_CASE("a move in a settled ring does not take done back to where an idle owner stands") {
    const auto first = targeted(first_version(), "a");
    RingNode b("b");
    auto own = std::make_shared<task::Task>(*targeted(first_version(), "b"));
    own->id = "own";
    b.put(first, kDay);
    b.put(own, kDay);
    b.start_until(kDay + 10s);
    ring::HorizonRecord idle;
    idle.epoch = idle.resumed = 1;
    idle.revision = 1;
    idle.horizon = kDay + 1s;
    b.duties.set_horizons({{"a.1", idle}});
    const Instant done = b.duties.record().done;
    const auto second = targeted(edited(*first, 2, kDay + 10s), "b");
    begin(*second, kDay + 15s);
    b.put(second, kDay + 10s);
    CHECK(b.duties.waiting());
    CHECK(b.duties.record().done >= done);
}

TEST_CASE("a moved task waits for every member that may come to own it as it was placed, and loses nothing by that") {
    const auto first = first_version();
    const auto second = edited(*first, 2, kDay + 3s);
    second->targets = {"a", "b"};
    begin(*second, kDay + 5s);
    const auto third = edited(*second, 3, kDay + 4s);
    third->schedules = {*task::Schedule::every(3s, kDay)};
    const auto fourth = edited(*third, 4, kDay + 10s);
    fourth->enabled = false;
    RingNode a("a"), b("b");
    a.put(first, kDay);
    b.put(first, kDay);
    REQUIRE((a.duties.owns("task") || b.duties.owns("task")));
    RingNode& mine = a.duties.owns("task") ? a : b;
    RingNode& other = a.duties.owns("task") ? b : a;
    CHECK(mine.start_until(kDay + 5s) == Fired{1s, 2s, 3s, 4s, 5s});
    for (const auto& version : {second, third, fourth}) mine.put(version, kDay + 11s);
    CHECK(mine.duties.waiting());
    CHECK(mine.start_until(kDay + 12s).empty());
    other.put(second, kDay + 12s);
    mine.duties.set_horizons({{"a.1", a.duties.record()}, {"b.1", b.duties.record()}});
    CHECK_FALSE(mine.duties.waiting());
    CHECK(mine.start_until(kDay + 13s) == Fired{6s, 9s});
}

TEST_CASE("a node that waits for what it gains does not take back what it has done") {
    const auto theirs = first_version();
    for (int number = 0; ring::Ring({member("a"), member("b")}).owner(theirs->id, {})->id != "a"; ++number) {
        theirs->id = fmt::format("task-{}", number);
    }
    auto own = std::make_shared<task::Task>(*targeted(first_version(), "b"));
    own->id = "own";
    RingNode b("b");
    b.put(theirs, kDay);
    b.put(own, kDay);
    CHECK(b.start_until(kDay + 10s).size() == 10);
    const Instant done = b.duties.record().done;
    CHECK(done >= kDay + 9s);
    ring::Allocation allocation;
    allocation.epoch = 2;
    allocation.nodes = {member("b")};
    allocation.previous = {{1, {member("a"), member("b")}}};
    b.duties.observe(allocation, kDay + 10s);
    b.write(kDay + 10s);
    CHECK(b.duties.record().epoch == 2);
    CHECK(b.duties.waiting());
    CHECK(b.duties.record().done >= done);
}

TEST_CASE("under a mutex nothing is begun before the owner before has told of all that it kept") {
    const std::vector<ring::Member> both{member("a"), member("b")};
    const auto task = first_version();
    for (int number = 0; !task->mutex || ring::Ring(both).owner(task->id, ring::placement_of(*task))->id != "b"; ++number) {
        task->mutex = std::make_shared<const std::string>(fmt::format("mutex-{}", number));
    }
    RingNode a("a", {member("a")}), b("b", {member("a")});
    for (RingNode* node : {&a, &b}) node->put(task, kDay);
    CHECK(a.start_until(kDay + 3s) == Fired{1s, 2s, 3s});
    ring::Allocation allocation;
    allocation.epoch = 2;
    allocation.nodes = both;
    allocation.previous = {{1, {member("a")}}};
    for (RingNode* node : {&a, &b}) {
        node->duties.observe(allocation, kDay + 3s);
        node->write(kDay + 3s);
    }
    b.duties.set_horizons({{"a.1", a.duties.record()}});
    b.write(kDay + 3s);
    REQUIRE(b.duties.owns("task"));
    REQUIRE(a.duties.record().done < a.duties.record().handovers.back().at);
    CHECK(b.duties.unsettled("task"));
    // What it runs then is told in the same record.
    a.duties.set_running("task", true, kDay + 4s);
    a.duties.set_running("task " + task::mutex_key(*task), true, kDay + 4s);
    a.start_until(kDay + 8s);
    a.write(kDay + 10s);
    CHECK(a.duties.record().done >= a.duties.record().handovers.back().at);
    const auto& named = a.duties.record().running;
    CHECK(std::find(named.begin(), named.end(), "task " + task::mutex_key(*task)) != named.end());
    b.duties.set_horizons({{"a.1", a.duties.record()}});
    CHECK_FALSE(b.duties.unsettled("task"));
}

TEST_CASE("a task that gets another mutex moves: its new owner begins beyond") {
    const auto under = [](task::Task& task, const std::string& owner) {
        for (int number = 0; !task.mutex || ring::Ring({member("a"), member("b")}).owner(task.id, ring::placement_of(task))->id != owner;
             ++number) {
            task.mutex = std::make_shared<const std::string>(fmt::format("mutex-{}", number));
        }
    };
    const auto first = first_version();
    under(*first, "a");
    const auto second = edited(*first, 2, kDay + 1s);
    under(*second, "b");
    begin(*second, kDay + 6s);
    RingNode a("a"), b("b");
    for (RingNode* node : {&a, &b}) {
        node->put(first, kDay);
        node->put(second, kDay + 1s);
    }
    CHECK(b.duties.waiting());
    b.duties.set_horizons({{"a.1", a.duties.record()}});
    CHECK(b.duties.shares_tasks(kDay + 5s));  // to hear of runs that are begun right before the move
    CHECK_FALSE(b.duties.shares_tasks(kDay + 6s));
    CHECK(a.start_until(kDay + 9s) == Fired{1s, 2s, 3s, 4s, 5s, 6s});
    CHECK(b.start_until(kDay + 9s) == Fired{7s, 8s, 9s});
}
