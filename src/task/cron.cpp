// CronRule: reading an expression, and the search for its next match. Pure; any thread.
#include "task/cron.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <utility>

namespace cloudtask::task {

namespace {

constexpr int kYearsAhead = 100;
constexpr std::array<int, 13> kLongestMonth{0, 31, 29, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31};

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kNicknames{{{"@yearly", "0 0 1 1 *"},
                                                                                   {"@annually", "0 0 1 1 *"},
                                                                                   {"@monthly", "0 0 1 * *"},
                                                                                   {"@weekly", "0 0 * * 0"},
                                                                                   {"@daily", "0 0 * * *"},
                                                                                   {"@midnight", "0 0 * * *"},
                                                                                   {"@hourly", "0 * * * *"}}};

constexpr std::string_view kAllowedShape =
    "5 fields (minute, hour, day of month, month, day of week), 6 with the second in front, or @hourly, @daily, @midnight, @weekly, "
    "@monthly, @yearly, @annually";

std::vector<std::string_view> split_at_blanks(std::string_view text) {
    constexpr std::string_view kBlanks = " \t";
    std::vector<std::string_view> words;
    for (std::size_t begin = text.find_first_not_of(kBlanks); begin != std::string_view::npos;) {
        const std::size_t end = text.find_first_of(kBlanks, begin);
        words.push_back(text.substr(begin, end - begin));
        begin = end == std::string_view::npos ? end : text.find_first_not_of(kBlanks, end);
    }
    return words;
}

int days_in_month(cctz::year_t year, int month) {
    if (month != 2) return kLongestMonth[static_cast<std::size_t>(month)];
    const bool leap = year % 4 == 0 && (year % 100 != 0 || year % 400 == 0);
    return leap ? 29 : 28;
}

// Sunday is 0, as in cron; cctz counts from Monday.
std::size_t weekday_of(cctz::civil_day day) { return (static_cast<std::size_t>(cctz::get_weekday(day)) + 1) % 7; }

// The lowest value of `set` that is at least `from`; nothing if there is none.
std::optional<int> first_from(std::uint64_t set, int from) {
    if (from > 63) return std::nullopt;
    const std::uint64_t rest = set >> from;
    if (rest == 0) return std::nullopt;
    return from + std::countr_zero(rest);
}

}  // namespace

std::optional<CronRule> CronRule::parse(std::string_view expression, std::vector<CronFault>& faults) {
    std::vector<std::string_view> words = split_at_blanks(expression);
    CronRule rule;
    rule.text_ = fmt::format("{}", fmt::join(words, " "));

    if (words.size() == 1 && words[0].starts_with('@')) {
        const auto* found =
            std::find_if(kNicknames.begin(), kNicknames.end(), [&](const auto& nickname) { return nickname.first == words[0]; });
        if (found == kNicknames.end()) {
            faults.push_back({fmt::format("'{}' is not a known nickname", words[0]), std::string{kAllowedShape}});
            return std::nullopt;
        }
        words = split_at_blanks(found->second);
    }
    if (words.size() != 5 && words.size() != 6) {
        faults.push_back({fmt::format("has {} field{}", words.size(), words.size() == 1 ? "" : "s"), std::string{kAllowedShape}});
        return std::nullopt;
    }

    const std::size_t faults_before = faults.size();
    if (words.size() == 6) {
        rule.seconds_ = read_cron_field(kSecondField, words[0], faults).values;
        words.erase(words.begin());
    }
    rule.minutes_ = read_cron_field(kMinuteField, words[0], faults).values;
    rule.hours_ = read_cron_field(kHourField, words[1], faults).values;
    const CronField days = read_cron_field(kDayField, words[2], faults);
    rule.months_ = read_cron_field(kMonthField, words[3], faults).values;
    const CronField weekdays = read_cron_field(kWeekdayField, words[4], faults);
    if (faults.size() != faults_before) return std::nullopt;

    rule.days_ = days.values;
    rule.either_day_ = !days.starred && !weekdays.starred;
    for (std::size_t first = 0; first < 7; ++first) {
        for (std::size_t day = 1; day <= 31; ++day) {
            if ((weekdays.values >> ((first + day - 1) % 7) & 1) != 0) rule.weekdays_from_[first] |= std::uint32_t{1} << day;
        }
    }

    // A weekday comes in every month, and on every date within 40 years; so only a day that no chosen month has never comes.
    const int earliest = std::countr_zero(rule.days_);
    bool comes = rule.either_day_;
    for (int month = 1; month <= 12; ++month) {
        comes = comes || ((rule.months_ >> month & 1) != 0 && earliest <= kLongestMonth[static_cast<std::size_t>(month)]);
    }
    if (!comes) {
        faults.push_back({fmt::format("day-of-month field '{}' with month field '{}' is a day that never comes", words[2], words[3]),
                          "a day that at least one of the months has (29 is right for February: it fires in leap years)"});
        return std::nullopt;
    }
    return rule;
}

bool CronRule::runs_every_hour() const { return hours_ == (std::uint64_t{1} << 24) - 1; }

std::uint32_t CronRule::days_of(cctz::year_t year, int month) const {
    const std::uint32_t by_weekday = weekdays_from_[weekday_of(cctz::civil_day(year, month, 1))];
    const auto by_date = static_cast<std::uint32_t>(days_);
    const std::uint32_t days = either_day_ ? by_date | by_weekday : by_date & by_weekday;
    const std::uint32_t existing = static_cast<std::uint32_t>((std::uint64_t{1} << (days_in_month(year, month) + 1)) - 2);
    return days & existing;
}

std::optional<LocalTime> CronRule::next_on_day(LocalTime from) const {
    int hour = from.hour();
    int minute = from.minute();
    int second = from.second();
    for (;;) {
        const auto h = first_from(hours_, hour);
        if (!h) return std::nullopt;
        if (*h != hour) minute = second = 0;
        hour = *h;
        const auto m = first_from(minutes_, minute);
        if (!m) {
            ++hour;
            minute = second = 0;
            continue;
        }
        if (*m != minute) second = 0;
        minute = *m;
        if (const auto s = first_from(seconds_, second)) return LocalTime(from.year(), from.month(), from.day(), hour, minute, *s);
        ++minute;
        second = 0;
    }
}

std::optional<LocalTime> CronRule::next(LocalTime from) const {
    const cctz::year_t last_year = from.year() + kYearsAhead;
    cctz::year_t year = from.year();
    int month = from.month();
    int day = from.day();
    if ((months_ >> month & 1) != 0 && (days_of(year, month) >> day & 1) != 0) {
        if (const auto match = next_on_day(from)) return match;
    }
    ++day;
    while (year <= last_year) {
        const auto next_month = first_from(months_, month);
        if (!next_month) {
            ++year;
            month = day = 1;
            continue;
        }
        if (*next_month != month) day = 1;
        month = *next_month;
        if (const auto next_day = first_from(days_of(year, month), day)) return next_on_day(LocalTime(year, month, *next_day, 0, 0, 0));
        ++month;
        day = 1;
    }
    return std::nullopt;
}

}  // namespace cloudtask::task
