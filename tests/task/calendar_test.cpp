// Calendar rules and windows: their JSON with its faults, and their fires against oracles that look at every minute of the wall. The seed
// is in the output of a failure.
#include <catch2/catch.hpp>

#include <algorithm>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cloudtask/task/schedule.h"
#include "task/calendar_rule.h"
#include "tests/support/sanitized.h"
#include "tests/task/minute_oracle.h"
#include "tests/task/schedule_texts.h"

using namespace cloudtask;
using namespace cloudtask::oracle;
using namespace cloudtask::schedule_texts;
using task::Date;
using task::Schedule;

namespace {

std::string in_utc(const std::string& rule) { return "{" + rule + R"(,"zone":"UTC","enabled":true})"; }

int weekday(Date date) { return (static_cast<int>(cctz::get_weekday(date)) + 1) % 7; }

const std::vector<std::string> kNames{"sun", "mon", "tue", "wed", "thu", "fri", "sat"};
const std::vector<std::string> kMonths{"jan", "feb", "mar", "apr", "may", "jun", "jul", "aug", "sep", "oct", "nov", "dec"};
const std::vector<std::string> kOrdinals{"", "1st", "2nd", "3rd", "4th", "5th", "6th", "7th"};

std::string list_text(const std::vector<std::string>& items) {
    std::string text;
    for (const std::string& item : items) text += (text.empty() ? "" : ", ") + item;
    return "[" + text + "]";
}

std::string quoted_name(const std::string& text) { return "\"" + text + "\""; }

// A random calendar rule, as JSON and as what it means.
struct RandomCalendar {
    std::string json;
    std::string gap = "first_valid", overlap = "first";
    std::vector<int> minutes;  // of the day
    std::string frequency;
    int interval = 1;
    std::optional<Date> from;
    std::set<int> weekdays, months;
    struct Day {
        std::string unit;  // "day", "working day", or the name of a weekday
        int ordinal;
        bool last;
    };
    std::vector<Day> days;

    explicit RandomCalendar(std::mt19937_64& random, const std::string& zone) {
        frequency = std::vector<std::string>{"daily", "weekly", "monthly"}[static_cast<std::size_t>(pick(random, 0, 2))];
        json = fmt::format(R"("frequency": "{}")", frequency);
        if (pick(random, 0, 1) == 0) {
            interval = pick(random, 1, frequency == "daily" ? 9 : 4);
            from = Date(pick(random, 1970, 1985), pick(random, 1, 12), pick(random, 1, 31));
            json += fmt::format(R"(, "interval": {}, "from": "{:04}-{:02}-{:02}")", interval, from->year(), from->month(), from->day());
        }
        if (frequency == "weekly") add_names(random, "weekdays", kNames, 0, weekdays);
        if (frequency == "monthly") add_days(random);
        std::set<int> times;
        while (static_cast<int>(times.size()) < pick(random, 1, 3))
            times.insert(pick(random, 0, 1) == 0 ? pick(random, 0, 180) : pick(random, 0, 1439));
        std::vector<std::string> texts;
        for (const int minute : times) {
            minutes.push_back(minute);
            texts.push_back(fmt::format("\"{:02}:{:02}\"", minute / 60, minute % 60));
        }
        json = fmt::format(R"({{"calendar": {{{}, "times": {}}}, "zone": "{}")", json, list_text(texts), zone);
        if (pick(random, 0, 1) == 0) {
            gap = pick(random, 0, 1) == 0 ? "first_valid" : "skip";
            overlap = std::vector<std::string>{"first", "second", "both"}[static_cast<std::size_t>(pick(random, 0, 2))];
            json += fmt::format(R"(, "dst": {{"gap": "{}", "overlap": "{}"}})", gap, overlap);
        }
        json += "}";
    }

    void add_names(std::mt19937_64& random, const std::string& member, const std::vector<std::string>& names, int base,
                   std::set<int>& out) {
        for (int count = pick(random, 1, 4); count > 0; --count) out.insert(base + pick(random, 0, static_cast<int>(names.size()) - 1));
        std::vector<std::string> texts;
        for (const int one : out) texts.push_back(quoted_name(names[static_cast<std::size_t>(one - base)]));
        json += fmt::format(R"(, "{}": {})", member, list_text(texts));
    }

