// FaultyKeeper: faults before leave the tree alone, faults after do not, and a read that fails leaves no watch.
#include <catch2/catch.hpp>

#include "tests/zk/world.h"

namespace cloudtask::zk {

namespace {

struct Faulty {
    explicit Faulty(FaultRates rates) : keeper(make_faulty_keeper(world.loop, world.tree.connect(), world.random, rates)) {
        world.loop.settle();
    }
    ~Faulty() {
        keeper.reset();
        world.loop.settle();
    }
    World world;
    std::unique_ptr<Keeper> keeper;
};

}  // namespace

TEST_CASE("a fault before: the write has not happened") {
    Faulty faulty({.before = 1000, .after = 0});
    std::optional<Error> error;
    faulty.keeper->create("/a", "", CreateMode::persistent, [&](const Result<Created>& created) { error = created.error(); });
    CHECK_FALSE(error);
    faulty.world.loop.settle();
    REQUIRE(error);
    CHECK(error->is(Errc::connection_loss));
    CHECK_FALSE(faulty.world.read("/a"));
}

TEST_CASE("a fault after: the write has happened, and its caller is not told") {
    Faulty faulty({.before = 0, .after = 1000});
    std::optional<Error> error;
    faulty.keeper->create("/a", "", CreateMode::persistent, [&](const Result<Created>& created) { error = created.error(); });
    faulty.world.loop.settle();
    REQUIRE(error);
    CHECK(error->is(Errc::connection_loss));
    CHECK(faulty.world.read("/a"));
}

TEST_CASE("a read with a fault leaves no watch") {
    Faulty faulty({.before = 0, .after = 1000});
    faulty.world.make("/a");
    int events = 0;
    faulty.keeper->get("/a", [&](const WatchEvent&) { ++events; }, [](const Result<Znode>&) {});
    faulty.world.loop.settle();
    faulty.world.write("/a", "x");
    faulty.world.loop.settle();
    CHECK(events == 0);
}

TEST_CASE("faults come as often as asked for") {
    Faulty faulty({.before = 250, .after = 250});
    int failed = 0;
    for (int i = 0; i < 2000; ++i) {
        faulty.keeper->exists("/", {}, [&](const Result<Stat>& stat) { failed += stat ? 0 : 1; });
    }
    faulty.world.loop.settle();
    CHECK(failed > 850);
    CHECK(failed < 1150);
}

}  // namespace cloudtask::zk
