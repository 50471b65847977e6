// The ring: who moves when a node comes or goes, how even the shares are, and that every machine computes the same.
#include "cloudtask/ring/ring.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <map>
#include <random>
#include <set>

#include "cloudtask/core/hash.h"
#include "cloudtask/core/result.h"
#include "cloudtask/task/pieces.h"

using namespace cloudtask;
using ring::Member;
using ring::Placement;
using ring::Ring;

namespace {

std::string text_of(std::uint64_t number) { return fmt::format("018f3c2e-0000-7000-8000-{:012x}", number & 0xffffffffffff); }

Member member_numbered(std::uint64_t number, std::uint32_t weight = 1, std::map<std::string, std::string> labels = {}) {
    return Member{
        .id = text_of(number), .incarnation = "i", .name = fmt::format("node-{}", number), .labels = std::move(labels), .weight = weight};
}

std::vector<Member> members(std::size_t count) {
    std::vector<Member> list;
    for (std::size_t i = 0; i < count; ++i)
        list.push_back(member_numbered(i, 1, {{"zone", i % 3 == 0 ? "a" : "b"}, {"disk", i % 2 == 0 ? "ssd" : "hdd"}}));
    return list;
}

std::vector<std::string> task_ids(std::size_t count, std::mt19937_64& random) {
    std::vector<std::string> ids;
    for (std::size_t i = 0; i < count; ++i) ids.push_back(text_of(random()));
    return ids;
}

std::string owner_id(const Ring& ring, const std::string& task, const Placement& placement) {
    const Member* owner = ring.owner(task, placement);
    return owner == nullptr ? "nobody" : owner->id;
}

std::vector<Member> without(std::vector<Member> list, const std::string& id) {
    list.erase(std::remove_if(list.begin(), list.end(), [&](const Member& m) { return m.id == id; }), list.end());
    return list;
}

Placement random_placement(std::mt19937_64& random, std::size_t nodes) {
    switch (random() % 5) {
        case 0:
            return {.labels = {{"zone", "a"}}};
        case 1:
            return {.labels = {{"zone", "b"}, {"disk", "ssd"}}};
        case 2:
            return {.targets = {fmt::format("node-{}", random() % nodes), fmt::format("node-{}", random() % nodes)}};
        default:
            return {};
    }
}

}  // namespace

TEST_CASE("ring: nobody owns anything on an empty ring") {
    CHECK(Ring{}.owner("t") == nullptr);
    CHECK(Ring{std::vector<Member>{}}.owner("t") == nullptr);
    CHECK(Ring{}.preference("t", {}, 3).empty());
}

TEST_CASE("ring: one node owns everything that it may run") {
    const Ring ring{{member_numbered(7, 1, {{"gpu", "yes"}})}};
    CHECK(ring.owner("any")->name == "node-7");
    CHECK(ring.owner("any", {.labels = {{"gpu", "yes"}}})->name == "node-7");
    CHECK(ring.owner("any", {.labels = {{"gpu", "no"}}}) == nullptr);
    CHECK(ring.owner("any", {.labels = {{"cpu", "yes"}}}) == nullptr);
    CHECK(ring.owner("any", {.targets = {"node-8"}}) == nullptr);
    CHECK(ring.owner("any", {.targets = {"node-8", "node-7"}})->name == "node-7");
    CHECK(ring.owner("any", {.targets = {"node-7"}, .labels = {{"gpu", "no"}}}) == nullptr);
}

// Every node of every version must agree on these: a change of the placement function moves the tasks of all clusters.
TEST_CASE("ring: the placement is as the definition computes it") {
    const auto list = members(5);
    const Ring ring{list};
    std::mt19937_64 random{1};
    for (const auto& task : task_ids(300, random)) {
        const std::uint64_t start = xxhash64(task);
        std::string nearest;
        std::uint64_t best = UINT64_MAX;
        for (const Member& m : list) {
            for (std::uint32_t number = 0; number < ring::kPointsPerWeight; ++number) {
                const std::uint64_t clockwise = xxhash64(m.id, number) - start;
                if (clockwise < best) {
                    best = clockwise;
                    nearest = m.id;
                }
            }
        }
        REQUIRE(owner_id(ring, task, {}) == nearest);
    }
}

