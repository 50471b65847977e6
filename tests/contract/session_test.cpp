// A real session keeps the contract of Keeper, and what only a real server can show: access lists, the chroot.
#include <catch2/catch.hpp>

#include "zk/session.h"

#include "tests/contract/real_harness.h"

namespace cloudtask::zk {

using test::RealHarness;

TEST_CASE("a real session keeps the contract") {
    test::keeper_contract([] { return std::make_unique<RealHarness>(); });
}

TEST_CASE("the chroot is made, with all of its parts, and is the whole world of its sessions") {
    RealHarness harness;
    SessionOptions options = harness.options();
    options.chroot += "/deep/er";
    auto keeper = harness.open(options);
    REQUIRE(harness.pump_until([&] { return keeper->state() == SessionState::connected; }));
    REQUIRE(harness.create(*keeper, "/a", "x"));
    CHECK(harness.children(*keeper, "/")->names == std::vector<std::string>{"a"});
    auto outer = harness.connected();
    CHECK(harness.get(*outer, "/deep/er/a")->data == "x");
}

TEST_CASE("what is made under a secret is closed to all who do not have it") {
    RealHarness harness;
    SessionOptions options = harness.options();
    options.secret = "a secret of the cluster";
    auto keeper = harness.open(options);
    REQUIRE(harness.pump_until([&] { return keeper->state() == SessionState::connected; }));
    REQUIRE(harness.create(*keeper, "/a", "x"));
    REQUIRE(harness.multi(*keeper, {Op::create("/m", "x"), Op::create("/e", "x", CreateMode::ephemeral)}));

    SessionOptions stranger_options = harness.options();
    SECTION("nobody at all") { stranger_options.secret.clear(); }
    SECTION("another secret") { stranger_options.secret = "a guess"; }
    auto stranger = harness.open(stranger_options);
    REQUIRE(harness.pump_until([&] { return stranger->state() == SessionState::connected; }));
    for (const char* path : {"/a", "/m", "/e"}) {
        INFO("path: " << path);
        CHECK(harness.get(*stranger, path).error().is(Errc::no_auth));
        CHECK(harness.set(*stranger, path, "y").error().is(Errc::no_auth));
        CHECK(harness.children(*stranger, path).error().is(Errc::no_auth));
        CHECK(harness.erase(*stranger, path).error().is(Errc::no_auth));
        CHECK(harness.create(*stranger, std::string{path} + "/b").error().is(Errc::no_auth));
    }
    CHECK(harness.create(*stranger, "/b").error().is(Errc::no_auth));
    CHECK(harness.multi(*stranger, {Op::set("/a", "y")}).error().is(Errc::no_auth));

    options.secret = "a secret of the cluster";
    auto friend_of_ours = harness.open(options);
    REQUIRE(harness.pump_until([&] { return friend_of_ours->state() == SessionState::connected; }));
    CHECK(harness.set(*friend_of_ours, "/a", "z"));
    CHECK(harness.create(*friend_of_ours, "/a/b"));
}

TEST_CASE("every call of many sessions that are closed at once is answered once") {
    // The client library drops completions when a handle is closed: about one close in four shows it.
    constexpr int kSessions = 50;
    constexpr int kCalls = 20;
    RealHarness harness;
    int answers = 0;
    int closed = 0;
    std::vector<std::unique_ptr<Keeper>> keepers;
    for (int i = 0; i < kSessions; ++i) {
        keepers.push_back(harness.connected());
        for (int call = 0; call < kCalls; ++call) keepers.back()->exists("/", {}, [&](const Result<Stat>&) { ++answers; });
        keepers.back()->close([&] { ++closed; });
    }
    REQUIRE(harness.pump_until([&] { return closed == kSessions; }));
    CHECK(answers == kSessions * kCalls);
}

TEST_CASE("options that cannot work are refused at once") {
    RealHarness harness;
    SessionOptions options = harness.options();
    SECTION("no server") { options.servers.clear(); }
    SECTION("no port") { options.servers = "localhost"; }
    SECTION("a bad port among good ones") { options.servers = "a:1,b:70000"; }
    SECTION("a chroot among the servers") { options.servers = "a:1/chroot"; }
    SECTION("a relative chroot") { options.chroot = "cloudtask"; }
    SECTION("a time-out that makes the client spin") { options.session_timeout = std::chrono::milliseconds{99}; }
    const auto factory = session_factory(harness.loop(), options);
    REQUIRE_FALSE(factory);
    CHECK(factory.error().is(Errc::bad_arguments));
    CHECK_FALSE(factory.error().message.empty());
}

TEST_CASE("a host that has no name is tried again, and closing does not wait for it") {
    RealHarness harness;
    SessionOptions options = harness.options();
    options.servers = "no-such-host.invalid:2181";
    auto keeper = harness.open(options);
    CHECK(harness.get(*keeper, "/").error().is(Errc::connection_loss));
    harness.close(*keeper);
    CHECK(keeper->state() == SessionState::closed);
}

}  // namespace cloudtask::zk
