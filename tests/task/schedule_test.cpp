// Schedules: tables of (rule, zone, from) and the fires that follow, above all where the offset of a zone changes.
//
// Instants are written as the wall of the zone shows them, with the offset, so that a table can be read beside a calendar.
#include "cloudtask/task/schedule.h"

#include <catch2/catch.hpp>

#include <array>
#include <cstdlib>
#include <string>
#include <vector>

#include "cloudtask/core/units.h"
#include "task/zone.h"
#include "tests/task/schedule_texts.h"

using namespace cloudtask;
using namespace cloudtask::schedule_texts;
using task::Schedule;

namespace {

Instant instant(std::string_view text) {
    const auto parsed = parse_instant(text);
    INFO(text);
    REQUIRE(parsed);
    return *parsed;
}

// "2026-03-29T03:00:00+02:00": as the wall of `zone` shows it.
std::string on_the_wall(Instant when, const std::string& zone_name) {
    const auto zone = task::Zone::load(zone_name);
    const auto seconds = std::chrono::floor<std::chrono::seconds>(when);
    const auto local = zone->local(seconds);
    return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}{}", local.year(), local.month(), local.day(), local.hour(), local.minute(),
                       local.second(), zone->offset_text(seconds));
}

std::vector<std::string> fires(const Schedule& schedule, Instant from, std::size_t count) {
    std::vector<std::string> list;
    for (auto next = schedule.next(from); next && list.size() < count; next = schedule.next(*next)) {
        list.push_back(on_the_wall(*next, schedule.zone()));
    }
    return list;
}

struct Row {
    std::string rule;
    std::string zone;
    std::string from;  // exclusive
    std::vector<std::string> fires;
};

void check_cron(const std::vector<Row>& rows) {
    for (const Row& row : rows) {
        CAPTURE(row.rule, row.zone, row.from);
        const auto schedule = Schedule::cron(row.rule, row.zone);
        if (!schedule) FAIL(schedule.error().message);
        CHECK(fires(*schedule, instant(row.from), row.fires.size()) == row.fires);
    }
}

}  // namespace

TEST_CASE("schedule: cron fields") {
    check_cron({
        {"*/15 * * * *",
         "UTC",
         "2026-01-01T00:00:00Z",
         {"2026-01-01T00:15:00+00:00", "2026-01-01T00:30:00+00:00", "2026-01-01T00:45:00+00:00", "2026-01-01T01:00:00+00:00"}},
        {"5,10-12,50-59/5 3 * * *",
         "UTC",
         "2026-01-01T03:04:59.999Z",
         {"2026-01-01T03:05:00+00:00", "2026-01-01T03:10:00+00:00", "2026-01-01T03:11:00+00:00", "2026-01-01T03:12:00+00:00",
          "2026-01-01T03:50:00+00:00", "2026-01-01T03:55:00+00:00", "2026-01-02T03:05:00+00:00"}},
        {"0 9 * * MON-Fri", "UTC", "2026-01-02T09:00:00Z", {"2026-01-05T09:00:00+00:00", "2026-01-06T09:00:00+00:00"}},
        {"0 9 * * 7", "UTC", "2026-01-01T00:00:00Z", {"2026-01-04T09:00:00+00:00", "2026-01-11T09:00:00+00:00"}},
        {"0 9 * * 0", "UTC", "2026-01-01T00:00:00Z", {"2026-01-04T09:00:00+00:00"}},
        {"0 9 * * fri-sun",
         "UTC",
         "2026-01-01T00:00:00Z",
         {"2026-01-02T09:00:00+00:00", "2026-01-03T09:00:00+00:00", "2026-01-04T09:00:00+00:00", "2026-01-09T09:00:00+00:00"}},
        {"0 9 * * 5-7/2",
         "UTC",
         "2026-01-01T00:00:00Z",
         {"2026-01-02T09:00:00+00:00", "2026-01-04T09:00:00+00:00", "2026-01-09T09:00:00+00:00"}},
        {"0 0 1 jan,JUL *", "UTC", "2026-01-01T00:00:00Z", {"2026-07-01T00:00:00+00:00", "2027-01-01T00:00:00+00:00"}},
        {"*/20 * * * * *",
         "UTC",
         "2026-01-01T00:00:00Z",
         {"2026-01-01T00:00:20+00:00", "2026-01-01T00:00:40+00:00", "2026-01-01T00:01:00+00:00"}},
        {"30 59 23 31 12 *", "UTC", "2026-01-01T00:00:00Z", {"2026-12-31T23:59:30+00:00", "2027-12-31T23:59:30+00:00"}},
        {"  0\t12  * * *  ", "UTC", "2026-01-01T00:00:00Z", {"2026-01-01T12:00:00+00:00"}},
        {"@hourly", "UTC", "2026-01-01T00:00:00Z", {"2026-01-01T01:00:00+00:00", "2026-01-01T02:00:00+00:00"}},
        {"@daily", "UTC", "2026-01-01T00:00:00Z", {"2026-01-02T00:00:00+00:00"}},
        {"@midnight", "UTC", "2026-01-01T00:00:00Z", {"2026-01-02T00:00:00+00:00"}},
        {"@weekly", "UTC", "2026-01-01T00:00:00Z", {"2026-01-04T00:00:00+00:00"}},
        {"@monthly", "UTC", "2026-01-01T00:00:00Z", {"2026-02-01T00:00:00+00:00"}},
        {"@yearly", "UTC", "2026-01-01T00:00:00Z", {"2027-01-01T00:00:00+00:00"}},
        {"@annually", "UTC", "2026-01-01T00:00:00Z", {"2027-01-01T00:00:00+00:00"}},
    });
}

