// Schedule: what each kind of rule fires, and its JSON. Pure but for the zone files that cctz reads; any thread.
//
// The search for the next fire of a cron rule walks local times with CronRule and maps each to its instant with Zone; how it treats gaps
// and overlaps is stated in docs/schedules.md.
#include "cloudtask/task/schedule.h"

#include <fmt/format.h>

#include <algorithm>
#include <utility>
#include <variant>
#include <vector>

#include "cloudtask/core/check.h"
#include "cloudtask/core/units.h"
#include "task/cron.h"
#include "task/moment.h"
#include "task/zone.h"

namespace cloudtask::task {

namespace {

constexpr Duration kShortestInterval = std::chrono::seconds{1};
constexpr Duration kLongestInterval = std::chrono::hours{24 * 366};
constexpr std::size_t kLongestExpression = 256;
constexpr std::size_t kLongestMoment = 40;

constexpr Instant kEpoch{};
// 9999-12-31T23:59:59.999999Z, the last instant that RFC 3339 can write.
constexpr Instant kLastInstant{std::chrono::seconds{253402300800} - Duration{1}};
// 2400-01-01T00:00:00Z: cctz knows the offset changes of the 400-year cycle that tzdata's last rules describe, and a cron rule needs them.
constexpr SysSeconds kCronEnd{std::chrono::seconds{13569465600}};

constexpr std::string_view kAllowedZone = "an IANA zone name such as Europe/Berlin, or UTC";
constexpr std::string_view kAllowedMoment =
    "a date and time such as 2026-12-24T18:00:00 (local in the zone) or 2026-12-24T18:00:00+01:00, years 1970 to 9999";

struct Every {
    Duration interval;
    Instant anchor;
};
struct At {
    Instant instant;
};

using What = std::variant<CronRule, Every, At>;

Instant default_anchor(const Zone& zone) { return instant_of(LocalTime(1970, 1, 1, 0, 0, 0), zone); }

bool is_moment(Instant instant) { return instant >= kEpoch && instant <= kLastInstant; }

// A cron expression, or "@every 90s", which is an interval.
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

Error unknown_zone(std::string_view name) {
    return Error{Errc::invalid_argument,
                 fmt::format("zone '{}' is not in the IANA database; allowed: {}", name.substr(0, 64), kAllowedZone)};
}

// A rule that does not run in every hour has fixed local times: a skipped one fires when the gap ends, a repeated one only the first time.
std::optional<SysSeconds> next_fixed(const CronRule& rule, const Zone& zone, SysSeconds after) {
    LocalTime from = zone.local(after) + 1;
    while (const auto match = rule.next(from)) {
        const Zone::Instants found = zone.instants(*match);
        if (found.instant > after) return found.instant;
        // `after` lies in the second pass of an overlap, so all of this pass has fired already.
        from = found.repeated ? zone.local(found.transition - std::chrono::seconds{1}) + 1 : *match + 1;
    }
    return std::nullopt;
}

// A rule that runs in every hour fires whenever the wall shows a match: on both passes of an overlap, never inside a gap.
std::optional<SysSeconds> next_in_real_time(const CronRule& rule, const Zone& zone, SysSeconds after) {
    while (after < kCronEnd) {
        const LocalTime shown = zone.local(after);
        const auto match = rule.next(shown + 1);
        if (!match) return std::nullopt;
        const SysSeconds instant = after + std::chrono::seconds{*match - shown};
        const auto transition = zone.next_transition(after);
        if (!transition || instant < transition->at) return instant;
        if (rule.matches(transition->shows)) return transition->at;
        after = transition->at;
    }
    return std::nullopt;
}

}  // namespace

struct Schedule::Rule {
    What what;
    Zone zone;
    bool enabled = true;

    std::optional<Instant> next(const CronRule& cron, Instant after) const {
        const SysSeconds from = std::max(std::chrono::floor<std::chrono::seconds>(after), SysSeconds{} - std::chrono::seconds{1});
        if (from >= kCronEnd) return std::nullopt;
        const auto found = cron.runs_every_hour() ? next_in_real_time(cron, zone, from) : next_fixed(cron, zone, from);
        if (!found || *found >= kCronEnd) return std::nullopt;
        return Instant{*found};
    }