TEST_CASE("ring: a leave moves exactly the tasks of the leaver, a return moves exactly those back") {
    const auto seed = Catch::rngSeed();
    CAPTURE(seed);
    std::mt19937_64 random{seed};
    for (int round = 0; round < 20; ++round) {
        const std::size_t nodes = 2 + random() % 12;
        auto list = members(nodes);
        for (Member& m : list) m.weight = 1 + static_cast<std::uint32_t>(random() % 3);
        const Ring before{list};
        const std::string leaver = list[random() % nodes].id;
        const Ring after{without(list, leaver)};
        std::shuffle(list.begin(), list.end(), random);
        const Ring again{list};
        std::size_t moved = 0;
        for (const auto& task : task_ids(400, random)) {
            const Placement placement = random_placement(random, nodes);
            const std::string old_owner = owner_id(before, task, placement);
            const std::string new_owner = owner_id(after, task, placement);
            if (old_owner == leaver) {
                ++moved;
                REQUIRE(new_owner != leaver);
                const auto preference = before.preference(task, placement, 2);
                REQUIRE(new_owner == (preference.size() < 2 ? "nobody" : preference[1]->id));
            } else {
                REQUIRE(new_owner == old_owner);
            }
            REQUIRE(owner_id(again, task, placement) == old_owner);
        }
        CHECK(moved > 0);
    }
}

TEST_CASE("ring: a new node takes tasks only for itself") {
    std::mt19937_64 random{42};
    const auto list = members(10);
    auto more = list;
    more.push_back(member_numbered(99, 1, {{"zone", "a"}, {"disk", "ssd"}}));
    const Ring before{list};
    const Ring after{more};
    std::size_t moved = 0;
    for (const auto& task : task_ids(5000, random)) {
        const std::string old_owner = owner_id(before, task, {});
        const std::string new_owner = owner_id(after, task, {});
        if (old_owner == new_owner) continue;
        ++moved;
        REQUIRE(new_owner == text_of(99));
    }
    CHECK(moved > 5000 / 11 * 7 / 10);
    CHECK(moved < 5000 / 11 * 13 / 10);
}

TEST_CASE("ring: a target may be a node's id, which is no other node's name") {
    const Ring ring{{{"id-1", "i1", "a"}, {"id-2", "i2", "b"}, {"id-3", "i3", "id-1"}}};
    for (int i = 0; i < 100; ++i) {
        const auto* owner = ring.owner(std::to_string(i), {{"@id-1"}});
        REQUIRE(owner != nullptr);
        CHECK(owner->id == "id-1");
        CHECK(ring.owner(std::to_string(i), {{"id-1"}})->id == "id-3");
    }
    CHECK(ring.owner("task", {{"@a"}}) == nullptr);
    CHECK(ring.owner("task", {{"@"}}) == nullptr);
}

TEST_CASE("ring: the shards of a task are spread, and a node that goes moves its own only") {
    constexpr int kNodes = 3, kShards = 64;
    std::vector<Member> members;
    for (int i = 0; i < kNodes; ++i) members.push_back({"node-" + std::to_string(i), "i", "n" + std::to_string(i)});
    const Ring all{members};
    std::map<std::string, int> load;
    for (int shard = 0; shard < kShards; ++shard) {
        ++load[all.owner(task::shard_id("018f3c2e-1111-7222-8333-123456789abc", shard))->id];
    }
    REQUIRE(load.size() == kNodes);
    for (const auto& [id, shards] : load) CHECK(shards >= kShards / kNodes / 2);
    for (int gone = 0; gone < kNodes; ++gone) {
        auto left = members;
        left.erase(left.begin() + gone);
        const Ring ring{left};
        for (int shard = 0; shard < kShards; ++shard) {
            const auto id = task::shard_id("018f3c2e-1111-7222-8333-123456789abc", shard);
            const std::string before = all.owner(id)->id;
            CHECK((before == members[static_cast<std::size_t>(gone)].id || ring.owner(id)->id == before));
        }
    }
}

TEST_CASE("ring: the order of the members and their incarnations do not matter") {
    std::mt19937_64 random{7};
    auto list = members(9);
    const Ring one{list};
    std::shuffle(list.begin(), list.end(), random);
    for (Member& m : list) m.incarnation = text_of(random());
    const Ring other{list};
    for (const auto& task : task_ids(500, random)) {
        const Placement placement = random_placement(random, 9);
        REQUIRE(owner_id(one, task, placement) == owner_id(other, task, placement));
    }
    CHECK(std::is_sorted(other.members().begin(), other.members().end(), [](const Member& a, const Member& b) { return a.id < b.id; }));
}

