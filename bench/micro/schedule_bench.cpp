// Schedule::next for typical rules, beside the bare cost of one look-up in cctz. One thread.
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
