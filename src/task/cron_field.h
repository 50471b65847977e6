// One field of a cron expression: its grammar, and what it names. Pure; any thread.
//
//   field = "?" | item {"," item}
//   item  = ("*" | value | value "-" value | "H" ["(" value "-" value ")"]) ["/" step]
//         | "L" ["-" days] ["W"] | value "W"       day of month: last day, days before it, the weekday nearest to a day
//         | value "L" | value "#" nth              day of week: the last one, the n-th one of the month
//
// A range may wrap around the end of its field. What the fields mean together is in task/cron.h.
#pragma once

#include <bitset>
#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "task/month_day.h"

namespace cloudtask::task {

// What is wrong with an expression, as in core/faults.h but without a pointer.
struct CronFault {
    std::string problem;  // "minute field '61': 61 is not in 0 to 59"
    std::string allowed;
};

struct CronFieldKind {
    enum class Days { none, of_month, of_week };

    std::string_view name;  // "minute"
    int min = 0;
    int max = 0;
    int hash_max = 0;                              // the highest value that H picks; 0: this field has no H
    std::uint64_t number = 0;                      // tells the fields' picks apart
    int base = 0;                                  // the value of bit 0
    std::span<const std::string_view> names = {};  // lower case; the first stands for `first_named`
    int first_named = 0;
    Days days = Days::none;
    bool wraps = true;

    bool is_weekday() const { return days == Days::of_week; }  // then 7 is Sunday as 0 is
};

inline constexpr int kFirstCronYear = 1970;
inline constexpr int kLastCronYear = 2399;

struct CronField {
    // Bit n: the value n is in; of the year field, the year 1970 + n.
    std::bitset<kLastCronYear - kFirstCronYear + 1> values;
    std::vector<MonthDay> days;  // what L, W and # name
    bool starred = false;        // begins with '*' or is '?'; what crontab(5) calls unrestricted
    std::uint64_t may_pick = 0;  // bit n: H picks n for some task; 0 without H

    std::uint64_t mask() const { return (values & decltype(values){~std::uint64_t{0}}).to_ullong(); }
};

extern const CronFieldKind kSecondField, kMinuteField, kHourField, kDayField, kMonthField, kWeekdayField, kYearField;

// Reads one field. Every faulty item adds a fault; the values of the others are still set. What H picks follows from `task_id` and the
// field, and from nothing else.
CronField read_cron_field(const CronFieldKind& kind, std::string_view text, std::string_view task_id, std::vector<CronFault>& faults);

}  // namespace cloudtask::task
