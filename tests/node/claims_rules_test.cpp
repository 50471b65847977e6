// Claims: rules of the hand-over that concern versions and moves which not everybody knows yet, one by one.
#include <catch2/catch.hpp>

#include "node/claims.h"

namespace cloudtask::node::claims_rules {

using namespace std::chrono_literals;

namespace {

constexpr Instant kStart{1'900'000'000s};

ring::Member named(const std::string& id) { return {id, id + ".1", id, {}, 1}; }

std::vector<ring::Member> nodes(const std::string& ids) {
    std::vector<ring::Member> members;
    for (const char id : ids) members.push_back(named(std::string(1, id)));
    return members;
}

std::vector<std::string> names(const std::string& ids) {
    std::vector<std::string> names;
    for (const char id : ids) names.emplace_back(1, id);
    return names;
}

// A task that may run on `targets` and is `owner`'s among `ids`.
task::Task task_of(char owner, const std::string& ids, const std::string& targets) {
    task::Task task;
    task.targets = names(targets);
    task.revision = task.created_revision = task.effective_revision = 1;
    task.effective_from = task.updated_at = kStart;
    const ring::Ring ring(nodes(ids));
    for (int number = 0;; ++number) {
        task.id = fmt::format("task-{}", number);
        if (ring.owner(task.id, {task.targets, {}})->id == std::string(1, owner)) return task;
    }
}

task::Task moved(const task::Task& before, const std::string& targets) {
    task::Task task = before;
    task.targets = names(targets);
    task.revision = task.effective_revision = 2;
    task.effective_from = kStart + 5s;
    return task;
}

ring::Allocation allocation(std::int64_t epoch, const std::string& ids, std::vector<ring::Membership> previous = {}) {
    ring::Allocation made;
    made.epoch = epoch;
    made.nodes = nodes(ids);
    made.previous = std::move(previous);
    return made;
}

ring::HorizonRecord record(std::int64_t epoch, std::int64_t revision, std::vector<ring::Handover> handovers = {}) {
    ring::HorizonRecord made;
    made.epoch = epoch;
    made.revision = revision;
    made.handovers = std::move(handovers);
    return made;
}

ring::Departed departed(const std::string& id, std::int64_t epoch, std::int64_t revision, const Interval& claimed) {
    ring::Departed made;
    made.incarnation = id + ".1";
    made.epoch = made.resumed = epoch;
    made.revision = revision;
    made.done = claimed.after;
    made.horizon = claimed.until;
    return made;
}

// Claims of b in a settled ring.
Claims settled_in(const std::string& ids) {
    Claims claims("b", "b.1");
    claims.observe(allocation(1, ids, {{0, {}}}), {}, 1, kStart);
    claims.observe(allocation(1, ids), {}, 1, kStart);
    return claims;
}

// b has taken a task over from a, which had handed it over at kStart + 5 s, before it knew of the version of revision 3.
Claims behind_an_unaware_owner() {
    task::Task task = task_of('b', "ab", "");
    task.revision = task.effective_revision = 3;
    Claims claims("b", "b.1");
    claims.put_task(task);
    claims.observe(allocation(2, "ab", {{1, nodes("a")}}), {}, 3, kStart + 5s);
    const ClaimChanges changes = claims.resolve({{"a.1", record(2, 2, {{2, kStart + 5s, 2}})}}, 3);
    REQUIRE(changes.gained.size() == 1);
    CHECK(changes.gained[0].floor == kStart + 5s);
    return claims;
}

}  // namespace

TEST_CASE("what an owner kept that never learnt of the version is reported once the transition is settled") {
    Claims claims = behind_an_unaware_owner();
    SECTION("all of it") {
        const ClaimChanges changes = claims.observe(allocation(2, "ab"), {}, 3, kStart + 9s);
        REQUIRE(changes.uncertain_only.size() == 1);
        REQUIRE(changes.uncertain_only[0].uncertain.size() == 1);
        CHECK(changes.uncertain_only[0].uncertain[0].fires == Interval{kStart, kStart + 5s});
        CHECK(claims.observe(allocation(2, "ab"), {}, 3, kStart + 9s).empty());
    }
    SECTION("but nothing if it has learnt of it by then") {
        claims.resolve({{"a.1", record(2, 3, {{2, kStart + 5s, 2}})}}, 3);
        CHECK(claims.observe(allocation(2, "ab"), {}, 3, kStart + 9s).empty());
    }
}

TEST_CASE("what an owner had done when it died counts only for a version that it knew") {
    Claims claims = behind_an_unaware_owner();
    const bool knew = GENERATE(false, true);
    ring::Allocation next = allocation(3, "b", {{1, nodes("a")}, {2, nodes("ab")}});
    next.departed = {departed("a", 2, knew ? 3 : 2, {kStart + 4s, kStart + 6s})};
    next.departed[0].handovers = {{2, kStart + 5s, 2}};
    const ClaimChanges changes = claims.observe(next, {}, 3, kStart + 9s);
    REQUIRE(changes.uncertain_only.size() == 1);
    REQUIRE(changes.uncertain_only[0].uncertain.size() == 1);
    CHECK(changes.uncertain_only[0].uncertain[0].fires == Interval{knew ? kStart + 4s : kStart, kStart + 5s});
}

TEST_CASE("what the dead had done tells nothing of tasks that they had gained and not resumed with") {
    task::Task task;
    for (int number = 0; task.id.empty() || ring::Ring(nodes("abc")).owner(task.id, {})->id != "c" ||
                         ring::Ring(nodes("ab")).owner(task.id, {})->id != "a";
         ++number) {
        task = task_of('c', "abc", "");
        task.id = fmt::format("task-{}", number);
    }
    Claims claims("b", "b.1");
    claims.put_task(task);
    const bool resumed = GENERATE(false, true);
    ring::Allocation next = allocation(3, "b", {{1, nodes("abc")}, {2, nodes("ab")}});
    next.departed = {departed("c", 1, 1, {kStart + 1s, kStart + 2s}), departed("a", 2, 1, {kStart + 8s, kStart + 9s})};
    if (!resumed) next.departed[1].resumed = 1;
    claims.observe(next, {}, 1, kStart + 10s);
    const ClaimChanges changes = claims.resolve({}, 1);
    REQUIRE(changes.gained.size() == 1);
    CHECK(changes.gained[0].floor == kStart + 9s);
    REQUIRE(changes.gained[0].uncertain.size() == 2);
    CHECK(changes.gained[0].uncertain[1].fires == Interval{kStart + (resumed ? 8s : 2s), kStart + 9s});
}

TEST_CASE("who has just joined takes nothing over from an owner that knew more") {
    Claims claims("b", "b.1");
    const auto gained = [&](const Claims::Horizons& records, std::int64_t revision) {
        return claims.resolve(records, revision).gained.size();
    };
    SECTION("which lives") {
        claims.put_task(task_of('b', "ab", ""));
        claims.observe(allocation(2, "ab", {{1, nodes("a")}}), {}, 1, kStart + 5s);
        const Claims::Horizons records{{"a.1", record(2, 2, {{2, kStart + 5s, 2}})}};
        CHECK(gained(records, 1) == 0);
        CHECK(gained(records, 2) == 1);
    }
    SECTION("or is gone") {
        claims.put_task(task_of('b', "b", ""));
        ring::Allocation joined = allocation(2, "b", {{1, nodes("a")}});
        joined.departed = {departed("a", 1, 2, {kStart, kStart + 4s})};
        claims.observe(joined, {}, 1, kStart + 5s);
        CHECK(gained({}, 1) == 0);
        CHECK(gained({}, 2) == 1);
    }
    SECTION("but nobody waits for what an erased record may have named") {
        claims.put_task(task_of('b', "b", ""));
        ring::Allocation joined = allocation(2, "b", {{1, nodes("a")}});
        joined.departed = {departed("a", 1, ring::kUnknownRevision, {kStart, kStart + 4s})};
        claims.observe(joined, {}, 1, kStart + 5s);
        CHECK(gained({}, 1) == 1);
    }
    SECTION("a member all along does not wait") {
        claims.put_task(task_of('a', "ab", ""));
        claims.observe(allocation(2, "b", {{1, nodes("ab")}}), {}, 1, kStart + 5s);
        CHECK(gained({{"a.1", record(2, 2, {{2, kStart + 5s, 2}})}}, 1) == 1);
    }
}

TEST_CASE("what the dead had done of a task that moved counts if the move left its fires as they were") {
    const task::Task first = task_of('a', "ab", "a");
    task::Task second = moved(first, "b");
    const bool same = GENERATE(false, true);
    if (!same) second.schedules = {*task::Schedule::every(3s, kStart)};
    Claims claims = settled_in("ab");
    claims.put_task(first);
    CHECK(claims.move_task(second, first, {}).gained.empty());
    ring::Allocation next = allocation(2, "b", {{1, nodes("ab")}});
    next.departed = {departed("a", 1, 1, {kStart + 7s, kStart + 9s})};
    claims.observe(next, {}, 2, kStart + 10s);
    const ClaimChanges changes = claims.resolve({}, 2);
    REQUIRE(changes.gained.size() == 1);
    CHECK(changes.gained[0].floor == kStart + 9s);
    REQUIRE(changes.gained[0].uncertain.size() == 1);
    CHECK(changes.gained[0].uncertain[0].fires == Interval{same ? kStart + 7s : kStart + 5s, kStart + 9s});
}

TEST_CASE("what waits for a move when the transition is settled keeps what the dead had left of it") {
    task::Task first = task_of('c', "abc", "bc");
    const task::Task second = moved(first, "bc");
    first.targets = names("a");
    Claims claims = settled_in("abc");
    claims.put_task(first);
    ring::Allocation next = allocation(2, "ab", {{1, nodes("abc")}});
    next.departed = {departed("c", 1, 2, {kStart + 7s, kStart + 8s})};
    claims.observe(next, {}, 1, kStart + 9s);
    CHECK(claims.move_task(second, first, {}).empty());
    CHECK(claims.resolve({{"a.1", record(2, 1)}}, 2).empty());
    claims.observe(allocation(2, "ab"), {}, 2, kStart + 10s);
    CHECK(claims.resolve({{"a.1", record(2, 1)}}, 2).empty());
    const ClaimChanges changes = claims.resolve({{"a.1", record(2, 2)}}, 2);
    REQUIRE(changes.gained.size() == 1);
    CHECK(changes.gained[0].floor == kStart + 8s);
    REQUIRE(changes.gained[0].uncertain.size() == 1);
    CHECK(changes.gained[0].uncertain[0].fires == Interval{kStart + 7s, kStart + 8s});
}

TEST_CASE("a piece that was given up while it waited for a move is dealt with also if the task comes back") {
    task::Task first = task_of('c', "bc", "bc");
    const task::Task second = moved(first, "bc");
    first.targets = names("a");
    Claims claims = settled_in("ab");
    claims.put_task(first);
    CHECK(claims.move_task(second, first, {}).empty());

    claims.observe(allocation(2, "abc", {{1, nodes("ab")}}), kStart + 6s, 2, kStart + 6s);
    const Claims::Horizons unaware{{"a.1", record(2, 1)}};
    CHECK(claims.resolve(unaware, 2).empty());
    ring::Allocation back = allocation(3, "ab", {{1, nodes("ab")}, {2, nodes("abc")}});
    back.departed = {departed("c", 2, 2, {kStart + 8s, kStart + 10s})};
    claims.observe(back, kStart + 6s, 2, kStart + 11s);
    CHECK(claims.resolve(unaware, 2).empty());

    const ClaimChanges changes = claims.resolve({{"a.1", record(3, 2)}}, 2);
    REQUIRE(changes.gained.size() == 2);
    CHECK(changes.gained[0].floor == kStart + 5s);
    CHECK(changes.gained[0].limit == kStart + 6s);
    CHECK(changes.gained[1].floor == kStart + 10s);
    CHECK(changes.gained[1].limit == Instant::max());
    REQUIRE(changes.gained[1].uncertain.size() == 1);
    CHECK(changes.gained[1].uncertain[0].fires == Interval{kStart + 8s, kStart + 10s});
    CHECK_FALSE(claims.waiting());
}

}  // namespace cloudtask::node::claims_rules
