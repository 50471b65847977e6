// The coordinator when what it rests on goes: ZooKeeper's data as a whole or in part, or the contact; and runs that outlive a move of their
// task.
#include <catch2/catch.hpp>

#include "node/coordinator.h"
#include "tests/node/cluster_model.h"

using namespace cloudtask;
using namespace cloudtask::node;
using namespace std::chrono_literals;

namespace {

struct Three : ClusterModel {
    explicit Three(std::uint64_t seed = 1, OnZookeeperLoss mode = OnZookeeperLoss::pause) : ClusterModel(seed) {
        on_loss = mode;
        for (int i = 0; i < 12; ++i) tasks.push_back(add_task(1s, Duration{i * 37ms}));
        publish();
        for (const auto* id : {"a", "b", "c"}) start(id);
        REQUIRE(until([&] { return settled_with({"a", "b", "c"}); }));
        loop.advance(10s);
    }

    std::string owner_of(const std::string& task_id) {
        const ring::Ring ring(allocation().nodes);
        return ring.owner(task_id)->id;
    }
    // The first task that the node owns.
    std::string task_of(const std::string& id) {
        for (const auto& task : tasks) {
            if (owner_of(task) == id) return task;
        }
        FAIL("node " << id << " owns no task");
        return {};
    }

    std::vector<std::string> tasks;
};

}  // namespace

TEST_CASE("a tree that was lost is made anew: no fire is started twice, and none is gone silently") {
    for (std::uint64_t seed = 1; seed < 10; ++seed) {
        INFO("seed " << seed);
        Three cluster(seed);
        cluster.kill("c");
        REQUIRE(cluster.until([&] { return cluster.settled_with({"a", "b"}); }));
        cluster.loop.advance(Duration{static_cast<Duration::rep>(cluster.random.below(3'000'000))});
        const std::int64_t epoch = cluster.allocation().epoch;
        cluster.wipe();
        REQUIRE(cluster.allocation().epoch == 0);
        if (seed % 2 == 0) cluster.start("d");  // one that was not there before
        REQUIRE(cluster.until([&] { return cluster.allocation().epoch > 0 && cluster.allocation().previous.empty(); }));
        CHECK(cluster.allocation().epoch > epoch);
        CHECK_FALSE(cluster.allocation().rebuilding());
        // It goes on by itself, once no claim of before can stand any more.
        const Instant later = cluster.loop.clock().now() + 30s;
        cluster.loop.advance(60s);
        CHECK(cluster.check_fires(cluster.loop.clock().now() - 10s, true).empty());
        for (const auto& key : cluster.uncertain) CHECK(key.second < later);
    }
}

TEST_CASE("a runtime that is really new starts all from the first fire") {
    ClusterModel cluster;
    cluster.add_task(1s);
    cluster.publish();
    cluster.start("a");
    cluster.loop.advance(30s);
    CHECK(cluster.uncertain.empty());
    CHECK(cluster.check_fires(cluster.loop.clock().now() - 2s).empty());
}

TEST_CASE("an allocation that somebody erased is put back as it was") {
    Three cluster;
    const ring::Allocation before = cluster.allocation();
    cluster.erase(std::string{kRuntime} + "/allocation");
    REQUIRE(cluster.until([&] { return cluster.allocation() == before; }));
    cluster.loop.advance(20s);
    CHECK(cluster.allocation() == before);
    CHECK(cluster.check_fires(cluster.loop.clock().now() - 2s).empty());
}

TEST_CASE("a dead node whose record somebody erased does not hold up the ring") {
    Three cluster;
    const std::string record = fmt::format("{}/horizons/{}", kRuntime, cluster.node("b").coordinator().incarnation());
    const std::int64_t session = cluster.node("b").session();
    cluster.nodes.erase("b");
    cluster.erase(record);
    cluster.tree.expire(session);
    REQUIRE(cluster.until([&] { return cluster.settled_with({"a", "c"}); }));
    cluster.loop.advance(60s);
    CHECK(cluster.check_fires(cluster.loop.clock().now() - 20s, true).empty());
}

TEST_CASE("without contact a node starts what it had claimed, or goes on, as it is told") {
    for (const auto mode : {OnZookeeperLoss::pause, OnZookeeperLoss::go_on}) {
        INFO((mode == OnZookeeperLoss::pause ? "pause" : "continue"));
        Three cluster(1, mode);
        for (const auto& [id, node] : cluster.nodes) node->set_connected(false);
        const Instant cut = cluster.loop.clock().now();
        cluster.loop.advance(20s);
        for (const auto& [id, node] : cluster.nodes) {
            INFO(id);
            if (mode == OnZookeeperLoss::pause) {
                CHECK(*node->last_started() <= cut + 3s);
            } else {
                CHECK(*node->last_started() >= cut + 18s);
            }
        }
        for (const auto& [id, node] : cluster.nodes) node->set_connected(true);
        cluster.loop.advance(20s);
        CHECK(cluster.check_fires(cluster.loop.clock().now() - 2s).empty());
    }
}

