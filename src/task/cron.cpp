// CronRule: reading an expression, and the search for its next match. Pure; any thread.
#include "task/cron.h"

#include <fmt/format.h>

#include <algorithm>
#include <bit>
#include <iterator>
#include <memory>
#include <utility>

namespace cloudtask::task {

namespace {

constexpr std::array<std::pair<std::string_view, std::string_view>, 7> kNicknames{{{"@yearly", "0 0 1 1 *"},
                                                                                   {"@annually", "0 0 1 1 *"},
                                                                                   {"@monthly", "0 0 1 * *"},
                                                                                   {"@weekly", "0 0 * * 0"},
                                                                                   {"@daily", "0 0 * * *"},
                                                                                   {"@midnight", "0 0 * * *"},
                                                                                   {"@hourly", "0 * * * *"}}};

constexpr std::string_view kAllowedShape =
    "5 fields (minute, hour, day of month, month, day of week), 6 with the second in front, 7 with the year behind, or @hourly, @daily, "
    "@midnight, @weekly, @monthly, @yearly, @annually, @every 90s";

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

// The lowest value of `set` that is at least `from`; nothing if there is none.
std::optional<int> first_from(std::uint64_t set, int from) {
    if (from > 63) return std::nullopt;
    const std::uint64_t rest = set >> from;
    if (rest == 0) return std::nullopt;
    return from + std::countr_zero(rest);
}

// From bit 1: the days of a month that begins with `first` which are one of the weekdays (bit 0: Sunday).
std::uint32_t days_of_weekdays(std::uint32_t weekdays, int first) {
    const std::uint64_t week = (weekdays >> first | weekdays << (7 - first)) & 0x7F;
    constexpr std::uint64_t kFiveWeeks = 1 | 1 << 7 | 1 << 14 | 1 << 21 | 1 << 28;
    return static_cast<std::uint32_t>(week * kFiveWeeks << 1);
}

}  // namespace

std::optional<CronRule> CronRule::parse(std::string_view expression, std::vector<CronFault>& faults, std::string_view task_id) {
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
    if (words.size() < 5 || words.size() > 7) {
        faults.push_back({fmt::format("has {} field{}", words.size(), words.size() == 1 ? "" : "s"), std::string{kAllowedShape}});
        return std::nullopt;
    }

    const std::size_t faults_before = faults.size();
    const auto read = [&](const CronFieldKind& kind, std::string_view word) {
        CronField field = read_cron_field(kind, word, task_id, faults);
        rule.hashed_ = rule.hashed_ || field.may_pick != 0;
        return field;
    };
    if (words.size() > 5) {
        rule.seconds_ = read(kSecondField, words[0]).mask();
        words.erase(words.begin());
    }
    rule.minutes_ = read(kMinuteField, words[0]).mask();
    rule.hours_ = static_cast<std::uint32_t>(read(kHourField, words[1]).mask());
    const CronField days = read(kDayField, words[2]);
    const CronField months = read(kMonthField, words[3]);
    const CronField weekdays = read(kWeekdayField, words[4]);
    Rare rare{.dates = days.days, .weekdays = weekdays.days, .years = {}};
    if (words.size() == 6) {
        const CronField years = read(kYearField, words[5]);
        if (!years.values.all()) {
            for (std::size_t i = 0; i < years.values.size(); ++i) rare.years.push_back(years.values[i]);
        }
        if (!rare.years.empty() && (days.may_pick | months.may_pick | weekdays.may_pick) != 0) {
            faults.push_back({fmt::format("year field '{}': stands beside an H that picks a day, which those years may not have", words[5]),
                              "'*' as the year, or H in the time of day only"});
        }
    }
    if (faults.size() != faults_before) return std::nullopt;

    rule.months_ = static_cast<std::uint16_t>(months.mask());
    rule.dates_ = static_cast<std::uint32_t>(days.mask());
    rule.weekdays_ = static_cast<std::uint8_t>(weekdays.mask());
    rule.either_day_ = !days.starred && !weekdays.starred;
    if (!rare.dates.empty() || !rare.weekdays.empty() || !rare.years.empty()) rule.rare_ = std::make_shared<const Rare>(std::move(rare));
    if (!rule.ever_comes(months.may_pick)) {
        std::string problem = fmt::format("day-of-month field '{}' with month field '{}'", words[2], words[3]);
        if (words.size() == 6) problem += fmt::format(" and year field '{}'", words[5]);
        faults.push_back({problem + " is a day that never comes",
                          "a day that at least one of the months has (29 is right for February: it fires in leap years)"});
        return std::nullopt;
    }
    return rule;
}

CronRule::Named CronRule::named() const {
    Named named{.seconds = seconds_,
                .minutes = minutes_,
                .hours = hours_,
                .dates = dates_,
                .months = months_,
                .weekdays = weekdays_,
                .either_day = either_day_,
                .date_names = {},
                .weekday_names = {},
                .years = {}};
    if (!rare_) return named;
    named.date_names = rare_->dates;
    named.weekday_names = rare_->weekdays;
    for (std::size_t i = 0; i < rare_->years.size(); ++i) {
        if (rare_->years[i]) named.years.push_back(kFirstCronYear + static_cast<int>(i));
    }
    return named;
}

// If H picks the month, every month that it may pick must have the day: a definition is right or wrong whatever its task's id is.
bool CronRule::ever_comes(std::uint64_t months_it_may_have) const {
    const LocalTime beginning(kFirstCronYear, 1, 1, 0, 0, 0);
    if (!next(beginning)) return false;
    CronRule in_one_month = *this;
    for (int month = 1; month <= 12; ++month) {
        if ((months_it_may_have >> month & 1) == 0) continue;
        in_one_month.months_ = static_cast<std::uint16_t>(1U << month);
        if (!in_one_month.next(beginning)) return false;
    }
    return true;
}

bool CronRule::runs_every_hour() const { return hours_ == (std::uint32_t{1} << 24) - 1; }

bool CronRule::asks_for_working_days() const {
    return rare_ && std::any_of(rare_->dates.begin(), rare_->dates.end(),
                                [](const MonthDay& day) { return day.unit == MonthDay::Unit::nearest_working_day; });
}

int CronRule::starts_per_day() const { return std::popcount(hours_) * std::popcount(minutes_) * std::popcount(seconds_); }

std::uint32_t CronRule::days_of(cctz::year_t year, int number, const WorkingDays* working_days) const {
    const Month month(year, number);
    std::uint32_t by_date = dates_;
    std::uint32_t by_weekday = days_of_weekdays(weekdays_, month.first_weekday);
    if (rare_) {
        const WorkingDays& worked = working_days != nullptr ? *working_days : mondays_to_fridays();
        by_date |= days_named(rare_->dates, month, worked);
        by_weekday |= days_named(rare_->weekdays, month, worked);
    }
    const std::uint32_t days = either_day_ ? by_date | by_weekday : by_date & by_weekday;
    const auto existing = static_cast<std::uint32_t>((std::uint64_t{1} << (month.days + 1)) - 2);
    return days & existing;
}

std::optional<cctz::year_t> CronRule::first_year(cctz::year_t year) const {
    if (year > kLastCronYear) return std::nullopt;
    if (!rare_ || rare_->years.empty()) return year;
    const std::vector<bool>& years = rare_->years;
    const auto begin = years.begin() + std::max<cctz::year_t>(year - kFirstCronYear, 0);
    const auto found = std::find(begin, years.end(), true);
    if (found == years.end()) return std::nullopt;
    return kFirstCronYear + (found - years.begin());
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

std::optional<LocalTime> CronRule::next(LocalTime from, const WorkingDays* working_days) const {
    const auto begin = first_year(from.year());
    if (!begin) return std::nullopt;
    if (*begin != from.year()) from = LocalTime(*begin, 1, 1, 0, 0, 0);
    if ((months_ >> from.month() & 1) != 0 && (days_of(from.year(), from.month(), working_days) >> from.day() & 1) != 0) {
        if (const auto match = next_on_day(from)) return match;
    }
    int month = from.month();
    int day = from.day() + 1;
    for (auto year = begin; year; year = first_year(*year + 1)) {
        while (const auto next_month = first_from(months_, month)) {
            if (*next_month != month) day = 1;
            month = *next_month;
            if (const auto next_day = first_from(days_of(*year, month, working_days), day))
                return next_on_day(LocalTime(*year, month, *next_day, 0, 0, 0));
            ++month;
            day = 1;
        }
        month = day = 1;
    }
    return std::nullopt;
}

}  // namespace cloudtask::task
