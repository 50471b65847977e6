// The search for the next fire of a rule of local times, where the clocks of its zone change: which local times a gap skips, which an
// overlap repeats, and what the schedule wants then. Pure; any thread. What is usual for which rule is said in docs/schedules.md.
#pragma once

#include <algorithm>
#include <optional>

#include "cloudtask/task/schedule.h"
#include "task/zone.h"

namespace cloudtask::task {

struct ClockRules {
    GapRule gap = GapRule::first_valid;
    OverlapRule overlap = OverlapRule::first;

    friend bool operator==(const ClockRules&, const ClockRules&) = default;
};

// The first instant after `after` at which the wall of `zone` shows a local time of `rule`, each local time being shown once at most: of
// two passes of an overlap the one that `clock` says, OverlapRule::both being none. `rule` has `std::optional<LocalTime> next(LocalTime
// from)`, the first match at or after `from`.
template <class LocalRule>
std::optional<SysSeconds> next_of_one_pass(const LocalRule& rule, const Zone& zone, ClockRules clock, SysSeconds after) {
    LocalTime from = zone.local(after) + 1;
    if (clock.overlap == OverlapRule::second) {
        // In the first pass: the second one begins anew.
        const Zone::Instants here = zone.instants(from - 1);
        if (here.repeated && after < here.transition) from = zone.local(here.transition);
    }
    while (const auto match = rule.next(from)) {
        const Zone::Instants found = zone.instants(*match);
        if (found.skipped) {
            if (clock.gap == GapRule::first_valid && found.transition > after) return found.transition;
            from = zone.local(found.transition);
            continue;
        }
        const SysSeconds instant = clock.overlap == OverlapRule::second ? found.second : found.instant;
        if (instant > after) return instant;
        // `after` lies in the second pass of an overlap, so all of the first pass has fired already.
        from = found.repeated ? zone.local(found.transition - std::chrono::seconds{1}) + 1 : *match + 1;
    }
    return std::nullopt;
}

// The first instant after `after` at which `rule` fires in `zone`.
template <class LocalRule>
std::optional<SysSeconds> next_on_the_wall(const LocalRule& rule, const Zone& zone, ClockRules clock, SysSeconds after) {
    if (clock.overlap != OverlapRule::both) return next_of_one_pass(rule, zone, clock, after);
    // Until the clocks change the wall moves as time does.
    const LocalTime shown = zone.local(after);
    const auto match = rule.next(shown + 1);
    const auto transition = zone.next_transition(after);
    if (match) {
        const SysSeconds instant = after + std::chrono::seconds{*match - shown};
        if (!transition || instant < transition->at) return instant;
    } else if (!transition) {
        return std::nullopt;
    }
    const auto first = next_of_one_pass(rule, zone, {clock.gap, OverlapRule::first}, after);
    const auto second = next_of_one_pass(rule, zone, {clock.gap, OverlapRule::second}, after);
    if (!first || !second) return first ? first : second;
    return std::min(*first, *second);
}

}  // namespace cloudtask::task