TEST_CASE("schedule: a day matches by either day field if both are restricted, else by both") {
    check_cron({
        // The 13th, and every Friday.
        {"0 0 13 * 5",
         "UTC",
         "2026-01-01T00:00:00Z",
         {"2026-01-02T00:00:00+00:00", "2026-01-09T00:00:00+00:00", "2026-01-13T00:00:00+00:00", "2026-01-16T00:00:00+00:00"}},
        // '*/2' begins with a star: odd days that are Mondays.
        {"0 0 */2 * 1",
         "UTC",
         "2026-01-01T00:00:00Z",
         {"2026-01-05T00:00:00+00:00", "2026-01-19T00:00:00+00:00", "2026-02-09T00:00:00+00:00"}},
        {"0 0 13 * */6", "UTC", "2026-01-01T00:00:00Z", {"2026-06-13T00:00:00+00:00", "2026-09-13T00:00:00+00:00"}},
        // A day that February does not have is no hindrance beside a weekday.
        {"0 0 30 2 1", "UTC", "2026-01-31T00:00:00Z", {"2026-02-02T00:00:00+00:00", "2026-02-09T00:00:00+00:00"}},
    });
}

TEST_CASE("schedule: ends of months and leap days") {
    check_cron({
        {"0 0 31 * *",
         "UTC",
         "2026-01-31T00:00:00Z",
         {"2026-03-31T00:00:00+00:00", "2026-05-31T00:00:00+00:00", "2026-07-31T00:00:00+00:00", "2026-08-31T00:00:00+00:00",
          "2026-10-31T00:00:00+00:00", "2026-12-31T00:00:00+00:00", "2027-01-31T00:00:00+00:00"}},
        {"0 12 30 * *", "UTC", "2026-01-30T12:00:00Z", {"2026-03-30T12:00:00+00:00"}},
        {"0 0 28-31 2 *",
         "UTC",
         "2028-01-01T00:00:00Z",
         {"2028-02-28T00:00:00+00:00", "2028-02-29T00:00:00+00:00", "2029-02-28T00:00:00+00:00", "2030-02-28T00:00:00+00:00"}},
        {"0 0 29 2 *", "UTC", "2026-01-01T00:00:00Z", {"2028-02-29T00:00:00+00:00", "2032-02-29T00:00:00+00:00"}},
        {"0 0 29 2 *", "Europe/Berlin", "2096-03-01T00:00:00Z", {"2104-02-29T00:00:00+01:00"}},
        // 29 February on a Sunday or Saturday.
        {"0 0 29 2 */6", "UTC", "2072-03-01T00:00:00Z", {"2076-02-29T00:00:00+00:00", "2088-02-29T00:00:00+00:00"}},
        {"59 23 31 12 *", "Pacific/Kiritimati", "2026-12-31T09:58:59Z", {"2026-12-31T23:59:00+14:00", "2027-12-31T23:59:00+14:00"}},
    });
}

