// CalendarUse: several calendars as one. Pure; any thread.
#include "task/calendar_use.h"

#include <algorithm>

namespace cloudtask::task {

namespace {

// Calendars of equal content are one object.
bool same_calendar(const CalendarUse::Named& a, const CalendarUse::Named& b) { return a.name == b.name && a.calendar == b.calendar; }

}  // namespace

std::shared_ptr<const Exclusion> CalendarUse::Span::exclusion() const {
    return std::make_shared<const Exclusion>(Exclusion{*calendar, std::string{entry}});
}

std::optional<CalendarUse::Span> CalendarUse::excluded_at(Instant instant) const {
    for (const Named& each : exclude) {
        if (each.calendar == nullptr) continue;
        if (const auto span = each.calendar->excluded_at(instant)) return Span{span->since, span->until, &each.name, span->entry};
    }
    return std::nullopt;
}

std::optional<Instant> CalendarUse::first_free(Instant instant, int most) const {
    for (; most >= 0; --most) {
        const auto span = excluded_at(instant);
        if (!span) return instant;
        instant = span->until;
    }
    return std::nullopt;
}

Instant CalendarUse::excluded_since(Instant instant, int most) const {
    for (; most >= 0; --most) {
        const auto span = excluded_at(instant);
        if (!span) return instant + Duration{1};
        instant = span->since - Duration{1};
    }
    return instant + Duration{1};
}

int CalendarUse::units_of_question() const {
    constexpr int kDays = 8;  // which day it is, and whether that is worked
    int units = 0;
    for (const Named& each : exclude) {
        if (each.calendar != nullptr) units += kDays + static_cast<int>(each.calendar->entries_asked());
    }
    return units;
}

bool operator==(const CalendarUse& a, const CalendarUse& b) {
    return a.on_excluded == b.on_excluded && same_calendar(a.working_days, b.working_days) &&
           std::equal(a.exclude.begin(), a.exclude.end(), b.exclude.begin(), b.exclude.end(), same_calendar);
}

}  // namespace cloudtask::task