    void add_days(std::mt19937_64& random) {
        if (pick(random, 0, 2) == 0) add_names(random, "months", kMonths, 1, months);
        std::set<std::string> texts;
        for (int count = pick(random, 1, 3); count > 0; --count) {
            Day day{"day", pick(random, 1, 31), pick(random, 0, 1) == 0};
            if (const int kind = pick(random, 0, 3); kind == 1) {
                day = {"working day", pick(random, 1, 7), pick(random, 0, 1) == 0};
            } else if (kind == 2) {
                day = {kNames[static_cast<std::size_t>(pick(random, 0, 6))], pick(random, 1, 5), pick(random, 0, 1) == 0};
            } else if (day.last) {
                day.ordinal = pick(random, 1, 7);
            }
            std::string text = fmt::format("{}", day.ordinal);
            if (day.unit != "day" || day.last) {
                text =
                    day.last && day.ordinal == 1 ? "last " : kOrdinals[static_cast<std::size_t>(day.ordinal)] + (day.last ? " last " : " ");
                text = quoted_name(text + day.unit);
            }
            if (texts.insert(text).second) days.push_back(day);
        }
        json += fmt::format(R"(, "days": {})", list_text({texts.begin(), texts.end()}));
    }

    bool is_unit(Date date, const std::string& unit) const {
        if (unit == "day") return true;
        if (unit == "working day") return weekday(date) >= 1 && weekday(date) <= 5;
        return kNames[static_cast<std::size_t>(weekday(date))] == unit;
    }

    bool is_day(Date date) const {
        if (from && date < *from) return false;
        if (frequency == "daily") return !from || (date - *from) % interval == 0;
        if (frequency == "weekly") {
            if (weekdays.count(weekday(date)) == 0) return false;
            Date monday = from.value_or(date);
            while (weekday(monday) != 1) --monday;
            return !from || (date - monday) / 7 % interval == 0;
        }
        if (!months.empty() && months.count(date.month()) == 0) return false;
        if (from && ((date.year() - from->year()) * 12 + date.month() - from->month()) % interval != 0) return false;
        return std::any_of(days.begin(), days.end(), [&](const Day& day) {
            if (!is_unit(date, day.unit)) return false;
            int ordinal = 1;
            const int step = day.last ? 1 : -1;
            for (Date other = date + step; other.month() == date.month(); other += step) ordinal += is_unit(other, day.unit) ? 1 : 0;
            return ordinal == day.ordinal;
        });
    }

    bool matches(Local local) const {
        return std::find(minutes.begin(), minutes.end(), local.hour() * 60 + local.minute()) != minutes.end() && is_day(Date(local));
    }
};

// The minutes of some days with what the wall shows.
struct Wall {
    std::vector<std::pair<Minute, Local>> minutes;

    Wall(const cctz::time_zone& zone, Minute begin, int days) {
        for (int i = 0; i < days * 24 * 60; ++i, begin += std::chrono::minutes{1}) minutes.emplace_back(begin, zone.lookup(begin).cs);
    }
    // When it shows `local`: the first time, or the last; if never, when a gap over it ends.
    std::pair<Minute, bool> find(Local local, bool last) const {
        std::optional<Minute> found;
        for (std::size_t i = 0; i < minutes.size(); ++i) {
            if (minutes[i].second == local && (last || !found)) found = minutes[i].first;
            const bool skipped = i > 0 && minutes[i - 1].second < local && minutes[i].second > local;
            if (skipped && !found) return {minutes[i].first, true};
        }
        return {found.value_or(Minute{}), false};
    }
};

}  // namespace

