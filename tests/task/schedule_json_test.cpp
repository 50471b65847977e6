// The JSON of schedules: what is read, how it is written, what is refused with which pointer. That of calendars is in calendar_test.cpp.
#include <catch2/catch.hpp>

#include <string>

#include "cloudtask/task/schedule.h"
#include "tests/task/schedule_texts.h"

using namespace cloudtask;
using namespace cloudtask::schedule_texts;
using task::Schedule;

namespace {

std::string in_quotes(const std::string& text) { return "\"" + text + "\""; }

}  // namespace

TEST_CASE("schedule: what is read, and its canonical form") {
    CHECK(valid(R"({"cron": "0 9 * * *"})").zone() == "UTC");
    CHECK(valid(R"({"cron": "0 9 * * *", "zone": null, "enabled": null, "at": null})").enabled());
    CHECK_FALSE(valid(R"({"cron": "0 9 * * *", "enabled": false})").enabled());
    // A local time, with or without an offset, through a gap and an overlap.
    CHECK(valid(R"({"at": "2026-12-24T18:00:00", "zone": "Europe/Berlin"})") ==
          *Schedule::at(*parse_instant("2026-12-24T17:00:00Z"), "Europe/Berlin"));
    CHECK(valid(R"({"at": "2026-12-24T18:00", "zone": "Europe/Berlin"})") ==
          *Schedule::at(*parse_instant("2026-12-24T17:00:00Z"), "Europe/Berlin"));
    CHECK(valid(R"({"at": "2026-12-24T18:00:00.5+05:00", "zone": "Europe/Berlin"})") ==
          *Schedule::at(*parse_instant("2026-12-24T13:00:00.5Z"), "Europe/Berlin"));
    CHECK(valid(R"({"at": "2026-03-29T02:30:00.25", "zone": "Europe/Berlin"})") ==
          *Schedule::at(*parse_instant("2026-03-29T01:00:00Z"), "Europe/Berlin"));
    CHECK(valid(R"({"at": "2026-10-25T02:30:00.25", "zone": "Europe/Berlin"})") ==
          *Schedule::at(*parse_instant("2026-10-25T00:30:00.25Z"), "Europe/Berlin"));
    CHECK(valid(R"({"every": "1d", "anchor": "2026-06-01T06:00", "zone": "Europe/Berlin"})") ==
          *Schedule::every(std::chrono::hours{24}, *parse_instant("2026-06-01T04:00:00Z"), "Europe/Berlin"));
    CHECK(valid(R"({"every": "1d", "zone": "America/New_York"})").next(Instant{}) == Instant{std::chrono::hours{5}});

    CHECK(valid(R"({"cron": " @every  90s ", "zone": "Europe/Berlin"})") ==
          *Schedule::every(std::chrono::seconds{90}, Instant{std::chrono::hours{-1}}, "Europe/Berlin"));
    CHECK(canonical(R"({"cron": "@every 90s"})") == R"({"every":"1min30s","zone":"UTC","enabled":true})");

    CHECK(canonical(R"({"cron": "@daily", "dst": {"overlap": "both", "gap": null}, "enabled": false})") ==
          R"({"cron":"@daily","zone":"UTC","enabled":false,"dst":{"overlap":"both"}})");
    CHECK(canonical(R"({"cron": "@daily", "dst": {}})") == R"({"cron":"@daily","zone":"UTC","enabled":true})");
    CHECK_FALSE(valid(R"({"cron": "@daily", "dst": {"gap": "skip"}})") == valid(R"({"cron": "@daily"})"));

    CHECK(canonical(R"({"at": ["2026-12-24T18:00", "2026-06-01T00:00:00Z"], "zone": "Europe/Berlin"})") ==
          R"({"at":["2026-06-01T00:00:00Z","2026-12-24T17:00:00Z"],"zone":"Europe/Berlin","enabled":true})");
    CHECK(canonical(R"({"at": ["2026-06-01T00:00:00Z"]})") == R"({"at":"2026-06-01T00:00:00Z","zone":"UTC","enabled":true})");
    CHECK(canonical(R"({"manual": true, "start": null})") == R"({"manual":true,"zone":"UTC","enabled":true})");
    CHECK(valid(R"({"manual": true})").next(Instant::min()) == std::nullopt);
    CHECK(canonical(R"({"dst": {"gap": "skip"}, "jitter": "90s", "end": "2027-01-01T00:00", "start": "2026-01-01T00:00", "cron": "@daily",
                           "zone": "Europe/Berlin"})") ==
          R"({"cron":"@daily","zone":"Europe/Berlin","enabled":true,"start":"2025-12-31T23:00:00Z","end":"2026-12-31T23:00:00Z",)"
          R"("jitter":"1min30s","dst":{"gap":"skip"}})");
    CHECK(canonical(R"({"cron": "@daily", "jitter": "0s"})") == R"({"cron":"@daily","zone":"UTC","enabled":true})");
    for (const char* other : {R"({"cron": "@daily", "start": "2026-01-01T00:00"})", R"({"cron": "@daily", "end": "2026-01-01T00:00"})",
                              R"({"cron": "@daily", "jitter": "1s"})", R"({"manual": true})", R"({"at": "2026-01-01T00:00"})"}) {
        CHECK_FALSE(valid(R"({"cron": "@daily"})") == valid(other));
    }
}

