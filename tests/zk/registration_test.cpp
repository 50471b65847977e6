// Registration: one ephemeral of ours, whoever stands or stood there.
#include <catch2/catch.hpp>

#include "tests/zk/world.h"

namespace cloudtask::zk {

namespace {

struct Node : Process {
    explicit Node(World& a_world) : Process(a_world) {}

    void enlist(std::function<Result<std::vector<Op>>(std::string)> departing = {}) {
        Registration::Hooks hooks;
        hooks.data = [this] { return "generation " + std::to_string(client.generation()); };
        hooks.on_registered = [this](std::uint64_t generation) { registered.push_back(generation); };
        if (departing) {
            hooks.on_ghost = [departing](Keeper&, std::string ghost, std::function<void(Result<std::vector<Op>>)> proceed) {
                proceed(departing(std::move(ghost)));
            };
        }
        hooks.on_superseded = [this] { ++superseded; };
        registration = std::make_unique<Registration>(world.loop, client, "/r/nodes", "me", std::move(hooks));
    }
    bool ours() {
        const auto znode = world.read("/r/nodes/me");
        return znode && session() != 0 && znode->stat.ephemeral_owner == session();
    }

    std::vector<std::uint64_t> registered;
    int superseded = 0;
    std::unique_ptr<Registration> registration;
};

}  // namespace

TEST_CASE("a registration makes its folder and its znode, and says so once a session") {
    World world;
    Node node(world);
    SECTION("made before the session") { node.enlist(); }
    SECTION("made when the session is there") {
        REQUIRE(node.await_session());
        node.enlist();
    }
    REQUIRE(world.until([&] { return node.registered.size() == 1; }));
    CHECK(node.ours());
    CHECK(world.data("/r/nodes/me") == "generation 1");
    world.loop.advance(std::chrono::hours{1});
    CHECK(node.registered.size() == 1);

    node.expire();
    REQUIRE(world.until([&] { return node.registered.size() == 2; }));
    CHECK(node.registered == std::vector<std::uint64_t>{1, 2});
    CHECK(world.data("/r/nodes/me") == "generation 2");
}

TEST_CASE("an update is written, also one that comes before contact is back") {
    World world;
    Node node(world);
    node.enlist();
    REQUIRE(world.until([&] { return node.registered.size() == 1; }));
    node.registration->update("leaving");
    world.loop.settle();
    CHECK(world.data("/r/nodes/me") == "leaving");
    node.set_connected(false);
    world.loop.settle();
    node.registration->update("staying");
    node.registration->update("staying after all");
    world.loop.advance(std::chrono::seconds{3});
    CHECK(world.data("/r/nodes/me") == "leaving");
    node.set_connected(true);
    REQUIRE(world.until([&] { return world.data("/r/nodes/me") == "staying after all"; }));
    CHECK(node.registered.size() == 1);
}

TEST_CASE("the ghost of an older session is replaced in one step with what its owner adds") {
    World world;
    auto ghost = world.tree.connect();
    world.loop.settle();
    world.make_folder("/r/nodes");
    ghost->create("/r/nodes/me", "horizon 17", CreateMode::ephemeral, [](const Result<Created>&) {});
    world.loop.settle();

    SECTION("which is done with it") {
        Node node(world);
        std::vector<std::string> ghosts;
        node.enlist([&](std::string data) {
            ghosts.push_back(data);
            return std::vector{Op::create("/departed", data)};
        });
        REQUIRE(world.until([&] { return node.registered.size() == 1; }));
        CHECK(ghosts == std::vector<std::string>{"horizon 17"});
        CHECK(world.data("/departed") == "horizon 17");
        CHECK(node.ours());
    }
    SECTION("which is asked again when its operations fail, and until then the ghost stands") {
        Node node(world);
        int asked = 0;
        node.enlist([&](const std::string&) {
            if (++asked < 3) return std::vector{Op::check("/nowhere")};
            return std::vector<Op>{};
        });
        REQUIRE(world.until([&] { return asked == 2; }));
        world.loop.settle();
        CHECK(world.data("/r/nodes/me") == "horizon 17");
        REQUIRE(world.until([&] { return node.registered.size() == 1; }));
        CHECK(asked == 3);
        CHECK(node.ours());
    }
    SECTION("which is asked again when it cannot tell yet, and until then the ghost stands") {
        Node node(world);
        int asked = 0;
        node.enlist([&](const std::string&) -> Result<std::vector<Op>> {
            if (++asked < 3) return fail(cloudtask::Errc::unavailable, "not now");
            return std::vector<Op>{};
        });
        REQUIRE(world.until([&] { return asked == 2; }));
        world.loop.settle();
        CHECK(world.data("/r/nodes/me") == "horizon 17");
        REQUIRE(world.until([&] { return node.registered.size() == 1; }));
        CHECK(asked == 3);
    }
    SECTION("which may have nothing to add") {
        Node node(world);
        node.enlist();
        REQUIRE(world.until([&] { return node.registered.size() == 1; }));
        CHECK(node.ours());
    }
}

TEST_CASE("a znode that somebody erases is made again") {
    World world;
    Node node(world);
    node.enlist();
    REQUIRE(world.until([&] { return node.registered.size() == 1; }));
    REQUIRE(world.erase("/r/nodes/me"));
    REQUIRE(world.until([&] { return node.ours(); }));
    CHECK(node.registered.size() == 1);
}

TEST_CASE("a second process under the same name takes the place, and the first does not take it back") {
    World world;
    Node first(world);
    first.enlist();
    REQUIRE(world.until([&] { return first.registered.size() == 1; }));
    Node second(world);
    second.enlist();
    REQUIRE(world.until([&] { return first.superseded == 1; }));
    world.loop.advance(std::chrono::hours{1});
    CHECK(second.ours());
    CHECK(second.superseded == 0);
    first.registration->update("still here");
    world.loop.settle();
    CHECK(second.ours());
    CHECK(first.superseded == 1);
}

TEST_CASE("a registration that is destroyed leaves the session alone") {
    World world;
    Node node(world);
    node.enlist();
    REQUIRE(world.until([&] { return node.registered.size() == 1; }));
    node.registration.reset();
    world.loop.advance(std::chrono::minutes{1});
    CHECK(node.ours());
    node.expire();
    world.loop.advance(std::chrono::minutes{1});
    CHECK_FALSE(world.read("/r/nodes/me"));
}

}  // namespace cloudtask::zk
