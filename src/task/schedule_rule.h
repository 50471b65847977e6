// What a Schedule holds: the rule, its zone, and what goes with it. For the files of src/task that read, write and search schedules. Pure.
#pragma once

#include <chrono>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cloudtask/task/schedule.h"
#include "task/clock_changes.h"
#include "task/cron.h"
#include "task/zone.h"

namespace cloudtask::task {

inline constexpr Duration kShortestInterval = std::chrono::seconds{1};
inline constexpr Duration kLongestInterval = std::chrono::hours{24 * 366};
inline constexpr std::size_t kLongestExpression = 256;
inline constexpr std::string_view kAllowedZone = "an IANA zone name such as Europe/Berlin, or UTC";

// 9999-12-31T23:59:59.999999Z, the last instant that RFC 3339 can write.
inline constexpr Instant kLastInstant{std::chrono::seconds{253402300800} - Duration{1}};
// 2400-01-01T00:00:00Z: cctz knows the offset changes of the 400-year cycle that tzdata's last rules describe, and rules of local times
// need them.
inline constexpr SysSeconds kLocalRulesEnd{std::chrono::seconds{13569465600}};

struct Every {
    Duration interval{};
    Instant anchor{};

    friend bool operator==(const Every&, const Every&) = default;
};

struct At {
    Instant instant{};

    friend bool operator==(const At&, const At&) = default;
};

using What = std::variant<CronRule, Every, At>;

struct Schedule::Rule {
    What what;
    Zone zone;
    bool enabled = true;
    std::optional<GapRule> gap;          // as chosen
    std::optional<OverlapRule> overlap;  // as chosen

    // What holds where the clocks change: what was chosen, else what is usual for the rule.
    ClockRules clock() const;

    // The first fire after `after`.
    std::optional<Instant> next(Instant after) const;
};

// 1970-01-01T00:00 on the wall of the zone.
Instant default_anchor(const Zone& zone);
// In the years 1970 to 9999.
bool is_moment(Instant instant);

// A cron expression, or "@every 90s", which is an interval. Nothing and at least one fault if it is wrong.
std::optional<What> read_cron(std::string_view expression, const Zone& zone, std::vector<CronFault>& faults);

// What is wrong with a rule that fires never, although each of its parts is right. Nothing if it fires.
std::optional<std::string> never_fires(const Schedule::Rule& rule);
inline constexpr std::string_view kAllowedGap = "a rule with other local times, or the gap rule first_valid";

}  // namespace cloudtask::task
