// Instants as RFC 3339 text.
#include "cloudtask/core/clock.h"

#include <catch2/catch.hpp>

#include "cloudtask/core/random.h"

using namespace cloudtask;
using namespace std::chrono_literals;

namespace {

// 2026-11-21T02:42:11Z
constexpr Instant kSome{1'795'228'931s};

}  // namespace

TEST_CASE("instants are read") {
    const std::vector<std::pair<std::string, Instant>> table{
        {"1970-01-01T00:00:00Z", Instant{}},
        {"2026-11-21T02:42:11Z", kSome},
        {"2026-11-21t02:42:11z", kSome},
        {"2026-11-21 02:42:11Z", kSome},
        {"2026-11-21T02:42:11.5Z", kSome + 500ms},
        {"2026-11-21T02:42:11.000001Z", kSome + 1us},
        {"2026-11-21T02:42:11.123456789Z", kSome + 123456us},
        {"2026-11-21T02:42:11.999999999Z", kSome + 999999us},
        {"2026-11-21T03:42:11+01:00", kSome},
        {"2026-11-20T21:12:11-05:30", kSome},
        {"2026-11-21T02:42:11-00:00", kSome},
        {"2026-11-22T02:41:11+23:59", kSome},
        {"2000-02-29T00:00:00Z", Instant{951'782'400s}},
        {"2024-02-29T12:00:00Z", Instant{1'709'208'000s}},
        {"9999-12-31T23:59:59.999999Z", Instant{253'402'300'799s} + 999999us},
    };
    for (const auto& [text, expected] : table) {
        INFO(text);
        const auto parsed = parse_instant(text);
        REQUIRE(parsed.has_value());
        CHECK(*parsed == expected);
    }
}

TEST_CASE("what is not an instant is refused") {
    const std::vector<std::string> table{
        "",
        "now",
        "2026-11-21",
        "2026-11-21T02:42:11",
        "2026-11-21T02:42Z",
        "20261121T024211Z",
        "2026-11-21T02:42:11 Z",
        " 2026-11-21T02:42:11Z",
        "2026-11-21T02:42:11Z ",
        "2026-11-21T02:42:11ZZ",
        "2026-11-21T02:42:11.Z",
        "2026-11-21T02:42:11,5Z",
        "2026-11-21T02:42:11.1234567890Z",
        "2026-02-29T00:00:00Z",
        "2100-02-29T00:00:00Z",
        "2026-04-31T00:00:00Z",
        "2026-13-01T00:00:00Z",
        "2026-00-01T00:00:00Z",
        "2026-01-00T00:00:00Z",
        "2026-01-32T00:00:00Z",
        "2026-11-21T24:00:00Z",
        "2026-11-21T02:60:11Z",
        "2026-11-21T02:42:60Z",
        "2026-11-21T02:42:11+24:00",
        "2026-11-21T02:42:11+01:60",
        "2026-11-21T02:42:11+0100",
        "2026-11-21T02:42:11+1:00",
        "2026-11-21T02:42:11+01",
        "1969-12-31T23:59:59Z",
        "1970-01-01T00:00:00+01:00",
        "0000-01-01T00:00:00Z",
        "9999-12-31T23:59:59-00:01",
        "12026-11-21T02:42:11Z",
        "+2026-11-21T02:42:11Z",
        "-026-11-21T02:42:11Z",
        "2026-1-21T02:42:11Z",
        "2026-11-21T2:42:11Z",
        "2026-11-21T02:42:11.-5Z",
        std::string("2026-11-21T02:42:11Z\0", 21),
        std::string(100'000, '2'),
    };
    for (const auto& text : table) {
        INFO(text.substr(0, 40));
        const auto parsed = parse_instant(text);
        REQUIRE_FALSE(parsed.has_value());
        CHECK(parsed.error().is(Errc::invalid_argument));
        CHECK(parsed.error().message.size() < 200);
    }
}

TEST_CASE("decimals are written only where there are any") {
    CHECK(format_instant(kSome) == "2026-11-21T02:42:11Z");
    CHECK(format_instant(kSome + 7ms) == "2026-11-21T02:42:11.007Z");
    CHECK(format_instant(kSome + 7us) == "2026-11-21T02:42:11.000007Z");
    CHECK(format_instant(kSome + 1500us) == "2026-11-21T02:42:11.001500Z");
}

TEST_CASE("a written instant is read back, and text sorts as time within one precision") {
    SeededRandom random(3);
    constexpr std::uint64_t kEnd = 253'402'300'800'000'000;
    for (int i = 0; i < 20'000; ++i) {
        const Instant instant{Duration{static_cast<std::int64_t>(random.below(kEnd))}};
        const auto back = parse_instant(format_instant(instant));
        REQUIRE(back.has_value());
        REQUIRE(*back == instant);
        const Instant other{std::chrono::seconds{random.below(kEnd / 1'000'000)}};
        const Instant whole = std::chrono::floor<std::chrono::seconds>(instant);
        REQUIRE((format_instant(whole) < format_instant(other)) == (whole < other));
    }
}

TEST_CASE("the system's clocks move on") {
    const SystemClock clock;
    const auto wall = clock.now();
    const auto steady = clock.steady_now();
    CHECK(wall > Instant{1'700'000'000s});
    CHECK(clock.steady_now() >= steady);
}
