// Schedule::next for typical rules, beside the bare cost of one look-up in cctz; and for the worst ones. One thread. schedule_peers.mjs
// puts the figures of other cron libraries beside them.
#include <benchmark/benchmark.h>
#include <cctz/time_zone.h>

#include <chrono>
#include <cstdlib>

#include "cloudtask/task/schedule.h"

namespace {

using namespace cloudtask;

// 2026-03-01T00:00:00Z: the walk passes the spring gap, and starts anew before the end of 2030.
constexpr Instant kStart{std::chrono::seconds{1772323200}};
constexpr Instant kEnd{std::chrono::seconds{1924905600}};

// Walks from fire to fire, as a timetable does.
void walk(benchmark::State& state, const Result<task::Schedule>& schedule) {
    if (!schedule) {
        state.SkipWithError(schedule.error().message.c_str());
        return;
    }
    Instant now = kStart;
    for (auto _ : state) {
        const auto next = schedule->next(now);
        if (!next) std::abort();
        now = *next < kEnd ? *next : kStart;
    }
}

void schedule_next(benchmark::State& state, const char* expression, const char* zone) {
    walk(state, task::Schedule::cron(expression, zone));
}

BENCHMARK_CAPTURE(schedule_next, every_minute_utc, "* * * * *", "UTC");
BENCHMARK_CAPTURE(schedule_next, every_5_minutes_berlin, "*/5 * * * *", "Europe/Berlin");
BENCHMARK_CAPTURE(schedule_next, every_second_berlin, "* * * * * *", "Europe/Berlin");
BENCHMARK_CAPTURE(schedule_next, daily_utc, "30 2 * * *", "UTC");
BENCHMARK_CAPTURE(schedule_next, daily_berlin, "30 2 * * *", "Europe/Berlin");
BENCHMARK_CAPTURE(schedule_next, weekdays_new_york, "0 9 * * 1-5", "America/New_York");
BENCHMARK_CAPTURE(schedule_next, last_days_berlin, "0 0 31 * *", "Europe/Berlin");
BENCHMARK_CAPTURE(schedule_next, leap_day_berlin, "0 0 29 2 *", "Europe/Berlin");
BENCHMARK_CAPTURE(schedule_next, hourly_on_leap_day_berlin, "0 * 29 2 *", "Europe/Berlin");

// Rules as JSON: the other kinds, and what goes beside a rule.
void schedule_rule(benchmark::State& state, const char* text) {
    const auto document = json::parse(text);
    Faults faults;
    const auto schedule = document ? task::Schedule::read(*document, "", faults) : std::nullopt;
    if (!schedule) {
        state.SkipWithError(faults.summary().c_str());
        return;
    }
    walk(state, schedule->for_task("018f3c2e-1111-7222-8333-123456789abc"));
}

BENCHMARK_CAPTURE(schedule_rule, last_weekday_berlin, R"({"cron": "0 18 LW * ?", "zone": "Europe/Berlin"})");
BENCHMARK_CAPTURE(schedule_rule, hashed_berlin, R"({"cron": "H H * * *", "zone": "Europe/Berlin"})");
BENCHMARK_CAPTURE(schedule_rule, window_berlin,
                  R"({"every": "10min", "window": {"from": "22:00", "to": "06:00"}, "zone": "Europe/Berlin"})");
BENCHMARK_CAPTURE(schedule_rule, last_working_day_london,
                  R"({"calendar": {"frequency": "monthly", "days": ["last working day"], "times": ["18:00"]}, "zone": "Europe/London"})");
BENCHMARK_CAPTURE(schedule_rule, daily_with_jitter_berlin, R"({"cron": "0 0 * * *", "jitter": "1h", "zone": "Europe/Berlin"})");

// With the bank holidays of England, and the nights from Friday to Saturday.
void schedule_excluding(benchmark::State& state, const char* text) {
    const auto rules = json::parse(R"({"zone": "Europe/London", "holidays": [{"yearly": "12-25"}, {"yearly": "12-26"}, {"yearly": "01-01"},
        {"yearly": "easter-2"}, {"yearly": "easter+1"}, {"yearly": "1st mon of may"}, {"yearly": "last mon of may"}, {"yearly": "last mon of aug"}],
        "blackouts": [{"cron": "0 22 * * fri", "lasting": "8h"}]})");
    const auto document = json::parse(text);
    Faults faults;
    const auto calendar = rules ? task::Calendar::read(*rules, "", faults) : nullptr;
    const auto schedule = document ? task::Schedule::read(*document, "", faults) : std::nullopt;
    if (!schedule || !calendar) {
        state.SkipWithError(faults.summary().c_str());
        return;
    }
    walk(state, schedule->with_calendars({{"uk", calendar}}));
}

