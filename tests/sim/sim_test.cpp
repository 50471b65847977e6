// The simulation as a part of the test suite: seeds, determinism, mutations, shrinking, and the oracle itself.
#include <catch2/catch.hpp>

#include <cstdlib>

#include "tests/sim/oracle.h"
#include "tests/sim/world.h"
#include "tests/support/sanitized.h"

namespace cloudtask::sim {

namespace {

using namespace std::chrono_literals;

constexpr std::uint64_t kSeeds = kThreadSanitized ? 5 : kSanitized ? 30 : 200;
constexpr std::uint64_t kPlainSeeds = kThreadSanitized ? 3 : kSanitized ? 10 : 1800;
constexpr std::uint64_t kSeedsTwice = kSanitized ? 3 : 20;

std::uint64_t seeds_to_play() {
    const char* asked = std::getenv("CLOUDTASK_SIM_SEEDS");
    return asked == nullptr ? kSeeds : std::strtoull(asked, nullptr, 10);
}

Instant at(Duration since) { return Instant{std::chrono::seconds{1893456000}} + since; }

Rule every(Duration interval, Instant from) {
    Rule rule;
    rule.interval = interval;
    rule.effective_from = rule.known_at = from;
    return rule;
}

}  // namespace

TEST_CASE("no invariant is violated in any seed") {
    const std::uint64_t seeds = seeds_to_play();
    for (std::uint64_t seed = 1; seed <= seeds; ++seed) {
        const Outcome outcome = play(with_modes(make_script(seed)), {Mutation::none, false, false});
        INFO("seed " << seed << "; scripts/sim --seeds " << seed << ".." << seed << " shows the shortest script that fails so");
        INFO(outcome.kind << ": " << outcome.detail);
        REQUIRE(outcome.good());
    }
}

TEST_CASE("nor by troubles of chance alone") {
    for (std::uint64_t seed = 1; seed <= kPlainSeeds; ++seed) {
        const Outcome outcome = play(with_modes(make_plain_script(seed)), {Mutation::none, false, false});
        INFO("seed " << seed << ": " << outcome.kind << ": " << outcome.detail);
        REQUIRE(outcome.good());
    }
}

TEST_CASE("seeds that once failed with troubles brought together") {
    // 8 to 3862: who was gone had not dealt with what was left to it. 184 to 501: a clock was wrong as a session began. 603, 1348: who was
    // a member since when, and a clock set between question and answer. 88: a cordoned node came back. 203: an owner did not know of a
    // move. 3713, 5965: an owner before the last was asked though it had nothing left. 9457: a deleted task's last version was never in
    // force. 5913: a newcomer that did not know what was published took tasks over and could not go on with them.
    // 5468: `done` of one that waited for what it gained was taken back, so that its reruns were begun again.
    // 547, 1166: a clock was set while an attempt waited. 338: what had waited was begun by a node that came back before it knew of others'
    // runs. 1907: what waited on several nodes waited for each other.
    const std::uint64_t seed = GENERATE(8, 475, 519, 1036, 1937, 2958, 3056, 3205, 3770, 3862, 184, 201, 305, 501, 603, 1348, 88, 203, 3713,
                                        5965, 9457, 5913, 5468, 547, 1166, 338, 1907);
    const Outcome outcome = play(make_script(seed), {Mutation::none, false, false});
    INFO("seed " << seed << ": " << outcome.kind << ": " << outcome.detail);
    CHECK(outcome.good());
}

TEST_CASE("seeds that once failed") {
    // 1040 to 2283: a backlog went beyond the horizon. 1882 to 3029: a rerun was begun twice. 10166: fires that no version has were rerun.
    const std::uint64_t seed = GENERATE(1040, 1166, 1445, 1605, 1668, 1825, 2185, 2283, 1882, 1937, 2423, 2487, 2573, 3029, 10166);
    const Outcome outcome = play(make_plain_script(seed), {Mutation::none, false, false});
    INFO("seed " << seed << ": " << outcome.kind << ": " << outcome.detail);
    CHECK(outcome.good());
}

TEST_CASE("seeds that once failed when ZooKeeper's data were lost") {
    // 125, 448: a task that no node could take then. 538: a session that had not begun.
    const std::uint64_t seed = GENERATE(125, 448, 538);
    const Outcome outcome = play(make_script(seed, true), {Mutation::none, false, false});
    INFO("seed " << seed << ": " << outcome.kind << ": " << outcome.detail);
    CHECK(outcome.good());
}

TEST_CASE("the same seed gives the same log") {
    for (std::uint64_t seed = 1; seed <= kSeedsTwice; ++seed) {
        const Script script = with_modes(make_script(seed));
        const Outcome first = play(script), second = play(script);
        INFO("seed " << seed);
        REQUIRE(first.log.size() > 50);
        REQUIRE(first.log == second.log);
    }
}

TEST_CASE("each deliberate flaw is found within a few hundred seeds, and shrunk") {
    if (kSanitized) return;  // how much the simulation sees is not theirs to say, and takes long
    const auto [mutation, within] = GENERATE(table<Mutation, std::uint64_t>({
        {Mutation::horizon_not_written, 100},
        {Mutation::gainer_does_not_wait, 300},
        {Mutation::departed_claimed_nothing, 300},
        {Mutation::journal_forgotten, 300},
    }));
    INFO(name_of(mutation));
    const Options options{mutation, false, false};
    for (std::uint64_t seed = 1; seed <= within; ++seed) {
        const Script script = make_script(seed);
        const Outcome outcome = play(script, options);
        if (outcome.good()) continue;
        const auto [shortest, again] = shrink(script, outcome, options, 60);
        CHECK(again.kind == outcome.kind);
        CHECK(shortest.events.size() <= script.events.size());
        return;
    }
    FAIL("not found in " << within << " seeds");
}

TEST_CASE("the oracle expects each version's fires from where it takes over") {
    std::vector<Rule> rules{every(10s, at(5s))};
    CHECK(expected_fires(rules, at(40s)).size() == 4);  // 10, 20, 30, 40
    rules.push_back(every(15s, at(22s)));
    const auto changed = expected_fires(rules, at(61s));
    REQUIRE(changed.size() == 5);  // 10, 20; 30, 45, 60
    CHECK(changed[1].superseded);
    CHECK(changed[2].time == at(30s));
    CHECK_FALSE(changed[2].superseded);
    rules.push_back(rules.back());
    rules.back().enabled = false;
    rules.back().known_at = at(50s);
    CHECK(expected_fires(rules, at(200s)).size() == 4);
    CHECK(is_called_for(rules, at(45s)));
    CHECK_FALSE(is_called_for(rules, at(46s)));
}

TEST_CASE("the oracle expects a task that fires once, once") {
    Rule once;
    once.anchor = at(30s);
    once.effective_from = at(0s);
    CHECK(expected_fires({once}, at(29s)).empty());
    CHECK(expected_fires({once}, at(30s)).size() == 1);
    once.effective_from = at(30s);
    CHECK(expected_fires({once}, at(60s)).empty());
}

}  // namespace cloudtask::sim
