// CalendarRule: times of day on days of the calendar: every N days, weekdays every N weeks, days of months every N months. Pure; any
// thread. Knows no zones: see task/schedule_rule.h.
//
// The words are those of RFC 5545 (section 3.3.10): frequency and interval as FREQ and INTERVAL, weeks begin on Monday (WKST=MO), a day
// that a month does not have is left out of it.
#pragma once

#include <cstdint>
#include <optional>
#include <vector>

#include "task/month_day.h"
#include "task/time_of_day.h"
#include "task/zone.h"

namespace cloudtask::task {

enum class Frequency { daily, weekly, monthly };

struct CalendarRule {
    Frequency frequency = Frequency::daily;
    int interval = 1;               // every n-th day, week or month, counted from that of `from`
    std::optional<Date> from;       // no day before it; there is one if the interval is not 1
    std::uint8_t weekdays = 0;      // weekly; bit 0: Sunday
    std::uint16_t months = 0x1FFE;  // monthly; bit 1: January
    std::vector<MonthDay> days;     // monthly; at least one
    std::vector<TimeOfDay> times;   // at least one, in order, each once

    // The first time at or after `begin`, up to the end of the year kLastCronYear. Looks at each month until then at most once.
    std::optional<LocalTime> next(LocalTime begin, const WorkingDays& working_days) const;

    friend bool operator==(const CalendarRule&, const CalendarRule&) = default;

  private:
    // The first day at or after `begin`.
    std::optional<Date> next_day(Date begin, const WorkingDays& working_days) const;
    Date next_daily(Date begin) const;
    Date next_weekly(Date begin) const;
    std::optional<Date> next_monthly(Date begin, const WorkingDays& working_days) const;
};

}  // namespace cloudtask::task
