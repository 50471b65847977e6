// What a Calendar holds. For the files of src/task that read and ask calendars. Pure.
#pragma once

#include <array>
#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/task/calendar.h"
#include "task/cron.h"
#include "task/month_day.h"
#include "task/yearly_day.h"
#include "task/zone.h"

namespace cloudtask::task {

struct Calendar::Rules final : WorkingDays {
    explicit Rules(Zone in_zone) : zone(std::move(in_zone)) {}

    struct Dates {
        Date from, to;      // half open; one day: `to` is the day after
        std::string name;   // may be empty
        std::string label;  // the name, else what it says
    };
    struct Yearly {
        YearlyDay day;
        std::string name, label;
    };
    struct Range {
        Instant from{}, to{};            // half open
        std::string from_text, to_text;  // as the wall shows them
        std::string name, label;
    };
    struct Recurring {
        CronRule starts;
        Duration lasting{};
        std::string name, label;
    };

    Zone zone;
    bool excludes_all_non_working = false;  // else of the days only holidays
    std::uint8_t weekdays = 0x3E;           // that are worked; bit 0: Sunday
    std::vector<Dates> dates;               // in order, apart from each other
    std::vector<Yearly> yearly;             // in the order of the year
    std::vector<Date> extra;                // in order
    std::vector<Range> ranges;              // in order, apart from each other
    std::vector<Recurring> recurring;

    // Its label; null if the day is none. A day that is worked as an extra one is no yearly holiday.
    const std::string* holiday_on(Date date) const;
    bool is_extra(Date date) const;
    // WorkingDays
    bool contains(Date date) const override;

    // The first instant of a day: of a midnight that a gap skips the end of the gap, of one that comes twice the first. So days follow each
    // other without a gap, and each instant lies in one.
    Instant start_of(Date date) const;
    // The day that an instant lies in.
    Date day_of(Instant instant) const;

    std::optional<Span> excluded_day(Instant instant) const;
    std::optional<Span> blacked_out(Instant instant) const;
};

}  // namespace cloudtask::task