TEST_CASE("schedule: a fixed local time that a gap skips fires once, when the gap ends") {
    check_cron({
        {"30 2 * * *",
         "Europe/Berlin",
         "2026-03-27T12:00:00Z",
         {"2026-03-28T02:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-30T02:30:00+02:00"}},
        {"0 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", {"2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00"}},
        {"0 3 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z", {"2026-03-29T03:00:00+02:00", "2026-03-30T03:00:00+02:00"}},
        // All of 2:00, 2:15, ... are one fire, and so is 3:00.
        {"*/15 1-3 * * *",
         "Europe/Berlin",
         "2026-03-29T00:30:00Z",
         {"2026-03-29T01:45:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:15:00+02:00"}},
        {"*/5 2 * * *",
         "Europe/Berlin",
         "2026-03-28T12:00:00Z",
         {"2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00", "2026-03-30T02:05:00+02:00"}},
        {"* * 2 * * *",
         "Europe/Berlin",
         "2026-03-28T12:00:00Z",
         {"2026-03-29T03:00:00+02:00", "2026-03-30T02:00:00+02:00", "2026-03-30T02:00:01+02:00"}},
        {"30 2 * * *", "America/New_York", "2026-03-07T12:00:00Z", {"2026-03-08T03:00:00-04:00", "2026-03-09T02:30:00-04:00"}},
        {"15 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", {"2026-10-04T02:30:00+11:00", "2026-10-05T02:15:00+11:00"}},
        {"30 2 * * *", "Australia/Lord_Howe", "2026-10-03T00:00:00Z", {"2026-10-04T02:30:00+11:00", "2026-10-05T02:30:00+11:00"}},
        // Midnight itself is skipped.
        {"0 0 * * *", "Africa/Cairo", "2026-04-23T12:00:00Z", {"2026-04-24T01:00:00+03:00", "2026-04-25T00:00:00+03:00"}},
        // Samoa had no 30 December 2011.
        {"0 9 * * *",
         "Pacific/Apia",
         "2011-12-29T12:00:00Z",
         {"2011-12-29T09:00:00-10:00", "2011-12-31T00:00:00+14:00", "2011-12-31T09:00:00+14:00"}},
        {"0 9 30 12 *", "Pacific/Apia", "2011-12-29T12:00:00Z", {"2011-12-31T00:00:00+14:00", "2012-12-30T09:00:00+14:00"}},
    });
}

TEST_CASE("schedule: a fixed local time that an overlap repeats fires the first time only") {
    check_cron({
        {"30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", {"2026-10-25T02:30:00+02:00", "2026-10-26T02:30:00+01:00"}},
        {"*/30 2 * * *",
         "Europe/Berlin",
         "2026-10-24T12:00:00Z",
         {"2026-10-25T02:00:00+02:00", "2026-10-25T02:30:00+02:00", "2026-10-26T02:00:00+01:00"}},
        // From inside the second pass.
        {"*/15 1-3 * * *", "Europe/Berlin", "2026-10-25T01:20:00Z", {"2026-10-25T03:00:00+01:00", "2026-10-25T03:15:00+01:00"}},
        {"* * 2 * * *", "Europe/Berlin", "2026-10-25T00:59:58Z", {"2026-10-25T02:59:59+02:00", "2026-10-26T02:00:00+01:00"}},
        {"30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", {"2026-11-01T01:30:00-04:00", "2026-11-02T01:30:00-05:00"}},
        {"45 1 * * *", "Australia/Lord_Howe", "2026-04-03T18:00:00Z", {"2026-04-05T01:45:00+11:00", "2026-04-06T01:45:00+10:30"}},
        {"0 2 * * *", "Australia/Lord_Howe", "2026-04-04T00:00:00Z", {"2026-04-05T02:00:00+10:30", "2026-04-06T02:00:00+10:30"}},
        {"0 3 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", {"2026-10-25T03:00:00+01:00", "2026-10-26T03:00:00+01:00"}},
    });
}

