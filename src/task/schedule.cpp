// Schedule: making one from its parts, and what can be asked of it. Pure but for the zone files that cctz reads; any thread. The search for
// fires is in schedule_rule.cpp, the JSON in schedule_json.cpp.
#include "cloudtask/task/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "cloudtask/core/units.h"
#include "task/schedule_rule.h"

namespace cloudtask::task {

namespace {

Error unknown_zone(std::string_view name) {
    return Error{Errc::invalid_argument,
                 fmt::format("zone '{}' is not in the IANA database; allowed: {}", name.substr(0, 64), kAllowedZone)};
}

Schedule::Rule plain_rule(What what, Zone zone) { return {.what = std::move(what), .zone = std::move(zone), .gap = {}, .overlap = {}}; }

}  // namespace

std::string_view to_string(GapRule rule) { return rule == GapRule::first_valid ? "first_valid" : "skip"; }

std::string_view to_string(OverlapRule rule) {
    return rule == OverlapRule::first ? "first" : rule == OverlapRule::second ? "second" : "both";
}

std::string_view to_string(ClockChange change) {
    switch (change) {
        case ClockChange::none:
            break;
        case ClockChange::moved:
            return "moved";
        case ClockChange::first_of_two:
            return "first_of_two";
        case ClockChange::second_of_two:
            return "second_of_two";
    }
    return "none";
}

std::string_view to_string(OnExcluded choice) { return choice == OnExcluded::drop ? "drop" : "defer"; }

Result<Schedule> Schedule::cron(std::string_view expression, std::string_view zone) {
    const auto loaded = Zone::load(zone);
    if (!loaded) return tl::unexpected<Error>(unknown_zone(zone));
    if (expression.size() > kLongestExpression) {
        return fail(Errc::invalid_argument, "the cron expression is longer than {} bytes", kLongestExpression);
    }
    std::vector<CronFault> faults;
    auto what = read_cron(expression, *loaded, faults);
    if (!what) {
        std::string message = fmt::format("cron '{}': ", expression);
        for (std::size_t i = 0; i < faults.size(); ++i) {
            message += fmt::format("{}{}; allowed: {}", i == 0 ? "" : "; ", faults[i].problem, faults[i].allowed);
        }
        return tl::unexpected<Error>(Error{Errc::invalid_argument, std::move(message)});
    }
    return Schedule{std::make_shared<const Rule>(plain_rule(std::move(*what), *loaded))};
}

Result<Schedule> Schedule::every(Duration interval, Instant anchor, std::string_view zone) {
    const auto loaded = Zone::load(zone);
    if (!loaded) return tl::unexpected<Error>(unknown_zone(zone));
    if (interval < kShortestInterval || interval > kLongestInterval) {
        return fail(Errc::invalid_argument, "the interval must be {} to {}", format_duration(kShortestInterval),
                    format_duration(kLongestInterval));
    }
    if (!is_moment(anchor) && anchor != default_anchor(*loaded)) {
        return fail(Errc::invalid_argument, "the anchor must lie in the years 1970 to 9999");
    }
    return Schedule{std::make_shared<const Rule>(plain_rule(Every{interval, anchor}, *loaded))};
}

Result<Schedule> Schedule::at(Instant instant, std::string_view zone) {
    const auto loaded = Zone::load(zone);
    if (!loaded) return tl::unexpected<Error>(unknown_zone(zone));
    if (!is_moment(instant)) return fail(Errc::invalid_argument, "the instant must lie in the years 1970 to 9999");
    return Schedule{std::make_shared<const Rule>(plain_rule(At{{instant}}, *loaded))};
}

Schedule::Kind Schedule::kind() const {
    struct KindOf {
        Kind operator()(const CronRule&) const { return Kind::cron; }
        Kind operator()(const Every&) const { return Kind::every; }
        Kind operator()(const WindowRule&) const { return Kind::every; }
        Kind operator()(const CalendarRule&) const { return Kind::calendar; }
        Kind operator()(const At&) const { return Kind::at; }
        Kind operator()(const Manual&) const { return Kind::manual; }
    };
    return std::visit(KindOf{}, rule_->what);
}

bool Schedule::enabled() const { return rule_->enabled; }

const std::string& Schedule::zone() const { return rule_->zone.name(); }

GapRule Schedule::gap() const { return rule_->clock().gap; }

OverlapRule Schedule::overlap() const { return rule_->clock().overlap; }

Schedule Schedule::for_task(std::string_view task_id) const {
    const auto* cron = std::get_if<CronRule>(&rule_->what);
    const bool hashed = cron != nullptr && cron->is_hashed();
    if (!hashed && rule_->jitter == Duration::zero()) return *this;
    Rule rule = *rule_;
    rule.seed = Rule::seed_of(task_id);
    if (hashed) {
        std::vector<CronFault> faults;
        // What is right for no task at all is right for each: parse() sees to that.
        if (auto picked = CronRule::parse(cron->text(), faults, task_id)) rule.what = std::move(*picked);
    }
    return Schedule{std::make_shared<const Rule>(std::move(rule))};
}

std::vector<std::string> Schedule::exclude() const {
    std::vector<std::string> names;
    if (rule_->calendars) {
        for (const auto& each : rule_->calendars->exclude) names.push_back(each.name);
    }
    return names;
}

std::vector<std::string> Schedule::calendar_names() const {
    std::vector<std::string> names = exclude();
    if (rule_->calendars && !rule_->calendars->working_days.name.empty()) names.push_back(rule_->calendars->working_days.name);
    std::sort(names.begin(), names.end());
    names.erase(std::unique(names.begin(), names.end()), names.end());
    return names;
}

OnExcluded Schedule::on_excluded() const { return rule_->calendars ? rule_->calendars->on_excluded : OnExcluded::drop; }

std::string Schedule::working_days() const { return rule_->calendars ? rule_->calendars->working_days.name : std::string{}; }

const Parameters* Schedule::parameters() const { return rule_->parameters.get(); }

Schedule Schedule::with_calendars(const Calendars& calendars) const {
    if (!rule_->calendars) return *this;
    CalendarUse use = *rule_->calendars;
    const auto fill = [&calendars](CalendarUse::Named& each) {
        const auto found = calendars.find(each.name);
        each.calendar = found == calendars.end() ? nullptr : found->second;
    };
    for (auto& each : use.exclude) fill(each);
    fill(use.working_days);
    if (use == *rule_->calendars) return *this;
    Rule rule = *rule_;
    rule.calendars = std::make_shared<const CalendarUse>(std::move(use));
    return Schedule{std::make_shared<const Rule>(std::move(rule))};
}

std::optional<Instant> Schedule::next(Instant after) const {
    if (rule_->jitter == Duration::zero() && !rule_->calendars) return rule_->next_nominal(after);
    if (!rule_->calendars) {
        const auto found = rule_->next_due(after);
        return found ? std::optional{found->due} : std::nullopt;
    }
    const auto fire = rule_->next(after);
    return fire ? std::optional{fire->at} : std::nullopt;
}

std::optional<ScheduledFire> Schedule::next_fire(Instant after) const {
    auto fire = rule_->next(after);
    if (fire) fire->clock_change = rule_->clock_change_at(fire->nominal);
    return fire;
}

bool operator==(const Schedule& a, const Schedule& b) { return a.rule_ == b.rule_ || *a.rule_ == *b.rule_; }

}  // namespace cloudtask::task