TEST_CASE("ring: of two lives of one node the later counts") {
    Member old_life = member_numbered(1);
    Member new_life = member_numbered(1);
    old_life.incarnation = "018f0000";
    new_life.incarnation = "018f0001";
    for (const auto& list : {std::vector{old_life, new_life, member_numbered(2)}, std::vector{new_life, member_numbered(2), old_life}}) {
        const Ring ring{list};
        REQUIRE(ring.members().size() == 2);
        CHECK(ring.members()[0].incarnation == "018f0001");
    }
}

TEST_CASE("ring: shares follow weights") {
    std::mt19937_64 random{5};
    const Ring ring{{member_numbered(1, 1), member_numbered(2, 2), member_numbered(3, 5), member_numbered(4, 0)}};  // 0 counts as 1
    std::map<std::string, double> share;
    constexpr std::size_t kTasks = 20'000;
    for (const auto& task : task_ids(kTasks, random)) share[ring.owner(task)->name] += 9.0 / kTasks;
    CHECK(share["node-1"] == Approx(1).epsilon(0.2));
    CHECK(share["node-2"] == Approx(2).epsilon(0.2));
    CHECK(share["node-3"] == Approx(5).epsilon(0.1));
    CHECK(share["node-4"] == Approx(1).epsilon(0.2));
}

TEST_CASE("ring: the load of ten equal nodes is even") {
    std::mt19937_64 random{11};
    constexpr std::size_t kTasks = 100'000;
    const auto tasks = task_ids(kTasks, random);
    std::vector<double> peaks;
    for (int i = 0; i < 15; ++i) {
        std::vector<Member> list;
        for (int node = 0; node < 10; ++node) list.push_back(member_numbered(random()));
        const Ring ring{list};
        std::map<const Member*, std::size_t> load;
        for (const auto& task : tasks) ++load[ring.owner(task)];
        std::size_t peak = 0;
        for (const auto& [owner, count] : load) peak = std::max(peak, count);
        peaks.push_back(static_cast<double>(peak) / (kTasks / 10.0));
    }
    std::sort(peaks.begin(), peaks.end());
    CHECK(peaks[peaks.size() / 2] <= 1.10);
}

TEST_CASE("ring: preference is the order in which a task falls from node to node") {
    std::mt19937_64 random{3};
    const auto list = members(8);
    const Ring ring{list};
    for (const auto& task : task_ids(100, random)) {
        const Placement placement = random_placement(random, 8);
        auto left = list;
        const auto preference = ring.preference(task, placement, 100);
        std::set<const Member*> distinct{preference.begin(), preference.end()};
        REQUIRE(distinct.size() == preference.size());
        REQUIRE(preference.size() ==
                static_cast<std::size_t>(std::count_if(list.begin(), list.end(), [&](const Member& m) { return placement.accepts(m); })));
        for (const Member* next : preference) {
            REQUIRE(owner_id(Ring{left}, task, placement) == next->id);
            left = without(left, next->id);
        }
        REQUIRE(owner_id(Ring{left}, task, placement) == "nobody");
    }
}

TEST_CASE("ring: few points are enough for a look-up") {
    for (const std::uint32_t points : {0U, 1U, 2U, 3U}) {
        const Ring ring{members(2), points};
        for (int task = 0; task < 50; ++task) REQUIRE(ring.owner(fmt::format("task-{}", task)) != nullptr);
    }
    const Ring single{{member_numbered(1)}, 1};
    CHECK(single.owner("task")->name == "node-1");
}

TEST_CASE("tasks under one mutex have one owner, whatever their ids; others are spread as before") {
    std::vector<Member> members;
    for (int node = 0; node < 5; ++node)
        members.push_back({.id = fmt::format("node-{}", node), .incarnation = "1", .name = fmt::format("n{}", node)});
    const Ring ring(members);
    std::set<std::string> owners;
    for (int mutex = 0; mutex < 50; ++mutex) {
        const Placement together{.mutex_point = mutex_point(fmt::format("mutex:{}", mutex))};
        const auto* owner = ring.owner("a", together);
        for (const char* task : {"b", "c", "d"}) CHECK(ring.owner(task, together) == owner);
        CHECK(ring.preference("e", together, 2).front() == owner);
        owners.insert(owner->id);
    }
    CHECK(owners.size() == members.size());
    CHECK(mutex_point("") == 0);
}
