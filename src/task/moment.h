// A moment as people write it in a schedule: RFC 3339 with `Z` or an offset, or without one as the local time of a zone. Pure.
#pragma once

#include <string_view>

#include "cloudtask/core/clock.h"
#include "task/zone.h"

namespace cloudtask::task {

// "2026-12-24T18:00:00+01:00", or "2026-12-24T18:00" with optional seconds and up to 6 decimals, on the wall of `zone`. A local time
// that a gap skips is the first valid instant after it; one that an overlap repeats is the first of the two. Years 1970 to 9999.
Result<Instant> parse_moment(std::string_view text, const Zone& zone);

// The instant at which the wall of `zone` shows `local`, by the same rule.
Instant instant_of(LocalTime local, const Zone& zone);

}  // namespace cloudtask::task
