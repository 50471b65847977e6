// Quantities with units, as people write them in configuration and definitions: "30s", "1h30m", "256MiB". Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cloudtask/core/clock.h"

namespace cloudtask {

// One or more of <whole number><unit> with units us, ms, s, min (or m), h, d, w, largest first, each at most once: "90s", "1h30m",
// "250ms". No sign; a number without a unit is an error. At most 100 years.
Result<Duration> parse_duration(std::string_view text);

// The shortest text that parse_duration reads back as `duration` (not negative): 90 s is "1min30s".
std::string format_duration(Duration duration);

// <whole number><unit> with units B, KiB, MiB, GiB, TiB. A number without a unit is an error.
Result<std::uint64_t> parse_size(std::string_view text);

// The largest unit that divides evenly: 65536 is "64KiB".
std::string format_size(std::uint64_t bytes);

}  // namespace cloudtask
