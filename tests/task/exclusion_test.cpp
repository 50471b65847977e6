// Schedules with calendars: what is dropped and deferred, against a search instant by instant.
#include <fmt/format.h>
#include <time.h>
#include <catch2/catch.hpp>

#include <algorithm>
#include <chrono>
#include <cstdlib>
#include <limits>
#include <map>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "cloudtask/task/codec.h"
#include "cloudtask/task/fire_walk.h"
#include "cloudtask/task/types.h"
#include "task/time_of_day.h"
#include "tests/task/calendar_texts.h"
#include "tests/task/schedule_texts.h"

using namespace cloudtask;
using namespace cloudtask::calendar_texts;
using task::FireWalk;
using task::Schedule;
using task::ScheduledFire;

namespace {

constexpr Duration kMicrosecond{1};

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
constexpr int kExclusionSlowdown = 30;  // sanitizers make it many times slower
#else
constexpr int kExclusionSlowdown = 1;
#endif
constexpr double kMostExclusionMicroseconds = 1000 * kExclusionSlowdown;

// Of this thread, so that a busy machine makes no fault.
double exclusion_microseconds() {
    timespec time{};
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
    return static_cast<double>(time.tv_sec) * 1e6 + static_cast<double>(time.tv_nsec) / 1e3;
}

Schedule with(const std::string& schedule, const task::Calendars& calendars) {
    return schedule_texts::valid(schedule).with_calendars(calendars);
}

Schedule with(const std::string& schedule, const std::string& calendar) { return with(schedule, {{"c", calendar_of(calendar)}}); }

std::vector<std::string> fire_times(const Schedule& schedule, const std::string& from, std::size_t count) {
    std::vector<std::string> found;
    for (auto next = schedule.next(moment_of(from)); next && found.size() < count; next = schedule.next(*next)) {
        found.push_back(format_instant(*next));
    }
    return found;
}

// A calendar of a few days, with entries that touch, overlap across kinds, and begin and end at odd seconds.
std::string random_calendar(std::mt19937_64& random, const std::string& zone) {
    const auto pick = [&random](int below) { return static_cast<int>(random() % static_cast<std::uint64_t>(below)); };
    std::string text = fmt::format(R"({{"zone": "{}", "excludes": "{}")", zone, pick(3) == 0 ? "non_working_days" : "holidays");
    if (pick(2) == 0) text += R"(, "holidays": [{"date": "2026-03-29", "name": "DST"}])";
    text += R"(, "blackouts": [)";
    int minute = pick(600);
    const int ranges = pick(5);
    for (int i = 0; i < ranges; ++i) {
        const int from = minute, to = from + 1 + pick(300);
        minute = to + (pick(3) == 0 ? 0 : 1 + pick(500));
        const auto local = [&pick](int of) {
            return fmt::format("2026-03-{:02}T{:02}:{:02}:{:02}", 28 + of / 1440, of / 60 % 24, of % 60, pick(60));
        };
        if (to >= 4 * 1440) break;
        const std::string begin = fmt::format("2026-03-{:02}T{:02}:{:02}:00", 28 + from / 1440, from / 60 % 24, from % 60);
        text += fmt::format(
            R"({}{{"from": "{}", "to": "{}", "name": "range {}"}})", i == 0 ? "" : ",", begin,
            i == ranges - 1 ? local(to) : fmt::format("2026-03-{:02}T{:02}:{:02}:00", 28 + to / 1440, to / 60 % 24, to % 60), i);
    }
    const bool recurring = pick(2) == 0;
    if (recurring) {
        text += fmt::format(R"({}{{"cron": "{} */{} * * *", "lasting": "{}min"}})", text.ends_with('[') ? "" : ",", pick(60), 2 + pick(5),
                            1 + pick(110));
    }
    return text + "]}";
}

}  // namespace

