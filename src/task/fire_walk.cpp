// FireWalk: see the header. What excludes the fires of a stretch of time is looked up once for all of them. Pure.
#include "cloudtask/task/fire_walk.h"

#include <utility>

#include "task/calendar_use.h"
#include "task/schedule_rule.h"

namespace cloudtask::task {

struct FireWalk::State {
    Schedule schedule;
    Instant after{};
    CalendarUse::Span span;                      // of the last excluded fire
    std::shared_ptr<const Exclusion> exclusion;  // of the span
    Instant free_from = Instant::min();          // with defer: the first free instant after the span, where there is one
    bool ever_free = false;

    void look_at(const Schedule::Rule& rule, const CalendarUse::Span& found) {
        span = found;
        exclusion = found.exclusion();
        if (rule.calendars->on_excluded == OnExcluded::drop || found.until <= free_from) return;
        const auto free = rule.calendars->first_free(found.until, rule.most_stretches() / 3);
        ever_free = free.has_value();
        free_from = free.value_or(found.until);
    }
};

FireWalk::FireWalk(const Schedule& schedule, Instant after)
    : state_(std::make_unique<State>(State{.schedule = schedule, .after = after, .span = {}, .exclusion = {}})) {}

FireWalk::~FireWalk() = default;
FireWalk::FireWalk(FireWalk&& other) noexcept = default;
FireWalk& FireWalk::operator=(FireWalk&& other) noexcept = default;

std::optional<ScheduledFire> FireWalk::next() {
    State& state = *state_;
    const Schedule::Rule& rule = state.schedule.rule();
    const auto found = rule.next_due(state.after);
    if (!found) return std::nullopt;
    std::optional fire = found->fire();
    state.after = fire->due;
    fire->clock_change = rule.clock_change_at(fire->nominal);
    if (!rule.calendars || !rule.calendars->excludes()) return fire;
    if (!state.span.contains(fire->due)) {
        const auto excluded = rule.calendars->excluded_at(fire->due);
        if (!excluded) return fire;
        state.look_at(rule, *excluded);
    }
    fire->exclusion = state.exclusion;
    fire->dropped = rule.calendars->on_excluded == OnExcluded::drop || !state.ever_free;
    if (!fire->dropped) fire->at = state.free_from;
    return fire;
}

}  // namespace cloudtask::task
