// Claims: a task that no node could take for a while, and who fired it last.
#include <catch2/catch.hpp>

#include "node/claims.h"

using namespace cloudtask;
using namespace cloudtask::node;
using namespace std::chrono_literals;

namespace {

constexpr Instant kNoon{1'900'000'000s};

ring::Member in_zone(const std::string& zone, const std::string& id, int life = 1) {
    return {id, fmt::format("{}.{}", id, life), id, {{"zone", zone}}, 1};
}

ring::Gone gone(const ring::Member& node, std::int64_t since, std::int64_t lost_in, Instant done, Instant horizon) {
    ring::Gone one{node, lost_in, 0, {}};
    one.last.since = since;
    one.last.incarnation = node.incarnation;
    one.last.epoch = one.last.resumed = since;
    one.last.revision = 1;
    one.last.done = done;
    one.last.horizon = one.last.floor = horizon;
    return one;
}

// A task of zone west which is that one's of the two that is named first.
task::Task task_of(const ring::Member& owner, const ring::Member& other) {
    task::Task task;
    task.labels = {{"zone", "west"}};
    task.revision = task.created_revision = 1;
    task.effective_from = task.updated_at = kNoon - 1h;
    const ring::Ring ring({owner, other});
    for (int number = 0;; ++number) {
        task.id = fmt::format("task-{}", number);
        if (ring.owner(task.id, {{}, task.labels})->incarnation == owner.incarnation) return task;
    }
}

// What node c, of zone west, gains when it joins in epoch 20.
Gained join(const task::Task& task, std::vector<ring::Gone> gone) {
    Claims claims("c", "c.1");
    claims.put_task(task);
    ring::Allocation allocation;
    allocation.epoch = 20;
    allocation.nodes = {in_zone("west", "c"), in_zone("east", "e")};
    allocation.previous = {{19, {in_zone("east", "e")}}};
    allocation.gone = std::move(gone);
    claims.observe(allocation, {}, 1, kNoon + 1min);
    const ClaimChanges changes = claims.resolve({}, 1);
    REQUIRE(changes.gained.size() == 1);
    return changes.gained[0];
}

}  // namespace

TEST_CASE("of the gone, who went last had the task") {
    const auto a = in_zone("west", "a"), b = in_zone("west", "b");
    const task::Task task = task_of(a, b);
    const ring::Gone of_a = gone(a, 10, 11, kNoon + 3s, kNoon + 5s);
    ring::Gone of_b = gone(b, 10, 12, kNoon + 6s, kNoon + 8s);

    SECTION("if it had dealt with what the one before it left") {
        of_b.last.epoch = of_b.last.resumed = 11;
        const Gained gained = join(task, {of_a, of_b});
        CHECK(gained.floor == kNoon + 8s);
        REQUIRE(gained.uncertain.size() == 1);
        CHECK(gained.uncertain[0].fires == Interval{kNoon + 6s, kNoon + 8s});
        CHECK(gained.uncertain[0].incarnation == "b.1");
    }
    SECTION("not if it went before it acknowledged that it had it") {
        of_b.last.done = kNoon + 2s;
        of_b.last.horizon = kNoon + 4s;
        const Gained gained = join(task, {of_a, of_b});
        CHECK(gained.floor == kNoon + 5s);
        REQUIRE(gained.uncertain.size() == 1);
        CHECK(gained.uncertain[0].fires == Interval{kNoon + 3s, kNoon + 5s});
        CHECK(gained.uncertain[0].incarnation == "a.1");
        CHECK(gained.uncertain[0].begun == 1);
    }
    SECTION("if that was settled before it went, however far the one before it has come with other tasks") {
        of_b.settled = of_b.last.epoch = of_b.last.resumed = 11;
        of_b.last.done = kNoon + 2s;
        of_b.last.horizon = kNoon + 4s;
        const Gained gained = join(task, {of_a, of_b});
        CHECK(gained.floor == kNoon + 4s);
        REQUIRE(gained.uncertain.size() == 1);
        CHECK(gained.uncertain[0].fires == Interval{kNoon + 2s, kNoon + 4s});
        CHECK(gained.uncertain[0].incarnation == "b.1");
    }
    SECTION("and what it was about to run again was begun twice") {
        of_b.last.epoch = of_b.last.resumed = 11;
        of_b.last.done = kNoon + 3s;
        const Gained gained = join(task, {of_a, of_b});
        CHECK(gained.floor == kNoon + 8s);
        REQUIRE(gained.uncertain.size() == 2);
        CHECK(gained.uncertain[0].fires == Interval{kNoon + 3s, kNoon + 5s});
        CHECK(gained.uncertain[0].begun == 2);
        CHECK(gained.uncertain[1].fires == Interval{kNoon + 5s, kNoon + 8s});
        CHECK(gained.uncertain[1].begun == 1);
    }
}

TEST_CASE("of the gone, who came later took over from who was there") {
    const auto a = in_zone("west", "a"), b = in_zone("west", "b");
    const task::Task task = task_of(b, a);
    ring::Gone of_a = gone(a, 10, 12, kNoon + 6s, kNoon + 8s);
    of_a.last.handovers = {{11, kNoon + 5s, 1}};
    ring::Gone of_b = gone(b, 11, 12, kNoon + 1s, kNoon + 9s);
    of_b.last.resumed = 0;

    const Gained gained = join(task, {of_a, of_b});
    CHECK(gained.floor == kNoon + 9s);
    REQUIRE(gained.uncertain.size() == 1);  // a had done what it kept
    CHECK(gained.uncertain[0].fires == Interval{kNoon + 5s, kNoon + 9s});
    CHECK(gained.uncertain[0].incarnation == "b.1");
}

TEST_CASE("of the gone, a later life of a node that took nothing over leaves what the earlier one had") {
    const auto a = in_zone("west", "a"), again = in_zone("west", "a", 2);
    const task::Task task = task_of(a, in_zone("west", "b"));
    const ring::Gone first = gone(a, 10, 11, kNoon + 3s, kNoon + 5s);
    ring::Gone second = gone(again, 15, 16, kNoon + 1s, kNoon + 7s);
    second.last.resumed = 14;  // before it was a member

    const Gained gained = join(task, {second, first});
    CHECK(gained.floor == kNoon + 7s);
    REQUIRE(gained.uncertain.size() == 2);
    CHECK(gained.uncertain[0].fires == Interval{kNoon + 3s, kNoon + 5s});
    CHECK(gained.uncertain[0].begun == 2);
    CHECK(gained.uncertain[1].fires == Interval{kNoon + 5s, kNoon + 7s});
}

TEST_CASE("who went without having learnt of a move may have gone on with the task beyond it") {
    const auto a = in_zone("west", "a");
    const task::Task first = task_of(a, in_zone("west", "b"));
    task::Task moved = first;
    moved.labels = {{"zone", "south"}};
    moved.revision = moved.effective_revision = 2;
    moved.effective_from = kNoon + 5s;
    moved.schedules = {*task::Schedule::every(1s, kNoon)};
    Claims claims("c", "c.1");
    claims.put_task(first);
    claims.move_task(moved, first, {});
    ring::Allocation allocation;
    allocation.epoch = 20;
    allocation.nodes = {in_zone("south", "c"), in_zone("east", "e")};
    allocation.previous = {{19, {in_zone("east", "e")}}};
    allocation.gone = {gone(a, 10, 11, kNoon + 6s, kNoon + 8s)};
    const bool knew = GENERATE(false, true);
    if (knew) allocation.gone[0].last.revision = 2;
    ClaimChanges changes = claims.observe(allocation, {}, 2, kNoon + 1min);
    if (!knew) changes = claims.resolve({}, 2);
    REQUIRE(changes.gained.size() == 1);
    CHECK(changes.gained[0].floor == (knew ? kNoon + 5s : kNoon + 8s));
    REQUIRE(changes.gained[0].uncertain.size() == (knew ? 0 : 1));
    if (!knew) CHECK(changes.gained[0].uncertain[0].fires == Interval{kNoon + 5s, kNoon + 8s});
}

TEST_CASE("who learnt of a move late and went has fired up to what its record tells") {
    const auto a = in_zone("west", "a");
    const task::Task first = task_of(a, in_zone("west", "b"));
    task::Task moved = first;
    moved.labels = {{"zone", "south"}};
    moved.revision = moved.effective_revision = 2;
    moved.effective_from = kNoon + 5s;
    Claims claims("c", "c.1");
    claims.put_task(first);
    claims.move_task(moved, first, {});
    ring::Allocation allocation;
    allocation.epoch = 20;
    allocation.nodes = {in_zone("south", "c"), in_zone("east", "e")};
    allocation.previous = {{19, {in_zone("east", "e")}}};
    allocation.gone = {gone(a, 10, 11, kNoon + 60s, kNoon + 60s)};
    allocation.gone[0].last.revision = 3;
    allocation.gone[0].last.late = {{2, 2, kNoon + 20s}};
    claims.observe(allocation, {}, 3, kNoon + 1min);
    const ClaimChanges changes = claims.resolve({}, 3);
    REQUIRE(changes.gained.size() == 1);
    CHECK(changes.gained[0].floor == kNoon + 20s);
    CHECK(changes.gained[0].uncertain.empty());
}

TEST_CASE("who is there now says nothing about who had a task before it moved, who was there then does") {
    const auto a = in_zone("west", "a"), b = in_zone("west", "b");
    const task::Task first = task_of(b, a);  // beside b it was not a's
    task::Task moved = first;
    moved.labels = {{"zone", "south"}};
    moved.revision = moved.effective_revision = 2;
    moved.effective_from = kNoon + 5s;
    Claims claims("c", "c.1");
    claims.put_task(first);
    claims.move_task(moved, first, {});
    ring::Allocation allocation;
    allocation.epoch = 20;
    allocation.nodes = {in_zone("south", "c"), b};
    allocation.previous = {{19, {b}}};
    allocation.gone = {gone(a, 10, 11, kNoon + 6s, kNoon + 8s)};
    const bool beside = GENERATE(false, true);
    if (beside) allocation.gone.push_back(gone({"b", "b.0", "b", {{"zone", "west"}}, 1}, 9, 11, kNoon + 1s, kNoon + 1s));
    claims.observe(allocation, {}, 2, kNoon + 1min);
    ring::HorizonRecord of_b;  // which knows of the move
    of_b.epoch = of_b.resumed = 20;
    of_b.revision = 2;
    const ClaimChanges changes = claims.resolve({{b.incarnation, of_b}}, 2);
    REQUIRE(changes.gained.size() == 1);
    CHECK(changes.gained[0].floor == (beside ? kNoon + 5s : kNoon + 8s));
    CHECK(changes.gained[0].uncertain.size() == (beside ? 0 : 1));
}

TEST_CASE("a task that no node could take when the tree was lost does not begin again from its first fire") {
    const task::Task task = task_of(in_zone("west", "a"), in_zone("west", "b"));
    Claims claims("c", "c.1");
    claims.put_task(task);
    ring::Allocation allocation;
    allocation.epoch = 20;
    allocation.nodes = {in_zone("west", "c"), in_zone("east", "e")};
    allocation.previous = {{19, {in_zone("east", "e")}}};
    allocation.rebuilt = ring::Rebuilt{kNoon - 1min, kNoon, 12};
    REQUIRE_FALSE(allocation.rebuilding());

    const ClaimChanges changes = claims.observe(allocation, {}, 1, kNoon + 1min);
    REQUIRE(changes.gained.size() == 1);
    CHECK(changes.gained[0].floor == kNoon);
    REQUIRE(changes.gained[0].uncertain.size() == 1);
    CHECK(changes.gained[0].uncertain[0].fires == Interval{kNoon - 1min, kNoon});

    SECTION("but one that had a node in the meantime goes on from there") {
        allocation.previous = {{19, {in_zone("west", "d")}}};
        Claims other("c", "c.1");
        other.put_task(task);
        CHECK(other.observe(allocation, {}, 1, kNoon + 1min).gained.empty());
        ring::HorizonRecord record;
        record.epoch = record.resumed = 20;
        record.revision = 1;
        record.handovers = {{20, kNoon + 1min, 1}};
        const ClaimChanges taken = other.resolve({{"d.1", record}}, 1);
        REQUIRE(taken.gained.size() == 1);
        CHECK(taken.gained[0].floor == kNoon + 1min);
        CHECK(taken.gained[0].uncertain.empty());
    }
}