TEST_CASE("exclusion: fires at the start, a second before the end, and at the end of a blackout") {
    const std::string blackout = R"({"blackouts": [{"from": "2026-06-01T10:00", "to": "2026-06-01T10:00:30", "name": "b"}]})";
    const auto dropped = with(R"({"every": "1s", "exclude": ["c"]})", blackout);
    CHECK(fire_times(dropped, "2026-06-01T09:59:58Z", 3) ==
          std::vector<std::string>{"2026-06-01T09:59:59Z", "2026-06-01T10:00:30Z", "2026-06-01T10:00:31Z"});
    const auto deferred =
        with(R"({"at": ["2026-06-01T10:00:00", "2026-06-01T10:00:29"], "exclude": ["c"], "on_excluded": "defer"})", blackout);
    CHECK(fire_times(deferred, "2026-06-01T00:00:00Z", 3) == std::vector<std::string>{"2026-06-01T10:00:30Z"});
    const auto fire = deferred.next_fire(moment_of("2026-06-01T10:00:15Z"));
    REQUIRE(fire);
    CHECK(format_instant(fire->at) == "2026-06-01T10:00:30Z");
    CHECK(format_instant(fire->due) == "2026-06-01T10:00:00Z");
    CHECK(fire->deferred());
    CHECK(fire->exclusion->calendar == "c");
    CHECK(fire->exclusion->entry == "b");
    CHECK_FALSE(deferred.next(fire->at));
    // Without its calendars a schedule fires as its rule says.
    CHECK(format_instant(*schedule_texts::valid(R"({"every": "1s", "exclude": ["c"]})").next(moment_of("2026-06-01T10:00:05Z"))) ==
          "2026-06-01T10:00:06Z");
}

TEST_CASE("exclusion: pay day") {
    const std::string england =
        R"({"zone": "Europe/London", "excludes": "non_working_days", "holidays": [{"yearly": "01-01"}, {"yearly": "easter-2"},
        {"yearly": "easter+1"}, {"yearly": "1st mon of may"}, {"yearly": "last mon of may"}, {"yearly": "last mon of aug"}, {"yearly": "12-25"},
        {"yearly": "12-26"}, {"date": "2026-12-28", "name": "Boxing Day, substitute"}]
})";
    const std::string rule = R"("zone": "Europe/London", "exclude": ["c"], "on_excluded": "defer"})";
    // 25 December is a Friday, 26 and 27 a weekend, and the 28th is a bank holiday.
    CHECK(fire_times(with(R"({"cron": "0 9 25 * *", )" + rule, england), "2026-09-30T00:00:00Z", 3) ==
          std::vector<std::string>{"2026-10-26T00:00:00Z", "2026-11-25T09:00:00Z", "2026-12-29T00:00:00Z"});
    const auto last = [&](const std::string& text) { return fire_times(with(text, england), "2026-04-30T12:00:00Z", 2); };
    CHECK(last(R"({"cron": "0 18 LW * ?", "zone": "Europe/London", "working_days": "c"})") ==
          std::vector<std::string>{"2026-04-30T17:00:00Z", "2026-05-29T17:00:00Z"});
    CHECK(last(R"({"calendar": {"frequency": "monthly", "days": ["1st working day"], "times": ["06:00"]}, "working_days": "c"})") ==
          std::vector<std::string>{"2026-05-01T06:00:00Z", "2026-06-01T06:00:00Z"});
    // 1 January 2027 is a Friday and a holiday: the first working day is Monday, and the one nearest to the 1st too.
    const auto january = [&](const std::string& text) { return fire_times(with(text, england), "2026-12-31T12:00:00Z", 1); };
    CHECK(january(R"({"calendar": {"frequency": "monthly", "days": ["1st working day"], "times": ["06:00"]}, "working_days": "c"})") ==
          std::vector<std::string>{"2027-01-04T06:00:00Z"});
    CHECK(january(R"({"cron": "0 6 1W * ?", "working_days": "c"})") == std::vector<std::string>{"2027-01-04T06:00:00Z"});
}

