// What a Schedule holds: the rule, its zone, and what goes with it. For the files of src/task that read, write and search schedules. Pure.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "cloudtask/task/schedule.h"
#include "task/calendar_rule.h"
#include "task/calendar_use.h"
#include "task/clock_changes.h"
#include "task/cron.h"
#include "task/window_rule.h"
#include "task/zone.h"

namespace cloudtask::task {

inline constexpr Duration kShortestInterval = std::chrono::seconds{1};
inline constexpr Duration kLongestInterval = std::chrono::hours{24 * 366};
inline constexpr Duration kMostJitter = std::chrono::hours{24};
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
    std::vector<Instant> instants;  // at least one, in order, each once

    friend bool operator==(const At&, const At&) = default;
};

// Never fires: for tasks that people or programs start.
struct Manual {
    friend bool operator==(const Manual&, const Manual&) = default;
};

using What = std::variant<CronRule, Every, WindowRule, CalendarRule, At, Manual>;

struct Schedule::Rule {
    What what;
    Zone zone;
    bool enabled = true;
    std::optional<GapRule> gap;          // as chosen
    std::optional<OverlapRule> overlap;  // as chosen
    Instant start = Instant::min();      // fires before it do not count
    Instant end = Instant::max();        // nor do those at or after it
    Duration jitter{};
    std::uint64_t seed = seed_of({});                   // of the task: what its jitter is drawn with
    std::shared_ptr<const CalendarUse> calendars = {};  // null: it names none
    std::shared_ptr<const Parameters> parameters = {};  // null: it gives none

    static std::uint64_t seed_of(std::string_view task_id);

    // True of rules that name times of the wall.
    bool has_local_times() const;

    // True of rules that name working days.
    bool asks_for_working_days() const;

    // What holds where the clocks change: what was chosen, else what is usual for the rule.
    ClockRules clock() const;

    // The first instant after `after` that the rule names, within start and end.
    std::optional<Instant> next_nominal(Instant after) const;
    // A fire that no calendar has been asked about.
    struct Due {
        Instant due{}, nominal{};
        ScheduledFire fire() const { return {.at = due, .nominal = nominal, .due = due, .exclusion = nullptr}; }
    };
    // The first that is due after `after`.
    std::optional<Due> next_due(Instant after) const;
    // The first fire after `after` by its `at`, with what calendars did to it; without what the clocks did.
    std::optional<ScheduledFire> next(Instant after) const;
    // What the clocks did to the fire that the rule names at `nominal`.
    ClockChange clock_change_at(Instant nominal) const;

    // Which days are worked, for rules that ask.
    const WorkingDays& working_days() const;

    bool has_start() const { return start != Instant::min(); }
    bool has_end() const { return end != Instant::max(); }

    // By how much a fire is later than the instant that the rule names, when the rule's next one is `next`: at least 0, below `jitter`, and
    // below the time to that next one, so that fires keep their order. Drawn from the task and the instant, and so the same on every node.
    Duration delay_of(Instant nominal, std::optional<Instant> next) const;

    friend bool operator==(const Rule& a, const Rule& b);

    // How many stretches that calendars exclude one search looks at, so that it takes less than a millisecond.
    int most_stretches() const;

  private:
    std::optional<ScheduledFire> next_not_dropped(Instant after) const;
    std::optional<ScheduledFire> next_deferred(Instant after) const;
};

// What a cron rule does where the clocks change, unless it was chosen: one that runs in every hour follows real time.
ClockRules usual_clock_rules(const CronRule& cron);

// 1970-01-01T00:00 on the wall of the zone.
Instant default_anchor(const Zone& zone);
// In the years 1970 to 9999.
bool is_moment(Instant instant);

// A cron expression, or "@every 90s", which is an interval. Nothing and at least one fault if it is wrong.
std::optional<What> read_cron(std::string_view expression, const Zone& zone, std::vector<CronFault>& faults);

// What is wrong with a rule that fires never, although each of its parts is right. Nothing if it fires.
std::optional<std::string> never_fires(const Schedule::Rule& rule);
inline constexpr std::string_view kAllowedSpan = "a rule that fires at least once; 'manual' for a task that is started by hand only";

}  // namespace cloudtask::task
