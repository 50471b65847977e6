// Time: instants of the wall clock, and the Clock that all logic is given instead of calling system_clock::now().
//
// Wall-clock instants (Instant) say when a task is due; steady instants measure how long something took. Both count
// microseconds, so that lateness below a millisecond can be seen.
//
// Thread safety: SystemClock may be used from any thread; a fake clock belongs to its FakeLoop.
#pragma once

#include <chrono>
#include <string>
#include <string_view>

#include "cloudtask/core/result.h"

namespace cloudtask {

using Duration = std::chrono::microseconds;
using Instant = std::chrono::sys_time<Duration>;
using SteadyInstant = std::chrono::time_point<std::chrono::steady_clock, Duration>;

class Clock {
  public:
    virtual ~Clock() = default;
    virtual Instant now() const = 0;
    virtual SteadyInstant steady_now() const = 0;
};

class SystemClock final : public Clock {
  public:
    Instant now() const override;
    SteadyInstant steady_now() const override;
};

// RFC 3339 in UTC: "2026-11-21T02:42:11Z", with 3 or 6 decimals only when they are not zero.
std::string format_instant(Instant instant);

// Reads RFC 3339 with `Z` or a numeric offset and up to 9 decimals (cut to microseconds). Years 1970 to 9999.
Result<Instant> parse_instant(std::string_view text);

}  // namespace cloudtask
