// Schedule: a rule that yields fire times. Immutable, pure, cheap to copy (the parsed rule is shared).
//
// Kinds: cron (crontab(5) with Quartz's and Jenkins' additions: 5 fields, 6 with seconds first, 7 with the year last), every (an interval
// aligned to an anchor, or counted anew in a daily window), calendar (times of day on days of weeks or months), at (one instant, or a list
// of them) and manual (never). Each has an IANA zone (cctz, the system's tzdata), and may have a start, an end and a jitter.
// docs/schedules.md says what each does. DST: what becomes of a local time that a gap skips or an overlap repeats can be chosen (GapRule,
// OverlapRule). Unless it is, a skipped one fires at the first valid instant after the gap, once, a repeated one the first time; and cron
// rules that run in every hour follow real time, so that they neither pause nor fire twice.
//
// A schedule may name calendars (task/calendar.h): what they exclude of its fires is dropped, or deferred to the first free instant. What
// it is read from has their names only; with_calendars() gives it their content. Until then it is as if they excluded nothing.
//
// It may give parameters to the runs of its fires (task/parameters.h).
//
// A rule with H, or with jitter, has other times for each task. read() cannot know the task, so who has its id asks for the schedule
// for_task(); read_task() of task/codec.h has done so.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/faults.h"
#include "cloudtask/core/json.h"
#include "cloudtask/task/calendar.h"

namespace cloudtask::task {

// task/parameters.h
struct ParameterValue;
using Parameters = std::map<std::string, std::optional<ParameterValue>>;

// What a local time that a gap skips does: it fires when the gap ends, or not at all.
enum class GapRule : std::uint8_t { first_valid, skip };
// When a local time that an overlap repeats fires.
enum class OverlapRule : std::uint8_t { first, second, both };

std::string_view to_string(GapRule rule);
std::string_view to_string(OverlapRule rule);

// What a change of the clocks did to a fire of a rule of local times.
enum class ClockChange : std::uint8_t {
    none,
    moved,         // its local time is skipped by a gap: it fires when the gap ends
    first_of_two,  // its local time is shown twice, and this is the first time
    second_of_two,
};

std::string_view to_string(ClockChange change);

// What becomes of a fire that a calendar excludes.
enum class OnExcluded : std::uint8_t { drop, defer };

std::string_view to_string(OnExcluded choice);

// By what a fire was excluded.
struct Exclusion {
    std::string calendar;
    std::string entry;  // "Christmas Day"
};

// A fire, and the instant that the rule names for it.
struct ScheduledFire {
    Instant at{};       // when it is to be started: what everybody knows the fire by
    Instant nominal{};  // what the rule says
    ClockChange clock_change = ClockChange::none;
    Instant due{};  // when it would be started if no calendar excluded it: the nominal instant and the delay of jitter
    // Set if a calendar excludes `due`. Then the fire is dropped, and `at` is `due`; or deferred, and `at` is the first instant after it
    // that none of the schedule's calendars excludes. A fire that stands for several deferred ones has the `nominal` and `due` of the
    // first.
    std::shared_ptr<const Exclusion> exclusion;
    bool dropped = false;

    bool deferred() const { return exclusion != nullptr && !dropped; }
};

class Schedule {
  public:
    enum class Kind { cron, every, calendar, at, manual };

    // {"cron": "*/5 * * * *", "zone": "Europe/Berlin", "enabled": true}
    // {"cron": "@every 90s"}                                            the same as {"every": "90s"}
    // {"every": "30s", "anchor": "2026-01-01T00:00:00Z", "zone": "UTC"}   anchor defaults to 1970-01-01T00:00 in the zone
    // {"at": "2026-12-24T18:00:00", "zone": "Europe/Berlin"}              local time in the zone, or with an offset
    // {"at": ["2026-03-31T18:00", "2026-06-30T18:00"]}                     up to 366 of them
    // {"every": "10min", "window": {"from": "22:00", "to": "06:00", "weekdays": ["fri"]}}
    // {"calendar": {"frequency": "monthly", "days": [15, "last working day"], "times": ["18:00"]}}
    // {"calendar": {"frequency": "weekly", "interval": 2, "from": "2026-01-05", "weekdays": ["mon"], "times": ["09:00", "17:00"]}}
    // {"manual": true}                                                    never: for what is started by hand
    // Beside any: "start" and "end" (moments; fires count from the one on and before the other), "jitter" (up to 24h). Beside a rule of
    // local times: "dst": {"gap": "first_valid" or "skip", "overlap": "first", "second" or "both"}. "exclude": ["uk-holidays"], up to
    // kMostCalendars names of calendars, with "on_excluded": "drop" (the default) or "defer". "working_days": "uk-holidays", the calendar
    // that says which days are worked, for rules that ask. "parameters": {"region": "us"}. Faults: unknown zone, bad field (named), an
    // impossible rule (30 February), an interval under 1 s.
    static std::optional<Schedule> read(const json::Value& value, const std::string& pointer, Faults& faults);

    static Result<Schedule> cron(std::string_view expression, std::string_view zone);
    static Result<Schedule> every(Duration interval, Instant anchor, std::string_view zone = "UTC");
    static Result<Schedule> at(Instant instant, std::string_view zone = "UTC");

    void write(json::Writer& out) const;

    Kind kind() const;
    bool enabled() const;
    const std::string& zone() const;
    // What the rule does where the clocks change, chosen or by itself. Means nothing for `every` without a window, `at` and `manual`.
    GapRule gap() const;
    OverlapRule overlap() const;

    // The same schedule as the task of this id has it: what H picks follows from the id. Until then it is as if the id were empty.
    // So does by how much jitter delays each fire.
    Schedule for_task(std::string_view task_id) const;

    // The names of the calendars that it uses, each once, in order.
    std::vector<std::string> calendar_names() const;
    // The names of those that may drop or defer its fires.
    std::vector<std::string> exclude() const;
    OnExcluded on_excluded() const;
    // The name of the calendar that says which days are worked; empty: Monday to Friday.
    std::string working_days() const;
    // The same schedule with the content of its calendars: those of `calendars` that it names. Who changes a calendar asks anew.
    Schedule with_calendars(const Calendars& calendars) const;

    // The first instant after `after` (exclusive) at which it fires; nothing if there is none. Ignores enabled(). Below 1 ms for any rule,
    // calendars and instant. For that, a rule of which calendars drop some 1,500 stretches in a row (fewer, if they have many rules) counts
    // as having ended, and so does one that would be deferred over some 500 stretches without a free instant between them.
    std::optional<Instant> next(Instant after) const;
    // The same, with what the rule says, what the clocks did to it, and what the calendars did. So `next_fire(at - Duration{1})` tells the
    // nominal instant of the fire at `at`. Dropped ones are left out; FireWalk of task/fire_walk.h tells them.
    std::optional<ScheduledFire> next_fire(Instant after) const;

    // What it gives to the runs of its fires; null: nothing.
    const Parameters* parameters() const;

    // Fires at the same times, whichever task it is for and whatever parameters it gives.
    friend bool operator==(const Schedule& a, const Schedule& b);

    struct Rule;  // private to src/task
    const Rule& rule() const { return *rule_; }
    explicit Schedule(std::shared_ptr<const Rule> rule) : rule_(std::move(rule)) {}

  private:
    std::shared_ptr<const Rule> rule_;
};

}  // namespace cloudtask::task
