// Durations and sizes with units: what is read, what is refused, and that what is written is read back.
#include "cloudtask/core/units.h"

#include <catch2/catch.hpp>

#include "cloudtask/core/random.h"

using namespace cloudtask;
using namespace std::chrono_literals;

TEST_CASE("durations are read") {
    const std::vector<std::pair<std::string, Duration>> table{
        {"0s", 0s},          {"1us", 1us},
        {"250ms", 250ms},    {"90s", 90s},
        {"1m", 1min},        {"1min", 1min},
        {"1m30s", 90s},      {"1h30m", 90min},
        {"1d", 24h},         {"2w", 14 * 24h},
        {"007s", 7s},        {"1w1d1h1min1s1ms1us", 193h + 61s + 1001us},
        {"1h1us", 1h + 1us}, {"36600d", 36600 * 24h},
    };
    for (const auto& [text, expected] : table) {
        INFO(text);
        const auto parsed = parse_duration(text);
        REQUIRE(parsed.has_value());
        CHECK(*parsed == expected);
    }
}

TEST_CASE("what is not a duration is refused") {
    const std::vector<std::string> table{
        "",
        " ",
        "s",
        "30",
        "-1s",
        "+1s",
        "1.5s",
        "1 s",
        " 1s",
        "1s ",
        "1S",
        "30s1h",
        "1s1s",
        "1m1min",
        "1x",
        "1sec",
        "0x1s",
        "1h30",
        "1h-30m",
        "1e3s",
        "1s\n",
        "∞s",
        "1µs",
        "36601d",
        "9999999999999999s",
        "99999999999999999999999999999999s",
        "999999999999999w",
        "100000000000000d1us",
        std::string("1s\0", 3),
        std::string("1\0s", 3),
        std::string(100'000, '9'),
        std::string(100'000, 's'),
    };
    for (const auto& text : table) {
        INFO(text.substr(0, 40));
        const auto parsed = parse_duration(text);
        REQUIRE_FALSE(parsed.has_value());
        CHECK(parsed.error().is(Errc::invalid_argument));
        CHECK(parsed.error().message.size() < 300);
    }
}

TEST_CASE("durations are written as people write them") {
    const std::vector<std::pair<Duration, std::string>> table{
        {0s, "0s"},         {1us, "1us"},    {1500us, "1ms500us"}, {90s, "1min30s"},
        {90min, "1h30min"}, {7 * 24h, "1w"}, {8 * 24h, "1w1d"},    {-5s, "0s"},
    };
    for (const auto& [duration, text] : table) CHECK(format_duration(duration) == text);
}

TEST_CASE("a written duration is read back") {
    SeededRandom random(1);
    for (int i = 0; i < 20'000; ++i) {
        // All magnitudes from microseconds to 100 years.
        const Duration duration{static_cast<std::int64_t>(random.below(1ULL << (1 + random.below(51))))};
        const auto back = parse_duration(format_duration(duration));
        REQUIRE(back.has_value());
        REQUIRE(*back == duration);
    }
}

TEST_CASE("sizes are read and written") {
    const std::vector<std::pair<std::string, std::uint64_t>> table{
        {"0B", 0},
        {"1B", 1},
        {"1023B", 1023},
        {"64KiB", 65536},
        {"256MiB", 256ULL << 20},
        {"3GiB", 3ULL << 30},
        {"2TiB", 2ULL << 40},
        {"1025KiB", 1025ULL << 10},
    };
    for (const auto& [text, bytes] : table) {
        INFO(text);
        const auto parsed = parse_size(text);
        REQUIRE(parsed.has_value());
        CHECK(*parsed == bytes);
        CHECK(format_size(bytes) == text);
    }
    CHECK(format_size(1024) == "1KiB");
    CHECK(parse_size("1024B").value() == 1024);
}

TEST_CASE("what is not a size is refused") {
    for (const std::string text : {"", "1", "B", "-1B", "1.5MiB", "1 KiB", "1kB", "1KB", "1kib", "1MiB1B", "16777216TiB",
                                   "999999999999999TiB", "9999999999999999B", "1B ", "0x10B"}) {
        INFO(text);
        CHECK_FALSE(parse_size(text).has_value());
    }
    CHECK_FALSE(parse_size(std::string("1B\0", 3)).has_value());
}

TEST_CASE("a written size is read back") {
    SeededRandom random(2);
    for (int i = 0; i < 5'000; ++i) {
        const std::uint64_t bytes = random.below(1ULL << (1 + random.below(49)));
        const auto back = parse_size(format_size(bytes));
        REQUIRE(back.has_value());
        REQUIRE(*back == bytes);
    }
}