TEST_CASE("calendar: the canonical form") {
    CHECK(
        canonical(
            R"({"calendar": {"times": ["18:00:00", "09:30"], "days": [15, "last working day", "1st day", "2nd last tue"], "frequency": "monthly",
                                     "months": ["dec", "jan"], "interval": 1}})") ==
        in_utc(R"("calendar":{"frequency":"monthly","months":["jan","dec"],"days":[15,"last working day",1,"2nd last tue"],)"
               R"("times":["09:30","18:00"]})"));
    CHECK(
        canonical(
            R"({"calendar": {"frequency": "weekly", "interval": 2, "from": "2026-01-05", "weekdays": ["sun", "mon"], "times": ["00:00:01"]}})") ==
        in_utc(R"("calendar":{"frequency":"weekly","interval":2,"from":"2026-01-05","weekdays":["mon","sun"],"times":["00:00:01"]})"));
    CHECK(canonical(R"({"calendar": {"frequency": "daily", "times": ["23:59:59"]}})") ==
          in_utc(R"("calendar":{"frequency":"daily","times":["23:59:59"]})"));
    CHECK(canonical(R"({"every": "600s", "window": {"to": "24:00", "from": "22:00", "weekdays": ["sat", "fri"]}})") ==
          in_utc(R"("every":"10min","window":{"from":"22:00","to":"24:00","weekdays":["fri","sat"]})"));
    CHECK(
        canonical(
            R"({"every": "1h", "window": {"from": "22:00", "to": "06:00", "weekdays": ["mon", "tue", "wed", "thu", "fri", "sat", "sun"]}})") ==
        in_utc(R"("every":"1h","window":{"from":"22:00","to":"06:00"})"));
}

