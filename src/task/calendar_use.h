// CalendarUse: the calendars that a schedule names, and what they exclude together. Pure; any thread.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cloudtask/task/calendar.h"
#include "cloudtask/task/schedule.h"

namespace cloudtask::task {

struct CalendarUse {
    struct Named {
        std::string name;
        CalendarPointer calendar;  // null until the schedule is given its content: excludes nothing
    };
    std::vector<Named> exclude;  // in the order in which they are asked
    OnExcluded on_excluded = OnExcluded::drop;
    Named working_days;  // an empty name: Monday to Friday

    // A stretch of time that one entry of one calendar excludes.
    struct Span {
        Instant since{}, until{};
        const std::string* calendar = nullptr;  // its name
        std::string_view entry;
        bool contains(Instant instant) const { return instant >= since && instant < until; }
        std::shared_ptr<const Exclusion> exclusion() const;
    };
    // By the first calendar that excludes it.
    std::optional<Span> excluded_at(Instant instant) const;
    // The first instant from `instant` on that no calendar excludes; nothing after `most` stretches without a gap.
    std::optional<Instant> first_free(Instant instant, int most) const;
    // Since when, for an instant that is excluded, there was no free one; as far back as `most` stretches.
    Instant excluded_since(Instant instant, int most) const;

    // What one excluded_at() costs at most, in the time that one entry of a calendar takes.
    int units_of_question() const;

    bool excludes() const { return !exclude.empty(); }

    friend bool operator==(const CalendarUse& a, const CalendarUse& b);
};

}  // namespace cloudtask::task
