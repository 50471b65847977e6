// Calendar: what it excludes. Pure but for the zone files that cctz reads; any thread. Its JSON is in named_calendar_json.cpp.
#include "cloudtask/task/calendar.h"

#include <algorithm>
#include <utility>

#include "task/calendar_rules.h"
#include "task/clock_changes.h"
#include "task/moment.h"
#include "task/schedule_rule.h"

namespace cloudtask::task {

namespace {

constexpr std::array<std::string_view, 7> kNotWorked{"Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday"};

SysSeconds whole_seconds(Instant instant) { return std::chrono::floor<std::chrono::seconds>(instant); }

}  // namespace

Calendar::Calendar(std::unique_ptr<const Rules> rules, std::string text) : rules_(std::move(rules)), text_(std::move(text)) {}
Calendar::~Calendar() = default;

const std::string& Calendar::zone() const { return rules_->zone.name(); }

const WorkingDays& Calendar::working_days() const { return *rules_; }

std::size_t Calendar::entries_asked() const { return rules_->yearly.size() + rules_->recurring.size(); }

std::optional<Calendar::Span> Calendar::excluded_at(Instant instant) const {
    if (instant < Instant{} || instant >= Instant{kLocalRulesEnd}) return std::nullopt;
    if (auto day = rules_->excluded_day(instant)) return day;
    return rules_->blacked_out(instant);
}

std::optional<Instant> Calendar::first_free(Instant instant) const {
    for (int links = 0; links <= kLongestChain; ++links) {
        const auto excluded = excluded_at(instant);
        if (!excluded) return instant;
        instant = excluded->until;
    }
    return std::nullopt;
}

bool Calendar::Rules::is_extra(Date date) const { return std::binary_search(extra.begin(), extra.end(), date); }

const std::string* Calendar::Rules::holiday_on(Date date) const {
    const auto dated = std::partition_point(dates.begin(), dates.end(), [date](const Dates& each) { return each.to <= date; });
    if (dated != dates.end() && dated->from <= date) return &dated->label;
    for (const Yearly& each : yearly) {
        if (each.day.month != 0 && each.day.month != date.month()) continue;
        if (each.day.in(date.year()) == date) return is_extra(date) ? nullptr : &each.label;
    }
    return nullptr;
}

bool Calendar::Rules::contains(Date date) const {
    if (is_extra(date)) return true;
    return (weekdays >> weekday_of(date) & 1) != 0 && holiday_on(date) == nullptr;
}

Instant Calendar::Rules::start_of(Date date) const { return instant_of(LocalTime(date), zone); }

Date Calendar::Rules::day_of(Instant instant) const {
    Date day(zone.local(whole_seconds(instant)));
    while (instant >= start_of(day + 1)) ++day;
    while (instant < start_of(day)) --day;
    return day;
}

std::optional<Calendar::Span> Calendar::Rules::excluded_day(Instant instant) const {
    if (dates.empty() && yearly.empty() && !excludes_all_non_working) return std::nullopt;
    const Date day = day_of(instant);
    const auto whole_day = [&](std::string_view entry) { return Span{start_of(day), start_of(day + 1), entry}; };
    const auto dated = std::partition_point(dates.begin(), dates.end(), [day](const Dates& each) { return each.to <= day; });
    if (dated != dates.end() && dated->from <= day) return Span{start_of(dated->from), start_of(dated->to), dated->label};
    if (const std::string* label = holiday_on(day)) return whole_day(*label);
    if (excludes_all_non_working && !contains(day)) return whole_day(kNotWorked[static_cast<std::size_t>(weekday_of(day))]);
    return std::nullopt;
}

std::optional<Calendar::Span> Calendar::Rules::blacked_out(Instant instant) const {
    const auto range = std::partition_point(ranges.begin(), ranges.end(), [instant](const Range& each) { return each.to <= instant; });
    if (range != ranges.end() && range->from <= instant) return Span{range->from, range->to, range->label};
    for (const Recurring& each : recurring) {
        const auto start = next_on_the_wall(each.starts, zone, usual_clock_rules(each.starts), whole_seconds(instant - each.lasting));
        if (start && *start <= instant) return Span{*start, *start + each.lasting, each.label};
    }
    return std::nullopt;
}

}  // namespace cloudtask::task
