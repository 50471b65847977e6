// The JSON of a Schedule: one canonical form, so that what was exported and is imported is exported the same. Pure but for the zone files
// that cctz reads; any thread.
#include <fmt/format.h>

#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "cloudtask/core/units.h"
#include "task/moment.h"
#include "task/schedule_rule.h"

namespace cloudtask::task {

namespace {

constexpr std::size_t kLongestMoment = 40;
constexpr std::string_view kAllowedMoment =
    "a date and time such as 2026-12-24T18:00:00 (local in the zone) or 2026-12-24T18:00:00+01:00, years 1970 to 9999";

void read_clock_rules(json::ObjectReader& schedule, std::optional<GapRule>& gap, std::optional<OverlapRule>& overlap) {
    const json::Value* value = schedule.object("dst");
    if (value == nullptr) return;
    json::ObjectReader reader{*value, schedule.pointer("dst"), schedule.faults()};
    std::string choice;
    if (reader.read_choice("gap", choice, {"first_valid", "skip"})) gap = choice == "skip" ? GapRule::skip : GapRule::first_valid;
    if (reader.read_choice("overlap", choice, {"first", "second", "both"})) {
        overlap = choice == "both" ? OverlapRule::both : choice == "second" ? OverlapRule::second : OverlapRule::first;
    }
    reader.finish();
}

}  // namespace

std::optional<Schedule> Schedule::read(const json::Value& value, const std::string& pointer, Faults& faults) {
    const std::size_t faults_before = faults.list().size();
    json::ObjectReader reader{value, pointer, faults};

    bool enabled = true;
    reader.read("enabled", enabled);
    std::string zone_name = "UTC";
    reader.read("zone", zone_name, {.min = 1, .max = 64});
    std::optional<Zone> zone = Zone::load(zone_name);
    if (!zone) {
        faults.add(reader.pointer("zone"), fmt::format("'{}' is not a zone of the IANA database", zone_name), std::string{kAllowedZone});
        zone = Zone::load("UTC");  // so that the faults of the rest are found too
    }

    const auto read_moment = [&](std::string_view name, Instant& out) {
        std::string text;
        if (!reader.read(name, text, {.min = 1, .max = kLongestMoment})) return;
        if (const auto moment = parse_moment(text, *zone)) {
            out = *moment;
        } else {
            faults.add(reader.pointer(name), fmt::format("'{}' is not a date and time", text), std::string{kAllowedMoment});
        }
    };

    std::optional<What> what;
    const bool has_cron = reader.has("cron");
    const bool has_every = reader.has("every");
    const bool has_at = reader.has("at");
    if (value.IsObject() && int{has_cron} + int{has_every} + int{has_at} != 1) {
        faults.add(pointer, has_cron || has_every || has_at ? "has more than one rule" : "has no rule",
                   "exactly one of 'cron', 'every' and 'at'");
    }
    for (const std::string_view name : {"cron", "every", "at", "anchor"}) {
        if (!reader.has(name)) reader.ignore(name);  // null is as good as absent
    }
    if (has_cron) {
        std::string expression;
        std::vector<CronFault> cron_faults;
        if (reader.read("cron", expression, {.min = 1, .max = kLongestExpression})) {
            what = read_cron(expression, *zone, cron_faults);
        }
        for (CronFault& fault : cron_faults) faults.add(reader.pointer("cron"), std::move(fault.problem), std::move(fault.allowed));
    }
    if (has_every) {
        Every every{kShortestInterval, default_anchor(*zone)};
        reader.read_duration("every", every.interval, {.min = kShortestInterval, .max = kLongestInterval});
        read_moment("anchor", every.anchor);
        what = every;
    } else if (reader.has("anchor")) {
        reader.ignore("anchor");
        faults.add(reader.pointer("anchor"), "belongs to an 'every' rule only", "no 'anchor' beside 'cron' or 'at'");
    }
    if (has_at) {
        At at{};
        read_moment("at", at.instant);
        what = at;
    }
    std::optional<GapRule> gap;
    std::optional<OverlapRule> overlap;
    read_clock_rules(reader, gap, overlap);
    if ((gap || overlap) && what && !std::holds_alternative<CronRule>(*what)) {
        faults.add(reader.pointer("dst"), "belongs to rules of local times only",
                   "no 'dst' beside 'every' or 'at': they do not depend on the clocks");
    }
    reader.finish();

    if (faults.list().size() != faults_before || !what) return std::nullopt;
    Rule rule{std::move(*what), std::move(*zone), enabled, gap, overlap};
    if (const auto problem = never_fires(rule)) {
        faults.add(pointer, *problem, std::string{kAllowedGap});
        return std::nullopt;
    }
    return Schedule{std::make_shared<const Rule>(std::move(rule))};
}

void Schedule::write(json::Writer& out) const {
    out.begin_object();
    if (const auto* cron = std::get_if<CronRule>(&rule_->what)) {
        out.member("cron", cron->text());
    } else if (const auto* every = std::get_if<Every>(&rule_->what)) {
        out.member("every", format_duration(every->interval));
        // The default lies before 1970 in UTC for zones east of it, which RFC 3339 here does not write.
        if (every->anchor != default_anchor(rule_->zone)) out.member("anchor", every->anchor);
    } else {
        out.member("at", std::get<At>(rule_->what).instant);
    }
    out.member("zone", rule_->zone.name());
    out.member("enabled", rule_->enabled);
    if (rule_->gap || rule_->overlap) {
        out.key("dst").begin_object();
        if (rule_->gap) out.member("gap", to_string(*rule_->gap));
        if (rule_->overlap) out.member("overlap", to_string(*rule_->overlap));
        out.end_object();
    }
    out.end_object();
}

}  // namespace cloudtask::task
