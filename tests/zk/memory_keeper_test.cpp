// MemoryKeeper keeps the contract of Keeper, bare and behind a FaultyKeeper that has no faults; and what is its own: contact that is cut.
#include <catch2/catch.hpp>

#include "cloudtask/zk/memory_keeper.h"

#include "cloudtask/core/fake_loop.h"
#include "cloudtask/zk/faulty_keeper.h"
#include "tests/support/keeper_contract.h"

namespace cloudtask::zk {

namespace {

class MemoryHarness : public test::KeeperHarness {
  public:
    ~MemoryHarness() override { loop_.settle(); }
    Loop& loop() override { return loop_; }
    std::unique_ptr<Keeper> connect() override { return tree_.connect(); }
    void expire(Keeper& keeper) override { tree_.expire(keeper.session_id()); }
    bool pump_until(const std::function<bool()>& condition) override { return loop_.advance_until(condition, std::chrono::seconds{10}); }

    FakeLoop loop_;
    MemoryTree tree_{loop_};
};

class WrappedHarness : public MemoryHarness {
  public:
    std::unique_ptr<Keeper> connect() override { return make_faulty_keeper(loop_, tree_.connect(), random_, {}); }

  private:
    SeededRandom random_{1};
};

}  // namespace

TEST_CASE("MemoryKeeper keeps the contract") {
    test::keeper_contract([] { return std::make_unique<MemoryHarness>(); });
}

TEST_CASE("FaultyKeeper without faults keeps the contract") {
    test::keeper_contract([] { return std::make_unique<WrappedHarness>(); });
}

TEST_CASE("a memory session that is cut off") {
    MemoryHarness harness;
    auto keeper = harness.connected();
    auto other = harness.connected();
    REQUIRE(harness.create(*keeper, "/e", "", CreateMode::ephemeral));
    std::vector<WatchEvent::Kind> seen;
    REQUIRE(harness.get(*keeper, "/e", [&](const WatchEvent& event) { seen.push_back(event.kind); }));
    harness.tree_.set_connected(keeper->session_id(), false);
    harness.loop_.settle();
    CHECK(keeper->state() == SessionState::connecting);
    CHECK(harness.get(*keeper, "/e").error().is(Errc::connection_loss));

    SECTION("keeps its ephemerals, and hears of events when it is back") {
        REQUIRE(harness.set(*other, "/e", "x"));
        CHECK(seen.empty());
        harness.tree_.set_connected(keeper->session_id(), true);
        REQUIRE(harness.pump_until([&] { return seen.size() == 1; }));
        CHECK(seen.front() == WatchEvent::Kind::changed);
        CHECK(harness.get(*keeper, "/e")->data == "x");
    }
    SECTION("hears only when it is back that it has expired") {
        const auto id = keeper->session_id();
        harness.tree_.expire(id);
        harness.loop_.settle();
        CHECK(keeper->state() == SessionState::connecting);
        CHECK(harness.exists(*other, "/e").error().is(Errc::no_node));
        harness.tree_.set_connected(id, true);
        harness.loop_.settle();
        CHECK(keeper->state() == SessionState::expired);
        CHECK(seen == std::vector{WatchEvent::Kind::lost});
    }
    SECTION("lingers when it is closed, until it expires") {
        const auto id = keeper->session_id();
        harness.close(*keeper);
        CHECK(harness.exists(*other, "/e"));
        harness.tree_.expire(id);
        CHECK(harness.exists(*other, "/e").error().is(Errc::no_node));
    }
}

TEST_CASE("a call that is under way when contact is lost ends as ambiguous, whether it happened or not") {
    MemoryHarness harness;
    auto keeper = harness.connected();
    auto other = harness.connected();
    std::optional<Result<Created>> created;
    keeper->create("/a", "", CreateMode::persistent, [&](Result<Created> result) { created = std::move(result); });
    harness.tree_.set_connected(keeper->session_id(), false);
    harness.loop_.settle();
    REQUIRE(created);
    CHECK(created->error().is(Errc::connection_loss));
    CHECK(is_ambiguous(created->error()));
    CHECK(harness.exists(*other, "/a").error().is(Errc::no_node));
}

}  // namespace cloudtask::zk
