// Schedule: making one from its parts, and what can be asked of it. Pure but for the zone files that cctz reads; any thread. The search for
// fires is in schedule_rule.cpp, the JSON in schedule_json.cpp.
#include "cloudtask/task/schedule.h"

#include <fmt/format.h>

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

// "2026-12-24 18:00:00 +01:00": as the wall of the zone shows it.
std::string wall_text(Instant instant, const Zone& zone) {
    const SysSeconds seconds = std::chrono::floor<std::chrono::seconds>(instant);
    const LocalTime local = zone.local(seconds);
    const auto decimals = (instant - seconds).count();
    return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}{} {}", local.year(), local.month(), local.day(), local.hour(), local.minute(),
                       local.second(), decimals == 0 ? "" : fmt::format(".{:06}", decimals), zone.offset_text(seconds));
}

std::string weekdays_text(std::uint8_t weekdays) {
    std::vector<std::string_view> names;
    for (int i = 1; i <= 7; ++i) {
        if ((weekdays >> i % 7 & 1) != 0) names.push_back(weekday_name(i % 7));
    }
    return fmt::format("{}", fmt::join(names, ", "));
}

// "every 2 weeks on mon, fri at 09:00, counted from 2026-01-05".
std::string calendar_text(const CalendarRule& calendar) {
    const std::string_view unit = calendar.frequency == Frequency::monthly  ? "month"
                                  : calendar.frequency == Frequency::weekly ? "week"
                                                                            : "day";
    std::string text = calendar.interval == 1 ? fmt::format("every {}", unit) : fmt::format("every {} {}s", calendar.interval, unit);
    std::vector<std::string> words;
    if (calendar.frequency == Frequency::weekly) text += " on " + weekdays_text(calendar.weekdays);
    if (calendar.frequency == Frequency::monthly) {
        for (const MonthDay& day : calendar.days) words.push_back(format_month_day(day));
        text += fmt::format(" on the {}", fmt::join(words, ", "));
        words.clear();
        for (int month = 1; month <= 12; ++month) {
            if ((calendar.months >> month & 1) != 0) words.emplace_back(month_name(month));
        }
        if (words.size() < 12) text += fmt::format(" of {}", fmt::join(words, ", "));
        words.clear();
    }
    for (const TimeOfDay time : calendar.times) words.push_back(format_time_of_day(time));
    text += fmt::format(" at {}", fmt::join(words, ", "));
    if (calendar.from) text += fmt::format(", counted from {}", format_date(*calendar.from));
    return text;
}

}  // namespace

std::string_view to_string(GapRule rule) { return rule == GapRule::first_valid ? "first_valid" : "skip"; }

std::string_view to_string(OverlapRule rule) {
    return rule == OverlapRule::first ? "first" : rule == OverlapRule::second ? "second" : "both";
}

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

std::optional<Instant> Schedule::next(Instant after) const {
    if (rule_->jitter == Duration::zero()) return rule_->next_nominal(after);
    const auto fire = rule_->next(after);
    return fire ? std::optional{fire->at} : std::nullopt;
}

std::optional<ScheduledFire> Schedule::next_fire(Instant after) const {
    auto fire = rule_->next(after);
    if (fire) fire->clock_change = rule_->clock_change_at(fire->nominal);
    return fire;
}

std::string Schedule::describe() const {
    struct TextOf {
        const Zone& zone;
        std::string operator()(const CronRule& cron) const { return fmt::format("cron {} in {}", cron.text(), zone.name()); }
        std::string operator()(const Every& every) const {
            return fmt::format("every {} counted from {} in {}", format_duration(every.interval), wall_text(every.anchor, zone),
                               zone.name());
        }
        std::string operator()(const WindowRule& window) const {
            const std::string days = window.weekdays == 0x7F ? "" : fmt::format(" on {}", weekdays_text(window.weekdays));
            return fmt::format("every {} from {} to {}{} in {}", format_duration(window.interval), format_time_of_day(window.from),
                               format_time_of_day(window.to), days, zone.name());
        }
        std::string operator()(const CalendarRule& calendar) const { return fmt::format("{} in {}", calendar_text(calendar), zone.name()); }
        std::string operator()(const At& at) const {
            const std::string more = at.instants.size() == 1 ? "" : fmt::format(" and {} more", at.instants.size() - 1);
            return fmt::format("at {}{} in {}", wall_text(at.instants.front(), zone), more, zone.name());
        }
        std::string operator()(const Manual&) const { return "by hand only"; }
    };
    std::string text = std::visit(TextOf{rule_->zone}, rule_->what);
    if (rule_->has_start()) text += fmt::format(", from {} on", wall_text(rule_->start, rule_->zone));
    if (rule_->has_end()) text += fmt::format(", before {}", wall_text(rule_->end, rule_->zone));
    if (rule_->jitter > Duration::zero()) text += fmt::format(", up to {} later", format_duration(rule_->jitter));
    return text;
}

bool operator==(const Schedule& a, const Schedule& b) { return a.rule_ == b.rule_ || *a.rule_ == *b.rule_; }

}  // namespace cloudtask::task