TEST_CASE("exclusion: next() is what a search fire by fire finds") {
    std::mt19937_64 random{20261121};
    const std::vector<std::string> rules{R"("every": "7min")",
                                         R"("cron": "*/10 * * * *")",
                                         R"("cron": "13 */3 * * *", "jitter": "20min")",
                                         R"("every": "11min", "jitter": "30min")",
                                         R"("cron": "30 2 * * *")",
                                         R"("every": "13min", "window": {"from": "22:00", "to": "06:00"})"};
    const std::vector<std::string> zones{"UTC", "Europe/Berlin", "Africa/Cairo"};
    const Instant from = moment_of("2026-03-28T00:00:00Z"), to = moment_of("2026-04-01T00:00:00Z");
    for (int round = 0; round < 12; ++round) {
        const std::string& zone = zones[random() % zones.size()];
        const std::string rule = rules[random() % rules.size()];
        task::Calendars calendars{{"c", calendar_of(random_calendar(random, zone))}, {"d", calendar_of(random_calendar(random, "UTC"))}};
        const std::string head = "{" + rule + R"(, "zone": ")" + zone + "\"";
        CAPTURE(head, calendars["c"]->text(), calendars["d"]->text());
        const auto plain = schedule_texts::valid(head + "}").for_task("t");
        const auto dropping = with(head + R"(, "exclude": ["c", "d"]})", calendars).for_task("t");
        const auto deferring = with(head + R"(, "exclude": ["c", "d"], "on_excluded": "defer"})", calendars).for_task("t");
        const auto free = [&](Instant instant) { return !calendars["c"]->excluded_at(instant) && !calendars["d"]->excluded_at(instant); };
        std::set<Instant> kept, deferred;
        FireWalk dropped_walk(dropping, from), deferred_walk(deferring, from);
        for (auto due = plain.next(from); due && *due < to; due = plain.next(*due)) {
            const bool is_free = free(*due);
            if (is_free) kept.insert(*due);
            // All that begins or ends does so at a whole second. Where the fire before was deferred beyond this one, nothing between is
            // free.
            Instant at = is_free ? *due : std::chrono::ceil<std::chrono::seconds>(*due);
            if (!is_free && !deferred.empty()) at = std::max(at, *deferred.rbegin());
            while (!free(at)) at += std::chrono::seconds{1};
            deferred.insert(at);
            const auto one = dropped_walk.next(), other = deferred_walk.next();
            REQUIRE(one);
            REQUIRE(other);
            REQUIRE(one->due == *due);
            REQUIRE(one->dropped == !is_free);
            REQUIRE((one->exclusion == nullptr) == is_free);
            REQUIRE(other->due == *due);
            REQUIRE(other->at == at);
            REQUIRE(other->deferred() == !is_free);
        }
        const auto check = [&](const Schedule& schedule, const std::set<Instant>& expected) {
            for (int i = 0; i < 60; ++i) {
                // Near fires, and anywhere.
                Instant after = from + Duration{static_cast<std::int64_t>(random() % static_cast<std::uint64_t>((to - from).count()))};
                if (i % 3 != 0 && !expected.empty()) {
                    auto near = expected.begin();
                    std::advance(near, random() % expected.size());
                    after = *near - (i % 3 == 1 ? kMicrosecond : Duration::zero());
                }
                const auto wanted = expected.upper_bound(after);
                if (wanted == expected.end()) continue;
                CAPTURE(format_instant(after));
                REQUIRE(format_instant(schedule.next(after).value_or(Instant{})) == format_instant(*wanted));
                const auto fire = schedule.next_fire(after);
                REQUIRE(fire->at == *wanted);
                REQUIRE(fire->at >= fire->due);
                REQUIRE_FALSE(fire->dropped);
                REQUIRE(fire->deferred() == (fire->at != fire->due));
            }
        };
        check(dropping, kept);
        check(deferring, deferred);
    }
}

