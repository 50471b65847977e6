// The records in ZooKeeper as JSON: what is written is read back, and what is damaged is refused whole.
#include "cloudtask/ring/allocation.h"

#include <catch2/catch.hpp>

#include "cloudtask/core/random.h"
#include "cloudtask/core/result.h"

using namespace cloudtask;
using namespace cloudtask::ring;
using namespace std::chrono_literals;

namespace {

constexpr Instant kSome{1'900'000'000s};

class Maker {
  public:
    explicit Maker(std::uint64_t seed) : random_(seed) {}

    Member member() {
        Member made{.id = text(), .incarnation = text(), .name = text()};
        for (std::uint64_t i = random_.below(3); i > 0; --i) made.labels.emplace(text(), text());
        made.weight = static_cast<std::uint32_t>(1 + random_.below(100));
        return made;
    }
    Allocation allocation() {
        Allocation made{
            .epoch = number(), .nodes = many<Member>([this] { return member(); }), .previous = {}, .departed = {}, .rebuilt = {}};
        made.previous = many<Membership>([&] {
            Membership membership{number(), many<Member>([this] { return member(); })};
            // As in life: mostly the same members, some of them with other labels.
            for (const auto& node : made.nodes) membership.nodes.push_back(node);
            if (!made.nodes.empty() && random_.below(2) == 0) membership.nodes.back().weight = 1 + membership.nodes.back().weight % 100;
            return membership;
        });
        for (std::uint64_t i = random_.below(3); i > 0; --i) made.gone.push_back({member(), number(), number(), departed()});
        if (random_.below(3) == 0) made.rebuilt = Rebuilt{instant(), instant(), number()};
        made.departed = many<Departed>([this] { return departed(); });
        return made;
    }
    HorizonRecord horizon() {
        return {number(),    instant(),
                instant(),   instant(),
                number(),    number(),
                handovers(), many<std::string>([this] { return text(); }),
                late(),      random_.below(2) == 0};
    }
    Registration registration() {
        const Memory memory = random_.below(2) == 0 ? Memory{} : Memory{1 + number() % 1000, instant()};
        return {member(), text(), text(), random_.below(2) == 0, memory, number()};
    }

  private:
    Departed departed() { return {text(), number(), instant(), instant(), instant(), number(), handovers(), late(), number(), number()}; }
    std::vector<LateMove> late() {
        return many<LateMove>([this] { return LateMove{number(), number(), instant(), number() % 2 == 0 ? std::string{} : "task-1"}; });
    }
    std::vector<Handover> handovers() {
        return many<Handover>([this] { return Handover{number(), instant(), number()}; });
    }
    std::int64_t number() { return static_cast<std::int64_t>(random_.below(1ULL << (1 + random_.below(62)))); }
    Instant instant() { return kSome + Duration{number() % 1'000'000'000'000}; }
    std::string text() { return fmt::format("x\"\\/ \xc3\xa4{:x}", random_.next()); }
    template <class Item, class Make>
    std::vector<Item> many(Make make) {
        std::vector<Item> items;
        for (std::uint64_t i = random_.below(4); i > 0; --i) items.push_back(make());
        return items;
    }

    SeededRandom random_;
};

}  // namespace

TEST_CASE("records are read back as they were written") {
    Maker make(1);
    for (int i = 0; i < 300; ++i) {
        const Allocation allocation = make.allocation();
        REQUIRE(read_allocation(write_allocation(allocation)).value() == allocation);
        const HorizonRecord horizon = make.horizon();
        REQUIRE(read_horizon(write_horizon(horizon)).value() == horizon);
        const Registration registration = make.registration();
        REQUIRE(read_registration(write_registration(registration)).value() == registration);
    }
    CHECK(read_allocation(write_allocation({})).value() == Allocation{});
    CHECK(read_horizon(write_horizon({})).value() == HorizonRecord{});
}

TEST_CASE("records that are cut off are refused at every length") {
    Maker make(2);
    const std::vector<std::string> texts{write_allocation(make.allocation()), write_horizon(make.horizon()),
                                         write_registration(make.registration())};
    for (std::size_t length = 0; length < texts[0].size(); ++length) REQUIRE_FALSE(read_allocation(texts[0].substr(0, length)).has_value());
    for (std::size_t length = 0; length < texts[1].size(); ++length) REQUIRE_FALSE(read_horizon(texts[1].substr(0, length)).has_value());
    for (std::size_t length = 0; length < texts[2].size(); ++length)
        REQUIRE_FALSE(read_registration(texts[2].substr(0, length)).has_value());
}

TEST_CASE("damaged allocations are refused, and the sentence names the place") {
    const std::vector<std::pair<std::string, std::string>> table{
        {R"({})", "/epoch"},
        {R"({"epoch":-1,"nodes":[]})", "/epoch"},
        {R"({"epoch":"1","nodes":[]})", "/epoch"},
        {R"({"epoch":1,"nodes":{}})", "/nodes"},
        {R"({"epoch":1,"members":[{"id":"a","name":"n"}],"nodes":[0]})", "/members/0/incarnation"},
        {R"({"epoch":1,"members":[{"id":"a","incarnation":"i","name":"n","weight":0}],"nodes":[0]})", "/members/0/weight"},
        {R"({"epoch":1,"members":[{"id":"a","incarnation":"i","name":"n","weight":101}],"nodes":[0]})", "/members/0/weight"},
        {R"({"epoch":1,"members":["a"],"nodes":[0]})", "/members/0"},
        {R"({"epoch":1,"members":[],"nodes":[0]})", "/nodes"},
        {R"({"epoch":1,"members":[],"nodes":["a"]})", "/nodes"},
        {R"({"epoch":1,"nodes":[],"previous":[{"epoch":0,"nodes":[0]}]})", "/previous/0/nodes"},
        {R"({"epoch":1,"nodes":[],"departed":[{"incarnation":"i","horizon":"now"}]})", "/departed/0/horizon"},
        {R"([])", "the document"},
    };
    for (const auto& [text, place] : table) {
        INFO(text);
        const auto read = read_allocation(text);
        REQUIRE_FALSE(read.has_value());
        CHECK(read.error().is(Errc::corrupt));
        CHECK(read.error().message.find(place) != std::string::npos);
    }
    CHECK_FALSE(read_allocation(std::string(200'000, '[')).has_value());
}

TEST_CASE("damaged horizons and registrations are refused") {
    for (const std::string text : {R"({"epoch":1})", R"({"horizon":1})", R"({"epoch":1,"horizon":-1})", R"({"epoch":1,"horizon":1.5})",
                                   R"({"epoch":1,"horizon":1,"sealed":1})", R"({"epoch":1,"horizon":1,"handovers":{}})"}) {
        INFO(text);
        CHECK_FALSE(read_horizon(text).has_value());
    }
    for (const std::string text :
         {R"({})", R"({"id":"a","incarnation":"i"})", R"({"id":"a","incarnation":"i","name":"n","leaving":"yes"})",
          R"({"id":1,"incarnation":"i","name":"n"})", R"({"id":"a","incarnation":"i","name":"n","labels":{"k":1}})"}) {
        INFO(text);
        CHECK_FALSE(read_registration(text).has_value());
    }
    CHECK(read_registration(R"({"id":"a","incarnation":"i","name":"n"})")->member.weight == 1);
}

TEST_CASE("what a newer node writes is read by an older one, but for what that does not know") {
    const auto allocation = read_allocation(R"({"epoch":3,"nodes":[],"departed":[{"incarnation":"i","horizon":7,"new":1}],"new":{}})");
    REQUIRE(allocation.has_value());
    CHECK(allocation->epoch == 3);
    REQUIRE(allocation->departed.size() == 1);
    CHECK(allocation->departed[0].horizon == Instant{Duration{7}});
    CHECK(read_horizon(R"({"epoch":1,"horizon":1,"new":[1]})")->epoch == 1);
    CHECK(read_registration(R"({"id":"a","incarnation":"i","name":"n","new":true})")->member.id == "a");
}

TEST_CASE("a revision is a number from 0 on") {
    CHECK(read_revision("120") == 120);
    for (const std::string text : {"", "-1", "12x", " 12", "1e3", "99999999999999999999"}) {
        INFO(text);
        CHECK_FALSE(read_revision(text).has_value());
    }
}

TEST_CASE("a handover counts for the epoch that asked for it, or for the first later one") {
    const std::vector<Handover> handovers{{3, kSome, 1}, {5, kSome + 1s, 1}};
    CHECK(find_handover(handovers, 1)->epoch == 3);
    CHECK(find_handover(handovers, 3)->epoch == 3);
    CHECK(find_handover(handovers, 4)->epoch == 5);
    CHECK(find_handover(handovers, 6) == nullptr);
    CHECK(find_handover({}, 1) == nullptr);
}

TEST_CASE("an allocation of a thousand nodes in transition fits into a znode") {
    Allocation allocation{.epoch = 4711, .nodes = {}, .previous = {}, .departed = {}, .rebuilt = {}};
    SeededRandom random(5);
    for (int i = 0; i < 1000; ++i) {
        const std::string id = fmt::format("0190a8f0-1111-7000-8000-{:012x}", i);
        allocation.nodes.push_back({id, fmt::format("{}.{:016x}", id, random.next()), fmt::format("worker-{:04}", i), {{"zone", "eu"}}, 1});
    }
    allocation.previous = {{4710, allocation.nodes}, {4709, allocation.nodes}};
    const std::string text = write_allocation(allocation);
    CHECK(text.size() < 256 * 1024);
    CHECK((read_allocation(text).value() == allocation));
}