TEST_CASE("schedule: a rule that runs in every hour follows real time") {
    check_cron({
        {"0 * * * *",
         "Europe/Berlin",
         "2026-03-28T23:30:00Z",
         {"2026-03-29T01:00:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T04:00:00+02:00"}},
        {"30 * * * *", "Europe/Berlin", "2026-03-29T00:00:00Z", {"2026-03-29T01:30:00+01:00", "2026-03-29T03:30:00+02:00"}},
        {"*/30 * * * *",
         "Europe/Berlin",
         "2026-03-29T00:29:59Z",
         {"2026-03-29T01:30:00+01:00", "2026-03-29T03:00:00+02:00", "2026-03-29T03:30:00+02:00"}},
        {"0 * * * *",
         "Europe/Berlin",
         "2026-10-24T23:30:00Z",
         {"2026-10-25T02:00:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T03:00:00+01:00"}},
        {"*/20 * * * *",
         "Europe/Berlin",
         "2026-10-25T00:15:00Z",
         {"2026-10-25T02:20:00+02:00", "2026-10-25T02:40:00+02:00", "2026-10-25T02:00:00+01:00", "2026-10-25T02:20:00+01:00",
          "2026-10-25T02:40:00+01:00", "2026-10-25T03:00:00+01:00"}},
        {"59 59 * * * *",
         "America/New_York",
         "2026-11-01T05:00:00Z",
         {"2026-11-01T01:59:59-04:00", "2026-11-01T01:59:59-05:00", "2026-11-01T02:59:59-05:00"}},
        {"@hourly", "America/New_York", "2026-03-08T06:30:00Z", {"2026-03-08T03:00:00-04:00"}},
        // Half an hour is skipped and repeated on Lord Howe.
        {"*/30 * * * *", "Australia/Lord_Howe", "2026-10-03T15:00:00Z", {"2026-10-04T02:30:00+11:00", "2026-10-04T03:00:00+11:00"}},
        {"0 * * * *", "Australia/Lord_Howe", "2026-10-03T14:29:00Z", {"2026-10-04T01:00:00+10:30", "2026-10-04T03:00:00+11:00"}},
        {"45 * * * *",
         "Australia/Lord_Howe",
         "2026-04-04T14:00:00Z",
         {"2026-04-05T01:45:00+11:00", "2026-04-05T01:45:00+10:30", "2026-04-05T02:45:00+10:30"}},
        // Both passes belong to the day; the hour after midnight is repeated in Havana.
        {"30 * 1 11 *",
         "America/Havana",
         "2026-11-01T03:59:00Z",
         {"2026-11-01T00:30:00-04:00", "2026-11-01T00:30:00-05:00", "2026-11-01T01:30:00-05:00"}},
    });
}