TEST_CASE("calendar: what is refused, and where") {
    const auto calendar = [](const std::string& members) { return R"({"calendar": {)" + members + "}}"; };
    check_fault(R"({"calendar": 5})", "/s/calendar", "is not an object");
    check_fault(calendar(R"("times": ["09:00"])"), "/s/calendar/frequency", "is missing");
    check_fault(calendar(R"("frequency": "yearly", "times": ["09:00"])"), "/s/calendar/frequency", "is not one of");
    check_fault(calendar(R"("frequency": "daily")"), "/s/calendar/times", "is missing");
    check_fault(calendar(R"("frequency": "daily", "times": [])"), "/s/calendar/times", "has 0 entries");
    for (const char* time : {"9:00", "24:00", "09:60", "09:00:60", "0900", "09:00:0", "", "09-00"}) {
        const bool empty = std::string{time}.empty();
        check_fault(calendar(fmt::format(R"("frequency": "daily", "times": ["00:00", "{}"])", time)), "/s/calendar/times/1",
                    empty ? "" : "is not a time of day");
    }
    check_fault(calendar(R"("frequency": "daily", "times": ["09:00", "09:00:00"])"), "/s/calendar/times/1", "is there twice");
    check_fault(calendar(R"("frequency": "daily", "interval": 2, "times": ["09:00"])"), "/s/calendar/from", "is missing");
    check_fault(calendar(R"("frequency": "daily", "interval": 0, "times": ["09:00"])"), "/s/calendar/interval", "out of range");
    check_fault(calendar(R"("frequency": "daily", "interval": 1001, "from": "2026-01-01", "times": ["09:00"])"), "/s/calendar/interval",
                "out of range");
    for (const char* date : {"2026-02-30", "2026-13-01", "1969-12-31", "2400-01-01", "2026-1-1", "20260101"}) {
        check_fault(calendar(fmt::format(R"("frequency": "daily", "from": "{}", "times": ["09:00"])", date)), "/s/calendar/from",
                    "is not a date");
    }
    check_fault(calendar(R"("frequency": "weekly", "times": ["09:00"])"), "/s/calendar/weekdays", "is missing");
    check_fault(calendar(R"("frequency": "weekly", "weekdays": ["mon", "Tue"], "times": ["09:00"])"), "/s/calendar/weekdays/1",
                "'Tue' is not a name");
    check_fault(calendar(R"("frequency": "weekly", "weekdays": ["mon", "mon"], "times": ["09:00"])"), "/s/calendar/weekdays/1",
                "is there twice");
    check_fault(calendar(R"("frequency": "daily", "weekdays": ["mon"], "times": ["09:00"])"), "/s/calendar/weekdays",
                "belongs to the frequency 'weekly'");
    check_fault(calendar(R"("frequency": "weekly", "weekdays": ["mon"], "days": [1], "times": ["09:00"])"), "/s/calendar/days",
                "belongs to the frequency 'monthly'");
    check_fault(calendar(R"("frequency": "monthly", "times": ["09:00"])"), "/s/calendar/days", "is missing");
    for (const char* day : {"0", "32", "1.5", "\"15\"", "\"last\"", "\"1th day\"", "\"0th day\"", "\"32nd day\"", "\"6th mon\"",
                            "\"24th working day\"", "\"last  fri\"", "\"Last fri\"", "\"mon\"", "\"2nd\"", "null", "\"01st day\""}) {
        check_fault(calendar(fmt::format(R"("frequency": "monthly", "days": [1, {}], "times": ["09:00"])", day)), "/s/calendar/days/1",
                    "is not a day of a month");
    }
    check_fault(calendar(R"("frequency": "monthly", "days": ["last day", "1st last day"], "times": ["09:00"])"), "/s/calendar/days/1",
                "is there twice");
    check_fault(calendar(R"("frequency": "monthly", "days": [30], "months": ["feb"], "times": ["09:00"])"), "/s", "its days never come");
    check_fault(calendar(R"("frequency": "monthly", "days": [29], "interval": 24, "from": "2027-02-01", "times": ["09:00"])"), "/s",
                "its days never come");
    check_fault(calendar(R"("frequency": "daily", "times": ["09:00"], "hours": 3)"), "/s/calendar/hours", "is not a known field");

    check_fault(R"({"every": "1h", "window": {"from": "09:00"}})", "/s/window/to", "is missing");
    check_fault(R"({"every": "1h", "window": {"from": "24:00", "to": "06:00"}})", "/s/window/from", "is not a time of day");
    check_fault(R"({"every": "25h", "window": {"from": "09:00", "to": "18:00"}})", "/s/every", "out of range");
    check_fault(R"({"every": "1h", "window": {"from": "09:00", "to": "18:00"}, "anchor": "2026-01-01T00:00"})", "/s/anchor",
                "stands beside 'window'");
    check_fault(R"({"every": "1h", "window": {"from": "09:00", "to": "18:00", "weekdays": []}})", "/s/window/weekdays", "has 0 entries");
    check_fault(R"({"cron": "@daily", "window": {"from": "09:00", "to": "18:00"}})", "/s/window", "belongs to an 'every' rule");
}

TEST_CASE("calendar: which days are working days can be said by others") {
    class AllButFridays final : public task::WorkingDays {
        bool contains(Date date) const override { return weekday(date) != 5; }
    };
    const task::CalendarRule rule{.frequency = task::Frequency::monthly,
                                  .from = {},
                                  .days = {{.unit = task::MonthDay::Unit::working_day, .ordinal = 1, .from_end = true}},
                                  .times = {std::chrono::hours{18}}};
    const task::LocalTime begin(2026, 7, 1, 0, 0, 0);  // 31 July 2026 is a Friday
    CHECK(rule.next(begin, task::mondays_to_fridays()) == task::LocalTime(2026, 7, 31, 18, 0, 0));
    CHECK(rule.next(begin, AllButFridays{}) == task::LocalTime(2026, 7, 30, 18, 0, 0));
}

