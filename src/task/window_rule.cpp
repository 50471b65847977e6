// WindowRule: the search for its next fire. Pure; any thread.
#include "task/window_rule.h"

#include <algorithm>

#include "task/cron_field.h"

namespace cloudtask::task {

namespace {

struct Opening {
    SysSeconds from{};
    SysSeconds to{};
};

// The window that opens on `day`; nothing if a gap skips its opening and that means none.
std::optional<Opening> opening_on(Date day, const WindowRule& rule, const Zone& zone, ClockRules clock) {
    const Zone::Instants from = zone.instants(LocalTime(day) + rule.from.count());
    if (from.skipped && clock.gap == GapRule::skip) return std::nullopt;
    const TimeOfDay to = rule.to <= rule.from ? rule.to + kWholeDay : rule.to;
    const Zone::Instants until = zone.instants(LocalTime(day) + to.count());
    return Opening{clock.overlap == OverlapRule::second ? from.second : from.instant,
                   clock.overlap == OverlapRule::first ? until.instant : until.second};
}

}  // namespace

std::optional<Instant> WindowRule::next(const Zone& zone, ClockRules clock, Instant after) const {
    std::optional<Instant> earliest;
    // A window lasts a day at most, so that of yesterday may still be open.
    for (Date day = Date(zone.local(std::chrono::floor<std::chrono::seconds>(after))) - 1; day.year() <= kLastCronYear; ++day) {
        if ((weekdays >> weekday_of(day) & 1) == 0) continue;
        const auto opening = opening_on(day, *this, zone, clock);
        if (!opening || opening->to <= after || opening->from >= opening->to) continue;
        // Windows open in the order of their days.
        if (earliest && opening->from >= *earliest) break;
        const Instant fire =
            after < opening->from ? Instant{opening->from} : opening->from + ((after - opening->from) / interval + 1) * interval;
        if (fire < opening->to && (!earliest || fire < *earliest)) earliest = fire;
    }
    return earliest;
}

LocalTime WindowRule::next_opening(LocalTime begin) const {
    Date day(begin);
    while ((weekdays >> weekday_of(day) & 1) == 0 || LocalTime(day) + from.count() < begin) ++day;
    return LocalTime(day) + from.count();
}

}  // namespace cloudtask::task
