// The JSON of a Schedule: one canonical form, so that what was exported and is imported is exported the same. Pure but for the zone files
// that cctz reads; any thread.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <memory>
#include <utility>
#include <variant>
#include <vector>

#include "cloudtask/core/units.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/parameters.h"
#include "task/calendar_json.h"
#include "task/moment.h"
#include "task/schedule_rule.h"

namespace cloudtask::task {

namespace {

constexpr std::size_t kLongestMoment = 40;
constexpr std::size_t kMostInstants = 366;
constexpr std::array<std::string_view, 5> kRuleNames{"cron", "every", "calendar", "at", "manual"};
constexpr std::string_view kAllowedRules = "exactly one of 'cron', 'every', 'calendar', 'at' and 'manual'";
constexpr std::string_view kAllowedMoment =
    "a date and time such as 2026-12-24T18:00:00 (local in the zone) or 2026-12-24T18:00:00+01:00, years 1970 to 9999";

// Reads one schedule; each method one part of it.
class ScheduleReader {
  public:
    ScheduleReader(const json::Value& value, const std::string& pointer, Faults& faults)
        : reader_(value, pointer, faults), pointer_(pointer), is_object_(value.IsObject()), faults_(faults) {}

    std::optional<Schedule::Rule> read() {
        const std::size_t faults_before = faults_.list().size();
        bool enabled = true;
        reader_.read("enabled", enabled);
        const Zone zone = read_zone();
        auto what = read_what(zone);
        Schedule::Rule rule{.what = Manual{}, .zone = zone, .enabled = enabled, .gap = {}, .overlap = {}};
        if (what) rule.what = std::move(*what);
        read_clock_rules(rule);
        read_span(rule);
        reader_.read_duration("jitter", rule.jitter, {.min = Duration::zero(), .max = kMostJitter});
        read_calendar_use(rule);
        if (auto parameters = read_parameters(reader_, "parameters", ParameterOrigin::schedule); parameters && !parameters->empty()) {
            rule.parameters = std::make_shared<const Parameters>(std::move(*parameters));
        }
        if (what) refuse_what_does_not_go_with(rule);
        reader_.finish();
        if (!what || faults_.list().size() != faults_before) return std::nullopt;
        if (const auto problem = never_fires(rule)) {
            faults_.add(pointer_, *problem, std::string{kAllowedSpan});
            return std::nullopt;
        }
        return rule;
    }

  private:
    Zone read_zone() {
        std::string name = "UTC";
        reader_.read("zone", name, {.min = 1, .max = 64});
        if (auto zone = Zone::load(name)) return *zone;
        faults_.add(reader_.pointer("zone"), fmt::format("'{}' is not a zone of the IANA database", name), std::string{kAllowedZone});
        return *Zone::load("UTC");  // so that the faults of the rest are found too
    }

    std::optional<What> read_what(const Zone& zone) {
        const auto rules = std::count_if(kRuleNames.begin(), kRuleNames.end(), [this](std::string_view name) { return reader_.has(name); });
        if (is_object_ && rules != 1) {
            faults_.add(pointer_, rules > 1 ? "has more than one rule" : "has no rule", std::string{kAllowedRules});
        }
        for (const std::string_view name : kRuleNames) {
            if (!reader_.has(name)) reader_.ignore(name);  // null is as good as absent
        }
        std::optional<What> what;
        if (reader_.has("cron")) what = read_cron_rule(zone);
        if (reader_.has("every")) {
            what = reader_.has("window") ? read_every_in_window() : read_every(zone);
        } else {
            for (const std::string name : {"anchor", "window"}) {
                if (reader_.has(name))
                    faults_.add(reader_.pointer(name), "belongs to an 'every' rule only", "no such member beside another rule");
            }
        }
        for (const std::string_view name : {"anchor", "window"}) reader_.ignore(name);
        if (const json::Value* calendar = reader_.object("calendar")) {
            if (auto rule = read_calendar(*calendar, reader_.pointer("calendar"), faults_)) what = std::move(*rule);
        }
        if (reader_.has("at")) what = read_at(zone);
        if (reader_.has("manual")) what = read_manual();
        return what;
    }

    std::optional<What> read_cron_rule(const Zone& zone) {
        std::string expression;
        if (!reader_.read("cron", expression, {.min = 1, .max = kLongestExpression})) return std::nullopt;
        std::vector<CronFault> cron_faults;
        auto what = read_cron(expression, zone, cron_faults);
        for (CronFault& fault : cron_faults) faults_.add(reader_.pointer("cron"), std::move(fault.problem), std::move(fault.allowed));
        return what;
    }

