// Cron rules against an oracle: random rules, zones and starts (the seed is in the output of a failure), and the oracle looks at the wall
// minute by minute. It shares with the code under test only cctz: it renders its own rules and knows docs/schedules.md.
#include <catch2/catch.hpp>

#include <array>
#include <optional>
#include <random>
#include <set>
#include <string>

#include "cloudtask/core/json.h"
#include "cloudtask/task/schedule.h"
#include "tests/task/minute_oracle.h"

using namespace cloudtask;

namespace {

using namespace cloudtask::oracle;

constexpr int kWindowMinutes = 3 * 24 * 60;

struct Field {
    std::set<int> values;
    bool starred = false;
    std::string text;
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
        const int last = pick(random, 0, 2) == 0 ? pick(random, first, high) : first;
        const int step = last > first && pick(random, 0, 1) == 0 ? pick(random, 1, 5) : 1;
        for (int value = first; value <= last; value += step) field.values.insert(value);
        field.text += fmt::format("{}{}{}{}", field.text.empty() ? "" : ",", first, last > first ? fmt::format("-{}", last) : "",
                                  step > 1 ? fmt::format("/{}", step) : "");
    }
    return field;
}

Field random_field(std::mt19937_64& random, int low, int high, int star_percent) {
    if (pick(random, 1, 100) <= star_percent) return star(low, high, pick(random, 0, 2) == 0 ? pick(random, 1, (high - low) / 2) : 1);
    return random_list(random, low, high);
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
        const int weekday = (static_cast<int>(cctz::get_weekday(cctz::civil_day(local))) + 1) % 7;
        const bool by_date = days.values.count(local.day()) != 0;
        const bool by_weekday = weekdays.values.count(weekday) != 0;
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
    if (pick(random, 0, 1) == 0) rule.gap = pick(random, 0, 1) == 0 ? "first_valid" : "skip";
    if (pick(random, 0, 1) == 0) rule.overlap = std::array{"first", "second", "both"}[static_cast<std::size_t>(pick(random, 0, 2))];
    return rule;
}

// The generator makes days that never come, and local times that are always skipped, and only that may be refused.
std::optional<task::Schedule> read(const Rule& rule, const std::string& zone) {
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
    for (int round = 0; round < 250; ++round) {
        const Rule rule = random_rule(random);
        const std::string zone_name = kZones[random() % kZones.size()];
        cctz::time_zone zone;
        REQUIRE(cctz::load_time_zone(zone_name, &zone));
        const auto schedule = read(rule, zone_name);
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