BENCHMARK_CAPTURE(schedule_excluding, daily_dropped, R"({"cron": "0 9 * * *", "zone": "Europe/London", "exclude": ["uk"]})");
BENCHMARK_CAPTURE(schedule_excluding, daily_deferred,
                  R"({"cron": "0 9 * * *", "zone": "Europe/London", "exclude": ["uk"], "on_excluded": "defer"})");
BENCHMARK_CAPTURE(schedule_excluding, every_30s_deferred, R"({"every": "30s", "exclude": ["uk"], "on_excluded": "defer"})");

// Where the next fire is far, or there is none: from 2026 on, each time.
void schedule_worst(benchmark::State& state, const char* text) {
    const auto document = json::parse(text);
    Faults faults;
    const auto schedule = document ? task::Schedule::read(*document, "", faults) : std::nullopt;
    if (!schedule) {
        state.SkipWithError(faults.summary().c_str());
        return;
    }
    for (auto _ : state) benchmark::DoNotOptimize(schedule->next(kStart));
}

BENCHMARK_CAPTURE(schedule_worst, fifth_monday_of_february, R"({"cron": "0 0 ? 2 mon#5", "zone": "Europe/Berlin"})");
// Not since Berlin has summer time: each year until 2399 is tried.
BENCHMARK_CAPTURE(schedule_worst, always_skipped,
                  R"({"cron": "30 2 ? 3 sunL", "zone": "Europe/Berlin", "dst": {"gap": "skip", "overlap": "both"}})");
BENCHMARK_CAPTURE(schedule_worst, always_skipped_calendar,
                  R"({"calendar": {"frequency": "monthly", "months": ["mar"], "days": ["last sun"], "times": ["02:30"]},
                      "zone": "Europe/Berlin", "dst": {"gap": "skip", "overlap": "both"}})");
BENCHMARK_CAPTURE(schedule_worst, jitter_of_a_day_each_second, R"({"cron": "* * * * * *", "zone": "Europe/Berlin", "jitter": "24h"})");
BENCHMARK_CAPTURE(schedule_worst, jitter_and_always_skipped,
                  R"({"cron": "30 2 ? 3 sunL", "zone": "Europe/Berlin", "jitter": "24h", "dst": {"gap": "skip", "overlap": "both"}})");

void schedule_next_every_30s(benchmark::State& state) { walk(state, task::Schedule::every(std::chrono::seconds{30}, Instant{})); }
BENCHMARK(schedule_next_every_30s);

// The floor of any rule with a zone: one instant to local time, and one local time to its instant.
void reference_zone_lookups(benchmark::State& state) {
    cctz::time_zone zone;
    if (!cctz::load_time_zone("Europe/Berlin", &zone)) {
        state.SkipWithError("no tzdata");
        return;
    }
    auto now = std::chrono::time_point_cast<std::chrono::seconds>(kStart);
    for (auto _ : state) {
        const cctz::civil_second local = zone.lookup(now).cs;
        benchmark::DoNotOptimize(zone.lookup(local + 60));
        now += std::chrono::minutes{5};
    }
}
BENCHMARK(reference_zone_lookups);

void schedule_read(benchmark::State& state) {
    const auto document = json::parse(R"({"cron": "*/5 8-18 * * mon-fri", "zone": "Europe/Berlin"})");
    for (auto _ : state) {
        Faults faults;
        benchmark::DoNotOptimize(task::Schedule::read(*document, "", faults));
    }
}
BENCHMARK(schedule_read);

}  // namespace