TEST_CASE("calendar: next() agrees with an oracle that looks at every minute") {
    const auto seed = Catch::rngSeed();
    std::mt19937_64 random{seed};
    int compared_at_all = 0;
    for (int round = 0; round < 120; ++round) {
        const std::string zone_name = kZones[random() % kZones.size()];
        cctz::time_zone zone;
        REQUIRE(cctz::load_time_zone(zone_name, &zone));
        const RandomCalendar rule(random, zone_name);
        CAPTURE(seed, round, rule.json);
        Faults faults;
        const auto schedule = parsed(rule.json, faults);
        if (!schedule) {
            REQUIRE(faults.summary().find("never fires") != std::string::npos);
            continue;
        }
        const std::string written = canonical(rule.json);
        REQUIRE(canonical(written) == written);
        REQUIRE(valid(written) == *schedule);
        const Minute start = random_start(random, zone, 125);
        CAPTURE(format_instant(start));
        std::optional<Instant> fire = schedule->next(start);
        for (int i = 1; i <= 12 * 24 * 60; ++i) {
            const Minute minute = start + std::chrono::minutes{i};
            if (due([&](Local local) { return rule.matches(local); }, rule.gap, rule.overlap, zone, minute)) {
                CAPTURE(format_instant(minute));
                REQUIRE(fire == Instant{minute});
                fire = schedule->next(*fire);
                ++compared_at_all;
            } else if (fire && *fire <= minute) {
                FAIL("fires at " << format_instant(*fire) << ", where the oracle does not");
            }
        }
    }
    CHECK(compared_at_all > 50);
}

TEST_CASE("window: next() agrees with an oracle that opens and closes windows by the wall") {
    const auto seed = Catch::rngSeed();
    std::mt19937_64 random{seed};
    for (int round = 0; round < (kSanitized ? 40 : 150); ++round) {
        const std::string zone_name = kZones[random() % kZones.size()];
        cctz::time_zone zone;
        REQUIRE(cctz::load_time_zone(zone_name, &zone));
        const int from = pick(random, 0, 1) == 0 ? pick(random, 0, 180) : pick(random, 0, 1439);
        const int to = pick(random, 0, 1) == 0 ? pick(random, 0, 180) : pick(random, 0, 1440);
        const int interval = pick(random, 1, pick(random, 0, 1) == 0 ? 30 : 1440);
        const std::string gap = pick(random, 0, 1) == 0 ? "first_valid" : "skip";
        const std::string overlap = std::vector<std::string>{"first", "second", "both"}[static_cast<std::size_t>(pick(random, 0, 2))];
        std::set<int> weekdays;
        std::vector<std::string> texts;
        for (int i = 0; i < 7; ++i) {
            if (pick(random, 0, 3) > 0 || (i == 6 && weekdays.empty())) weekdays.insert(i);
        }
        for (const int one : weekdays) texts.push_back(quoted_name(kNames[static_cast<std::size_t>(one)]));
        const std::string text =
            fmt::format(R"({{"every": "{}min", "window": {{"from": "{:02}:{:02}", "to": "{:02}:{:02}", "weekdays": {}}}, "zone": "{}",
                            "dst": {{"gap": "{}", "overlap": "{}"}}}})",
                        interval, from / 60, from % 60, to / 60, to % 60, list_text(texts), zone_name, gap, overlap);
        CAPTURE(seed, round, text);
        const Schedule schedule = valid(text);
        REQUIRE(canonical(canonical(text)) == canonical(text));
        const Minute start = random_start(random, zone);
        CAPTURE(format_instant(start));

        std::set<Minute> expected;
        const Wall wall(zone, start - std::chrono::hours{72}, 9);
        for (int i = -2; i <= 4; ++i) {
            const Date day = Date(zone.lookup(start).cs) + i;
            if (weekdays.count(weekday(day)) == 0) continue;
            const auto opens = wall.find(Local(day) + from, overlap == "second");
            const auto closes = wall.find(Local(day) + (to <= from ? to + 1440 : to), overlap != "first");
            if (opens.second && gap == "skip") continue;
            for (Minute minute = opens.first; minute < closes.first; minute += std::chrono::minutes{interval}) {
                if (minute > start) expected.insert(minute);
            }
        }
        Instant now = start;
        for (const Minute minute : expected) {
            if (minute > start + std::chrono::hours{48}) break;
            CAPTURE(format_instant(minute));
            REQUIRE(schedule.next(now) == Instant{minute});
            REQUIRE(schedule.next(now + (minute - now) / 2) == Instant{minute});
            now = minute;
        }
    }
}
