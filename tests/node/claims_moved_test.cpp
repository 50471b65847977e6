// Claims: tasks that are edited or move by their targets while their owners change.
#include <catch2/catch.hpp>

#include "node/claims.h"

using namespace cloudtask;
using namespace cloudtask::node;
using namespace std::chrono_literals;

namespace {

constexpr Instant kDawn{1'900'000'000s};

ring::Member node_named(const std::string& id) { return {id, id + ".1", id, {}, 1}; }

task::Task task_since(std::int64_t revision, Instant from, std::vector<std::string> targets) {
    task::Task task;
    task.targets = std::move(targets);
    task.version = task.revision = task.effective_revision = revision;
    task.created_revision = 1;
    task.effective_from = task.updated_at = from;
    return task;
}

ring::HorizonRecord resumed_in(std::int64_t epoch, std::int64_t revision) {
    ring::HorizonRecord record;
    record.epoch = record.resumed = epoch;
    record.revision = revision;
    return record;
}

// Node b, which has joined, with the task that it took over from node a, which lives and goes on up to five seconds past dawn.
struct Joined {
    Joined() {
        for (int number = 0; ring::Ring({node_named("a"), node_named("b")}).owner(task.id, {})->id != "b"; ++number) {
            task.id = fmt::format("task-{}", number);
        }
        b.put_task(task);
        allocation.epoch = 2;
        allocation.nodes = {node_named("a"), node_named("b")};
        allocation.previous = {{1, {node_named("a")}}};
        b.observe(allocation, {}, 1, kDawn);
        ring::HorizonRecord record = resumed_in(2, 1);
        record.handovers = {{2, kDawn + 5s, 1}};
        const ClaimChanges changes = b.resolve({{"a.1", record}}, 1);
        REQUIRE(changes.gained.size() == 1);
        CHECK(changes.gained[0].floor == kDawn + 5s);
        allocation.previous.clear();
    }

    task::Task task = task_since(1, kDawn - 24h, {});
    Claims b{"b", "b.1"};
    ring::Allocation allocation;  // settled, but not yet observed
};

}  // namespace

TEST_CASE("a change that leaves the fires as they are makes nothing uncertain of what a living owner kept") {
    Joined joined;
    task::Task renamed = joined.task;
    renamed.name = "renamed";
    renamed.version = renamed.revision = 2;
    joined.b.amend(renamed);
    CHECK(joined.b.observe(joined.allocation, {}, 2, kDawn + 6s).empty());
}

TEST_CASE("what an owner kept of a version that it does not know when the transition settles is uncertain") {
    Joined joined;
    task::Task edited = joined.task;
    edited.version = edited.revision = edited.effective_revision = 2;
    joined.b.amend(edited);
    SECTION("it does not know") {
        joined.b.hear_of_versions({{"a.1", resumed_in(2, 1)}});
        const ClaimChanges changes = joined.b.observe(joined.allocation, {}, 2, kDawn + 6s);
        REQUIRE(changes.uncertain_only.size() == 1);
        REQUIRE(changes.uncertain_only[0].uncertain.size() == 1);
        CHECK(changes.uncertain_only[0].uncertain[0].fires == Interval{kDawn - 24h, kDawn + 5s});
    }
    SECTION("it has learnt of it") {
        joined.b.hear_of_versions({{"a.1", resumed_in(2, 2)}});
        CHECK(joined.b.observe(joined.allocation, {}, 2, kDawn + 6s).empty());
    }
}

TEST_CASE("what an owner that knew nothing of a move has left is the new owner's, also when another one came between") {
    const std::vector<ring::Member> all{node_named("n"), node_named("o1"), node_named("o2"), node_named("q")};
    const std::vector<ring::Member> left{node_named("n"), node_named("o2"), node_named("q")};
    task::Task first = task_since(1, kDawn - 24h, {"o1", "o2", "q"});
    const auto owner_in = [&](const std::vector<ring::Member>& members) {
        return ring::Ring(members).owner(first.id, {first.targets, {}})->id;
    };
    for (int number = 0; owner_in(all) != "o1" || owner_in(left) != "o2"; ++number) first.id = fmt::format("task-{}", number);
    task::Task second = task_since(2, kDawn, {"n"});
    second.id = first.id;

    Claims n("n", "n.1");
    ring::Allocation allocation;
    allocation.epoch = 1;
    allocation.nodes = all;
    n.observe(allocation, {}, 1, kDawn);
    n.put_task(first);
    CHECK(n.move_task(second, first, {}).empty());
    CHECK(n.resolve({{"o1.1", resumed_in(1, 1)}, {"o2.1", resumed_in(1, 2)}, {"q.1", resumed_in(1, 1)}}, 2).empty());

    // o1 dies without having heard of the move. o2, which has, owns the first version then.
    ring::Departed departed;
    departed.incarnation = "o1.1";
    departed.epoch = departed.resumed = departed.revision = 1;
    departed.done = kDawn + 3s;
    departed.horizon = kDawn + 4s;
    allocation.epoch = 2;
    allocation.nodes = left;
    allocation.previous = {{1, all}};
    allocation.departed = {departed};
    n.observe(allocation, {}, 2, kDawn + 5s);
    const ClaimChanges changes = n.resolve({{"o2.1", resumed_in(2, 2)}, {"q.1", resumed_in(2, 2)}}, 2);
    REQUIRE(changes.gained.size() == 1);
    CHECK(changes.gained[0].floor == kDawn + 4s);
    REQUIRE(changes.gained[0].uncertain.size() == 1);
    CHECK(changes.gained[0].uncertain[0].fires.until == kDawn + 4s);
    CHECK(changes.gained[0].uncertain[0].incarnation == "o1.1");
}