TEST_CASE("schedule: every counts from its anchor and never drifts") {
    const auto fires_of = [](const Result<Schedule>& schedule, std::string_view from, std::size_t count) {
        REQUIRE(schedule);
        return fires(*schedule, instant(from), count);
    };
    using List = std::vector<std::string>;
    CHECK(fires_of(Schedule::every(std::chrono::seconds{30}, Instant{}), "2026-01-01T00:00:29.5Z", 2) ==
          List{"2026-01-01T00:00:30+00:00", "2026-01-01T00:01:00+00:00"});
    CHECK(fires_of(Schedule::every(std::chrono::seconds{30}, Instant{}), "2026-01-01T00:00:30Z", 1) == List{"2026-01-01T00:01:00+00:00"});
    CHECK(fires_of(Schedule::every(std::chrono::minutes{7}, instant("2026-01-01T00:03:00Z")), "2026-01-01T00:09:00Z", 2) ==
          List{"2026-01-01T00:10:00+00:00", "2026-01-01T00:17:00+00:00"});
    // The anchor lies ahead: it is the first fire.
    CHECK(fires_of(Schedule::every(std::chrono::hours{1}, instant("2030-01-01T00:10:00Z")), "2026-01-01T00:00:00Z", 2) ==
          List{"2030-01-01T00:10:00+00:00", "2030-01-01T01:10:00+00:00"});
    CHECK(fires_of(Schedule::every(std::chrono::hours{1}, instant("2030-01-01T00:10:00Z")), "2030-01-01T00:09:59.999999Z", 1) ==
          List{"2030-01-01T00:10:00+00:00"});
    // Real time: a day is 24 hours, also where the clocks change.
    CHECK(fires_of(Schedule::every(std::chrono::hours{24}, instant("2026-03-28T11:00:00Z"), "Europe/Berlin"), "2026-03-28T00:00:00Z", 2) ==
          List{"2026-03-28T12:00:00+01:00", "2026-03-29T13:00:00+02:00"});
    const auto fine = Schedule::every(std::chrono::milliseconds{1500}, Instant{});
    CHECK(fine->next(Instant{std::chrono::milliseconds{1499}}) == Instant{std::chrono::milliseconds{1500}});
    CHECK(fine->next(Instant{std::chrono::milliseconds{1500}}) == Instant{std::chrono::milliseconds{3000}});
    CHECK_FALSE(Schedule::every(std::chrono::milliseconds{999}, Instant{}));
    CHECK_FALSE(Schedule::every(std::chrono::hours{24 * 367}, Instant{}));
    CHECK_FALSE(Schedule::every(std::chrono::hours{1}, Instant{std::chrono::seconds{-1}}));
    CHECK(Schedule::every(std::chrono::hours{1}, Instant{std::chrono::hours{-1}}, "Europe/Berlin"));  // the default anchor there
}

TEST_CASE("schedule: at fires once") {
    const auto schedule = Schedule::at(instant("2026-12-24T17:00:00Z"), "Europe/Berlin");
    REQUIRE(schedule);
    CHECK(schedule->next(instant("2026-01-01T00:00:00Z")) == instant("2026-12-24T17:00:00Z"));
    CHECK(schedule->next(instant("2026-12-24T16:59:59.999999Z")) == instant("2026-12-24T17:00:00Z"));
    CHECK(schedule->next(instant("2026-12-24T17:00:00Z")) == std::nullopt);
}

TEST_CASE("schedule: a list of instants, and none") {
    const auto list = valid(R"({"at": ["2026-03-01T00:00:00Z", "2026-01-01T00:00:00Z", "2026-02-01T00:00:00.5Z"]})");
    CHECK((list.kind() == Schedule::Kind::at));
    CHECK(list.next(Instant::min()) == instant("2026-01-01T00:00:00Z"));
    CHECK(list.next(instant("2026-01-01T00:00:00Z")) == instant("2026-02-01T00:00:00.5Z"));
    CHECK(list.next(instant("2026-02-01T00:00:00.4Z")) == instant("2026-02-01T00:00:00.5Z"));
    CHECK(list.next(instant("2026-03-01T00:00:00Z")) == std::nullopt);
    const auto manual = valid(R"({"manual": true})");
    CHECK((manual.kind() == Schedule::Kind::manual));
    CHECK(manual.next(Instant::min()) == std::nullopt);
}

TEST_CASE("schedule: fires count from start on and before end") {
    const auto daily = valid(R"({"cron": "0 9 * * *", "start": "2026-01-02T09:00:00Z", "end": "2026-01-04T09:00:00Z"})");
    CHECK(fires(daily, Instant::min(), 9) == std::vector<std::string>{"2026-01-02T09:00:00+00:00", "2026-01-03T09:00:00+00:00"});
    CHECK(daily.next(instant("2026-01-03T08:59:59.999999Z")) == instant("2026-01-03T09:00:00Z"));
    CHECK(daily.next(instant("2026-01-03T09:00:00Z")) == std::nullopt);
    const auto a_little_later =
        valid(R"({"cron": "0 9 * * *", "start": "2026-01-02T09:00:00.000001Z", "end": "2026-01-04T09:00:00.000001Z"})");
    CHECK(fires(a_little_later, Instant::min(), 9) == std::vector<std::string>{"2026-01-03T09:00:00+00:00", "2026-01-04T09:00:00+00:00"});
    // The phase of an interval is that of its anchor, not of the start.
    CHECK(valid(R"({"every": "1h", "start": "2026-01-01T00:30:00Z"})").next(Instant::min()) == instant("2026-01-01T01:00:00Z"));
}

