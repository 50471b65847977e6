// MonthDay: one way to name days of a month: "the 15th", "the 3rd day from the end", "the last Friday", "the 2nd working day". Cron's L, W
// and #, and the monthly calendar rules, are made of these. Pure; any thread.
#pragma once

#include <cctz/civil_time.h>

#include <cstdint>
#include <vector>

namespace cloudtask::task {

using Date = cctz::civil_day;

// Which dates count as working days. An interface, so that calendars of holidays can say more than the weekday does.
class WorkingDays {
  public:
    virtual ~WorkingDays() = default;
    virtual bool contains(Date date) const = 0;
};

// Monday to Friday, holidays too.
const WorkingDays& mondays_to_fridays();

// Sunday is 0, as in cron.
int weekday_of(Date date);

// What of a month its days depend on. Years from 1 on.
struct Month {
    Month(cctz::year_t year, int month);

    cctz::year_t year;
    int month;
    int days;           // 28 to 31
    int first_weekday;  // of day 1; Sunday is 0
};

struct MonthDay {
    enum class Unit {
        day,
        weekday,              // of the `weekday`s only
        working_day,          // of the working days only
        nearest_working_day,  // that day, or if it is not worked the working day next to it in the same month, the earlier of two (Quartz's
                              // W)
    };

    Unit unit = Unit::day;
    int ordinal = 1;        // the n-th, from 1
    bool from_end = false;  // counted from the end: 1 is the last
    int weekday = 0;        // Sunday is 0

    // The day of the month, 0 if this month has none.
    int in(const Month& month, const WorkingDays& working_days) const;

    friend bool operator==(const MonthDay&, const MonthDay&) = default;
};

// Bit d: day d of the month is named by one of `names`.
std::uint32_t days_named(const std::vector<MonthDay>& names, const Month& month, const WorkingDays& working_days);

}  // namespace cloudtask::task
