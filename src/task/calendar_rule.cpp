// CalendarRule: the search for its next day and time. Pure; any thread.
#include "task/calendar_rule.h"

#include <algorithm>
#include <bit>

#include "task/cron_field.h"

namespace cloudtask::task {

namespace {

constexpr Date kAnyMonday(1970, 1, 5);

// How many steps of `interval` from `distance` on, which is not negative, reach the next multiple.
std::int64_t up_to_multiple(std::int64_t distance, int interval) { return (interval - distance % interval) % interval; }

// Monday is 0.
int days_since_monday(Date date) { return static_cast<int>(cctz::get_weekday(date)); }

std::int64_t month_number(Date date) { return date.year() * 12 + date.month() - 1; }

}  // namespace

std::optional<LocalTime> CalendarRule::next(LocalTime begin, const WorkingDays& working_days) const {
    const Date first(begin);
    auto day = next_day(first, working_days);
    if (day && *day == first) {
        const TimeOfDay of_day{begin - LocalTime(first)};
        const auto time = std::lower_bound(times.begin(), times.end(), of_day);
        if (time != times.end()) return LocalTime(first) + time->count();
        day = next_day(first + 1, working_days);
    }
    if (!day) return std::nullopt;
    return LocalTime(*day) + times.front().count();
}

std::optional<Date> CalendarRule::next_day(Date begin, const WorkingDays& working_days) const {
    if (from) begin = std::max(begin, *from);
    std::optional<Date> found;
    switch (frequency) {
        case Frequency::daily:
            found = next_daily(begin);
            break;
        case Frequency::weekly:
            found = next_weekly(begin);
            break;
        case Frequency::monthly:
            found = next_monthly(begin, working_days);
            break;
    }
    if (found && found->year() > kLastCronYear) return std::nullopt;
    return found;
}

Date CalendarRule::next_daily(Date begin) const { return begin + up_to_multiple(begin - from.value_or(begin), interval); }

Date CalendarRule::next_weekly(Date begin) const {
    const Date first_week = from ? *from - days_since_monday(*from) : kAnyMonday;
    Date monday = begin - days_since_monday(begin);
    // Without `from` each week counts, also those before 1970.
    std::int64_t weeks_ahead = interval == 1 ? 0 : up_to_multiple((monday - first_week) / 7, interval);
    for (;; weeks_ahead = interval) {
        monday += 7 * weeks_ahead;
        for (Date day = std::max(begin, monday); day < monday + 7; ++day) {
            if ((weekdays >> weekday_of(day) & 1) != 0) return day;
        }
    }
}

std::optional<Date> CalendarRule::next_monthly(Date begin, const WorkingDays& working_days) const {
    const std::int64_t first = month_number(begin);
    const std::int64_t last = kLastCronYear * 12 + 11;
    for (std::int64_t number = first + (from ? up_to_multiple(first - month_number(*from), interval) : 0); number <= last;
         number += interval) {
        const int month = static_cast<int>(number % 12) + 1;
        if ((months >> month & 1) == 0) continue;
        std::uint32_t found = days_named(days, Month(number / 12, month), working_days);
        if (number == first) found &= ~std::uint32_t{0} << begin.day();
        if (found != 0) return Date(number / 12, month, std::countr_zero(found));
    }
    return std::nullopt;
}

}  // namespace cloudtask::task
