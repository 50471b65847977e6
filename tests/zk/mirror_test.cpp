// Mirror: a copy that follows one znode, and keeps what it knew when it cannot read.
#include <catch2/catch.hpp>

#include "tests/zk/world.h"

namespace cloudtask::zk {

namespace {

struct ZnodeWatcher : Process {
    explicit ZnodeWatcher(World& a_world) : Process(a_world) { watch(); }
    void watch() {
        mirror = std::make_unique<Mirror>(world.loop, client, "/z",
                                          [this](const std::optional<Znode>& znode) { seen.push_back(znode ? znode->data : "(none)"); });
    }
    std::vector<std::string> seen;
    std::unique_ptr<Mirror> mirror;
};

using Seen = std::vector<std::string>;

}  // namespace

TEST_CASE("a mirror follows its znode through its life") {
    World world;
    ZnodeWatcher watcher(world);
    CHECK_FALSE(watcher.mirror->complete());
    world.loop.settle();
    CHECK(watcher.mirror->complete());
    world.make("/z", "one");
    world.loop.settle();
    world.write("/z", "two");
    world.loop.settle();
    world.erase("/z");
    world.loop.settle();
    world.make("/z", "three");
    world.loop.settle();
    CHECK(watcher.seen == Seen{"(none)", "one", "two", "(none)", "three"});
    CHECK(watcher.mirror->value()->data == "three");
}

TEST_CASE("a mirror reports changes only, and re-reading piles up no watches") {
    World world;
    world.make("/z", "one");
    ZnodeWatcher watcher(world);
    world.loop.settle();
    for (int i = 0; i < 5; ++i) {
        watcher.mirror->refresh();
        watcher.mirror->refresh();
        world.loop.settle();
    }
    world.loop.advance(std::chrono::hours{2});
    CHECK(watcher.seen == Seen{"one"});
    world.write("/z", "two");
    world.loop.settle();
    CHECK(watcher.seen == Seen{"one", "two"});
}

TEST_CASE("a mirror without contact keeps what it knew, and catches up") {
    World world;
    world.make("/z", "one");
    ZnodeWatcher watcher(world);
    world.loop.settle();
    watcher.set_connected(false);
    world.loop.settle();
    world.write("/z", "two");
    watcher.mirror->refresh();
    world.loop.advance(std::chrono::minutes{1});
    CHECK(watcher.mirror->value()->data == "one");
    CHECK(watcher.seen == Seen{"one"});
    watcher.set_connected(true);
    world.loop.settle();
    CHECK(watcher.seen == Seen{"one", "two"});
}

TEST_CASE("a mirror tells once in each session, also when nothing has changed") {
    World world;
    world.make("/z", "one");
    ZnodeWatcher watcher(world);
    world.loop.settle();
    watcher.expire();
    world.loop.settle();
    CHECK_FALSE(watcher.mirror->complete());
    CHECK(watcher.mirror->value()->data == "one");
    REQUIRE(world.until([&] { return watcher.mirror->complete(); }));
    CHECK(watcher.seen == Seen{"one", "one"});
}

TEST_CASE("a mirror sees a znode that was made anew with the same data") {
    World world;
    world.make("/z", "one");
    ZnodeWatcher watcher(world);
    world.loop.settle();
    watcher.set_connected(false);
    world.loop.settle();
    world.erase("/z");
    world.make("/z", "one");
    watcher.set_connected(true);
    world.loop.settle();
    CHECK(watcher.seen == Seen{"one", "one"});
}

TEST_CASE("a mirror may be destroyed by its own report, and is then silent") {
    World world;
    world.make("/z", "one");
    Process process(world);
    std::unique_ptr<Mirror> mirror;
    int reports = 0;
    mirror = std::make_unique<Mirror>(world.loop, process.client, "/z", [&](const std::optional<Znode>&) {
        ++reports;
        mirror.reset();
    });
    world.loop.settle();
    world.write("/z", "two");
    world.loop.advance(std::chrono::hours{1});
    CHECK(reports == 1);
}

}  // namespace cloudtask::zk
