// CronRule: a cron expression, and the local times that it matches. Pure; any thread. Knows no zones: see task/schedule.cpp.
//
// Source: crontab(5) of Debian's cron, with an optional seconds field in front and an optional year field behind; ?, L, W and # as Quartz
// has them; H as Jenkins has it. Where both day fields are restricted (neither begins with '*' nor is '?'), a day matches by either of
// them; otherwise by both.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "task/cron_field.h"
#include "task/zone.h"

namespace cloudtask::task {

class CronRule {
  public:
    // Five fields, six with seconds first, seven with the year last, or @hourly and kin. Nothing, and at least one fault, if the expression
    // is wrong or names no day that ever comes. What H picks follows from `task_id`.
    static std::optional<CronRule> parse(std::string_view expression, std::vector<CronFault>& faults, std::string_view task_id = {});

    // The expression with single blanks between the fields.
    const std::string& text() const { return text_; }

    // True of a rule with H: another task has other times.
    bool is_hashed() const { return hashed_; }

    // True of a rule that runs in every hour of its days. Such a rule follows real time through an overlap and a gap.
    bool runs_every_hour() const;

    // The first match at or after `from`, up to the end of the year kLastCronYear. Looks at no more than one day set per month until then
    // (below 100 us in the worst case; the longest wait that the calendar alone knows, a 29 February on one weekday over a year like
    // 2100, is 40 years).
    // `working_days`: null for Monday to Friday.
    std::optional<LocalTime> next(LocalTime from, const WorkingDays* working_days = nullptr) const;

    // True of a rule with W.
    bool asks_for_working_days() const;

    // At how many times of a day it matches, on a day that does.
    int starts_per_day() const;

    // What the fields name, for who says it in words. Lives as long as the rule.
    struct Named {
        std::uint64_t seconds = 0, minutes = 0, hours = 0, dates = 0, months = 0, weekdays = 0;  // bit n: the value n
        bool either_day = false;                                                                 // else a day must match by both
        std::span<const MonthDay> date_names, weekday_names;
        std::vector<int> years;  // empty: all
    };
    Named named() const;

    // By the expression: whichever task it picks for.
    friend bool operator==(const CronRule& a, const CronRule& b) { return a.text_ == b.text_; }

  private:
    // Bit d: day d of the month matches.
    std::uint32_t days_of(cctz::year_t year, int month, const WorkingDays* working_days) const;
    // The first match at or after the time of day of `from`, on its day.
    std::optional<LocalTime> next_on_day(LocalTime from) const;
    // The first year that matches, from `year` on.
    std::optional<cctz::year_t> first_year(cctz::year_t year) const;
    bool ever_comes(std::uint64_t months_it_may_have) const;

    // What few rules have.
    struct Rare {
        std::vector<MonthDay> dates;     // L and W
        std::vector<MonthDay> weekdays;  // L and #
        std::vector<bool> years;         // [n]: the year kFirstCronYear + n matches; empty: all
    };

    // A node holds a hundred thousand of these, so they are kept small.
    std::string text_;
    std::uint64_t seconds_ = 1;  // bit n: second n
    std::uint64_t minutes_ = 0;
    std::uint32_t hours_ = 0;
    std::uint32_t dates_ = 0;    // from bit 1: the days that the day-of-month field has in every month that is long enough
    std::uint16_t months_ = 0;   // from bit 1
    std::uint8_t weekdays_ = 0;  // bit 0: Sunday
    bool hashed_ = false;
    bool either_day_ = false;           // both day fields are restricted: a day matches by either
    std::shared_ptr<const Rare> rare_;  // null: nothing of it
};

}  // namespace cloudtask::task
