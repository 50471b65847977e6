// Times of day, days of the week, months and days of months as texts. Pure; any thread.
#include "task/time_of_day.h"

#include <fmt/format.h>

#include <algorithm>

#include "task/cron_field.h"

namespace cloudtask::task {

namespace {

constexpr std::array<std::string_view, 7> kWeekdayWords{"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
constexpr std::array<std::string_view, 12> kMonthWords{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
constexpr std::string_view kWorkingDay = "working day";

// Exactly as many digits as `text` has, at most nine of them.
std::optional<int> all_digits(std::string_view text) {
    if (text.empty() || text.size() > 9) return std::nullopt;
    int number = 0;
    for (const char c : text) {
        if (c < '0' || c > '9') return std::nullopt;
        number = number * 10 + (c - '0');
    }
    return number;
}

std::string_view ordinal_suffix(int number) {
    if (number / 10 % 10 == 1) return "th";
    return number % 10 == 1 ? "st" : number % 10 == 2 ? "nd" : number % 10 == 3 ? "rd" : "th";
}

// "3rd" is 3.
std::optional<int> parse_ordinal(std::string_view word) {
    if (word.size() < 3 || word.front() == '0') return std::nullopt;
    const auto number = all_digits(word.substr(0, word.size() - 2));
    if (!number || word.substr(word.size() - 2) != ordinal_suffix(*number)) return std::nullopt;
    return number;
}

int highest_ordinal(MonthDay::Unit unit) {
    if (unit == MonthDay::Unit::weekday) return 5;
    return unit == MonthDay::Unit::working_day ? 23 : 31;
}

}  // namespace

std::optional<TimeOfDay> parse_time_of_day(std::string_view text) {
    if ((text.size() != 5 && text.size() != 8) || text[2] != ':' || (text.size() == 8 && text[5] != ':')) return std::nullopt;
    const auto hours = all_digits(text.substr(0, 2));
    const auto minutes = all_digits(text.substr(3, 2));
    const auto seconds = text.size() == 8 ? all_digits(text.substr(6)) : 0;
    if (!hours || !minutes || !seconds || *hours > 23 || *minutes > 59 || *seconds > 59) return std::nullopt;
    return std::chrono::hours{*hours} + std::chrono::minutes{*minutes} + std::chrono::seconds{*seconds};
}

std::string format_time_of_day(TimeOfDay time) {
    const auto seconds = time.count();
    const std::string text = fmt::format("{:02}:{:02}", seconds / 3600, seconds / 60 % 60);
    return seconds % 60 == 0 ? text : fmt::format("{}:{:02}", text, seconds % 60);
}

std::optional<Date> parse_date(std::string_view text) {
    if (text.size() != 10 || text[4] != '-' || text[7] != '-') return std::nullopt;
    const auto year = all_digits(text.substr(0, 4));
    const auto month = all_digits(text.substr(5, 2));
    const auto day = all_digits(text.substr(8));
    if (!year || !month || !day || *year < kFirstCronYear || *year > kLastCronYear) return std::nullopt;
    const Date date(*year, *month, *day);
    // cctz carries a day that the month does not have into the next one.
    if (date.month() != *month || date.day() != *day) return std::nullopt;
    return date;
}

std::string format_date(Date date) { return fmt::format("{:04}-{:02}-{:02}", date.year(), date.month(), date.day()); }

std::optional<int> parse_weekday(std::string_view text) {
    const auto* found = std::find(kWeekdayWords.begin(), kWeekdayWords.end(), text);
    if (found == kWeekdayWords.end()) return std::nullopt;
    return static_cast<int>(found - kWeekdayWords.begin());
}

std::string_view weekday_name(int weekday) { return kWeekdayWords[static_cast<std::size_t>(weekday)]; }

std::optional<int> parse_month(std::string_view text) {
    const auto* found = std::find(kMonthWords.begin(), kMonthWords.end(), text);
    if (found == kMonthWords.end()) return std::nullopt;
    return 1 + static_cast<int>(found - kMonthWords.begin());
}

std::string_view month_name(int month) { return kMonthWords[static_cast<std::size_t>(month - 1)]; }

std::optional<MonthDay> parse_month_day(std::string_view text) {
    MonthDay day;
    std::optional<int> ordinal;
    const std::string_view first_word = text.substr(0, text.find(' '));
    if (ordinal = parse_ordinal(first_word); ordinal) {
        day.ordinal = *ordinal;
        text.remove_prefix(std::min(first_word.size() + 1, text.size()));
    }
    if (text.starts_with("last ")) {
        day.from_end = true;
        text.remove_prefix(5);
    } else if (!ordinal) {
        return std::nullopt;
    }
    if (text == kWorkingDay) {
        day.unit = MonthDay::Unit::working_day;
    } else if (const auto weekday = parse_weekday(text)) {
        day.unit = MonthDay::Unit::weekday;
        day.weekday = *weekday;
    } else if (text != "day") {
        return std::nullopt;
    }
    if (day.ordinal > highest_ordinal(day.unit)) return std::nullopt;
    return day;
}

std::string format_month_day(const MonthDay& day) {
    std::string text;
    if (day.ordinal > 1 || !day.from_end) text = fmt::format("{}{} ", day.ordinal, ordinal_suffix(day.ordinal));
    if (day.from_end) text += "last ";
    if (day.unit == MonthDay::Unit::working_day) return text + std::string{kWorkingDay};
    if (day.unit == MonthDay::Unit::weekday) return text + std::string{weekday_name(day.weekday)};
    return text + "day";
}

}  // namespace cloudtask::task
