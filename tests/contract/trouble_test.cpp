// What a real server does to its clients: it is not there yet, it dies and comes back, it freezes, it ends sessions. The Client and the
// recipes go on by themselves. Each test has a server of its own.
#include <catch2/catch.hpp>

#include <optional>

#include "cloudtask/zk/recipes.h"
#include "tests/contract/real_harness.h"

namespace cloudtask::zk {

using test::RealHarness;
using test::ZookeeperServer;

namespace {

// A process with a registration, and what it was told.
struct Member {
    Member(RealHarness& a_harness, std::string name) : harness(a_harness), client(harness.loop(), random, [this] { return make(); }) {
        Client::Observer observer;
        observer.on_session = [this](Keeper&, std::uint64_t) { ++sessions; };
        observer.on_session_end = [this](std::uint64_t) { ++ends; };
        observer.on_connection = [this](bool up) { up ? ++ups : ++downs; };
        client.observe(std::move(observer));
        registration.emplace(harness.loop(), client, "/nodes", std::move(name),
                             Registration::Hooks{.data = [this] { return std::to_string(client.generation()); },
                                                 .on_registered = [this](std::uint64_t) { ++registered; },
                                                 .on_ghost = {},
                                                 .on_superseded = {}});
        client.start();
    }

    std::unique_ptr<Keeper> make() {
        auto session = harness.open(harness.options());
        last = session.get();
        return session;
    }

    void stop() {
        bool stopped = false;
        client.stop([&] { stopped = true; });
        REQUIRE(harness.pump_until([&] { return stopped; }));
    }

