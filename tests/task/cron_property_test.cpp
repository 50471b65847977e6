// Cron rules against an oracle: random rules, zones and starts (the seed is in the output of a failure), and the oracle looks at the wall
// minute by minute. It shares with the code under test only cctz: it renders its own rules and knows docs/schedules.md.
#include <catch2/catch.hpp>

#include <algorithm>
#include <array>
#include <functional>
#include <optional>
#include <random>
#include <set>
#include <string>
#include <vector>

#include "cloudtask/core/json.h"
#include "cloudtask/task/schedule.h"
#include "tests/support/sanitized.h"
#include "tests/task/minute_oracle.h"

using namespace cloudtask;

namespace {

using namespace cloudtask::oracle;

constexpr int kWindowMinutes = 3 * 24 * 60;

using Day = cctz::civil_day;

int weekday_on(Day day) { return (static_cast<int>(cctz::get_weekday(day)) + 1) % 7; }

struct Field {
    std::set<int> values;
    bool starred = false;
    std::string text;
    std::vector<std::function<bool(Day)>> named = {};  // L, W and #
};

Field star(int low, int high, int step) {
    Field field{.values = {}, .starred = true, .text = step == 1 ? "*" : fmt::format("*/{}", step)};
    for (int value = low; value <= high; value += step) field.values.insert(value);
    return field;
}

Field random_list(std::mt19937_64& random, int low, int high) {
    Field field;
    for (int items = pick(random, 1, 3); items > 0; --items) {
        const int first = pick(random, low, high);
        const int last = pick(random, 0, 2) == 0 ? pick(random, low, high) : first;
        const int step = last != first && pick(random, 0, 1) == 0 ? pick(random, 1, 5) : 1;
        const int count = high - low + 1;
        for (int value = first; value <= (last < first ? last + count : last); value += step)
            field.values.insert((value - low) % count + low);
        field.text += fmt::format("{}{}{}{}", field.text.empty() ? "" : ",", first, last != first ? fmt::format("-{}", last) : "",
                                  step > 1 ? fmt::format("/{}", step) : "");
    }
    return field;
}

Field random_field(std::mt19937_64& random, int low, int high, int star_percent) {
    if (pick(random, 1, 100) <= star_percent) return star(low, high, pick(random, 0, 2) == 0 ? pick(random, 1, (high - low) / 2) : 1);
    return random_list(random, low, high);
}

int days_left(Day day) { return static_cast<int>(Day(cctz::civil_month(day) + 1) - day) - 1; }

// A Monday to Friday, and no other one of the month is nearer to `day`; on a Sunday, the Monday after goes before the Friday before.
bool is_nearest_weekday(Day candidate, Day day) {
    const auto is_weekday = [&](Day one) { return weekday_on(one) % 6 != 0 && one.month() == day.month(); };
    for (const int distance : {0, -1, 1, -2, 2}) {
        if (is_weekday(day + distance)) return candidate == day + distance;
    }
    return false;
}

void add_named_day(std::mt19937_64& random, Field& days) {
    const int before = pick(random, 0, 5);
    const int date = pick(random, 1, 31);
    const int kind = pick(random, 0, 3);
    const std::string last = before == 0 ? "L" : fmt::format("L-{}", before);
    const auto nth_day = [date](Day day) { return Day(day.year(), day.month(), 1) + (date - 1); };
    days.text += "," + (kind == 0 ? last : kind == 1 ? last + "W" : fmt::format("{}W", date));
    days.named.push_back([=](Day day) {
        if (kind == 0) return days_left(day) == before;
        const Day meant = kind == 1 ? day + (days_left(day) - before) : nth_day(day);
        return meant.month() == day.month() && is_nearest_weekday(day, meant);
    });
}

void add_named_weekday(std::mt19937_64& random, Field& weekdays) {
    const int weekday = pick(random, 0, 6);
    const int nth = pick(random, 0, 5);
    weekdays.text += nth == 0 ? fmt::format(",{}L", weekday) : fmt::format(",{}#{}", weekday, nth);
    weekdays.named.push_back(
        [=](Day day) { return weekday_on(day) == weekday && (nth == 0 ? days_left(day) < 7 : (day.day() - 1) / 7 + 1 == nth); });
}

bool names(const Field& field, Day day) {
    return std::any_of(field.named.begin(), field.named.end(), [&](const auto& named) { return named(day); });
}

struct Rule {
    Field minutes, hours, days, months, weekdays;
    std::string gap, overlap;  // as chosen; empty: what is usual

