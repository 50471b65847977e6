// The search for the next fire of each kind of rule, and readings that have no JSON in them. Pure; any thread.
#include "task/schedule_rule.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>

#include "cloudtask/core/hash.h"
#include "cloudtask/core/units.h"
#include "task/moment.h"

namespace cloudtask::task {

namespace {

constexpr Instant kEpoch{};

// Of rules of local times, in whole seconds from 1970 on.
template <class LocalRule>
std::optional<Instant> next_by_local_time(const LocalRule& rule, const Schedule::Rule& in, Instant after) {
    const SysSeconds from = std::max(std::chrono::floor<std::chrono::seconds>(after), SysSeconds{} - std::chrono::seconds{1});
    if (from >= kLocalRulesEnd) return std::nullopt;
    const auto found = next_on_the_wall(rule, in.zone, in.clock(), from);
    if (!found || *found >= kLocalRulesEnd) return std::nullopt;
    return Instant{*found};
}

// A rule of local times with the working days of a calendar.
struct CronOfCalendar {
    const CronRule& rule;
    const WorkingDays& working_days;
    std::optional<LocalTime> next(LocalTime from) const { return rule.next(from, &working_days); }
};

struct DaysOfCalendar {
    const CalendarRule& rule;
    const WorkingDays& working_days;
    std::optional<LocalTime> next(LocalTime from) const { return rule.next(from, working_days); }
};

std::optional<Instant> next_of(const CronRule& cron, const Schedule::Rule& in, Instant after) {
    if (!in.calendars) return next_by_local_time(cron, in, after);
    return next_by_local_time(CronOfCalendar{cron, in.working_days()}, in, after);
}

std::optional<Instant> next_of(const Every& every, const Schedule::Rule&, Instant after) {
    if (after >= kLastInstant) return std::nullopt;
    const Instant from = std::max(after, kEpoch - Duration{1});
    if (from < every.anchor) return every.anchor;
    const Instant found = every.anchor + ((from - every.anchor) / every.interval + 1) * every.interval;
    if (found > kLastInstant) return std::nullopt;
    return found;
}

std::optional<Instant> next_of(const WindowRule& window, const Schedule::Rule& in, Instant after) {
    if (after >= kLocalRulesEnd) return std::nullopt;
    const auto found = window.next(in.zone, in.clock(), std::max(after, kEpoch - Duration{1}));
    if (!found || *found >= kLocalRulesEnd) return std::nullopt;
    return found;
}

std::optional<Instant> next_of(const CalendarRule& calendar, const Schedule::Rule& in, Instant after) {
    return next_by_local_time(DaysOfCalendar{calendar, in.working_days()}, in, after);
}

std::optional<Instant> next_of(const At& at, const Schedule::Rule&, Instant after) {
    const auto found = std::upper_bound(at.instants.begin(), at.instants.end(), after);
    if (found == at.instants.end()) return std::nullopt;
    return *found;
}

std::optional<Instant> next_of(const Manual&, const Schedule::Rule&, Instant) { return std::nullopt; }

// The first local time at or after `from` that the rule names; of a window, its opening.
std::optional<LocalTime> first_named(const CronRule& cron, LocalTime from, const WorkingDays& days) { return cron.next(from, &days); }
std::optional<LocalTime> first_named(const CalendarRule& rule, LocalTime from, const WorkingDays& days) { return rule.next(from, days); }
std::optional<LocalTime> first_named(const WindowRule& window, LocalTime from, const WorkingDays&) { return window.next_opening(from); }
std::optional<LocalTime> first_named(const Every&, LocalTime, const WorkingDays&) { return std::nullopt; }
std::optional<LocalTime> first_named(const At&, LocalTime, const WorkingDays&) { return std::nullopt; }
std::optional<LocalTime> first_named(const Manual&, LocalTime, const WorkingDays&) { return std::nullopt; }

// Earlier by `duration`, as far as instants go.
Instant earlier(Instant instant, Duration duration) { return instant < Instant::min() + duration ? Instant::min() : instant - duration; }

}  // namespace

ClockRules usual_clock_rules(const CronRule& cron) {
    if (cron.runs_every_hour()) return {GapRule::skip, OverlapRule::both};
    return {GapRule::first_valid, OverlapRule::first};
}

ClockRules Schedule::Rule::clock() const {
    const auto* cron = std::get_if<CronRule>(&what);
    const bool in_real_time = cron != nullptr && cron->runs_every_hour();
    return {gap.value_or(in_real_time ? GapRule::skip : GapRule::first_valid),
            overlap.value_or(in_real_time ? OverlapRule::both : OverlapRule::first)};
}

const WorkingDays& Schedule::Rule::working_days() const {
    const Calendar* calendar = calendars ? calendars->working_days.calendar.get() : nullptr;
    return calendar != nullptr ? calendar->working_days() : mondays_to_fridays();
}

bool Schedule::Rule::has_local_times() const {
    return std::holds_alternative<CronRule>(what) || std::holds_alternative<WindowRule>(what) || std::holds_alternative<CalendarRule>(what);
}

bool Schedule::Rule::asks_for_working_days() const {
    if (const auto* cron = std::get_if<CronRule>(&what)) return cron->asks_for_working_days();
    const auto* calendar = std::get_if<CalendarRule>(&what);
    return calendar != nullptr && std::any_of(calendar->days.begin(), calendar->days.end(),
                                              [](const MonthDay& day) { return day.unit == MonthDay::Unit::working_day; });
}

std::uint64_t Schedule::Rule::seed_of(std::string_view task_id) { return xxhash64(task_id); }

std::optional<Instant> Schedule::Rule::next_nominal(Instant after) const {
    if (has_start()) after = std::max(after, start - Duration{1});
    const auto found = std::visit([&](const auto& rule) { return next_of(rule, *this, after); }, what);
    if (found && *found >= end) return std::nullopt;
    return found;
}

Duration Schedule::Rule::delay_of(Instant nominal, std::optional<Instant> next) const {
    const Duration most = next ? std::min(jitter, *next - nominal) : jitter;
    const auto choices = static_cast<std::uint64_t>(std::chrono::floor<std::chrono::milliseconds>(most).count());
    if (choices == 0) return Duration::zero();
    const std::uint64_t drawn = xxhash64(fmt::format_int(nominal.time_since_epoch().count()).c_str(), seed);
    return std::chrono::milliseconds{static_cast<std::int64_t>(drawn % choices)};
}

std::optional<Schedule::Rule::Due> Schedule::Rule::next_due(Instant after) const {
    if (jitter == Duration::zero()) {
        const auto nominal = next_nominal(after);
        if (!nominal) return std::nullopt;
        return Due{*nominal, *nominal};
    }
    // What is due after `after` is named after `after - jitter`. Fires keep their order, so of those that are named up to `after` only the
    // last can be due later; it is looked for by halving, for there may be many.
    auto last = next_nominal(earlier(after, jitter));
    if (!last) return std::nullopt;
    auto beyond = next_nominal(*last);
    Instant limit = after;  // what is named after `limit` is named after `after`
    while (beyond && *beyond <= after) {
        const auto found = next_nominal(*last + (limit - *last) / 2);
        if (found && *found <= after) {
            last = found;
            beyond = next_nominal(*last);
        } else {
            limit = *last + (limit - *last) / 2;
        }
    }
    if (const Instant due = *last + delay_of(*last, beyond); due > after) return Due{due, *last};
    if (!beyond) return std::nullopt;
    return Due{*beyond + delay_of(*beyond, next_nominal(*beyond)), *beyond};
}

std::optional<ScheduledFire> Schedule::Rule::next(Instant after) const {
    if (!calendars || !calendars->excludes()) {
        const auto due = next_due(after);
        return due ? std::optional{due->fire()} : std::nullopt;
    }
    return calendars->on_excluded == OnExcluded::drop ? next_not_dropped(after) : next_deferred(after);
}

// What a stretch costs is counted in units of some 20 ns, the time that one entry of a calendar takes.
int Schedule::Rule::most_stretches() const {
    constexpr int kSearch = 30'000, kSearchOfRule = 8, kSearchWithJitter = 500;
    return kSearch / (calendars->units_of_question() + (jitter == Duration::zero() ? kSearchOfRule : kSearchWithJitter));
}

// Leaves out what is excluded, one stretch after the other.
std::optional<ScheduledFire> Schedule::Rule::next_not_dropped(Instant after) const {
    for (int stretches = most_stretches(); stretches > 0; --stretches) {
        const auto found = next_due(after);
        if (!found) return std::nullopt;
        const auto excluded = calendars->excluded_at(found->due);
        if (!excluded) return found->fire();
        after = excluded->until - Duration{1};
    }
    return std::nullopt;
}

// All that is due within a stretch without a free instant is one fire at its end, and so is what is due there by itself. So after an
// instant within such a stretch the next fire is its end, if anything was due in it.
std::optional<ScheduledFire> Schedule::Rule::next_deferred(Instant after) const {
    const int most = most_stretches() / 3;  // once back, once ahead, and the rule
    std::optional<Due> found;
    if (calendars->excluded_at(after)) found = next_due(calendars->excluded_since(after, most) - Duration{1});
    if (!found || found->due > after) found = next_due(after);
    if (!found) return std::nullopt;
    ScheduledFire fire = found->fire();
    const auto excluded = calendars->excluded_at(fire.due);
    if (!excluded) return fire;
    const auto free = calendars->first_free(excluded->until, most);
    if (!free) return std::nullopt;
    fire.at = *free;
    fire.exclusion = excluded->exclusion();
    return fire;
}

ClockChange Schedule::Rule::clock_change_at(Instant nominal) const {
    if (!has_local_times()) return ClockChange::none;
    const SysSeconds instant = std::chrono::floor<std::chrono::seconds>(nominal);
    const LocalTime shown = zone.local(instant);
    const Zone::Instants found = zone.instants(shown);
    if (found.repeated) return instant < found.transition ? ClockChange::first_of_two : ClockChange::second_of_two;
    const LocalTime expected = zone.local(instant - std::chrono::seconds{1}) + 1;
    if (expected >= shown) return ClockChange::none;
    // The end of a gap: a fire of its own, or one that the gap moved here.
    const auto named_from = [&](LocalTime from) {
        return std::visit([&](const auto& rule) { return first_named(rule, from, working_days()).value_or(LocalTime::max()); }, what);
    };
    return named_from(expected) < shown && named_from(shown) != shown ? ClockChange::moved : ClockChange::none;
}

// Parameters do not count: what a fire is given says nothing about when it is due, and a change of it owes no other fires.
bool operator==(const Schedule::Rule& a, const Schedule::Rule& b) {
    return a.what == b.what && a.zone.name() == b.zone.name() && a.enabled == b.enabled && a.gap == b.gap && a.overlap == b.overlap &&
           a.start == b.start && a.end == b.end && a.jitter == b.jitter &&
           (a.calendars == b.calendars || (a.calendars && b.calendars && *a.calendars == *b.calendars));
}

Instant default_anchor(const Zone& zone) { return instant_of(LocalTime(1970, 1, 1, 0, 0, 0), zone); }

bool is_moment(Instant instant) { return instant >= kEpoch && instant <= kLastInstant; }

std::optional<What> read_cron(std::string_view expression, const Zone& zone, std::vector<CronFault>& faults) {
    const std::size_t begin = std::min(expression.find_first_not_of(" \t"), expression.size());
    const std::size_t end = std::min(expression.find_first_of(" \t", begin), expression.size());
    if (expression.substr(begin, end - begin) != "@every") {
        if (auto rule = CronRule::parse(expression, faults)) return std::move(*rule);
        return std::nullopt;
    }
    const std::size_t from = std::min(expression.find_first_not_of(" \t", end), expression.size());
    const std::string_view text = expression.substr(from, expression.find_last_not_of(" \t") + 1 - from);
    const auto interval = parse_duration(text);
    if (interval && *interval >= kShortestInterval && *interval <= kLongestInterval) return Every{*interval, default_anchor(zone)};
    faults.push_back({interval ? fmt::format("the interval '{}' of @every is out of range", text)
                               : fmt::format("'{}' after @every is not an interval", text),
                      fmt::format("a duration such as 90s or 1h30min, {} to {}", format_duration(kShortestInterval),
                                  format_duration(kLongestInterval))});
    return std::nullopt;
}

std::optional<std::string> never_fires(const Schedule::Rule& rule) {
    if (std::holds_alternative<Manual>(rule.what) || rule.next_nominal(Instant::min())) return std::nullopt;
    const auto* calendar = std::get_if<CalendarRule>(&rule.what);
    if (calendar != nullptr && !calendar->next(LocalTime(kFirstCronYear, 1, 1, 0, 0, 0), rule.working_days())) {
        return "never fires: its days never come";
    }
    if (rule.has_start() || rule.has_end()) return "never fires from 'start' on and before 'end'";
    return fmt::format("never fires: the clocks of {} skip every one of its local times", rule.zone.name());
}

}  // namespace cloudtask::task
