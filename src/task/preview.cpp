// Preview: the fires of several schedules, merged. Pure; any thread.
#include "cloudtask/task/preview.h"

#include <fmt/format.h>

#include <algorithm>
#include <optional>

#include "cloudtask/task/fire_walk.h"
#include "task/schedule_rule.h"

namespace cloudtask::task {

namespace {

PreviewedFire shown(const Schedule& schedule, std::size_t index, const ScheduledFire& fire) {
    const Zone& zone = schedule.rule().zone;
    const SysSeconds seconds = std::chrono::floor<std::chrono::seconds>(fire.at);
    const LocalTime local = zone.local(seconds);
    const auto decimals = (fire.at - seconds).count();
    return {.fire = fire,
            .schedule = index,
            .local = fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}", local.year(), local.month(), local.day(), local.hour(),
                                 local.minute(), local.second(), decimals == 0 ? "" : fmt::format(".{:06}", decimals)),
            .offset = zone.offset_text(seconds),
            .abbreviation = zone.abbreviation(seconds)};
}

// What calendars drop before the last of `fires` is shown where it was due.
void add_dropped(const std::vector<Schedule>& schedules, Instant after, std::size_t count, std::vector<PreviewedFire>& fires) {
    const Instant last = fires.size() < count ? Instant::max() : fires.back().fire.at;
    for (std::size_t i = 0; i < schedules.size(); ++i) {
        if (!schedules[i].enabled() || schedules[i].exclude().empty() || schedules[i].on_excluded() != OnExcluded::drop) continue;
        FireWalk walk{schedules[i], after};
        std::size_t dropped = 0;
        for (auto fire = walk.next(); fire && fire->due < last && dropped < count; fire = walk.next()) {
            if (!fire->dropped) continue;
            fires.push_back(shown(schedules[i], i, *fire));
            ++dropped;
        }
    }
    std::stable_sort(fires.begin(), fires.end(), [](const auto& a, const auto& b) { return a.fire.at < b.fire.at; });
}

}  // namespace

std::vector<PreviewedFire> preview(const std::vector<Schedule>& schedules, Instant after, std::size_t count) {
    std::vector<std::optional<ScheduledFire>> ahead;
    for (const Schedule& schedule : schedules) ahead.push_back(schedule.enabled() ? schedule.next_fire(after) : std::nullopt);
    std::vector<PreviewedFire> fires;
    while (fires.size() < count) {
        std::optional<std::size_t> first;
        for (std::size_t i = 0; i < ahead.size(); ++i) {
            if (ahead[i] && (!first || ahead[i]->at < ahead[*first]->at)) first = i;
        }
        if (!first) break;
        fires.push_back(shown(schedules[*first], *first, *ahead[*first]));
        const Instant at = ahead[*first]->at;
        for (std::size_t i = 0; i < ahead.size(); ++i) {
            if (ahead[i] && ahead[i]->at == at) ahead[i] = schedules[i].next_fire(at);
        }
    }
    add_dropped(schedules, after, count, fires);
    return fires;
}

}  // namespace cloudtask::task