    std::optional<What> read_every(const Zone& zone) {
        Every every{kShortestInterval, default_anchor(zone)};
        reader_.read_duration("every", every.interval, {.min = kShortestInterval, .max = kLongestInterval});
        if (const auto anchor = read_moment("anchor", zone)) every.anchor = *anchor;
        return every;
    }

    std::optional<What> read_every_in_window() {
        Duration interval = kShortestInterval;
        reader_.read_duration("every", interval, {.min = kShortestInterval, .max = kWholeDay});
        if (reader_.has("anchor")) {
            faults_.add(reader_.pointer("anchor"), "stands beside 'window': the interval is counted from where the window opens",
                        "no 'anchor'");
        }
        const json::Value* value = reader_.object("window");
        if (value == nullptr) return std::nullopt;
        auto window = read_window(*value, reader_.pointer("window"), faults_);
        if (!window) return std::nullopt;
        window->interval = interval;
        return *window;
    }

    // One instant, or a list of them.
    std::optional<What> read_at(const Zone& zone) {
        const json::Value* value = reader_.any("at");
        if (!value->IsArray()) {
            const auto instant = read_moment("at", zone);
            return instant ? std::optional<What>{At{{*instant}}} : std::nullopt;
        }
        std::vector<std::string> texts;
        if (!reader_.read("at", texts, {.min = 1, .max = kMostInstants, .item = {.min = 1, .max = kLongestMoment}})) return std::nullopt;
        At at;
        for (std::size_t i = 0; i < texts.size(); ++i) {
            const std::string pointer = pointer_to(reader_.pointer("at"), i);
            const auto instant = moment(texts[i], pointer, zone);
            if (!instant) continue;
            if (std::find(at.instants.begin(), at.instants.end(), *instant) != at.instants.end()) {
                faults_.add(pointer, fmt::format("'{}' is there twice", texts[i]), "each instant once");
            }
            at.instants.push_back(*instant);
        }
        if (at.instants.size() != texts.size()) return std::nullopt;
        std::sort(at.instants.begin(), at.instants.end());
        return at;
    }

    std::optional<What> read_manual() {
        bool manual = true;
        if (reader_.read("manual", manual) && !manual) {
            faults_.add(reader_.pointer("manual"), "is false", "true: the task is started by hand only");
        }
        return Manual{};
    }

    void read_clock_rules(Schedule::Rule& rule) {
        const json::Value* value = reader_.object("dst");
        if (value == nullptr) return;
        json::ObjectReader reader{*value, reader_.pointer("dst"), faults_};
        std::string choice;
        if (reader.read_choice("gap", choice, {"first_valid", "skip"})) {
            rule.gap = choice == "skip" ? GapRule::skip : GapRule::first_valid;
        }
        if (reader.read_choice("overlap", choice, {"first", "second", "both"})) {
            rule.overlap = choice == "both" ? OverlapRule::both : choice == "second" ? OverlapRule::second : OverlapRule::first;
        }
        reader.finish();
    }

    void read_span(Schedule::Rule& rule) {
        rule.start = read_moment("start", rule.zone).value_or(rule.start);
        rule.end = read_moment("end", rule.zone).value_or(rule.end);
        if (rule.start >= rule.end) {
            faults_.add(reader_.pointer("end"), "is not after 'start'", "a later instant: fires count from 'start' on, and before 'end'");
        }
    }

    void read_calendar_use(Schedule::Rule& rule) {
        CalendarUse use;
        std::vector<std::string> names;
        reader_.read("exclude", names, {.min = 0, .max = kMostCalendars, .item = {.min = 1, .max = 63}});
        for (std::size_t i = 0; i < names.size(); ++i) {
            const std::string pointer = pointer_to(reader_.pointer("exclude"), i);
            if (std::find(names.begin(), names.begin() + static_cast<std::ptrdiff_t>(i), names[i]) !=
                names.begin() + static_cast<std::ptrdiff_t>(i)) {
                faults_.add(pointer, fmt::format("'{}' is there twice", names[i]), "each once");
            }
            use.exclude.push_back({calendar_name(names[i], pointer), nullptr});
        }
        std::string text;
        if (reader_.read_choice("on_excluded", text, {"drop", "defer"})) {
            use.on_excluded = text == "defer" ? OnExcluded::defer : OnExcluded::drop;
            if (names.empty()) {
                faults_.add(reader_.pointer("on_excluded"), "stands alone", "'exclude' with the names of calendars beside it");
            }
        }
        if (reader_.read("working_days", text, {.min = 1, .max = 63})) {
            use.working_days.name = calendar_name(text, reader_.pointer("working_days"));
        }
        if (use.excludes() || !use.working_days.name.empty()) rule.calendars = std::make_shared<const CalendarUse>(std::move(use));
    }

