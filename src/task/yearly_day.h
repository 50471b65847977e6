// YearlyDay: a day that comes once a year: a date, a weekday of a month, or so many days from Easter. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "task/month_day.h"

namespace cloudtask::task {

struct YearlyDay {
    int month = 0;   // 1 to 12; 0: counted from Easter
    MonthDay day;    // of the month
    int offset = 0;  // days from Easter Sunday

    // Nothing in years that have no such day (29 February, a fifth Monday).
    std::optional<Date> in(cctz::year_t year) const;

    friend bool operator==(const YearlyDay&, const YearlyDay&) = default;
};

// Easter Sunday of the Gregorian calendar.
Date easter_sunday(cctz::year_t year);

// "12-25", "last mon of may" (weekdays and months also written out: "last monday of May"), "2nd day of jan", "easter", "easter+1",
// "easter-2". Nothing if it is none of these, or comes in no year.
std::optional<YearlyDay> parse_yearly_day(std::string_view text);
std::string format_yearly_day(const YearlyDay& day);

}  // namespace cloudtask::task