    std::string text() const { return fmt::format("{} {} {} {} {}", minutes.text, hours.text, days.text, months.text, weekdays.text); }
    bool every_hour() const { return hours.values.size() == 24; }
    std::string gap_rule() const { return !gap.empty() ? gap : every_hour() ? "skip" : "first_valid"; }
    std::string overlap_rule() const { return !overlap.empty() ? overlap : every_hour() ? "both" : "first"; }
    std::string json(const std::string& zone) const {
        std::string chosen = gap.empty() ? "" : fmt::format(R"("gap": "{}")", gap);
        if (!overlap.empty()) chosen += fmt::format(R"({}"overlap": "{}")", chosen.empty() ? "" : ", ", overlap);
        return fmt::format(R"({{"cron": "{}", "zone": "{}"{}}})", text(), zone,
                           chosen.empty() ? "" : fmt::format(R"(, "dst": {{{}}})", chosen));
    }
    bool matches(Local local) const {
        const bool by_date = days.values.count(local.day()) != 0 || names(days, Day(local));
        const bool by_weekday = weekdays.values.count(weekday_on(Day(local))) != 0 || names(weekdays, Day(local));
        const bool day = !days.starred && !weekdays.starred ? by_date || by_weekday : by_date && by_weekday;
        return day && months.values.count(local.month()) != 0 && hours.values.count(local.hour()) != 0 &&
               minutes.values.count(local.minute()) != 0;
    }
};

Rule random_rule(std::mt19937_64& random) {
    Rule rule;
    rule.minutes = random_field(random, 0, 59, 50);
    rule.hours = random_field(random, 0, 23, 40);
    rule.days = random_field(random, 1, 31, 70);
    rule.months = random_field(random, 1, 12, 80);
    rule.weekdays = random_field(random, 0, 6, 70);
    if (pick(random, 0, 2) == 0) add_named_day(random, rule.days);
    if (pick(random, 0, 2) == 0) add_named_weekday(random, rule.weekdays);
    if (pick(random, 0, 1) == 0) rule.gap = pick(random, 0, 1) == 0 ? "first_valid" : "skip";
    if (pick(random, 0, 1) == 0) rule.overlap = std::array{"first", "second", "both"}[static_cast<std::size_t>(pick(random, 0, 2))];
    return rule;
}

// The generator makes days that never come, and local times that are always skipped, and only that may be refused.
std::optional<task::Schedule> read_rule(const Rule& rule, const std::string& zone) {
    Faults faults;
    const auto document = json::parse(rule.json(zone));
    REQUIRE(document);
    auto schedule = task::Schedule::read(*document, "", faults);
    if (!schedule) {
        INFO(faults.summary());
        REQUIRE((faults.summary().find("never comes") != std::string::npos || faults.summary().find("never fires") != std::string::npos));
    }
    return schedule;
}

}  // namespace

TEST_CASE("cron: next() agrees with an oracle that looks at every minute") {
    const auto seed = Catch::rngSeed();
    std::mt19937_64 random{seed};
    for (int round = 0; round < (kSanitized ? 50 : 250); ++round) {
        const Rule rule = random_rule(random);
        const std::string zone_name = kZones[random() % kZones.size()];
        cctz::time_zone zone;
        REQUIRE(cctz::load_time_zone(zone_name, &zone));
        const auto schedule = read_rule(rule, zone_name);
        if (!schedule) continue;
        const Minute start = random_start(random, zone);
        const std::string from = format_instant(start);
        CAPTURE(seed, round, rule.json(zone_name), from);

        std::optional<Instant> fire = schedule->next(start);
        int compared = 0;
        for (Minute minute = start + std::chrono::minutes{1}; minute <= start + std::chrono::minutes{kWindowMinutes} && compared < 60;
             minute += std::chrono::minutes{1}) {
            const std::string at = format_instant(minute);
            CAPTURE(at);
            if (due([&](Local local) { return rule.matches(local); }, rule.gap_rule(), rule.overlap_rule(), zone, minute)) {
                REQUIRE(fire == Instant{minute});
                fire = schedule->next(*fire);
                ++compared;
            } else if (fire && *fire <= minute) {
                FAIL("fires at " << format_instant(*fire) << ", where the oracle does not");
            }
        }
    }
}

