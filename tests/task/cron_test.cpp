// Faults of cron expressions: each names its field, what is wrong there, and what is allowed.
#include "task/cron.h"

#include <catch2/catch.hpp>

#include <fmt/format.h>

#include <array>
#include <cstdlib>
#include <string>
#include <vector>

using cloudtask::task::CronFault;
using cloudtask::task::CronRule;

namespace {

std::vector<CronFault> faults_of(const std::string& expression) {
    std::vector<CronFault> faults;
    const auto rule = CronRule::parse(expression, faults);
    CAPTURE(expression);
    CHECK(rule.has_value() == faults.empty());
    return faults;
}

}  // namespace

TEST_CASE("cron: a bad field is named, with what is wrong") {
    const std::vector<std::pair<std::string, std::string>> rows{
        {"61 * * * *", "minute field '61': 61 is not in 0 to 59"},
        {"* 24 * * *", "hour field '24': 24 is not in 0 to 23"},
        {"* * 0 * *", "day-of-month field '0': 0 is not in 1 to 31"},
        {"* * 32 * *", "day-of-month field '32': 32 is not in 1 to 31"},
        {"* * * 13 *", "month field '13': 13 is not in 1 to 12"},
        {"* * * * 8", "day-of-week field '8': 8 is not in 0 to 7"},
        {"60 * * * * *", "second field '60': 60 is not in 0 to 59"},
        {"1,x * * * *", "minute field '1,x': 'x' is not a number"},
        {"* * * foo *", "month field 'foo': 'foo' is not a number or a name"},
        {"* * * * month", "day-of-week field 'month': 'month' is not a number or a name"},
        {"-1 * * * *", "minute field '-1': '' is not a number"},
        {"5- * * * *", "minute field '5-': '' is not a number"},
        {"99999999999 * * * *", "minute field '99999999999': '99999999999' is not a number"},
        {"1,,2 * * * *", "minute field '1,,2': has an empty place in its list"},
        {", * * * *", "minute field ',': has an empty place in its list"},
        {"*/0 * * * *", "minute field '*/0': the step '0' is not a number above 0"},
        {"*/ * * * *", "minute field '*/': the step '' is not a number above 0"},
        {"*/5/5 * * * *", "minute field '*/5/5': the step '5/5' is not a number above 0"},
        {"*/90 * * * *",
         "minute field '*/90': the step 90 is more than the 60 values of the field; a longer interval is an `every` schedule"},
        {"** * * * *", "minute field '**': '**' is not a number"},
        {"1-* * * * *", "minute field '1-*': '*' is not a number"},
        {"? * * * *", "minute field '?': '?' is for the two day fields"},
        {"* * ?,1 * *", "day-of-month field '?,1': '?' stands alone in its field"},
        {"* * L-31 * *", "day-of-month field 'L-31': 'L-31' is not L-1 to L-30"},
        {"* * L5 * *", "day-of-month field 'L5': 'L5' is not L-1 to L-30"},
        {"* * W * *", "day-of-month field 'W': '' is not a number"},
        {"* * 32W * *", "day-of-month field '32W': 32 is not in 1 to 31"},
        {"L * * * *", "minute field 'L': 'L' is not a number"},
        {"* * * * L", "day-of-week field 'L': 'L' needs a weekday before it: friL is the last Friday of the month"},
        {"* * * * mon#6", "day-of-week field 'mon#6': '#6' is not one of the 1st to the 5th of a month"},
        {"* * * * mon#", "day-of-week field 'mon#': '#' is not one of the 1st to the 5th of a month"},
        {"* * * * 8#1", "day-of-week field '8#1': 8 is not in 0 to 7"},
        {"* * * * fooL", "day-of-week field 'fooL': 'foo' is not a number or a name"},
        {"H(5) * * * *", "minute field 'H(5)': 'H(5)' is not H or H(FIRST-LAST)"},
        {"Hx * * * *", "minute field 'Hx': 'Hx' is not H or H(FIRST-LAST)"},
        {"H(30-10) * * * *", "minute field 'H(30-10)': H picks from 0 to 59, lower value first"},
        {"* * H(1-29) * *", "day-of-month field 'H(1-29)': H picks from 1 to 28, lower value first"},
        {"H/1 * * * *", "minute field 'H/1': the step 1 of H is not in 2 to 60, the number of values that it picks from"},
        {"H(0-9)/11 * * * *", "minute field 'H(0-9)/11': the step 11 of H is not in 2 to 10, the number of values that it picks from"},
        {"0 0 0 1 1 ? 1969", "year field '1969': 1969 is not in 1970 to 2399"},
        {"0 0 0 1 1 ? 2400", "year field '2400': 2400 is not in 1970 to 2399"},
        {"0 0 0 1 1 ? 2030-2028", "year field '2030-2028': the range 2030-2028 runs backwards"},
        {"0 0 0 1 1 ? H", "year field 'H': 'H' is not a number"},
        {"0 0 0 H * ? 2030", "year field '2030': stands beside an H that picks a day, which those years may not have"},
        {"0 0 0 H * ? */2", "year field '*/2': stands beside an H that picks a day, which those years may not have"},
        {"0 0 0 29 2 ? 2030", "day-of-month field '29' with month field '2' and year field '2030' is a day that never comes"},
        {"0 0 31W 2,4 *", "day-of-month field '31W' with month field '2,4' is a day that never comes"},
        {"0 0 L-29 2 *", "day-of-month field 'L-29' with month field '2' is a day that never comes"},
        {"0 0 31 H *", "day-of-month field '31' with month field 'H' is a day that never comes"},
        {"* * * *", "has 4 fields"},
        {"* * * * * * * *", "has 8 fields"},
        {"hello", "has 1 field"},
        {"", "has 0 fields"},
        {"   ", "has 0 fields"},
        {"@reboot", "'@reboot' is not a known nickname"},
        {"@daily 5", "has 2 fields"},
        {"0 0 30 2 *", "day-of-month field '30' with month field '2' is a day that never comes"},
        {"0 0 31 4,6,9,11 *", "day-of-month field '31' with month field '4,6,9,11' is a day that never comes"},
        {"0 0 31 2 */2", "day-of-month field '31' with month field '2' is a day that never comes"},
    };
    for (const auto& [expression, problem] : rows) {
        const auto faults = faults_of(expression);
        CAPTURE(expression);
        REQUIRE(!faults.empty());
        CHECK(faults.front().problem == problem);
        CHECK(!faults.front().allowed.empty());
    }
}

