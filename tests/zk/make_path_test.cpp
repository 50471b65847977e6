// make_path: all that is missing, nothing else, also under faults and towards a keeper that goes away.
#include <catch2/catch.hpp>

#include "tests/zk/world.h"

namespace cloudtask::zk {

namespace {

Result<> make(World& world, Keeper& keeper, const std::string& path) {
    std::optional<Result<>> result;
    make_path(world.loop, keeper, path, [&](const Result<>& made) {
        REQUIRE_FALSE(result);
        result = made;
    });
    REQUIRE_FALSE(result);
    world.loop.settle();
    REQUIRE(result);
    return *result;
}

}  // namespace

TEST_CASE("make_path makes what is missing and keeps what is there") {
    World world;
    world.make("/a", "kept");
    CHECK(make(world, *world.admin, "/a/b/c/d"));
    CHECK(world.read("/a/b/c/d"));
    CHECK(world.data("/a") == "kept");
    CHECK(make(world, *world.admin, "/a/b/c/d"));
    CHECK(make(world, *world.admin, "/"));
    CHECK(world.read("/a/b/c/d")->stat.version == 0);
}

TEST_CASE("make_path refuses what is no path") {
    World world;
    CHECK(make(world, *world.admin, "a/b").error().is(Errc::bad_arguments));
    CHECK(world.list("/").empty());
}

TEST_CASE("make_path stands faults before and after") {
    for (std::uint64_t seed = 1; seed <= 300; ++seed) {
        INFO("seed " << seed);
        World world(seed);
        auto keeper = make_faulty_keeper(world.loop, world.tree.connect(), world.random, {.before = 200, .after = 200});
        world.loop.settle();
        REQUIRE(make(world, *keeper, "/a/b/c"));
        REQUIRE(world.read("/a/b/c"));
    }
}

TEST_CASE("make_path gives up after many failures, and at once when the keeper goes") {
    World world;
    SECTION("no contact") {
        auto keeper = world.tree.connect();
        world.loop.settle();
        world.tree.set_connected(keeper->session_id(), false);
        world.loop.settle();
        CHECK(make(world, *keeper, "/a").error().is(Errc::connection_loss));
    }
    SECTION("a keeper that is destroyed") {
        auto keeper = world.tree.connect();
        world.loop.settle();
        std::optional<Result<>> result;
        make_path(world.loop, *keeper, "/a/b/c", [&](const Result<>& made) { result = made; });
        keeper.reset();
        world.loop.settle();
        REQUIRE(result);
        CHECK(result->error().is(Errc::closing));
    }
}

}  // namespace cloudtask::zk
