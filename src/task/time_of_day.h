// Times of day, days of the week, months and days of months, as calendar rules write them. Pure; any thread.
#pragma once

#include <array>
#include <chrono>
#include <optional>
#include <string>
#include <string_view>

#include "task/month_day.h"

namespace cloudtask::task {

using TimeOfDay = std::chrono::seconds;  // since midnight on the wall

inline constexpr TimeOfDay kWholeDay = std::chrono::hours{24};

// "18:00" or "18:00:30", two digits each; up to 23:59:59.
std::optional<TimeOfDay> parse_time_of_day(std::string_view text);
// Without seconds where there are none. 24:00 is written too.
std::string format_time_of_day(TimeOfDay time);

// "2026-01-05", of the years 1970 to 2399.
std::optional<Date> parse_date(std::string_view text);
std::string format_date(Date date);

// "mon" is 1 and "sun" 0, as in cron; lower case only.
std::optional<int> parse_weekday(std::string_view text);
std::string_view weekday_name(int weekday);
// "jan" is 1.
std::optional<int> parse_month(std::string_view text);
std::string_view month_name(int month);

// "last day", "3rd last day", "2nd tue", "last fri", "1st working day", "last working day".
std::optional<MonthDay> parse_month_day(std::string_view text);
std::string format_month_day(const MonthDay& day);

}  // namespace cloudtask::task