TEST_CASE("cron: all bad fields are told at once") {
    const auto faults = faults_of("61 24 0,32 13 x");
    REQUIRE(faults.size() == 6);
    CHECK(faults[0].problem.starts_with("minute field"));
    CHECK(faults[1].problem.starts_with("hour field"));
    CHECK(faults[2].problem == "day-of-month field '0,32': 0 is not in 1 to 31");
    CHECK(faults[3].problem == "day-of-month field '0,32': 32 is not in 1 to 31");
    CHECK(faults[4].problem.starts_with("month field"));
    CHECK(faults[5].problem.starts_with("day-of-week field"));
}

TEST_CASE("cron: days that come now and then are right") {
    for (const char* expression : {"0 0 29 2 *", "0 0 31 2,3 *", "0 0 30-31 2,4 *", "0 0 30 2 1", "0 0 1,30 2 *", "*/60 * * * *",
                                   "0 0 29 2 */7", "0 0 ? 2 mon#5", "0 0 */28 2 mon#5", "0 0 L-28 2 ?", "0 0 29 H *", "0 0 H H *",
                                   "0 0 31 H(7-8) *", "H H 0 29 2 ? 2028", "0 0 0 H * ? */1", "0 0 0 1 1 ? 2399"}) {
        CHECK(faults_of(expression).empty());
    }
}

TEST_CASE("cron: the text is kept with single blanks") {
    std::vector<CronFault> faults;
    CHECK(CronRule::parse(" 0  9\t* * Mon ", faults)->text() == "0 9 * * Mon");
    CHECK(CronRule::parse("@daily", faults)->text() == "@daily");
}

TEST_CASE("cron: H is the same for a task whenever it is asked, spread over the tasks, and each field picks for itself") {
    std::vector<CronFault> faults;
    const auto first = [&](const std::string& expression, const std::string& task_id) {
        const auto rule = CronRule::parse(expression, faults, task_id);
        REQUIRE(rule);
        return *rule->next(cloudtask::task::LocalTime(2026, 1, 1, 0, 0, 0));
    };
    std::array<int, 60> minutes{};
    std::array<int, 10> of_ten{};
    int equal = 0;
    for (int task = 0; task < 6000; ++task) {
        const auto at = first("H H(0-7) * * *", fmt::format("task-{}", task));
        REQUIRE(at == first("H H(0-7) * * *", fmt::format("task-{}", task)));
        REQUIRE(at.hour() <= 7);
        ++minutes[static_cast<std::size_t>(at.minute())];
        if (at.minute() % 8 == at.hour()) ++equal;
        ++of_ten[static_cast<std::size_t>(first("H(0-29)/10 * * * *", fmt::format("task-{}", task)).minute())];
    }
    // 100 and 600 expected; six standard deviations.
    for (const int count : minutes) CHECK(std::abs(count - 100) < 60);
    for (const int count : of_ten) CHECK(std::abs(count - 600) < 140);
    CHECK(equal < 1000);
}

TEST_CASE("cron: what H picked for a task stays as it is from release to release") {
    std::vector<CronFault> faults;
    const auto rule = CronRule::parse("H H H H H", faults, "018f3c2e-1111-7222-8333-123456789abc");
    REQUIRE(rule);
    CHECK(*rule->next(cloudtask::task::LocalTime(2026, 1, 1, 0, 0, 0)) == cloudtask::task::LocalTime(2026, 2, 6, 1, 36, 0));
}
