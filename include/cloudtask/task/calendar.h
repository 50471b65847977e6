// Calendar: days that are holidays, days that are worked, and stretches of time in which nothing is to be started, in one zone. Immutable
// and pure; any thread. (The schedule kind "calendar" is something else: a rule of days, see task/schedule.h.)
//
// Calendars of equal content are one object in a process: every task carries the calendars that its schedules use, and a node holds a
// hundred thousand tasks. docs/schedules.md says what the entries mean.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/faults.h"
#include "cloudtask/core/json.h"

namespace cloudtask::task {

class Calendar;
class WorkingDays;

using CalendarPointer = std::shared_ptr<const Calendar>;
// By name.
using Calendars = std::map<std::string, CalendarPointer>;

inline constexpr std::size_t kLargestCalendar = 64 * 1024;  // bytes of its JSON
inline constexpr std::size_t kMostCalendars = 8;            // that one task uses

class Calendar {
  public:
    struct Rules;  // private to src/task
    Calendar(std::unique_ptr<const Rules> rules, std::string text);
    Calendar(const Calendar&) = delete;
    Calendar& operator=(const Calendar&) = delete;
    ~Calendar();

    // {"zone": "Europe/London",
    //  "excludes": "holidays",                 or "non_working_days": then also what is no working day
    //  "working_days": ["mon", "tue", "wed", "thu", "fri"],
    //  "holidays": [{"date": "2026-12-28", "name": "Boxing Day"}, {"from": "2026-12-29", "to": "2027-01-01"},
    //               {"yearly": "12-25", "name": "Christmas Day"}, {"yearly": "last mon of may"}, {"yearly": "easter-2"}],
    //  "extra_working_days": ["2026-12-19"],
    //  "blackouts": [{"from": "2026-06-30T18:00", "to": "2026-07-01T06:00"}, {"cron": "0 22 * * fri", "lasting": "8h", "name": "backup"}]}
    // Null and at least one fault if it is wrong: unknown zone, an impossible day, a `to` that is not after its `from`, entries that repeat
    // or overlap each other, blackouts that leave no time free, more than kLargestCalendar.
    static CalendarPointer read(const json::Value& value, const std::string& pointer, Faults& faults);

    // Its JSON in one canonical form: entries in the order of time, so that equal calendars have equal texts.
    const std::string& text() const { return text_; }
    const std::string& zone() const;

    // A stretch of time that one entry excludes, half open.
    struct Span {
        Instant since{}, until{};
        std::string_view entry;  // its name, or if it has none what it says: "Christmas Day"; lives as long as the calendar
    };
    // The entry that excludes `instant`; of several the first by: dated holiday, yearly holiday, day that is not worked, blackout. From
    // 1970 to 2399. A few microseconds at most.
    std::optional<Span> excluded_at(Instant instant) const;

    // The first instant from `instant` on (inclusive) that nothing excludes. Nothing if entry follows on entry without a gap more than
    // kLongestChain times. Below 1 ms.
    std::optional<Instant> first_free(Instant instant) const;
    static constexpr int kLongestChain = 1000;

    const WorkingDays& working_days() const;

    // How many of its entries are asked for each instant: yearly days and recurring blackouts. So much more does a question cost.
    std::size_t entries_asked() const;

  private:
    std::unique_ptr<const Rules> rules_;
    std::string text_;
};

}  // namespace cloudtask::task
