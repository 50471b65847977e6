// One search for a fire takes less than a millisecond, whatever the rule and the instant: the worst rules that are known, beside the random
// ones of tests/fuzz. Processor time of this thread, and the least of several tries, so that a busy machine makes no fault.
#include <catch2/catch.hpp>

#include <time.h>

#include <algorithm>
#include <limits>

#include "cloudtask/task/schedule.h"
#include "tests/support/sanitized.h"
#include "tests/task/schedule_texts.h"

using namespace cloudtask;

namespace {

constexpr double kMostMicroseconds = kSanitized ? 30'000 : 1000;

double thread_microseconds() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

}  // namespace

TEST_CASE("schedule: the worst rules are searched within a millisecond") {
    for (
        const char* text :
        {R"({"cron": "0 0 ? 2 mon#5", "zone": "Europe/Berlin"})",
         // Not since Berlin has summer time: each year until 2399 is tried.
         R"({"cron": "30 2 ? 3 sunL", "zone": "Europe/Berlin", "dst": {"gap": "skip", "overlap": "both"}})",
         R"({"calendar": {"frequency": "monthly", "months": ["mar"], "days": ["last sun"], "times": ["02:30"]},
              "zone": "Europe/Berlin", "dst": {"gap": "skip", "overlap": "both"}})",
         R"({"cron": "* * * * * *", "zone": "Europe/Berlin", "jitter": "24h"})",
         R"({"cron": "30 2 ? 3 sunL", "zone": "Europe/Berlin", "jitter": "24h", "dst": {"gap": "skip", "overlap": "both"}})",
         R"({"calendar": {"frequency": "monthly", "interval": 999, "from": "1972-02-01", "days": [29], "times": ["02:30"]}})",
         R"({"every": "1h", "window": {"from": "02:15", "to": "02:45", "weekdays": ["sun"]}, "zone": "Africa/Cairo", "dst": {"gap": "skip"}})"}) {
        const task::Schedule schedule = schedule_texts::valid(text).for_task("018f0000-0000-7000-8000-000000000001");
        for (const char* at : {"1970-01-01T00:00:00Z", "2026-03-29T00:59:59Z", "2096-03-01T00:00:00Z", "2399-12-31T00:00:00Z"}) {
            double least = std::numeric_limits<double>::max();
            for (int i = 0; i < 5; ++i) {
                const double begun = thread_microseconds();
                (void)schedule.next_fire(*parse_instant(at));
                least = std::min(least, thread_microseconds() - begun);
            }
            CAPTURE(text, at);
            CHECK(least < kMostMicroseconds);
        }
    }
}