TEST_CASE("exclusion: a month of blackout is jumped over, and told fire by fire at little cost") {
    const std::string month = R"({"blackouts": [{"from": "2026-06-01T00:00", "to": "2026-07-01T00:00"}]})";
    for (const std::string& rule : {std::string{R"("every": "1s")"}, std::string{R"("cron": "* * * * * *", "zone": "Europe/Berlin")"}}) {
        for (const std::string& choice : {std::string{"drop"}, std::string{"defer"}}) {
            const auto schedule = with("{" + rule + R"(, "exclude": ["c"], "on_excluded": ")" + choice + "\"}", month);
            CAPTURE(rule, choice);
            const Instant inside = moment_of("2026-06-01T00:00:00Z");
            auto least = std::chrono::steady_clock::duration::max(), least_walk = least;
            for (int i = 0; i < 10; ++i) {
                const auto begin = std::chrono::steady_clock::now();
                REQUIRE(format_instant(*schedule.next(inside)) == "2026-07-01T00:00:00Z");
                const auto middle = std::chrono::steady_clock::now();
                FireWalk walk(schedule, inside);
                for (int n = 0; n < 10'000; ++n) REQUIRE(walk.next()->exclusion);
                least = std::min(least, middle - begin);
                least_walk = std::min(least_walk, std::chrono::steady_clock::now() - middle);
            }
            CHECK(least < kExclusionSlowdown * std::chrono::microseconds{200});
            CHECK(least_walk < kExclusionSlowdown * std::chrono::milliseconds{40});
            if (std::getenv("CLOUDTASK_TIMES") != nullptr)
                WARN(least.count() / 1000 << " us, walk of 10,000: " << least_walk.count() / 1000 << " us");
        }
    }
}

TEST_CASE("exclusion: what is dropped always has no next fire, within bounds") {
    const auto schedule = with(R"({"cron": "0 9 * * *", "exclude": ["c"]})", R"({"blackouts": [{"cron": "0 9 * * *", "lasting": "1h"}]})");
    CHECK_FALSE(schedule.next(moment_of("2026-01-01T00:00:00Z")));
    // Deferred, each fires.
    const auto deferred = with(R"({"cron": "0 9 * * *", "exclude": ["c"], "on_excluded": "defer"})",
                               R"({"blackouts": [{"cron": "0 9 * * *", "lasting": "1h"}]})");
    CHECK(fire_times(deferred, "2026-01-01T09:30:00Z", 2) == std::vector<std::string>{"2026-01-01T10:00:00Z", "2026-01-02T10:00:00Z"});
}

TEST_CASE("exclusion: a search takes less than a millisecond, whatever the calendars") {
    // Sixteen blackouts an hour in each of eight calendars; each minute is excluded by one of them until 23:01.
    task::Calendars many;
    std::string names;
    for (int c = 0; c < 8; ++c) {
        std::string text = R"({"zone": "Europe/Berlin", "blackouts": [)";
        for (int i = 0; i < 16; ++i) {
            text += fmt::format(R"({}{{"cron": "{} {}-23 * * *", "lasting": "1min"}})", i == 0 ? "" : ",", (c * 16 + i) % 60, i);
        }
        const std::string name = fmt::format("m{}", c);
        many[name] = calendar_of(text + "]}");
        names += (c == 0 ? "\"" : ",\"") + name + "\"";
    }
    std::string days = R"({"zone": "Europe/Berlin", "excludes": "non_working_days", "holidays": [)";
    for (int i = 0; i < 500; ++i) {
        days += fmt::format(R"({}{{"date": "{}"}})", i == 0 ? "" : ",", task::format_date(cctz::civil_day(2026, 1, 1) + i));
    }
    const auto day = calendar_of(R"({"blackouts": [{"cron": "0 8 * * *", "lasting": "12h"}]})");
    const auto night = calendar_of(R"({"blackouts": [{"cron": "0 20 * * *", "lasting": "12h"}]})");
    struct Case {
        std::string rule, exclude;
        task::Calendars calendars;
        const char* from;
    };
    const std::vector<Case> cases{
        {R"("cron": "0 9 * * *")", R"("day")", {{"day", day}}, "2026-01-01T00:00:00Z"},
        {R"("cron": "0 9 * * sat", "zone": "Europe/Berlin")", R"("days")", {{"days", calendar_of(days + "]}")}}, "2026-01-01T00:00:00Z"},
        {R"("cron": "0 9 * * *", "zone": "Europe/Berlin")", R"("days")", {{"days", calendar_of(days + "]}")}}, "2027-03-01T00:00:00Z"},
        {R"("every": "1s")", R"("day","night")", {{"day", day}, {"night", night}}, "2026-01-01T00:00:00Z"},
        {R"("cron": "* * * * * *", "jitter": "24h")", R"("day","night")", {{"day", day}, {"night", night}}, "2026-01-01T00:00:00Z"},
        {R"("cron": "* * * * *")", names, many, "2026-01-01T15:00:00Z"},
        {R"("every": "1s")", names, many, "2026-01-01T20:00:00Z"}};
    for (const Case& each : cases) {
        for (const char* choice : {"drop", "defer"}) {
            const auto schedule =
                with(fmt::format(R"({{{}, "exclude": [{}], "on_excluded": "{}"}})", each.rule, each.exclude, choice), each.calendars);
            double least = std::numeric_limits<double>::max();
            for (int i = 0; i < 5; ++i) {
                const double begun = exclusion_microseconds();
                (void)schedule.next_fire(moment_of(each.from));
                least = std::min(least, exclusion_microseconds() - begun);
            }
            CAPTURE(each.rule, each.exclude, choice);
            CHECK(least < kMostExclusionMicroseconds);
            if (std::getenv("CLOUDTASK_TIMES") != nullptr) WARN(least << " us");
        }
    }
    // Where no instant is left free there is no fire, and no search without end.
    CHECK_FALSE(with(R"({"every": "1s", "exclude": ["day", "night"], "on_excluded": "defer"})", {{"day", day}, {"night", night}})
                    .next(moment_of("2026-01-01T00:00:00Z")));
}

