// All recipes together, under injected faults, expiry and cuts, for many seeds: whatever happened, they come to agree with the tree, and
// no write of a deposed leader lands. The seed of a failure is printed.
#include <catch2/catch.hpp>

#include <algorithm>
#include <map>

#include "tests/zk/world.h"

namespace cloudtask::zk {

namespace {

constexpr std::uint64_t kSeeds = 150;
constexpr int kSteps = 40;
constexpr FaultRates kRates{.before = 120, .after = 120};

struct Member : Process {
    Member(World& a_world, int number)
        : Process(a_world),
          id("n" + std::to_string(number)),
          registration(world.loop, client, "/r/nodes", id,
                       {.data = [this] { return incarnation(); },
                        .on_registered = [this](std::uint64_t) { ++registrations; },
                        .on_ghost = {},
                        .on_superseded = {}}),
          nodes(world.loop, client, "/r/nodes", [this](const FolderMirror::Entries& entries) { seen = entries; }),
          value(world.loop, client, "/r/value", [this](const std::optional<Znode>& znode) { seen_value = znode; }),
          election(world.loop, client, "/r/election", id, [this](bool now) { leading = now; }) {}

    std::string incarnation() { return id + "#" + std::to_string(client.generation()); }

    // As a leader writes: under its fence. It counts up what it last knew, so that two leaders at a time would show.
    void write_as_leader() {
        if (!election.leading() || !client.keeper() || !value.value()) return;
        const int next = std::stoi(value.value()->data) + 1;
        client.keeper()->multi({election.fence(), Op::set("/r/value", std::to_string(next), value.value()->stat.version)},
                               [](const Result<std::vector<OpResult>>&) {});
    }

    std::string id;
    int registrations = 0;
    bool leading = false;
    FolderMirror::Entries seen;
    std::optional<Znode> seen_value;
    Registration registration;
    FolderMirror nodes;
    Mirror value;
    Election election;
};

bool agrees(World& world, std::vector<std::unique_ptr<Member>>& members) {
    const auto names = world.list("/r/nodes");
    if (names.size() != members.size()) return false;
    const auto candidates = world.list("/r/election");
    if (candidates.size() != members.size()) return false;
    int leaders = 0;
    for (const auto& member : members) {
        const auto znode = world.read("/r/nodes/" + member->id);
        if (!znode || znode->stat.ephemeral_owner != member->session() || znode->data != member->incarnation()) return false;
        if (!member->nodes.complete() || member->seen.size() != names.size()) return false;
        for (const std::string& name : names) {
            const auto entry = member->seen.find(name);
            if (entry == member->seen.end() || entry->second.data != world.data("/r/nodes/" + name)) return false;
        }
        if (!member->seen_value || member->seen_value->data != world.data("/r/value")) return false;
        if (member->leading != member->election.leading()) return false;
        leaders += member->leading ? 1 : 0;
    }
    return leaders == 1;
}

// A session that its client closed while it was cut off lives on in the tree, as on a server; `lingering` are those to be expired for it.
void disturb(World& world, std::vector<std::unique_ptr<Member>>& members, std::vector<std::int64_t>& lingering) {
    Member& member = *members[world.random.below(members.size())];
    switch (world.random.below(8)) {
        case 0:
            member.expire();
            break;
        case 1:
            member.set_connected(false);
            break;
        case 2:
        case 3:
            member.set_connected(true);
            break;
        case 4:
            lingering.push_back(member.session());
            member.client.renew();
            break;
        case 5:
            member.write_as_leader();
            break;
        case 6: {  // a process ends without a word, and starts again
            const int number = member.id[1] - '0';
            const auto session = member.session();
            const auto place = std::find_if(members.begin(), members.end(), [&](const auto& each) { return each.get() == &member; });
            member.set_connected(false);
            place->reset();
            *place = std::make_unique<Member>(world, number);
            if (world.random.below(2) == 0) {
                world.loop.advance(std::chrono::milliseconds{world.random.below(2000)});
            }
            world.tree.expire(session);
            break;
        }
        default:
            world.loop.advance(std::chrono::milliseconds{world.random.below(3000)});
            break;
    }
    if (world.random.below(2) == 0) world.loop.settle();
}

}  // namespace

TEST_CASE("the recipes come to agree with the tree, whatever fails before") {
    int writes = 0;
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        INFO("seed " << seed);
        World world(seed, kRates);
        world.make_folder("/r");
        world.make("/r/value", "0");
        std::vector<std::unique_ptr<Member>> members;
        for (int i = 0; i < 3; ++i) members.push_back(std::make_unique<Member>(world, i));
        std::vector<std::int64_t> lingering;
        for (int step = 0; step < kSteps; ++step) disturb(world, members, lingering);
        for (const std::int64_t session : lingering) world.tree.expire(session);
        for (const auto& member : members) member->set_connected(true);
        REQUIRE(world.until([&] { return agrees(world, members); }, std::chrono::minutes{10}));
        // A counter under fence and version moved by one at each write: its value is the number of its writes.
        const auto value = world.read("/r/value");
        REQUIRE(value);
        REQUIRE(value->data == std::to_string(value->stat.version));
        writes += value->stat.version;
    }
    CHECK(writes > 0);
}

TEST_CASE("a leader that does not know that it is deposed writes nothing") {
    for (std::uint64_t seed = 1; seed <= kSeeds; ++seed) {
        INFO("seed " << seed);
        World world(seed, kRates);
        Process first(world), second(world);
        std::optional<Election> mine, other;
        mine.emplace(world.loop, first.client, "/e", "first", [](bool) {});
        REQUIRE(world.until([&] { return mine->leading(); }));
        other.emplace(world.loop, second.client, "/e", "second", [](bool) {});
        world.make_folder("/state");
        const auto session = first.session();
        const Op fence = mine->fence();
        first.set_connected(false);
        world.tree.expire(session);
        REQUIRE(world.until([&] { return other->leading(); }, std::chrono::minutes{10}));
        CHECK(mine->leading());  // it has not been told
        std::optional<Errc> outcome;
        world.admin->multi({fence, Op::set("/state", "stale")}, [&](const Result<std::vector<OpResult>>& done) {
            outcome = done ? Errc::other : static_cast<Errc>(done.error().code.value());
        });
        world.loop.settle();
        CHECK(outcome == Errc::no_node);
        CHECK(world.data("/state").empty());
        world.tree.set_connected(session, true);
        world.loop.settle();
        CHECK_FALSE(mine->leading());
    }
}

}  // namespace cloudtask::zk
