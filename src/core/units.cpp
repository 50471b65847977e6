// Durations and sizes with units. Pure.
#include "cloudtask/core/units.h"

#include <array>
#include <optional>

namespace cloudtask {

namespace {

struct Unit {
    std::string_view name;
    std::uint64_t factor;
};

// Largest first; "m" is read as "min".
constexpr std::array kDurationUnits{Unit{"w", 604'800'000'000},
                                    Unit{"d", 86'400'000'000},
                                    Unit{"h", 3'600'000'000},
                                    Unit{"min", 60'000'000},
                                    Unit{"s", 1'000'000},
                                    Unit{"ms", 1'000},
                                    Unit{"us", 1}};
constexpr std::array kSizeUnits{Unit{"TiB", 1ULL << 40}, Unit{"GiB", 1ULL << 30}, Unit{"MiB", 1ULL << 20}, Unit{"KiB", 1ULL << 10},
                                Unit{"B", 1}};
constexpr std::uint64_t kMaxDuration = 100ULL * 366 * 86'400'000'000;

bool is_digit(char c) { return c >= '0' && c <= '9'; }

// Takes <digits><letters> off the front of `text`: the number, and the unit's letters.
std::optional<std::uint64_t> take_quantity(std::string_view& text, std::string_view& unit) {
    std::uint64_t number = 0;
    std::size_t digits = 0;
    for (; digits < text.size() && is_digit(text[digits]); ++digits) {
        if (digits == 15) return std::nullopt;
        number = number * 10 + static_cast<std::uint64_t>(text[digits] - '0');
    }
    std::size_t end = digits;
    while (end < text.size() && !is_digit(text[end])) ++end;
    if (digits == 0 || end == digits) return std::nullopt;
    unit = text.substr(digits, end - digits);
    text.remove_prefix(end);
    return number;
}

}  // namespace

Result<Duration> parse_duration(std::string_view text) {
    const auto refuse = [whole = text] {
        return fail(Errc::invalid_argument, "'{}' is not a duration such as 30s, 1h30m or 250ms (units w d h min s ms us)",
                    whole.substr(0, 64));
    };
    if (text.empty()) return refuse();
    std::uint64_t total = 0;
    std::size_t next_unit = 0;
    while (!text.empty()) {
        std::string_view name;
        const auto number = take_quantity(text, name);
        if (!number) return refuse();
        if (name == "m") name = "min";
        while (next_unit < kDurationUnits.size() && kDurationUnits[next_unit].name != name) ++next_unit;
        if (next_unit == kDurationUnits.size()) return refuse();
        std::uint64_t part = 0;
        if (__builtin_mul_overflow(*number, kDurationUnits[next_unit].factor, &part) || __builtin_add_overflow(total, part, &total) ||
            total > kMaxDuration) {
            return fail(Errc::invalid_argument, "the duration is longer than 100 years");
        }
        ++next_unit;
    }
    return Duration{static_cast<std::int64_t>(total)};
}

std::string format_duration(Duration duration) {
    auto rest = static_cast<std::uint64_t>(std::max(duration, Duration::zero()).count());
    if (rest == 0) return "0s";
    std::string text;
    for (const auto& unit : kDurationUnits) {
        if (rest < unit.factor) continue;
        text += fmt::format("{}{}", rest / unit.factor, unit.name);
        rest %= unit.factor;
    }
    return text;
}

Result<std::uint64_t> parse_size(std::string_view text) {
    std::string_view rest = text;
    std::string_view name;
    const auto number = take_quantity(rest, name);
    if (number && rest.empty()) {
        for (const auto& unit : kSizeUnits) {
            std::uint64_t bytes = 0;
            if (unit.name == name && !__builtin_mul_overflow(*number, unit.factor, &bytes)) return bytes;
        }
    }
    return fail(Errc::invalid_argument, "'{}' is not a size such as 64KiB or 256MiB (units B KiB MiB GiB TiB)", text.substr(0, 64));
}

std::string format_size(std::uint64_t bytes) {
    for (const auto& unit : kSizeUnits) {
        if (bytes >= unit.factor && bytes % unit.factor == 0) return fmt::format("{}{}", bytes / unit.factor, unit.name);
    }
    return "0B";
}

}  // namespace cloudtask