    RealHarness& harness;
    SystemRandom random;
    Session* last = nullptr;
    int sessions = 0, ends = 0, ups = 0, downs = 0, registered = 0;
    Client client;
    std::optional<Registration> registration;
};

}  // namespace

TEST_CASE("a server that is not there at first is waited for") {
    ZookeeperServer server;
    server.kill();
    RealHarness harness(server.address());
    Member member(harness, "a");
    CHECK(member.client.keeper() == nullptr);
    server.start();
    REQUIRE(harness.pump_until([&] { return member.registered == 1; }));
    CHECK(member.sessions == 1);
    member.stop();
    CHECK(member.ends == 1);
}

TEST_CASE("a server that is killed and started again is survived") {
    ZookeeperServer server;
    RealHarness harness(server.address());
    Member member(harness, "a");
    std::optional<FolderMirror> mirror;
    mirror.emplace(harness.loop(), member.client, "/nodes", [](const FolderMirror::Entries&) {});
    REQUIRE(harness.pump_until([&] { return member.registered == 1 && mirror->entries().contains("a"); }));
    server.kill();
    REQUIRE(harness.pump_until([&] { return !member.client.connected(); }));
    CHECK(mirror->entries().contains("a"));  // no contact is not "nothing there"
    server.start();
    // Whether the session outlives the restart is the server's to say; either way there is one, and the znode is its.
    REQUIRE(harness.pump_until([&] { return member.client.connected() && mirror->complete() && member.registered == member.sessions; }));
    const auto znode = harness.get(*member.client.keeper(), "/nodes/a");
    REQUIRE(znode);
    CHECK(znode->stat.ephemeral_owner == member.client.keeper()->session_id());
    member.stop();
}

TEST_CASE("a frozen server: contact is lost, calls end as ambiguous, and all goes on when it thaws") {
    ZookeeperServer server;
    RealHarness harness(server.address());
    Member member(harness, "a");
    REQUIRE(harness.pump_until([&] { return member.registered == 1; }));
    server.freeze();
    const auto result = harness.set(*member.client.keeper(), "/nodes/a", "written into the ice");
    REQUIRE_FALSE(result);
    CHECK(is_ambiguous(result.error()));
    REQUIRE(harness.pump_until([&] { return !member.client.connected(); }));
    CHECK(member.downs >= 1);
    // Expiry is silent while there is no contact: nobody has been told that the session is over.
    CHECK(member.ends == 0);
    server.thaw();
    REQUIRE(harness.pump_until([&] { return member.client.connected() && member.registered == member.sessions; }));
    CHECK(harness.exists(*member.client.keeper(), "/nodes/a")->ephemeral_owner == member.client.keeper()->session_id());
    member.stop();
}

TEST_CASE("a watch outlives the loss of contact, and is told of the change once and of nothing else") {
    ZookeeperServer server;
    RealHarness harness(server.address());
    auto keeper = harness.connected();
    REQUIRE(harness.create(*keeper, "/a", "one"));
    std::vector<WatchEvent> data, absent, names;
    REQUIRE(harness.get(*keeper, "/a", [&](WatchEvent event) { data.push_back(std::move(event)); }));
    REQUIRE(harness.children(*keeper, "/a", [&](WatchEvent event) { names.push_back(std::move(event)); }));
    CHECK_FALSE(harness.exists(*keeper, "/b", [&](WatchEvent event) { absent.push_back(std::move(event)); }));
    // Short enough for the session to live, long enough for the client to give the connection up: it does so after 2/3 of the time-out.
    server.freeze();
    REQUIRE(harness.pump_until([&] { return keeper->state() == SessionState::connecting; }));
    server.thaw();
    REQUIRE(harness.pump_until([&] { return keeper->state() != SessionState::connecting; }));
    if (keeper->state() == SessionState::expired) {
        // The machine stalled for longer than the session could bear.
        CHECK(data.size() == 1);
        CHECK(data.front().kind == WatchEvent::Kind::lost);
        return;
    }
    CHECK(data.empty());
    CHECK(names.empty());
    CHECK(absent.empty());
    auto other = harness.connected();
    REQUIRE(harness.set(*other, "/a", "two"));
    REQUIRE(harness.create(*other, "/a/x"));
    REQUIRE(harness.create(*other, "/b"));
    REQUIRE(harness.pump_until([&] { return !data.empty() && !names.empty() && !absent.empty(); }));
    REQUIRE(harness.sync(*keeper));
    REQUIRE(data.size() == 1);
    CHECK(data.front().kind == WatchEvent::Kind::changed);
    REQUIRE(names.size() == 1);
    CHECK(names.front().kind == WatchEvent::Kind::children_changed);
    REQUIRE(absent.size() == 1);
    CHECK(absent.front().kind == WatchEvent::Kind::created);
    CHECK(absent.front().path == "/b");
}

TEST_CASE("closing towards a frozen server does not hold up the loop") {
    ZookeeperServer server;
    RealHarness harness(server.address());
    auto keeper = harness.connected();
    server.freeze();
    bool closed = false;
    keeper->close([&] { closed = true; });
    Duration longest{};
    SteadyInstant before = harness.loop().clock().steady_now();
    REQUIRE(harness.pump_until([&] {
        const SteadyInstant now = harness.loop().clock().steady_now();
        longest = std::max(longest, now - before);
        before = now;
        return closed;
    }));
    CHECK(longest < std::chrono::seconds{1});
}

TEST_CASE("after expiry a new session registers anew, under a new generation") {
    RealHarness harness;
    Member member(harness, "a");
    REQUIRE(harness.pump_until([&] { return member.registered == 1; }));
    harness.expire(*member.last);
    REQUIRE(harness.pump_until([&] { return member.registered == 2; }));
    CHECK(member.ends == 1);
    CHECK(member.client.generation() == 2);
    CHECK(harness.get(*member.client.keeper(), "/nodes/a")->data == "2");
    member.stop();
}

TEST_CASE("a process that starts again replaces its own ghost in one step") {
    RealHarness harness;
    auto ghost = harness.connected();
    REQUIRE(harness.create(*ghost, "/nodes"));
    REQUIRE(harness.create(*ghost, "/nodes/a", "0", CreateMode::ephemeral));
    Member member(harness, "a");
    REQUIRE(harness.pump_until([&] { return member.registered == 1; }));
    CHECK(harness.get(*ghost, "/nodes/a")->stat.ephemeral_owner == member.client.keeper()->session_id());
    member.stop();
}

TEST_CASE("leadership goes from one real session to the next when the first is ended") {
    RealHarness harness;
    Member first(harness, "a"), second(harness, "b");
    std::optional<Election> mine, other;
    mine.emplace(harness.loop(), first.client, "/election", "a", [](bool) {});
    REQUIRE(harness.pump_until([&] { return mine->leading(); }));
    other.emplace(harness.loop(), second.client, "/election", "b", [](bool) {});
    REQUIRE(harness.pump_until([&] { return second.registered == 1; }));
    const Op old_fence = mine->fence();
    REQUIRE(harness.multi(*first.client.keeper(), {old_fence, Op::create("/led", "a")}));
    harness.expire(*first.last);
    REQUIRE(harness.pump_until([&] { return other->leading(); }));
    CHECK(harness.multi(*second.client.keeper(), {old_fence, Op::set("/led", "stale")}).error().is(Errc::no_node));
    CHECK(harness.multi(*second.client.keeper(), {other->fence(), Op::set("/led", "b")}));
    REQUIRE(harness.pump_until([&] { return first.registered == 2; }));
    CHECK_FALSE(mine->leading());
    SECTION("and back, when the leader resigns") {
        REQUIRE(harness.pump_until([&] { return harness.children(*second.client.keeper(), "/election")->names.size() == 2; }));
        other->resign();
        CHECK_FALSE(other->leading());
        REQUIRE(harness.pump_until([&] { return mine->leading(); }));
    }
    first.stop();
    second.stop();
}

}  // namespace cloudtask::zk
