// WindowRule: an interval within a daily window. Its fires are the instant at which the window opens plus whole multiples of the interval,
// in real time, before the instant at which it closes: each window begins anew, so nothing drifts. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>

#include "task/clock_changes.h"
#include "task/time_of_day.h"
#include "task/zone.h"

namespace cloudtask::task {

struct WindowRule {
    Duration interval{};
    TimeOfDay from{};
    TimeOfDay to{};                // not after `from`: on the next day; up to 24:00
    std::uint8_t weekdays = 0x7F;  // on which the window opens; bit 0: Sunday

    // The first fire after `after`, before 2400-01-01. Where the clocks change, the window opens and closes at the first or second pass as
    // `clock` says (both: opens at the first, closes at the second); what a gap skips of it is the end of the gap, or, if its opening is
    // skipped and the rule is to skip, there is no window on that day.
    std::optional<Instant> next(const Zone& zone, ClockRules clock, Instant after) const;

    // The first local time at or after `begin` at which a window opens.
    LocalTime next_opening(LocalTime begin) const;

    friend bool operator==(const WindowRule&, const WindowRule&) = default;
};

}  // namespace cloudtask::task