TEST_CASE("cron: fires grow strictly, and next() from between two fires is the later one") {
    const auto seed = Catch::rngSeed();
    std::mt19937_64 random{seed};
    for (int round = 0; round < 300; ++round) {
        const Rule rule = random_rule(random);
        const std::string text = (random() % 2 == 0 ? random_field(random, 0, 59, 30).text : "0") + " " + rule.text();
        const std::string zone_name = kZones[random() % kZones.size()];
        cctz::time_zone zone;
        REQUIRE(cctz::load_time_zone(zone_name, &zone));
        const auto schedule = task::Schedule::cron(text, zone_name);
        if (!schedule) continue;
        CAPTURE(seed, round, text, zone_name);
        Instant now = random_start(random, zone);
        for (int i = 0; i < 50; ++i) {
            const auto next = schedule->next(now);
            REQUIRE(next);
            REQUIRE(*next > now);
            const auto between = now + Duration{static_cast<std::int64_t>(random() % static_cast<std::uint64_t>((*next - now).count()))};
            REQUIRE(schedule->next(between) == next);
            now = *next;
        }
    }
}

TEST_CASE("every: fires lie on the grid of the anchor") {
    const auto seed = Catch::rngSeed();
    std::mt19937_64 random{seed};
    for (int round = 0; round < 500; ++round) {
        const Duration interval{1'000'000 + static_cast<std::int64_t>(random() % (366ULL * 86400 * 1'000'000 - 1'000'000))};
        const Instant anchor{Duration{static_cast<std::int64_t>(random() % 4'000'000'000'000'000ULL)}};
        const Instant from{Duration{static_cast<std::int64_t>(random() % 8'000'000'000'000'000ULL)}};
        CAPTURE(seed, round, interval.count(), anchor.time_since_epoch().count(), from.time_since_epoch().count());
        const auto schedule = task::Schedule::every(interval, anchor);
        REQUIRE(schedule);
        const auto next = schedule->next(from);
        REQUIRE(next);
        REQUIRE(*next > from);
        REQUIRE(*next >= anchor);
        REQUIRE((*next - anchor) % interval == Duration::zero());
        REQUIRE((*next == anchor || *next - interval <= from));
    }
}

TEST_CASE("cron: whatever is written, it is refused or fires in order, for every task") {
    constexpr std::array kPieces{"*", "?", "H", "L",  "W",  "#",  "-",  "/",   ",",   "(",   ")",    "0", "1",
                                 "2", "5", "7", "12", "29", "31", "59", "mon", "feb", "sun", "2026", " "};
    const auto seed = Catch::rngSeed();
    std::mt19937_64 random{seed};
    int right = 0;
    for (int round = 0; round < 20000; ++round) {
        std::string text;
        for (int field = pick(random, 5, 7); field > 0; --field) {
            for (int piece = pick(random, 0, 3) == 0 ? pick(random, 1, 6) : 1; piece > 0; --piece)
                text += kPieces[random() % (round % 2 == 0 ? kPieces.size() : 3)];
            text += " ";
        }
        CAPTURE(seed, round, text);
        const auto schedule = task::Schedule::cron(text, "Europe/Berlin");
        if (!schedule) continue;
        ++right;
        for (const char* id : {"", "task-1", "018f3c2e-1111-7222-8333-123456789abc"}) {
            const auto picked = schedule->for_task(id);
            auto fire = picked.next(Instant::min());
            REQUIRE(fire);
            for (int i = 0; fire && i < 5; ++i) {
                const auto next = picked.next(*fire);
                REQUIRE((!next || *next > *fire));
                fire = next;
            }
        }
    }
    CHECK(right > 200);
}
