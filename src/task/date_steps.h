// Arithmetic with dates and times on the wall of a zone, and their formats. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cloudtask/core/result.h"
#include "cloudtask/task/calendar.h"
#include "task/month_day.h"
#include "task/zone.h"

namespace cloudtask::task {

struct DateStep {
    enum class Kind { add, start_of, end_of };
    enum class Unit { second, minute, hour, day, working_day, week, month, quarter, year };

    Kind kind = Kind::add;
    Unit unit = Unit::day;
    int amount = 0;        // below zero: back
    std::string calendar;  // of working days; empty: the schedule's
};

inline constexpr int kMostAdded = 9999;
inline constexpr int kMostWorkingDays = 366;

// A date, or a time on the wall of a zone.
struct WallMoment {
    Zone zone;
    bool is_date = false;
    SysSeconds instant{};  // of a time
    Date date{};           // of a date

    LocalTime local() const { return is_date ? LocalTime{date} : zone.local(instant); }
};

// Seconds, minutes and hours are lengths of time; days and longer go by the wall: the same time of day, on the last day of a month that is
// too short. A time that a gap skips is the first after it, of one that comes twice the first is taken.
// Errors: invalid_argument, as the result is outside the years 1970 to 9999, or no working day is near.
Result<> apply_step(const DateStep& step, const WorkingDays& working_days, WallMoment& moment);

// The codes of strftime(3), in English whatever the locale: %Y %y %m %d %j %u %a %A %b %B %G %V %F %%, and of a time %H %M %S %T %z %Z %s.
// What is wrong with a format; empty if nothing.
std::string format_problem(std::string_view format, bool is_date);
// With the empty format 2026-11-21 or 2026-11-21T03:00:00+01:00 (at UTC: ...Z).
std::string format_moment(const WallMoment& moment, std::string_view format);

}  // namespace cloudtask::task
