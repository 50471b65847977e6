// YearlyDay: when it is, and its text. Pure; any thread.
#include "task/yearly_day.h"

#include <fmt/format.h>

#include <array>
#include <charconv>
#include <vector>

#include "task/time_of_day.h"

namespace cloudtask::task {

namespace {

// So that it stays in its year.
constexpr int kLeastOffset = -80;
constexpr int kMostOffset = 250;
constexpr std::string_view kEaster = "easter";
constexpr std::array<std::string_view, 7> kWeekdaysInFull{"sunday", "monday", "tuesday", "wednesday", "thursday", "friday", "saturday"};
constexpr std::array<std::string_view, 12> kMonthsInFull{"january", "february", "march",     "april",   "may",      "june",
                                                         "july",    "august",   "september", "october", "november", "december"};

std::string in_lower_case(std::string_view text) {
    std::string lower{text};
    for (char& c : lower) c = c >= 'A' && c <= 'Z' ? static_cast<char>(c - 'A' + 'a') : c;
    return lower;
}

// "monday" is "mon"; other words stay.
template <std::size_t N>
std::string_view shortened(std::string_view word, const std::array<std::string_view, N>& in_full) {
    for (const std::string_view name : in_full) {
        if (word == name) return word.substr(0, 3);
    }
    return word;
}

std::optional<int> whole_number(std::string_view text) {
    int number = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), number);
    if (error != std::errc{} || end != text.data() + text.size() || text.empty()) return std::nullopt;
    return number;
}

std::optional<YearlyDay> from_easter(std::string_view rest) {
    if (rest.empty()) return YearlyDay{};
    const bool signed_offset = rest.size() > 1 && (rest[0] == '+' || rest[0] == '-') && rest[1] >= '0' && rest[1] <= '9';
    const auto offset = signed_offset ? whole_number(rest.substr(rest[0] == '+' ? 1 : 0)) : std::nullopt;
    if (!offset || *offset < kLeastOffset || *offset > kMostOffset) return std::nullopt;
    return YearlyDay{.month = 0, .day = {}, .offset = *offset};
}

// Of a leap year, which has every day that comes at all.
std::optional<YearlyDay> month_and_day(std::string_view text) {
    const auto date = parse_date(fmt::format("2000-{}", text));
    if (!date) return std::nullopt;
    return YearlyDay{.month = date->month(), .day = {.ordinal = date->day()}, .offset = 0};
}

std::optional<YearlyDay> words_of_month(std::string_view text) {
    const std::size_t of = text.rfind(" of ");
    if (of == std::string_view::npos) return std::nullopt;
    const auto month = parse_month(shortened(text.substr(of + 4), kMonthsInFull));
    std::string words{text.substr(0, of)};
    if (const std::size_t last = words.rfind(' '); last != std::string::npos) {
        words = words.substr(0, last + 1) + std::string{shortened(std::string_view{words}.substr(last + 1), kWeekdaysInFull)};
    }
    const auto day = parse_month_day(words);
    // Which days are worked follows from the holidays, so holidays do not follow from that.
    if (!month || !day || day->unit == MonthDay::Unit::working_day) return std::nullopt;
    const YearlyDay yearly{.month = *month, .day = *day, .offset = 0};
    // Within 40 years each weekday has fallen on each date.
    for (cctz::year_t year = 2000; year < 2040; ++year) {
        if (yearly.in(year)) return yearly;
    }
    return std::nullopt;
}

}  // namespace

// The algorithm of Meeus, Jones and Butcher.
Date easter_sunday(cctz::year_t year) {
    const auto a = year % 19, b = year / 100, c = year % 100;
    const auto d = b / 4, e = b % 4, f = (b + 8) / 25, g = (b - f + 1) / 3;
    const auto h = (19 * a + b - d - g + 15) % 30;
    const auto i = c / 4, k = c % 4;
    const auto l = (32 + 2 * e + 2 * i - h - k) % 7;
    const auto m = (a + 11 * h + 22 * l) / 451;
    const auto n = h + l - 7 * m + 114;
    return Date(year, static_cast<int>(n / 31), static_cast<int>(n % 31 + 1));
}

std::optional<Date> YearlyDay::in(cctz::year_t year) const {
    if (month == 0) return easter_sunday(year) + offset;
    const int found = day.in(Month(year, month), mondays_to_fridays());
    if (found == 0) return std::nullopt;
    return Date(year, month, found);
}

std::optional<YearlyDay> parse_yearly_day(std::string_view text) {
    const std::string lower = in_lower_case(text);
    if (lower.starts_with(kEaster)) return from_easter(std::string_view{lower}.substr(kEaster.size()));
    if (const auto date = month_and_day(lower)) return date;
    return words_of_month(lower);
}

std::string format_yearly_day(const YearlyDay& day) {
    if (day.month == 0) return day.offset == 0 ? std::string{kEaster} : fmt::format("{}{:+}", kEaster, day.offset);
    if (day.day.unit == MonthDay::Unit::day && !day.day.from_end) return fmt::format("{:02}-{:02}", day.month, day.day.ordinal);
    return fmt::format("{} of {}", format_month_day(day.day), month_name(day.month));
}

}  // namespace cloudtask::task
