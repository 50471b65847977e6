// FolderMirror: whole states of a folder, and what was known while it cannot be read.
#include <catch2/catch.hpp>

#include "tests/zk/world.h"

namespace cloudtask::zk {

namespace {

using Content = std::map<std::string, std::string>;

struct FolderWatcher : Process {
    explicit FolderWatcher(World& a_world)
        : Process(a_world), mirror(a_world.loop, client, "/f", [this](const FolderMirror::Entries& entries) {
              Content content;
              for (const auto& [name, znode] : entries) content[name] = znode.data;
              seen.push_back(std::move(content));
          }) {}
    std::vector<Content> seen;
    FolderMirror mirror;
};

}  // namespace

TEST_CASE("a folder that does not exist is empty, until it does") {
    World world;
    FolderWatcher watcher(world);
    CHECK_FALSE(watcher.mirror.complete());
    world.loop.settle();
    CHECK(watcher.mirror.complete());
    CHECK(watcher.seen == std::vector<Content>{{}});
    world.make("/f");
    world.make("/f/a", "1");
    world.loop.settle();
    CHECK(watcher.seen.back() == Content{{"a", "1"}});
    world.erase("/f/a");
    world.erase("/f");
    world.loop.settle();
    CHECK(watcher.seen.back().empty());
    world.make("/f");
    world.make("/f/b", "2");
    world.loop.settle();
    CHECK(watcher.seen.back() == Content{{"b", "2"}});
}

TEST_CASE("the first report is of the whole folder, and each change is one report") {
    World world;
    world.make("/f");
    for (const char* name : {"/f/a", "/f/b", "/f/c"}) world.make(name, "1");
    FolderWatcher watcher(world);
    world.loop.settle();
    CHECK(watcher.seen == std::vector<Content>{{{"a", "1"}, {"b", "1"}, {"c", "1"}}});
    world.write("/f/b", "2");
    world.loop.settle();
    world.make("/f/d", "1");
    world.loop.settle();
    world.erase("/f/a");
    world.loop.settle();
    REQUIRE(watcher.seen.size() == 4);
    CHECK(watcher.seen[1] == Content{{"a", "1"}, {"b", "2"}, {"c", "1"}});
    CHECK(watcher.seen[2] == Content{{"a", "1"}, {"b", "2"}, {"c", "1"}, {"d", "1"}});
    CHECK(watcher.seen[3] == Content{{"b", "2"}, {"c", "1"}, {"d", "1"}});
    world.loop.advance(std::chrono::hours{2});
    CHECK(watcher.seen.size() == 4);
}

TEST_CASE("a child that is replaced in one multi is seen as the new one") {
    World world;
    world.make("/f");
    world.make("/f/a", "old");
    FolderWatcher watcher(world);
    world.loop.settle();
    world.admin->multi({Op::erase("/f/a"), Op::create("/f/a", "new")}, [](const Result<std::vector<OpResult>>&) {});
    world.loop.settle();
    CHECK(watcher.seen.back() == Content{{"a", "new"}});
    CHECK(watcher.mirror.entries().at("a").stat.version == 0);
}

TEST_CASE("without contact the mirror keeps what it knew; a new session reports anew") {
    World world;
    world.make("/f");
    world.make("/f/a", "1");
    FolderWatcher watcher(world);
    world.loop.settle();
    watcher.set_connected(false);
    world.loop.settle();
    world.write("/f/a", "2");
    world.make("/f/b", "1");
    world.loop.advance(std::chrono::minutes{10});
    CHECK(watcher.seen.size() == 1);
    CHECK(watcher.mirror.complete());
    const auto session = watcher.session();
    SECTION("when contact is back") { watcher.set_connected(true); }
    SECTION("when the session has expired meanwhile") {
        world.tree.expire(session);
        watcher.set_connected(true);
        world.loop.settle();
        CHECK(watcher.mirror.entries().at("a").data == "1");
    }
    REQUIRE(world.until([&] { return watcher.mirror.complete() && watcher.seen.back() == Content{{"a", "2"}, {"b", "1"}}; }));
}

TEST_CASE("a session without changes reports the same content once") {
    World world;
    world.make("/f");
    world.make("/f/a", "1");
    FolderWatcher watcher(world);
    world.loop.settle();
    watcher.client.renew();
    REQUIRE(world.until([&] { return watcher.client.generation() == 2 && watcher.mirror.complete(); }));
    CHECK(watcher.seen == std::vector<Content>(2, {{"a", "1"}}));
}

}  // namespace cloudtask::zk
