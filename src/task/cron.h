// CronRule: a cron expression, and the local times that it matches. Pure; any thread. Knows no zones: see task/schedule.cpp.
//
// Source: crontab(5) of Debian's cron, with an optional seconds field in front. Where both day fields are restricted (neither begins
// with '*'), a day matches by either of them; otherwise by both.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "task/cron_field.h"
#include "task/zone.h"

namespace cloudtask::task {

class CronRule {
  public:
    // Five fields, six with seconds first, or @hourly and kin. Nothing, and at least one fault, if the expression is wrong or names no
    // day that ever comes.
    static std::optional<CronRule> parse(std::string_view expression, std::vector<CronFault>& faults);

    // The expression with single blanks between the fields.
    const std::string& text() const { return text_; }

    // True of a rule that runs in every hour of its days. Such a rule follows real time through an overlap and a gap.
    bool runs_every_hour() const;

    // The first match at or after `from`. Looks 100 years ahead at most (the longest wait that the calendar knows, a 29 February on one
    // weekday over a year like 2100, is 40).
    std::optional<LocalTime> next(LocalTime from) const;

    bool matches(LocalTime local) const { return next(local) == local; }

  private:
    // Bit d: day d of the month matches.
    std::uint32_t days_of(cctz::year_t year, int month) const;
    // The first match at or after the time of day of `from`, on its day.
    std::optional<LocalTime> next_on_day(LocalTime from) const;

    std::string text_;
    std::uint64_t seconds_ = 1;  // bit n: second n
    std::uint64_t minutes_ = 0;
    std::uint64_t hours_ = 0;
    std::uint64_t months_ = 0;                      // from bit 1
    std::uint64_t days_ = 0;                        // from bit 1
    bool either_day_ = false;                       // both day fields are restricted: a day matches by either
    std::array<std::uint32_t, 7> weekdays_from_{};  // [w]: the days that the weekday field matches in a month that begins with weekday w
};

}  // namespace cloudtask::task