TEST_CASE("a node that goes on without contact goes on beyond its session, until it has a new one") {
    Three cluster(1, OnZookeeperLoss::go_on);
    for (const auto& [id, node] : cluster.nodes) {
        node->set_connected(false);
        cluster.tree.expire(node->session());
    }
    cluster.loop.advance(60s);
    // All of the ring came back: whatever was started meanwhile, nobody starts it again.
    CHECK(cluster.check_fires(cluster.loop.clock().now() - 10s, true).empty());
}

TEST_CASE("a run that goes on where its task was is known to the task's new owner") {
    Three cluster;
    const std::string task = cluster.task_of("a");
    Coordinator& old_owner = cluster.node("a").coordinator();
    old_owner.set_running(task, true);
    cluster.loop.advance(5s);
    CHECK(cluster.read(std::string{kRuntime} + "/horizons/" + old_owner.incarnation()).find("running") == std::string::npos);

    old_owner.leave([] {});
    REQUIRE(cluster.until([&] { return cluster.settled_with({"b", "c"}); }));
    Coordinator& owner = cluster.node(cluster.owner_of(task)).coordinator();
    CHECK(owner.running_elsewhere(task) == "node-a");
    cluster.loop.advance(30s);  // long after the transition
    CHECK(owner.running_elsewhere(task) == "node-a");
    CHECK(owner.running_elsewhere(cluster.task_of("b")).empty());

    SECTION("until it has ended") {
        old_owner.set_running(task, false);
        REQUIRE(cluster.until([&] { return owner.running_elsewhere(task).empty(); }, 2s));
    }
    SECTION("or its node is gone for longer than a restart takes") {
        cluster.kill("a");
        cluster.loop.advance(1900ms);
        CHECK(owner.running_elsewhere(task) == "node-a");
        REQUIRE(cluster.until([&] { return owner.running_elsewhere(task).empty(); }, 2s));
    }
    SECTION("also while its node is started again, which takes it over") {
        cluster.kill("a");
        cluster.loop.advance(800ms);
        cluster.start("a").coordinator().set_running(task, true);
        while (!cluster.settled_with({"a", "b", "c"})) {
            REQUIRE((!owner.owns(task) || owner.running_elsewhere(task) == "node-a"));
            cluster.loop.advance(20ms);
        }
    }
    SECTION("and to the next owner as well") {
        cluster.leave(owner.incarnation().substr(0, 1));
        const std::string next = cluster.owner_of(task);
        REQUIRE(cluster.until([&] { return cluster.node(next).coordinator().running_elsewhere(task) == "node-a"; }));
    }
}

TEST_CASE("a task that no node could take for a while goes on where its last owner was") {
    for (std::uint64_t seed = 1; seed < 10; ++seed) {
        INFO("seed " << seed);
        Three cluster(seed);
        const std::string task = cluster.add_task(1s, 100ms, {{"half", "first"}});  // for a and b
        cluster.publish();
        cluster.loop.advance(10s);
        const bool graceful = seed % 2 == 0;
        for (const auto* id : {"a", "b"}) {
            graceful ? cluster.leave(id) : cluster.kill(id);
            cluster.loop.advance(Duration{static_cast<Duration::rep>(cluster.random.below(6'000'000))});
        }
        REQUIRE(cluster.until([&] { return cluster.settled_with({"c"}); }));
        cluster.loop.advance(30s);
        CHECK(cluster.owners(task) == 0);
        cluster.start(seed % 3 == 0 ? "a" : "b");
        cluster.loop.advance(30s);
        CHECK(cluster.owners(task) == 1);
        INFO(cluster.check_fires(cluster.loop.clock().now() - 2s, !graceful));
        CHECK(cluster.check_fires(cluster.loop.clock().now() - 2s, !graceful).empty());
    }
}

TEST_CASE("a clock that is set while the node runs claims nothing by the wrong time") {
    for (const Duration step : {Duration{60s}, Duration{-60s}}) {
        Three cluster;
        cluster.node("a").set_skew(step);
        const Instant set = cluster.loop.clock().now();
        cluster.loop.advance(5s);
        for (const auto& name : cluster.list(std::string{kRuntime} + "/horizons")) {
            const auto record = ring::read_horizon(cluster.read(fmt::format("{}/horizons/{}", kRuntime, name)));
            REQUIRE(record.has_value());
            CHECK(record->horizon < set + 10s);
        }
        REQUIRE(cluster.until([&] { return cluster.settled_with({"b", "c"}); }));
        cluster.node("a").set_skew(0s);
        REQUIRE(cluster.until([&] { return cluster.settled_with({"a", "b", "c"}); }, 60s));
        cluster.loop.advance(20s);
        CHECK(cluster.check_fires(cluster.loop.clock().now() - 2s, true).empty());
    }
}