    std::optional<Instant> next(const Every& every, Instant after) const {
        if (after >= kLastInstant) return std::nullopt;
        const Instant from = std::max(after, kEpoch - Duration{1});
        if (from < every.anchor) return every.anchor;
        const Instant found = every.anchor + ((from - every.anchor) / every.interval + 1) * every.interval;
        if (found > kLastInstant) return std::nullopt;
        return found;
    }

    std::optional<Instant> next(const At& at, Instant after) const {
        if (at.instant > after) return at.instant;
        return std::nullopt;
    }

    // "2026-12-24 18:00:00 +01:00": as the wall of the zone shows it.
    std::string on_the_wall(Instant instant) const {
        const SysSeconds seconds = std::chrono::floor<std::chrono::seconds>(instant);
        const LocalTime local = zone.local(seconds);
        const auto decimals = (instant - seconds).count();
        return fmt::format("{:04}-{:02}-{:02} {:02}:{:02}:{:02}{} {}", local.year(), local.month(), local.day(), local.hour(),
                           local.minute(), local.second(), decimals == 0 ? "" : fmt::format(".{:06}", decimals), zone.offset_text(seconds));
    }
};

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
    return Schedule{std::make_shared<const Rule>(Rule{std::move(*what), *loaded, true})};
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
    return Schedule{std::make_shared<const Rule>(Rule{Every{interval, anchor}, *loaded, true})};
}

Result<Schedule> Schedule::at(Instant instant, std::string_view zone) {
    const auto loaded = Zone::load(zone);
    if (!loaded) return tl::unexpected<Error>(unknown_zone(zone));
    if (!is_moment(instant)) return fail(Errc::invalid_argument, "the instant must lie in the years 1970 to 9999");
    return Schedule{std::make_shared<const Rule>(Rule{At{instant}, *loaded, true})};
}

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
    reader.finish();

    if (faults.list().size() != faults_before || !what) return std::nullopt;
    return Schedule{std::make_shared<const Rule>(Rule{std::move(*what), std::move(*zone), enabled})};
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
    out.end_object();
}

Schedule::Kind Schedule::kind() const {
    if (std::holds_alternative<CronRule>(rule_->what)) return Kind::cron;
    return std::holds_alternative<Every>(rule_->what) ? Kind::every : Kind::at;
}

bool Schedule::enabled() const { return rule_->enabled; }

const std::string& Schedule::zone() const { return rule_->zone.name(); }

Schedule Schedule::for_task(std::string_view task_id) const {
    const auto* cron = std::get_if<CronRule>(&rule_->what);
    if (cron == nullptr || !cron->is_hashed()) return *this;
    std::vector<CronFault> faults;
    auto picked = CronRule::parse(cron->text(), faults, task_id);
    CLOUDTASK_CHECK(picked.has_value(), "a cron expression is right for one task and wrong for another");
    return Schedule{std::make_shared<const Rule>(Rule{std::move(*picked), rule_->zone, rule_->enabled})};
}

std::optional<Instant> Schedule::next(Instant after) const {
    return std::visit([&](const auto& what) { return rule_->next(what, after); }, rule_->what);
}

std::string Schedule::describe() const {
    if (const auto* cron = std::get_if<CronRule>(&rule_->what)) return fmt::format("cron {} in {}", cron->text(), zone());
    if (const auto* every = std::get_if<Every>(&rule_->what)) {
        return fmt::format("every {} counted from {} in {}", format_duration(every->interval), rule_->on_the_wall(every->anchor), zone());
    }
    return fmt::format("at {} in {}", rule_->on_the_wall(std::get<At>(rule_->what).instant), zone());
}

bool operator==(const Schedule& a, const Schedule& b) {
    if (a.rule_ == b.rule_) return true;
    if (a.kind() != b.kind() || a.zone() != b.zone() || a.enabled() != b.enabled()) return false;
    if (const auto* cron = std::get_if<CronRule>(&a.rule_->what)) return cron->text() == std::get<CronRule>(b.rule_->what).text();
    if (const auto* every = std::get_if<Every>(&a.rule_->what)) {
        const Every& other = std::get<Every>(b.rule_->what);
        return every->interval == other.interval && every->anchor == other.anchor;
    }
    return std::get<At>(a.rule_->what).instant == std::get<At>(b.rule_->what).instant;
}

}  // namespace cloudtask::task