TEST_CASE("schedule: jitter delays each fire by less than it says, and never past the next one") {
    for (const char* rule :
         {R"({"cron": "* * * * * *", "jitter": "24h"})", R"({"cron": "*/5 * * * *", "jitter": "3min"})",
          R"({"every": "1min", "jitter": "10min"})", R"({"cron": "*/20 1-3 * * *", "zone": "Europe/Berlin", "jitter": "1h"})",
          R"({"cron": "0 9 1,2 * *", "jitter": "1ms"})",
          R"({"at": ["2026-03-29T00:00:00Z", "2026-03-29T00:00:00.000500Z", "2026-03-29T01:00:00Z"], "jitter": "30min"})"}) {
        CAPTURE(rule);
        const Schedule schedule = valid(rule).for_task("task-1");
        std::string without{rule};
        without = without.substr(0, without.find(R"(, "jitter")")) + "}";
        const Schedule plain = valid(without);
        const auto most = *parse_duration(std::string{rule}.substr(without.size() + 12, std::string{rule}.size() - without.size() - 14));
        Instant now = instant("2026-03-28T23:59:00Z");
        int compared = 0;
        for (std::optional nominal = schedule.next_fire(now)->nominal; nominal && compared < 500;
             nominal = plain.next(*nominal), ++compared) {
            const auto following = plain.next(*nominal);
            // From anywhere between the fire before and this one.
            const auto fire = schedule.next_fire(now);
            REQUIRE(fire);
            CAPTURE(format_instant(*nominal), format_instant(fire->at));
            REQUIRE(fire->nominal == *nominal);
            REQUIRE(fire->at >= *nominal);
            REQUIRE(fire->at - *nominal < std::max(most, Duration{1}));
            if (following) REQUIRE(fire->at < *following);
            REQUIRE(fire->at > now);
            REQUIRE(schedule.next(now + (fire->at - now) / 2) == fire->at);
            REQUIRE(schedule.next(fire->at - Duration{1}) == fire->at);
            now = fire->at;
        }
        CHECK(compared >= 3);
    }
}

TEST_CASE("schedule: jitter is the task's, the same wherever it is asked, and spread") {
    const Schedule schedule = valid(R"({"cron": "0 0 * * *", "jitter": "1h"})");
    const Instant now = instant("2026-01-01T12:00:00Z");
    std::array<int, 10> tenths{};
    for (int task = 0; task < 1000; ++task) {
        const auto id = fmt::format("task-{}", task);
        const auto due = schedule.for_task(id).next(now);
        REQUIRE(due == valid(R"({"cron": "0 0 * * *", "jitter": "1h", "start": "2026-01-02T00:00"})").for_task(id).next(now));
        ++tenths[static_cast<std::size_t>((*due - instant("2026-01-02T00:00:00Z")) / std::chrono::minutes{6})];
    }
    for (const int count : tenths) CHECK(std::abs(count - 100) < 60);
    CHECK(format_instant(*schedule.for_task("task-1").next(now)) == "2026-01-02T00:19:55.155Z");  // stays so from release to release
}

