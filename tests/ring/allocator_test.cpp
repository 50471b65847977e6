// The allocator's decision, case by case.
#include <catch2/catch.hpp>

#include "cloudtask/ring/allocation.h"

using namespace cloudtask;
using namespace cloudtask::ring;
using namespace std::chrono_literals;

namespace {

constexpr Instant kNow{1'900'000'000s};

Member member_named(const std::string& id, std::uint32_t weight = 1) {
    return {.id = id, .incarnation = id + ".1", .name = id, .weight = weight};
}

// A runtime that the tests change step by step.
struct Runtime {
    ClusterState state;

    void join(const std::string& id, std::uint32_t weight = 1) {
        state.present[id + ".1"] = Registration{member_named(id, weight), "1", "h", false, {}};
        state.horizons[id + ".1"];
    }
    void die(const std::string& id) { state.present.erase(id + ".1"); }
    void leave(const std::string& id) { state.present.at(id + ".1").leaving = true; }
    HorizonRecord& record(const std::string& id) { return state.horizons.at(id + ".1"); }

    // A node acknowledges the present epoch, handing over at kNow, and then takes over and starts all.
    void acknowledge(const std::string& id) {
        record(id).epoch = state.current.epoch;
        record(id).handovers.push_back({state.current.epoch, kNow, 0});
    }
    void resume(const std::string& id) { record(id).resumed = state.current.epoch; }
    void finish(const std::string& id) { record(id).done = kNow; }

    bool decide(bool admit_joins = true) {
        const auto next = next_allocation(state, admit_joins);
        if (next) state.current = *next;
        return next.has_value();
    }
    // Everybody does what the transition asks for; it must then be over.
    void settle() {
        for (const auto& [incarnation, registration] : state.present) {
            acknowledge(registration.member.id);
            resume(registration.member.id);
            finish(registration.member.id);
        }
        REQUIRE(decide());
        REQUIRE(state.current.previous.empty());
        for (auto& [incarnation, horizon] : state.horizons) horizon.handovers.clear();
    }
    std::string nodes() const {
        std::string ids;
        for (const auto& node : state.current.nodes) ids += node.id;
        return ids;
    }
    std::string departed() const {
        std::string incarnations;
        for (const auto& one : state.current.departed) incarnations += one.incarnation + " ";
        return incarnations;
    }
};

Runtime settled_with(const std::string& ids) {
    Runtime runtime;
    for (const char id : ids) runtime.join(std::string(1, id));
    REQUIRE(runtime.decide());
    runtime.settle();
    REQUIRE(runtime.nodes() == ids);
    return runtime;
}

}  // namespace

TEST_CASE("an empty runtime has nothing to decide") {
    Runtime runtime;
    CHECK_FALSE(runtime.decide());
}

TEST_CASE("the first member makes a transition too") {
    Runtime runtime;
    runtime.join("a");
    REQUIRE(runtime.decide());
    CHECK(runtime.state.current.epoch == 1);
    CHECK(runtime.nodes() == "a");
    CHECK(runtime.state.current.previous == std::vector<Membership>{{0, {}}});
    CHECK_FALSE(runtime.decide());
    runtime.settle();
    CHECK(runtime.state.current.epoch == 1);
    CHECK_FALSE(runtime.decide());
}

TEST_CASE("without a change nothing is rewritten") {
    Runtime runtime = settled_with("abc");
    for (int i = 0; i < 3; ++i) {
        CHECK_FALSE(runtime.decide(true));
        CHECK_FALSE(runtime.decide(false));
    }
}

TEST_CASE("joins wait until they are admitted, and then come in together, by id") {
    Runtime runtime = settled_with("b");
    runtime.join("c");
    CHECK_FALSE(runtime.decide(false));
    runtime.join("a");
    CHECK_FALSE(runtime.decide(false));
    REQUIRE(runtime.decide(true));
    CHECK(runtime.nodes() == "abc");
    CHECK(runtime.state.current.epoch == 2);
}

TEST_CASE("a newcomer that does not know what is published stays outside while others go on") {
    Runtime runtime = settled_with("ab");
    runtime.join("c");
    runtime.join("d");
    runtime.state.published = 7;
    runtime.state.present.at("c.1").revision = 6;
    runtime.state.present.at("d.1").revision = 7;
    CHECK(holds_back(runtime.state));
    REQUIRE(runtime.decide());
    CHECK(runtime.nodes() == "abd");
    runtime.settle();
    CHECK_FALSE(runtime.decide());

    SECTION("until it does") {
        runtime.state.present.at("c.1").revision = 8;
        CHECK_FALSE(holds_back(runtime.state));
        REQUIRE(runtime.decide());
        CHECK(runtime.nodes() == "abcd");
    }
    SECTION("or the center, restored from a backup, publishes less") {
        runtime.state.published = 3;
        REQUIRE(runtime.decide());
        CHECK(runtime.nodes() == "abcd");
    }
    SECTION("or nobody else is left, or wants to go on") {
        runtime.die("a");
        runtime.die("b");
        runtime.leave("d");
        REQUIRE(runtime.decide());
        CHECK(runtime.nodes() == "c");
    }
    SECTION("members stay, whatever they know") {
        CHECK(runtime.state.present.at("a.1").revision == 0);
        runtime.die("d");
        REQUIRE(runtime.decide());
        CHECK(runtime.nodes() == "ab");
    }
}

TEST_CASE("a leaver goes at once, while a joiner is still waited for") {
    Runtime runtime = settled_with("abc");
    runtime.leave("b");
    runtime.join("d");
    REQUIRE(runtime.decide(false));
    CHECK(runtime.nodes() == "ac");
    CHECK(runtime.state.current.departed.empty());
    // The leaver too must say up to where it fires.
    for (const auto* id : {"a", "c"}) {
        runtime.acknowledge(id);
        runtime.resume(id);
        runtime.finish(id);
    }
    CHECK_FALSE(runtime.decide());
    runtime.acknowledge("b");
    runtime.finish("b");
    REQUIRE(runtime.decide());
    CHECK(runtime.state.current.previous.empty());
    REQUIRE(runtime.decide(true));
    CHECK(runtime.nodes() == "acd");
}

TEST_CASE("a dead node goes at once, and its last claim is kept") {
    Runtime runtime = settled_with("abc");
    runtime.record("b") = {
        .epoch = 1, .horizon = kNow + 2s, .done = kNow, .resumed = 1, .revision = 7, .handovers = {{1, kNow, 6}}, .sealed = false};
    runtime.die("b");
    runtime.join("d");
    REQUIRE(runtime.decide(false));
    CHECK(runtime.nodes() == "ac");
    CHECK(runtime.state.current.departed == std::vector<Departed>{{"b.1", 1, kNow + 2s, kNow, {}, 7, {{1, kNow, 6}}, {}, 0, 1}});
}

TEST_CASE("a transition is settled only when all has been said and done") {
    Runtime runtime = settled_with("ab");
    runtime.join("c");
    REQUIRE(runtime.decide());
    const auto epoch = runtime.state.current.epoch;
    for (const auto* id : {"a", "b", "c"}) runtime.acknowledge(id);
    for (const auto* id : {"a", "b", "c"}) runtime.resume(id);
    for (const auto* id : {"a", "b", "c"}) runtime.finish(id);
    const Runtime ready = runtime;

    SECTION("one has not acknowledged") { runtime.record("a").epoch = epoch - 1; }
    SECTION("one has not resumed") { runtime.record("c").resumed = epoch - 1; }
    SECTION("one has not started all that it handed over") { runtime.record("b").done = kNow - 1us; }
    SECTION("the record of one is not known") { runtime.state.horizons.erase("b.1"); }
    CHECK_FALSE(runtime.decide());

    runtime = ready;
    REQUIRE(runtime.decide());
    CHECK(runtime.state.current.epoch == epoch);
    CHECK(runtime.nodes() == "abc");
    CHECK(runtime.state.current.previous.empty());
}

TEST_CASE("in the middle of a transition a death only removes") {
    Runtime runtime = settled_with("ab");
    runtime.join("c");
    REQUIRE(runtime.decide());
    runtime.join("d");
    runtime.leave("a");
    CHECK_FALSE(runtime.decide(true));
    runtime.die("b");
    REQUIRE(runtime.decide(true));
    CHECK(runtime.nodes() == "ac");
    CHECK(runtime.state.current.epoch == 3);
    REQUIRE(runtime.state.current.previous.size() == 2);
    CHECK(runtime.state.current.previous[0].epoch == 1);
    CHECK(runtime.state.current.previous[1].epoch == 2);
    CHECK(runtime.departed() == "b.1 ");
    // Once, not again and again.
    CHECK_FALSE(runtime.decide(true));

    for (const auto* id : {"a", "c"}) {
        runtime.acknowledge(id);
        runtime.finish(id);
    }
    CHECK_FALSE(runtime.decide());
    CHECK(runtime.departed() == "b.1 ");  // kept until both have resumed
    runtime.resume("a");
    runtime.resume("c");
    REQUIRE(runtime.decide());
    CHECK(runtime.state.current.departed.empty());
    CHECK(runtime.state.current.previous.empty());
    REQUIRE(runtime.decide());
    CHECK(runtime.nodes() == "cd");
}

TEST_CASE("when all are dead their claims are kept until somebody has taken over") {
    Runtime runtime = settled_with("ab");
    runtime.die("a");
    REQUIRE(runtime.decide());
    runtime.die("b");
    REQUIRE(runtime.decide());
    CHECK(runtime.nodes().empty());
    CHECK(runtime.departed() == "a.1 b.1 ");
    CHECK_FALSE(runtime.decide());

    runtime.join("c");
    CHECK_FALSE(runtime.decide(false));
    REQUIRE(runtime.decide(true));
    CHECK(runtime.nodes() == "c");
    CHECK(runtime.departed() == "a.1 b.1 ");
    CHECK(runtime.state.current.previous.size() == 3);
    runtime.acknowledge("c");
    runtime.finish("c");
    CHECK_FALSE(runtime.decide());
    runtime.resume("c");
    REQUIRE(runtime.decide());
    CHECK(runtime.departed().empty());
    CHECK(runtime.state.current.previous.empty());
}

TEST_CASE("a weight that changes is a new membership, once it is admitted") {
    Runtime runtime = settled_with("ab");
    runtime.join("b", 5);
    CHECK_FALSE(runtime.decide(false));
    REQUIRE(runtime.decide(true));
    CHECK(runtime.state.current.epoch == 2);
    CHECK(runtime.state.current.nodes[1].weight == 5);
    CHECK(runtime.state.current.departed.empty());
    runtime.settle();
    CHECK_FALSE(runtime.decide(true));
}

TEST_CASE("a node that restarted is a death and a join in one") {
    Runtime runtime = settled_with("ab");
    runtime.die("a");
    Member again = member_named("a");
    again.incarnation = "a.2";
    runtime.state.present["a.2"] = Registration{again, "1", "h", false};
    runtime.state.horizons["a.2"];
    REQUIRE(runtime.decide(true));
    CHECK(runtime.nodes() == "ab");
    CHECK(runtime.state.current.nodes[0].incarnation == "a.2");
    CHECK(runtime.departed() == "a.1 ");
}

TEST_CASE("the newly dead are named once") {
    Runtime runtime = settled_with("abc");
    CHECK(newly_dead(runtime.state.current, runtime.state.present).empty());
    runtime.die("b");
    runtime.die("c");
    CHECK(newly_dead(runtime.state.current, runtime.state.present) == std::vector<std::string>{"b.1", "c.1"});
    REQUIRE(runtime.decide());
    CHECK(newly_dead(runtime.state.current, runtime.state.present).empty());
}

TEST_CASE("an epoch is beyond all that anybody remembers, and a tree that was lost is known as such") {
    Runtime runtime;
    runtime.join("a");
    runtime.join("b");
    runtime.state.present.at("b.1").remembers = {41, kNow};
    runtime.state.claims_end = kNow + 12s;
    REQUIRE(runtime.decide());
    CHECK(runtime.state.current.epoch == 42);
    CHECK((runtime.state.current.rebuilt == Rebuilt{kNow - 1min, kNow + 12s, runtime.state.current.epoch}));

    CHECK(runtime.state.current.rebuilding());

    SECTION("that counts until the transition is settled, and stays known") {
        runtime.settle();
        CHECK_FALSE(runtime.state.current.rebuilding());
        CHECK(runtime.state.current.rebuilt.has_value());
        CHECK(runtime.state.current.epoch == 42);
        runtime.join("c");
        REQUIRE(runtime.decide());
        CHECK_FALSE(runtime.state.current.rebuilding());
    }
    SECTION("also through a death in it") {
        runtime.acknowledge("a");
        runtime.die("b");
        REQUIRE(runtime.decide());
        CHECK(runtime.state.current.epoch == 43);
        CHECK(runtime.state.current.rebuilding());
    }
    SECTION("and also one that came back older than what a newcomer remembers") {
        runtime.settle();
        runtime.join("c");
        runtime.state.present.at("c.1").remembers = {100, kNow};
        REQUIRE(runtime.decide());
        CHECK(runtime.state.current.epoch == 101);
        CHECK(runtime.state.current.rebuilding());
    }
}

TEST_CASE("a dead node without a record may have started anything of late") {
    Runtime runtime = settled_with("ab");
    const HorizonRecord record = unknown_claims(runtime.state.current, kNow, kNow + 12s);
    CHECK(record.epoch == runtime.state.current.epoch);
    CHECK(record.done < kNow);
    CHECK(record.horizon == kNow + 12s);
    CHECK(record.floor == record.horizon);
}

TEST_CASE("a node that is gone is known as such until it is back") {
    Runtime runtime = settled_with("abc");
    runtime.record("b").horizon = kNow + 7s;
    runtime.die("b");
    REQUIRE(runtime.decide());
    const std::int64_t lost_in = runtime.state.current.epoch;
    CHECK(runtime.state.current.gone.empty());
    runtime.settle();
    REQUIRE(runtime.state.current.gone.size() == 1);
    CHECK(runtime.state.current.gone[0].node.id == "b");
    CHECK(runtime.state.current.gone[0].lost_in == lost_in);
    CHECK(runtime.state.current.gone[0].last.horizon == kNow + 7s);

    SECTION("beside another one that leaves") {
        runtime.leave("c");
        REQUIRE(runtime.decide());
        CHECK(runtime.state.current.gone.size() == 1);
        runtime.settle();
        CHECK(runtime.state.current.gone.size() == 2);
    }
    SECTION("in a later life") {
        Member again = member_named("b");
        again.incarnation = "b.2";
        const auto join = [&] {
            runtime.state.present["b.2"] = Registration{again, "1", "h", false, {}};
            runtime.state.horizons["b.2"];
            REQUIRE(runtime.decide());
            CHECK(runtime.state.current.gone.size() == 1);  // those who take over need it
        };
        const auto settle = [&] {
            for (auto& [incarnation, record] : runtime.state.horizons) {
                if (!runtime.state.present.contains(incarnation)) continue;
                record.epoch = record.resumed = runtime.state.current.epoch;
                record.handovers = {{runtime.state.current.epoch, kNow, 0}};
                record.done = kNow;
            }
            REQUIRE(runtime.decide());
        };
        SECTION("that has taken over what it gained") {
            join();
            settle();
            CHECK(runtime.state.current.gone.empty());
        }
        SECTION("that can take other tasks") {
            again.labels = {{"zone", "west"}};
            join();
            settle();
            CHECK(runtime.state.current.gone.size() == 1);
        }
        SECTION("that ends before it has taken over what it gained") {
            join();
            runtime.state.horizons["b.2"].epoch = runtime.state.current.epoch;
            runtime.state.present.erase("b.2");
            REQUIRE(runtime.decide());
            settle();
            REQUIRE(runtime.state.current.gone.size() == 2);
            for (const Gone& one : runtime.state.current.gone) CHECK(one.last.since < one.lost_in);
        }
    }
}
