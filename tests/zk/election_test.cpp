// Election: one leader at a time, the next in line after it, and a fence that ends with the place.
#include <catch2/catch.hpp>

#include "tests/zk/world.h"

namespace cloudtask::zk {

namespace {

struct Candidate : Process {
    Candidate(World& a_world, const std::string& id) : Process(a_world) {
        election = std::make_unique<Election>(world.loop, client, "/e", id, [this](bool leads) { heard.push_back(leads); });
        world.loop.settle();
    }
    bool leads() const { return election->leading(); }

    std::vector<bool> heard;
    std::unique_ptr<Election> election;
};

Result<std::vector<OpResult>> try_multi(World& world, std::vector<Op> ops) {
    std::optional<Result<std::vector<OpResult>>> result;
    world.admin->multi(std::move(ops), [&](Result<std::vector<OpResult>> done) { result = std::move(done); });
    world.loop.settle();
    return *result;
}

}  // namespace

TEST_CASE("the first leads, and when it goes the next does, in order") {
    World world;
    Candidate a(world, "a"), b(world, "b"), c(world, "c");
    CHECK(a.leads());
    CHECK_FALSE(b.leads());
    CHECK_FALSE(c.leads());
    CHECK(a.heard == std::vector<bool>{true});
    CHECK(b.heard.empty());
    CHECK(world.list("/e").size() == 3);

    SECTION("by expiry") {
        a.expire();
        REQUIRE(world.until([&] { return b.leads(); }));
        CHECK(a.heard == std::vector<bool>{true, false});
        REQUIRE(world.until([&] { return world.list("/e").size() == 3; }));
        CHECK_FALSE(a.leads());
    }
    SECTION("by resigning") {
        a.election->resign();
        CHECK_FALSE(a.leads());
        REQUIRE(world.until([&] { return b.leads(); }));
        a.client.renew();
        world.loop.advance(std::chrono::minutes{10});
        CHECK(world.list("/e").size() == 2);
        CHECK(a.heard == std::vector<bool>{true, false});
    }
    SECTION("by being destroyed, while its client lives") {
        a.election.reset();
        REQUIRE(world.until([&] { return b.leads(); }));
        CHECK(world.list("/e").size() == 2);
    }
    SECTION("by being destroyed while it has no contact") {
        a.set_connected(false);
        world.loop.settle();
        a.election.reset();
        world.loop.advance(std::chrono::minutes{1});
        CHECK_FALSE(b.leads());
        a.set_connected(true);
        REQUIRE(world.until([&] { return b.leads(); }));
    }
    SECTION("and one that stands in between may go without a change of leader") {
        b.expire();
        world.loop.settle();
        CHECK(a.leads());
        a.election->resign();
        REQUIRE(world.until([&] { return c.leads(); }));
    }
}

TEST_CASE("a fence holds while its leader leads, and no longer") {
    World world;
    Candidate a(world, "a"), b(world, "b");
    const Op fence = a.election->fence();
    CHECK(try_multi(world, {fence, Op::create("/one", "")}));
    const auto session = a.session();
    a.set_connected(false);
    world.loop.settle();
    CHECK(a.leads());  // it has lost contact, not yet its place
    CHECK(try_multi(world, {fence, Op::create("/two", "")}));
    world.tree.expire(session);
    REQUIRE(world.until([&] { return b.leads(); }));
    CHECK(try_multi(world, {fence, Op::create("/three", "")}).error().is(Errc::no_node));
    CHECK(try_multi(world, {b.election->fence(), Op::create("/three", "")}));
}

TEST_CASE("a leader whose znode somebody erases stands again, at the end") {
    World world;
    Candidate a(world, "a"), b(world, "b");
    REQUIRE(world.erase(a.election->fence().path));
    REQUIRE(world.until([&] { return b.leads(); }));
    REQUIRE(world.until([&] { return world.list("/e").size() == 2; }));
    CHECK_FALSE(a.leads());
    CHECK(a.heard == std::vector<bool>{true, false});
}

TEST_CASE("of two znodes of one candidacy the later one goes") {
    World world;
    Candidate a(world, "a");
    const std::string own = a.election->fence().path;
    const std::string prefix = own.substr(0, own.size() - 10);
    bool made = false;
    world.admin->create(prefix, "", CreateMode::ephemeral_sequential, [&](const Result<Created>& created) { made = created.has_value(); });
    world.loop.settle();
    REQUIRE(made);
    REQUIRE(world.until([&] { return world.list("/e").size() == 1; }, std::chrono::minutes{5}));
    CHECK(a.leads());
    CHECK(a.election->fence().path == own);
}

TEST_CASE("two candidates of one id are two candidates") {
    World world;
    Candidate a(world, "same"), b(world, "same");
    CHECK(a.leads());
    CHECK_FALSE(b.leads());
    CHECK(world.list("/e").size() == 2);
}

}  // namespace cloudtask::zk