TEST_CASE("schedule: a fire says what the clocks did to it") {
    const auto changes = [](const std::string& text, std::string_view from, int count) {
        const Schedule schedule = valid(text);
        std::string found;
        Instant now = instant(from);
        for (int i = 0; i < count; ++i) {
            const auto fire = schedule.next_fire(now);
            REQUIRE(fire);
            found += fmt::format("{}{} {}", found.empty() ? "" : ", ", on_the_wall(fire->nominal, schedule.zone()).substr(11, 5),
                                 std::array{"-", "moved", "1st", "2nd"}[static_cast<std::size_t>(fire->clock_change)]);
            now = fire->at;
        }
        return found;
    };
    const std::string berlin = R"("zone": "Europe/Berlin")";
    CHECK(changes(R"({"cron": "30 2 * * *", )" + berlin + "}", "2026-03-27T12:00:00Z", 3) == "02:30 -, 03:00 moved, 02:30 -");
    CHECK(changes(R"({"cron": "0,30 1-3 * * *", )" + berlin + "}", "2026-03-28T23:00:00Z", 4) == "01:00 -, 01:30 -, 03:00 -, 03:30 -");
    CHECK(changes(R"({"cron": "0 * * * *", )" + berlin + "}", "2026-03-29T00:00:00Z", 2) == "03:00 -, 04:00 -");
    CHECK(changes(R"({"cron": "0 * * * *", )" + berlin + "}", "2026-10-24T23:00:00Z", 3) == "02:00 1st, 02:00 2nd, 03:00 -");
    CHECK(changes(R"({"cron": "30 2 * * *", "jitter": "2h", )" + berlin + "}", "2026-10-24T12:00:00Z", 2) == "02:30 1st, 02:30 -");
    CHECK(changes(R"({"calendar": {"frequency": "daily", "times": ["02:15", "09:00"]}, )" + berlin + "}", "2026-03-28T12:00:00Z", 2) ==
          "03:00 moved, 09:00 -");
    CHECK(changes(R"({"calendar": {"frequency": "daily", "times": ["09:00"]}, "zone": "Pacific/Apia"})", "2011-12-29T12:00:00Z", 3) ==
          "09:00 -, 00:00 moved, 09:00 -");
    CHECK(changes(R"({"every": "30min", "window": {"from": "01:00", "to": "06:00"}, )" + berlin + "}", "2026-03-29T00:00:00Z", 2) ==
          "01:30 -, 03:00 -");
    CHECK(changes(R"({"every": "30min", "window": {"from": "02:15", "to": "06:00"}, )" + berlin + "}", "2026-03-29T00:00:00Z", 2) ==
          "03:00 moved, 03:30 -");
    CHECK(changes(R"({"every": "1h", )" + berlin + "}", "2026-10-25T00:00:00Z", 2) == "02:00 -, 03:00 -");
    CHECK(changes(R"({"at": "2026-10-25T02:30:00", )" + berlin + "}", "2026-10-24T23:00:00Z", 1) == "02:30 -");
}

TEST_CASE("schedule: the search ends, whatever it is asked") {
    for (const char* rule : {"* * * * *", "0 0 29 2 *", "0 * 29 2 *", "30 2 * * *", "0 0 29 2 */7"}) {
        const auto schedule = Schedule::cron(rule, "Europe/Berlin");
        REQUIRE(schedule);
        CAPTURE(rule);
        CHECK(schedule->next(Instant::max()) == std::nullopt);
        CHECK(schedule->next(instant("2400-01-01T00:00:00Z")) == std::nullopt);
        CHECK(schedule->next(instant("2399-12-31T23:59:59Z")) == std::nullopt);
        CHECK(schedule->next(instant("2350-01-01T00:00:00Z")).has_value());
        const auto first = schedule->next(Instant::min());
        REQUIRE(first);
        CHECK(*first >= Instant{});
    }
    const auto every = Schedule::every(std::chrono::seconds{1}, Instant{});
    CHECK(every->next(Instant::max()) == std::nullopt);
    CHECK(every->next(Instant::min()) == Instant{});
    CHECK(Schedule::at(Instant{})->next(Instant::min()) == Instant{});
    CHECK(Schedule::cron("0 0 1 1 *", "UTC")->next(Instant::min()) == Instant{});
}

TEST_CASE("schedule: a zone is an IANA name and nothing else") {
    for (const char* name : {"UTC", "Europe/Berlin", "America/Argentina/Buenos_Aires", "Etc/GMT+5", "EST5EDT"}) {
        CAPTURE(name);
        CHECK(Schedule::cron("* * * * *", name));
    }
    for (const char* name :
         {"", "Mars/Base", "europe/berlin", "localtime", "posix/Europe/Berlin", "right/UTC", "/etc/localtime", "../etc/passwd", "Europe",
          "Europe/", "Europe//Berlin", "Fixed/UTC+01:00:00", "file:/usr/share/zoneinfo/UTC", "Europe/Berlin\n", "zone.tab"}) {
        CAPTURE(name);
        const auto schedule = Schedule::cron("* * * * *", name);
        REQUIRE_FALSE(schedule);
        CHECK(schedule.error().message.find(fmt::format("'{}'", name)) != std::string::npos);
    }
}