TEST_CASE("exclusion: the JSON of a schedule and of a task") {
    using schedule_texts::canonical;
    using schedule_texts::check_fault;
    const std::string text =
        R"({"cron":"0 9 LW * *","zone":"UTC","enabled":true,"exclude":["b","a"],"on_excluded":"drop","working_days":"c"})";
    CHECK(canonical(R"({"cron": "0 9 LW * *", "exclude": ["b", "a"], "working_days": "c"})") == text);
    CHECK(canonical(text) == text);
    CHECK(canonical(R"({"manual": true, "exclude": []})") == R"({"manual":true,"zone":"UTC","enabled":true})");
    CHECK(schedule_texts::valid(text).calendar_names() == std::vector<std::string>{"a", "b", "c"});
    CHECK(schedule_texts::valid(text).exclude() == std::vector<std::string>{"b", "a"});
    check_fault(R"({"every": "1s", "exclude": ["a", "a"]})", "/s/exclude/1", "twice");
    check_fault(R"({"every": "1s", "exclude": ["A"]})", "/s/exclude/0", "name of a calendar");
    check_fault(R"({"every": "1s", "on_excluded": "defer"})", "/s/on_excluded", "alone");
    check_fault(R"({"every": "1s", "exclude": ["a"], "on_excluded": "x"})", "/s/on_excluded", "");
    check_fault(R"({"every": "1s", "working_days": "a"})", "/s/working_days", "names no working days");
    check_fault(R"({"manual": true, "exclude": ["a"]})", "/s/exclude", "never fires");
    check_fault(R"({"every": "1s", "exclude": ["a", "b", "c", "d", "e", "f", "g", "h", "i"]})", "/s/exclude", "");

    task::Task task;
    task.id = "018f3c2e-1111-7222-8333-123456789abc";
    task.runtime = task.group = task.name = "x";
    task.shell = "true";
    task.schedules.push_back(schedule_texts::valid(R"({"every": "1s", "exclude": ["c"]})"));
    task.calendars = {{"c", calendar_of(R"({"holidays": [{"date": "1970-01-02"}]})")}};
    task::adopt_schedules(task);
    CHECK(task.schedules[0].next(moment_of("1970-01-01T23:59:59Z")) == moment_of("1970-01-03T00:00:00Z"));
    const auto document = json::parse(task::to_json(task));
    REQUIRE(document);
    const auto read = task::read_task(*document);
    if (!read) FAIL(read.error().message);
    CHECK(read->calendars == task.calendars);
    CHECK(read->schedules == task.schedules);
    CHECK(task::to_json(*read) == task::to_json(task));
    // A user cannot bring calendars along, and a version that lacks one is not valid.
    Faults faults;
    const auto input = task::read_task_input(*document, faults);
    REQUIRE(input);
    CHECK(input->calendars.empty());
    CHECK_FALSE(task::read_task(*json::parse(task::to_json(*input))));
    CHECK(input->schedules != read->schedules);
}