    std::string calendar_name(const std::string& name, const std::string& pointer) {
        if (!is_slug(name)) faults_.add(pointer, fmt::format("'{}' is not the name of a calendar", name), "a-z, 0-9 and '-'");
        return name;
    }

    void refuse_what_does_not_go_with(const Schedule::Rule& rule) {
        if ((rule.gap || rule.overlap) && !rule.has_local_times()) {
            faults_.add(reader_.pointer("dst"), "belongs to rules of local times only",
                        "no 'dst' beside 'every' without a window, 'at' and 'manual': they do not depend on the clocks");
        }
        if (reader_.has("working_days") && !rule.asks_for_working_days()) {
            faults_.add(reader_.pointer("working_days"), "stands beside a rule that names no working days",
                        "a rule with 'working day' among its days, or a cron rule with W; 'exclude' to leave out holidays");
        }
        if (!std::holds_alternative<Manual>(rule.what)) return;
        for (const std::string_view name : {"start", "end", "jitter", "exclude", "parameters"}) {
            if (name == "exclude" && !(rule.calendars && rule.calendars->excludes())) continue;  // an empty list
            if (reader_.has(name)) faults_.add(reader_.pointer(name), "stands beside 'manual', which never fires", "no such member");
        }
    }

    std::optional<Instant> read_moment(std::string_view name, const Zone& zone) {
        std::string text;
        if (!reader_.read(name, text, {.min = 1, .max = kLongestMoment})) return std::nullopt;
        return moment(text, reader_.pointer(name), zone);
    }

    std::optional<Instant> moment(const std::string& text, const std::string& pointer, const Zone& zone) {
        if (const auto found = parse_moment(text, zone)) return *found;
        faults_.add(pointer, fmt::format("'{}' is not a date and time", text), std::string{kAllowedMoment});
        return std::nullopt;
    }

    json::ObjectReader reader_;
    const std::string& pointer_;
    bool is_object_;
    Faults& faults_;
};

void write_what(json::Writer& out, const CronRule& cron, const Zone&) { out.member("cron", cron.text()); }

void write_what(json::Writer& out, const Every& every, const Zone& zone) {
    out.member("every", format_duration(every.interval));
    // The default lies before 1970 in UTC for zones east of it, which RFC 3339 here does not write.
    if (every.anchor != default_anchor(zone)) out.member("anchor", every.anchor);
}

void write_what(json::Writer& out, const WindowRule& window, const Zone&) {
    out.member("every", format_duration(window.interval)).key("window");
    write_window(out, window);
}

void write_what(json::Writer& out, const CalendarRule& calendar, const Zone&) {
    out.key("calendar");
    write_calendar(out, calendar);
}

void write_what(json::Writer& out, const At& at, const Zone&) {
    out.key("at");
    if (at.instants.size() == 1) return void(out.value(at.instants.front()));
    out.begin_array();
    for (const Instant instant : at.instants) out.value(instant);
    out.end_array();
}

void write_what(json::Writer& out, const Manual&, const Zone&) { out.member("manual", true); }

}  // namespace

std::optional<Schedule> Schedule::read(const json::Value& value, const std::string& pointer, Faults& faults) {
    auto rule = ScheduleReader{value, pointer, faults}.read();
    if (!rule) return std::nullopt;
    return Schedule{std::make_shared<const Rule>(std::move(*rule))};
}

void Schedule::write(json::Writer& out) const {
    out.begin_object();
    std::visit([&](const auto& what) { write_what(out, what, rule_->zone); }, rule_->what);
    out.member("zone", rule_->zone.name());
    out.member("enabled", rule_->enabled);
    if (rule_->has_start()) out.member("start", rule_->start);
    if (rule_->has_end()) out.member("end", rule_->end);
    if (rule_->jitter > Duration::zero()) out.member("jitter", format_duration(rule_->jitter));
    if (rule_->calendars) {
        if (const auto names = exclude(); !names.empty()) out.member("exclude", names).member("on_excluded", to_string(on_excluded()));
        if (const auto& days = rule_->calendars->working_days; !days.name.empty()) out.member("working_days", days.name);
    }
    if (rule_->parameters) write_parameters(out, "parameters", *rule_->parameters);
    if (rule_->gap || rule_->overlap) {
        out.key("dst").begin_object();
        if (rule_->gap) out.member("gap", to_string(*rule_->gap));
        if (rule_->overlap) out.member("overlap", to_string(*rule_->overlap));
        out.end_object();
    }
    out.end_object();
}

}  // namespace cloudtask::task
