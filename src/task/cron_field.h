// One field of a cron expression: its grammar, and the set of values that it names. Pure; any thread.
//
//   field = item {"," item}      item = ("*" | value ["-" value]) ["/" step]
//
// What the fields mean together is in task/cron.h.
#pragma once

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace cloudtask::task {

// What is wrong with an expression, as in core/faults.h but without a pointer.
struct CronFault {
    std::string problem;  // "minute field '61': 61 is not in 0 to 59"
    std::string allowed;
};

struct CronFieldKind {
    std::string_view name;  // "minute"
    int min = 0;
    int max = 0;
    std::span<const std::string_view> names = {};  // lower case; the first stands for `first_named`
    int first_named = 0;
    bool is_weekday = false;  // 7 is Sunday as 0 is, and a range may end with Sunday
};

struct CronField {
    std::uint64_t values = 0;  // bit n: the value n is in
    bool starred = false;      // begins with '*'; what crontab(5) calls unrestricted
};

extern const CronFieldKind kSecondField, kMinuteField, kHourField, kDayField, kMonthField, kWeekdayField;

// Reads one field. Every faulty item adds a fault; the values of the others are still set.
CronField read_cron_field(const CronFieldKind& kind, std::string_view text, std::vector<CronFault>& faults);

}  // namespace cloudtask::task
