// The misfire policy. Pure.
#include "node/backlog.h"

#include <algorithm>

#include "cloudtask/core/units.h"
#include "cloudtask/task/decisions.h"

namespace cloudtask::node {

namespace {

std::string lateness_text(const Fire& fire, Instant now) {
    return fmt::format("{} late, tolerance {}", format_duration(std::chrono::floor<std::chrono::milliseconds>(now - fire.time)),
                       format_duration(fire.task->misfire_tolerance));
}

}  // namespace

Backlog gather_backlog(const Fire& first, Instant now) {
    const Instant latest = now - first.task->misfire_tolerance;
    Backlog backlog;
    if (first.time >= latest) return backlog;
    // What lies beyond may be another node's by now.
    const auto belongs = [&](const Fire& fire) { return fire.time < latest && fire.time <= first.permitted_until; };
    std::optional<Fire> fire = first;
    const auto most = static_cast<std::size_t>(first.misfire == task::Misfire::all ? first.task->misfire_limit : task::kMostMisfires);
    while (fire && belongs(*fire) && backlog.late.size() < most) {
        backlog.late.push_back(*fire);
        fire = next_fire(first.task, fire->time);
    }
    if (fire && belongs(*fire)) backlog.cut = fire;
    backlog.passed_until = backlog.cut ? std::min(latest, first.permitted_until) : backlog.late.back().time;
    return backlog;
}

MisfireDecision decide_misfires(const Backlog& backlog, Instant now) {
    MisfireDecision decision;
    // Schedules of one task may have different policies: what another one skips does not take the place of a fire that is to be made up for.
    const auto by_once = [](const Fire& fire) { return fire.misfire == task::Misfire::once; };
    const auto last_once = std::find_if(backlog.late.rbegin(), backlog.late.rend(), by_once);
    for (const Fire& fire : backlog.late) {
        const bool last = last_once != backlog.late.rend() && &fire == &*last_once;
        if (task::is_made_up_for(fire.misfire, last)) {
            decision.run.push_back(fire);
            continue;
        }
        std::string reason = fmt::format("misfire: {}; ", lateness_text(fire, now));
        reason += fire.misfire == task::Misfire::skip ? "the policy is to skip" : "one later fire is run for all that were missed";
        decision.skipped.push_back({fire, std::move(reason)});
    }
    if (backlog.cut) {
        decision.skipped.push_back(
            {*backlog.cut,
             fmt::format("misfire: {}; {} fires were missed before it, which is the most that is made up "
                         "for, so it was skipped, and so were all further ones up to {}",
                         lateness_text(*backlog.cut, now), backlog.late.size(), format_instant(backlog.passed_until)),
             backlog.passed_until});
    }
    return decision;
}

}  // namespace cloudtask::node
