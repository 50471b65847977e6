// UUIDv7: layout (RFC 9562, section 5.7), order, and ids that follow from a name.
#include "cloudtask/core/ids.h"

#include <catch2/catch.hpp>

#include <set>

#include <fmt/format.h>

using namespace cloudtask;
using namespace std::chrono_literals;

namespace {

constexpr Instant kBorn{1'795'228'931s};

std::uint64_t milliseconds_of(const std::string& id) { return std::stoull(id.substr(0, 8) + id.substr(9, 4), nullptr, 16); }

void check_layout(const std::string& id) {
    REQUIRE(is_uuid(id));
    CHECK(id[14] == '7');
    CHECK(std::string_view{"89ab"}.find(id[19]) != std::string_view::npos);
}

}  // namespace

TEST_CASE("a UUID has version 7, variant 10 and the milliseconds first") {
    SeededRandom random(1);
    for (int i = 0; i < 1'000; ++i) {
        const Instant now = kBorn + i * 1ms + 999us;
        const auto id = make_uuid(now, random);
        check_layout(id);
        CHECK(milliseconds_of(id) == static_cast<std::uint64_t>(kBorn.time_since_epoch() / 1ms) + static_cast<std::uint64_t>(i));
    }
}

TEST_CASE("the example of RFC 9562") {
    // Appendix A.6: 2022-02-22 19:22:22 UTC is 017F22E2-79B0-7...
    SeededRandom random(1);
    CHECK(make_uuid(Instant{1'645'557'742s}, random).substr(0, 15) == "017f22e2-79b0-7");
}

TEST_CASE("UUIDs sort by their time of making and do not repeat") {
    SeededRandom random(2);
    std::set<std::string> seen;
    std::string last;
    for (int i = 0; i < 2'000; ++i) {
        const auto id = make_uuid(kBorn + i * 1ms, random);
        CHECK(id > last);
        last = id;
    }
    for (int i = 0; i < 10'000; ++i) CHECK(seen.insert(make_uuid(kBorn, random)).second);
}

TEST_CASE("a named UUID is the same everywhere") {
    const auto id = make_named_uuid(kBorn, "task/1");
    check_layout(id);
    CHECK(id == make_named_uuid(kBorn, "task/1"));
    CHECK(milliseconds_of(id) == static_cast<std::uint64_t>(kBorn.time_since_epoch() / 1ms));
    // Written down, so that a new version of the program cannot give an old run another id without being noticed.
    CHECK(id == "01a1fbfb-93b8-789e-98a5-361894c7df3e");
}

TEST_CASE("named UUIDs differ by name and by microsecond") {
    std::set<std::string> seen;
    for (int name = 0; name < 20; ++name) {
        for (int micros = 0; micros < 1'000; ++micros)
            CHECK(seen.insert(make_named_uuid(kBorn + Duration{micros}, fmt::format("task/{}", name))).second);
    }
}

TEST_CASE("what is not a UUID is told apart") {
    CHECK(is_uuid("017f22e2-79b0-7cc3-98c4-dc0c0c07398f"));
    for (const std::string text :
         {"", "017f22e2-79b0-7cc3-98c4-dc0c0c07398", "017f22e2-79b0-7cc3-98c4-dc0c0c07398f0", "017F22E2-79B0-7CC3-98C4-DC0C0C07398F",
          "017f22e279b07cc398c4dc0c0c07398f0000", "017f22e2-79b0-7cc3-98c4_dc0c0c07398f", "017g22e2-79b0-7cc3-98c4-dc0c0c07398f",
          "../../../../../../../../etc/passwd00"}) {
        INFO(text);
        CHECK_FALSE(is_uuid(text));
    }
}

TEST_CASE("ids: a UUID tells when it was made") {
    CHECK(uuid_time(make_named_uuid(kBorn, "x")) == kBorn);
    CHECK(uuid_time("017f22e2-79b0-7cc3-98c4-dc0c0c07398f") == Instant{1'645'557'742s});
    CHECK(uuid_time("node-1") == Instant{});
}