TEST_CASE("schedule: what is refused, and where") {
    check_fault("{}", "/s", "has no rule");
    check_fault(R"({"cron": null})", "/s", "has no rule");
    check_fault(R"({"cron": "@daily", "at": "2026-01-01T00:00:00Z"})", "/s", "has more than one rule");
    check_fault(R"({"cron": "@daily", "zone": "Mars/Base"})", "/s/zone", "'Mars/Base' is not a zone");
    check_fault(R"({"cron": "0 0 30 2 *"})", "/s/cron", "never comes");
    check_fault(R"({"cron": 5})", "/s/cron", "is not a text");
    check_fault("{\"cron\": " + in_quotes(std::string(257, '*')) + "}", "/s/cron", "has 257 bytes");
    check_fault(R"({"cron": "@daily", "anchor": "2026-01-01T00:00:00Z"})", "/s/anchor", "belongs to an 'every' rule");
    check_fault(R"({"every": "999ms"})", "/s/every", "out of range");
    check_fault(R"({"cron": "@every 999ms"})", "/s/cron", "the interval '999ms' of @every is out of range");
    check_fault(R"({"cron": "@every"})", "/s/cron", "'' after @every is not an interval");
    check_fault(R"({"cron": " @every 5 s "})", "/s/cron", "'5 s' after @every is not an interval");
    check_fault(R"({"cron": "@daily", "dst": {"gap": "later"}})", "/s/dst/gap", "is not one of");
    check_fault(R"({"cron": "@daily", "dst": {"overlap": "last"}})", "/s/dst/overlap", "is not one of");
    check_fault(R"({"cron": "@daily", "dst": {"hour": 2}})", "/s/dst/hour", "is not a known field");
    check_fault(R"({"cron": "@daily", "dst": "skip"})", "/s/dst", "is not an object");
    check_fault(R"({"every": "1h", "dst": {"gap": "skip"}})", "/s/dst", "belongs to rules of local times");
    check_fault(R"({"at": "2026-01-01T00:00:00Z", "dst": {"overlap": "both"}})", "/s/dst", "belongs to rules of local times");
    check_fault(R"({"cron": "0 30 2 ? 3 sunL 2020-2090", "zone": "Europe/Berlin", "dst": {"gap": "skip"}})", "/s", "never fires");
    check_fault(R"({"at": []})", "/s/at", "has 0 entries");
    check_fault(R"({"at": 5})", "/s/at", "is not a text");
    check_fault(R"({"at": ["2026-01-01T00:00:00Z", "soon"]})", "/s/at/1", "'soon' is not a date and time");
    check_fault(R"({"at": ["2026-01-01T00:00:00Z", "2026-01-01T00:00"]})", "/s/at/1", "'2026-01-01T00:00' is there twice");
    check_fault(R"({"manual": false})", "/s/manual", "is false");
    check_fault(R"({"manual": "yes"})", "/s/manual", "");
    check_fault(R"({"manual": true, "jitter": "1s"})", "/s/jitter", "stands beside 'manual'");
    check_fault(R"({"manual": true, "cron": "@daily"})", "/s", "has more than one rule");
    check_fault(R"({"cron": "@daily", "jitter": "25h"})", "/s/jitter", "out of range");
    check_fault(R"({"cron": "@daily", "start": "never"})", "/s/start", "'never' is not a date and time");
    check_fault(R"({"cron": "@daily", "start": "2026-01-02T00:00", "end": "2026-01-02T00:00"})", "/s/end", "is not after 'start'");
    check_fault(R"({"cron": "@yearly", "start": "2026-01-02T00:00", "end": "2027-01-01T00:00"})", "/s", "never fires from 'start' on");
    check_fault(R"({"at": "2026-01-02T00:00", "end": "2026-01-02T00:00"})", "/s", "never fires from 'start' on");
    check_fault(R"({"every": "5"})", "/s/every", "is not a duration");
    check_fault(R"({"every": "5s", "anchor": "yesterday"})", "/s/anchor", "'yesterday' is not a date and time");
    check_fault(R"({"every": "5s", "zones": "UTC"})", "/s/zones", "is not a known field");
    for (const char* bad : {"2026-02-30T00:00:00", "2026-13-01T00:00", "2026-01-01T24:00", "2026-01-01T00:60", "1969-12-31T23:59:59",
                            "2026-01-01", "2026-01-01T00:00:00.", "2026-01-01T00:00:00.1234567", "2026-01-01T00:00:0",
                            "2026-01-01T00:00:00 ", "26-01-01T00:00", "1970-01-01T00:00:00+01:00"}) {
        check_fault(R"({"zone": "America/New_York", "at": )" + in_quotes(bad) + "}", "/s/at", "is not a date and time");
    }
    check_fault(R"({"zone": "Europe/Berlin", "at": "1970-01-01T00:30:00"})", "/s/at", "is not a date and time");
}
