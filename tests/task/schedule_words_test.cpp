// Schedules in words: a table of rules with both languages' sentences, and that rules with other fires have other sentences.
#include <catch2/catch.hpp>

#include <array>
#include <fstream>
#include <map>
#include <random>
#include <string>
#include <vector>

#include "cloudtask/task/schedule_words.h"
#include "task/cron.h"
#include "tests/task/minute_oracle.h"
#include "tests/task/schedule_texts.h"

using namespace cloudtask;
using namespace cloudtask::schedule_texts;
using oracle::pick;
using task::Language;
using task::words;

namespace {

std::string random_clock_field(std::mt19937_64& random, int low, int high) {
    const int first = pick(random, low, high);
    switch (pick(random, 0, 6)) {
        case 0:
            return "*";
        case 1:
            return fmt::format("*/{}", pick(random, 2, (high - low) / 2));
        case 2:
            return fmt::format("{}-{}", first, pick(random, low, high));
        case 3:
            return fmt::format("{},{}", first, pick(random, low, high));
        case 4:
            return fmt::format("{}/{}", first, pick(random, 2, (high - low) / 2));
        default:
            return std::to_string(first);
    }
}

template <std::size_t N>
std::string one_of(std::mt19937_64& random, const std::array<const char*, N>& choices) {
    return choices[static_cast<std::size_t>(pick(random, 0, static_cast<int>(N) - 1))];
}

std::string random_cron(std::mt19937_64& random) {
    const std::string day =
        one_of(random, std::array{"*", "?", "1", "15", "1,15", "1-7", "L", "LW", "L-2", "15W", "*/2", "10-31/10", "1-31"});
    const std::string month = one_of(random, std::array{"*", "*", "*", "jan", "3-6", "1,7", "nov-feb"});
    const std::string weekday = one_of(random, std::array{"*", "?", "mon", "mon-fri", "sat,sun", "fri#2", "friL", "fri-mon", "*/3", "0-6"});
    std::string rule =
        fmt::format("{} {} {} {} {}", random_clock_field(random, 0, 59), random_clock_field(random, 0, 23), day, month, weekday);
    if (pick(random, 0, 2) == 0) rule = random_clock_field(random, 0, 59) + " " + rule;
    return rule;
}

std::vector<Instant> fires_of(const task::Schedule& schedule) {
    std::vector<Instant> fires;
    for (const char* text : {"2026-01-01T00:00:00Z", "2027-06-14T11:22:33Z"}) {
        Instant after = *parse_instant(text);
        for (int i = 0; i < 30; ++i) {
            const auto next = schedule.next(after);
            if (!next) break;
            fires.push_back(*next);
            after = *next;
        }
    }
    return fires;
}

}  // namespace

TEST_CASE("words: a table of rules") {
    std::ifstream file(std::string(CLOUDTASK_SOURCE_DIR) + "/tests/task/golden/words.tsv");
    std::string line;
    int rows = 0;
    while (std::getline(file, line)) {
        if (line.starts_with('#')) continue;
        const std::size_t first = line.find('\t');
        const std::size_t second = line.find('\t', first + 1);
        REQUIRE(second != std::string::npos);
        const task::Schedule schedule = valid(line.substr(0, first));
        CAPTURE(line.substr(0, first));
        CHECK(words(schedule, Language::english) == line.substr(first + 1, second - first - 1));
        CHECK(words(schedule, Language::chinese) == line.substr(second + 1));
        ++rows;
    }
    CHECK(rows >= 60);
}

TEST_CASE("words: H is what the task's id picks") {
    const task::Schedule schedule = valid(R"({"cron": "H H * * *"})");
    const task::Schedule adopted = schedule.for_task("018f0000-0000-7000-8000-000000000001");
    const auto fire = adopted.next(Instant{});
    REQUIRE(fire);
    const std::string time = format_instant(*fire).substr(11, 5);
    CHECK(words(adopted, Language::english) == "at " + time + " every day, UTC; as the task's id picks");
    CHECK(words(adopted, Language::chinese) == "UTC 每天 " + time + "；由任务的 id 选定");
}

TEST_CASE("words: languages by their names") {
    CHECK(task::parse_language("en") == Language::english);
    CHECK(task::parse_language("zh_CN.UTF-8") == Language::chinese);
    CHECK(task::parse_language("de_DE") == std::nullopt);
    CHECK(task::parse_language("") == std::nullopt);
}

TEST_CASE("words: rules with other fires read differently", "[property]") {
    const auto seed = Catch::rngSeed();
    std::mt19937_64 random{seed};
    struct Seen {
        std::string rule;
        std::vector<Instant> fires;
    };
    std::array<std::map<std::string, Seen>, 2> seen;
    int same = 0;
    for (int i = 0; i < 3000; ++i) {
        const std::string rule = random_cron(random);
        const auto schedule = task::Schedule::cron(rule, "UTC");
        CAPTURE(seed, rule);
        REQUIRE(schedule);
        std::vector<Instant> fires = fires_of(*schedule);
        for (const Language language : {Language::english, Language::chinese}) {
            const std::string text = words(*schedule, language);
            REQUIRE_FALSE(text.empty());
            CHECK(text.find('{') == std::string::npos);
            const auto [entry, is_new] = seen[static_cast<std::size_t>(language)].try_emplace(text, Seen{rule, fires});
            if (is_new) continue;
            ++same;
            CAPTURE(text, entry->second.rule);
            REQUIRE(entry->second.fires == fires);
        }
    }
    CHECK(same > 0);
}
