// Faults of cron expressions: each names its field, what is wrong there, and what is allowed.
#include "task/cron.h"

#include <catch2/catch.hpp>

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
        {"30-10 * * * *", "minute field '30-10': the range 30-10 runs backwards; write 30-59,0-10"},
        {"* * * nov-feb *", "month field 'nov-feb': the range nov-feb runs backwards; write 11-12,1-2"},
        {"* * * * 6-2", "day-of-week field '6-2': the range 6-2 runs backwards; write 6-6,0-2"},
        {"*/0 * * * *", "minute field '*/0': the step '0' is not a number above 0"},
        {"*/ * * * *", "minute field '*/': the step '' is not a number above 0"},
        {"*/5/5 * * * *", "minute field '*/5/5': the step '5/5' is not a number above 0"},
        {"*/90 * * * *",
         "minute field '*/90': the step 90 is more than the 60 values of the field; a longer interval is an `every` schedule"},
        {"5/15 * * * *", "minute field '5/15': a step needs a range or '*'; write 5-59/15"},
        {"** * * * *", "minute field '**': '**' is not a number"},
        {"1-* * * * *", "minute field '1-*': '*' is not a number"},
        {"* * * *", "has 4 fields"},
        {"* * * * * * *", "has 7 fields"},
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
    for (const char* expression :
         {"0 0 29 2 *", "0 0 31 2,3 *", "0 0 30-31 2,4 *", "0 0 30 2 1", "0 0 1,30 2 *", "*/60 * * * *", "0 0 29 2 */7"}) {
        CHECK(faults_of(expression).empty());
    }
}

TEST_CASE("cron: the text is kept with single blanks") {
    std::vector<CronFault> faults;
    CHECK(CronRule::parse(" 0  9\t* * Mon ", faults)->text() == "0 9 * * Mon");
    CHECK(CronRule::parse("@daily", faults)->text() == "@daily");
}
