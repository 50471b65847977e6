// Calendars: what their entries exclude, at the first and last instant of each, where clocks change, and what is refused.
#include <catch2/catch.hpp>

#include <chrono>
#include <string>
#include <vector>

#include "task/calendar_rules.h"
#include "task/time_of_day.h"
#include "task/yearly_day.h"
#include "tests/support/sanitized.h"
#include "tests/task/calendar_texts.h"

using namespace cloudtask;
using namespace cloudtask::calendar_texts;
using task::Calendar;
using task::Date;

namespace {

constexpr Duration kSecond = std::chrono::seconds{1};

// The name of the entry that excludes the instant; "-" for none.
std::string entry_at(const Calendar& calendar, Instant instant) {
    const auto span = calendar.excluded_at(instant);
    if (!span) return "-";
    CHECK(span->since <= instant);
    CHECK(span->until > instant);
    return std::string{span->entry};
}

void check_calendar_fault(const std::string& text, const std::string& pointer, const std::string& part) {
    Faults faults;
    CAPTURE(text);
    CHECK(read_calendar_text(text, faults) == nullptr);
    CAPTURE(faults.summary());
    REQUIRE(faults.list().size() == 1);
    CHECK(faults.list()[0].pointer == pointer);
    CHECK(faults.list()[0].problem.find(part) != std::string::npos);
    CHECK(faults.list()[0].allowed.empty() == (part == "is missing"));
}

std::string day_in(std::string_view text, int year) {
    const auto day = task::parse_yearly_day(text);
    INFO(text);
    REQUIRE(day);
    const auto date = day->in(year);
    return date ? task::format_date(*date) : "-";
}

}  // namespace

TEST_CASE("calendar: an entry begins at its first instant and ends before its last") {
    struct Row {
        std::string calendar, from, to, entry;
    };
    const std::vector<Row> rows{
        {R"({"holidays": [{"date": "2026-12-25", "name": "Christmas Day"}]})", "2026-12-25T00:00:00Z", "2026-12-26T00:00:00Z",
         "Christmas Day"},
        {R"({"zone": "Europe/London", "holidays": [{"date": "2026-07-01"}]})", "2026-06-30T23:00:00Z", "2026-07-01T23:00:00Z",
         "2026-07-01"},
        {R"({"holidays": [{"from": "2026-12-24", "to": "2027-01-02"}]})", "2026-12-24T00:00:00Z", "2027-01-02T00:00:00Z",
         "2026-12-24 to 2027-01-02"},
        // The day on which the clocks of Berlin go forward has 23 hours, that on which they go back 25.
        {R"({"zone": "Europe/Berlin", "holidays": [{"date": "2026-03-29"}]})", "2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z",
         "2026-03-29"},
        {R"({"zone": "Europe/Berlin", "holidays": [{"date": "2026-10-25"}]})", "2026-10-24T22:00:00Z", "2026-10-25T23:00:00Z",
         "2026-10-25"},
        // Cairo's clocks skip the first hour of the day.
        {R"({"zone": "Africa/Cairo", "holidays": [{"date": "2026-04-24"}]})", "2026-04-23T22:00:00Z", "2026-04-24T21:00:00Z", "2026-04-24"},
        {R"({"zone": "Europe/Berlin", "holidays": [{"yearly": "12-26"}]})", "2030-12-25T23:00:00Z", "2030-12-26T23:00:00Z", "12-26"},
        {R"({"holidays": [{"yearly": "last Monday of May", "name": "Spring"}]})", "2027-05-31T00:00:00Z", "2027-06-01T00:00:00Z", "Spring"},
        {R"({"holidays": [{"yearly": "easter-2"}]})", "2026-04-03T00:00:00Z", "2026-04-04T00:00:00Z", "easter-2"},
        {R"({"excludes": "non_working_days"})", "2026-12-26T00:00:00Z", "2026-12-27T00:00:00Z", "Saturday"},
        {R"({"zone": "Europe/Berlin", "blackouts": [{"from": "2026-06-30T18:00", "to": "2026-07-01T06:00:30", "name": "close"}]})",
         "2026-06-30T16:00:00Z", "2026-07-01T04:00:30Z", "close"},
        // Both ends lie in the gap: from its end on.
        {R"({"zone": "Europe/Berlin", "blackouts": [{"from": "2026-03-29T02:30", "to": "2026-03-29T04:00"}]})", "2026-03-29T01:00:00Z",
         "2026-03-29T02:00:00Z", "blackout 2026-03-29T02:30 to 2026-03-29T04:00"},
        {R"({"zone": "Europe/London", "blackouts": [{"cron": "0 22 * * fri", "lasting": "56h", "name": "weekend"}]})",
         "2026-07-03T21:00:00Z", "2026-07-06T05:00:00Z", "weekend"},
        {R"({"blackouts": [{"cron": "15 10 1 6 *", "lasting": "90s"}]})", "2028-06-01T10:15:00Z", "2028-06-01T10:16:30Z",
         "blackout 15 10 1 6 * for 1min30s"},
    };
    for (const Row& row : rows) {
        CAPTURE(row.calendar);
        const auto calendar = calendar_of(row.calendar);
        const Instant from = moment_of(row.from), to = moment_of(row.to);
        CHECK(entry_at(*calendar, from - Duration{1}) != row.entry);
        CHECK(entry_at(*calendar, from) == row.entry);
        CHECK(entry_at(*calendar, from + (to - from) / 2) == row.entry);
        CHECK(entry_at(*calendar, to - kSecond) == row.entry);
        CHECK(entry_at(*calendar, to - Duration{1}) == row.entry);
        CHECK(entry_at(*calendar, to) != row.entry);
    }
}

TEST_CASE("calendar: days that come once a year") {
    // Easter by the tables of the United States Naval Observatory.
    const std::vector<std::pair<int, std::string>> easters{{1981, "04-19"}, {2000, "04-23"}, {2008, "03-23"}, {2024, "03-31"},
                                                           {2025, "04-20"}, {2026, "04-05"}, {2027, "03-28"}, {2038, "04-25"},
                                                           {2049, "04-18"}, {2285, "03-22"}};
    for (const auto& [year, date] : easters) CHECK(day_in("easter", year) == fmt::format("{}-{}", year, date));
    CHECK(day_in("easter+1", 2026) == "2026-04-06");
    CHECK(day_in("Easter-2", 2026) == "2026-04-03");
    CHECK(day_in("easter+39", 2026) == "2026-05-14");
    // Bank holidays of England.
    CHECK(day_in("1st mon of may", 2026) == "2026-05-04");
    CHECK(day_in("last monday of may", 2026) == "2026-05-25");
    CHECK(day_in("last Monday of August", 2026) == "2026-08-31");
    // Of the United States.
    CHECK(day_in("3rd mon of jan", 2026) == "2026-01-19");
    CHECK(day_in("4th thursday of november", 2026) == "2026-11-26");
    CHECK(day_in("02-29", 2028) == "2028-02-29");
    CHECK(day_in("02-29", 2026) == "-");
    CHECK(day_in("5th mon of feb", 2044) == "2044-02-29");
    CHECK(day_in("2nd last day of feb", 2028) == "2028-02-28");
    for (const char* text : {"02-30", "13-01", "1-1", "12-25 ", "last mon", "last mon of", "last mon of xyz", "easter+", "easter 1",
                             "easter+999", "last working day of dec", "6th mon of may", "32nd day of may", "31st day of apr", ""}) {
        CAPTURE(text);
        CHECK_FALSE(task::parse_yearly_day(text));
    }
    for (const char* text : {"12-25", "last mon of may", "easter", "easter+1", "easter-2", "2nd last day of feb"}) {
        CHECK(task::format_yearly_day(*task::parse_yearly_day(text)) == text);
    }
}

TEST_CASE("calendar: which days are worked") {
    const auto calendar =
        calendar_of(R"({"working_days": ["mon", "tue", "wed", "thu", "fri"], "extra_working_days": ["2026-12-19", "2027-12-27"],
        "holidays": [{"yearly": "12-25"}, {"yearly": "12-27"}, {"date": "2026-12-28", "name": "Boxing Day"}]})");
    const auto worked = [&](const char* date) {
        return static_cast<const Calendar::Rules&>(calendar->working_days()).contains(*task::parse_date(date));
    };
    CHECK(worked("2026-12-24"));
    CHECK_FALSE(worked("2026-12-25"));
    CHECK_FALSE(worked("2026-12-26"));  // a Saturday
    CHECK(worked("2026-12-19"));        // one that is worked
    CHECK_FALSE(worked("2026-12-28"));
    CHECK(worked("2027-12-27"));  // a yearly holiday, but not this year
    CHECK_FALSE(worked("2028-12-27"));
    CHECK_FALSE(calendar->excluded_at(moment_of("2027-12-27T12:00:00Z")));
}

TEST_CASE("calendar: equal ones are one object, whatever the order of their entries") {
    const auto a =
        calendar_of(R"({"holidays": [{"date": "2026-12-28"}, {"yearly": "12-25"}, {"date": "2026-04-03"}, {"yearly": "01-01"}]})");
    const auto b = calendar_of(
        R"({"zone": "UTC", "holidays": [{"yearly": "01-01"}, {"date": "2026-04-03"}, {"date": "2026-12-28"}, {"yearly": "12-25"}]})");
    CHECK(a == b);
    CHECK(calendar_of(a->text()) == a);
    CHECK(a != calendar_of(R"({"holidays": [{"date": "2026-12-28"}]})"));
    CHECK(a->text() ==
          R"({"zone":"UTC","excludes":"holidays","working_days":["mon","tue","wed","thu","fri"],"holidays":[{"date":"2026-04-03"},)"
          R"({"date":"2026-12-28"},{"yearly":"01-01"},{"yearly":"12-25"}],"extra_working_days":[],"blackouts":[]})");
}

TEST_CASE("calendar: all that a long range overlaps is told at once") {
    for (const auto& [text, list] : {std::pair{R"({"holidays": [{"date": "2026-12-05"}, {"from": "2026-12-01", "to": "2027-01-10"},
                                                               {"date": "2026-12-20"}]})",
                                               "/c/holidays/"},
                                     std::pair{R"({"blackouts": [{"from": "2026-12-05T01:00", "to": "2026-12-05T02:00"},
                                                                {"from": "2026-12-01T00:00", "to": "2027-01-10T00:00"},
                                                                {"from": "2026-12-20T01:00", "to": "2026-12-20T02:00"}]})",
                                               "/c/blackouts/"}}) {
        Faults faults;
        CHECK(read_calendar_text(text, faults) == nullptr);
        REQUIRE(faults.list().size() == 2);
        CHECK(faults.list()[0].pointer == list + std::string("0"));
        CHECK(faults.list()[1].pointer == list + std::string("2"));
        for (const Fault& fault : faults.list()) CHECK(fault.problem.find(list + std::string("1")) != std::string::npos);
    }
}

TEST_CASE("calendar: what is wrong is refused, with its place") {
    check_calendar_fault(R"({"zone": "Europe/Nowhere"})", "/c/zone", "zone");
    check_calendar_fault(R"({"holidays": [{"name": "x"}]})", "/c/holidays/0", "no day");
    check_calendar_fault(R"({"holidays": [{"date": "2026-12-25", "yearly": "12-25"}]})", "/c/holidays/0", "more than one");
    check_calendar_fault(R"({"holidays": [{"date": "2026-02-29"}]})", "/c/holidays/0/date", "not a date");
    check_calendar_fault(R"({"holidays": [{"from": "2026-02-01", "to": "2026-02-01"}]})", "/c/holidays/0/to", "not after");
    check_calendar_fault(R"({"holidays": [{"from": "2026-02-01"}]})", "/c/holidays/0/to", "is missing");
    check_calendar_fault(R"({"holidays": [{"yearly": "30 february"}]})", "/c/holidays/0/yearly", "no day of each year");
    check_calendar_fault(R"({"holidays": [{"date": "2026-12-25"}, {"date": "2026-12-25"}]})", "/c/holidays/1", "overlaps /c/holidays/0");
    check_calendar_fault(R"({"holidays": [{"date": "2026-12-26"}, {"from": "2026-12-24", "to": "2026-12-27"}]})", "/c/holidays/0",
                         "overlaps /c/holidays/1");
    check_calendar_fault(R"({"holidays": [{"yearly": "12-25"}, {"date": "2026-12-25"}]})", "/c/holidays/1",
                         "repeats the yearly /c/holidays/0");
    check_calendar_fault(R"({"holidays": [{"yearly": "12-25"}, {"yearly": "12-25"}]})", "/c/holidays/1", "repeats /c/holidays/0");
    check_calendar_fault(R"({"holidays": [{"date": "2026-12-25"}], "extra_working_days": ["2026-12-25"]})", "/c/extra_working_days/0",
                         "is a holiday");
    check_calendar_fault(R"({"extra_working_days": ["2026-12-25", "2026-12-25"]})", "/c/extra_working_days/1", "twice");
    check_calendar_fault(R"({"blackouts": [{"from": "2026-06-30T18:00Z", "to": "2026-07-01T06:00"}]})", "/c/blackouts/0/from", "local");
    check_calendar_fault(R"({"blackouts": [{"from": "2026-06-30T18:00", "to": "2026-06-30T18:00"}]})", "/c/blackouts/0/to", "not after");
    check_calendar_fault(
        R"({"blackouts": [{"from": "2026-06-30T18:00", "to": "2026-07-01T06:00"}, {"from": "2026-07-01T05:59", "to": "2026-07-02T00:00"}]})",
        "/c/blackouts/1", "overlaps /c/blackouts/0");
    check_calendar_fault(R"({"blackouts": [{"cron": "0 22 * * fri"}]})", "/c/blackouts/0/lasting", "is missing");
    check_calendar_fault(R"({"blackouts": [{"cron": "* * * * *", "lasting": "30s"}]})", "/c/blackouts/0/cron", "1440 times a day");
    check_calendar_fault(R"({"blackouts": [{"cron": "H 22 * * *", "lasting": "30s"}]})", "/c/blackouts/0/cron", "an H");
    check_calendar_fault(R"({"blackouts": [{"cron": "0 22 * * xyz", "lasting": "30s"}]})", "/c/blackouts/0/cron", "day-of-week");
    check_calendar_fault(R"({"blackouts": [{"cron": "0 * * * *", "lasting": "1h"}]})", "/c/blackouts", "no time is left free");
    check_calendar_fault(R"({"working_days": []})", "/c/working_days", "");
    check_calendar_fault(R"({"workdays": ["mon"]})", "/c/workdays", "");
    std::string many = R"({"holidays": [)";
    for (int i = 0; i < 1500; ++i) {
        many += fmt::format(R"({}{{"date": "{}", "name": "{:30}"}})", i == 0 ? "" : ",", task::format_date(Date(2026, 1, 1) + 2 * i), i);
    }
    check_calendar_fault(many + "]}", "/c", "bytes as JSON");
}

TEST_CASE("calendar: ranges that touch do not overlap, and a longer range may hold a yearly day") {
    const auto calendar =
        calendar_of(R"({"holidays": [{"from": "2026-12-24", "to": "2026-12-27"}, {"date": "2026-12-27"}, {"yearly": "12-25"}],
        "blackouts": [{"from": "2026-12-28T00:00", "to": "2026-12-28T06:00"}, {"from": "2026-12-28T06:00", "to": "2026-12-28T07:00"}]})");
    CHECK(calendar->first_free(moment_of("2026-12-24T00:00:00Z")) == moment_of("2026-12-28T07:00:00Z"));
    CHECK(calendar->first_free(moment_of("2026-12-23T23:59:59Z")) == moment_of("2026-12-23T23:59:59Z"));
}

TEST_CASE("calendar: the first free instant is found within a millisecond") {
    std::string text = R"({"excludes": "non_working_days", "holidays": [)";
    for (int i = 0; i < 900; ++i) {
        text += fmt::format(R"({}{{"date": "{}"}})", i == 0 ? "" : ",", task::format_date(Date(2026, 1, 1) + i));
    }
    const auto calendar = calendar_of(text + "]}");
    const Instant from = moment_of("2026-01-01T00:00:00Z");
    // The best of some: a machine that is busy stalls now and then.
    auto least = std::chrono::steady_clock::duration::max();
    for (int i = 0; i < 20; ++i) {
        const auto begin = std::chrono::steady_clock::now();
        const auto free = calendar->first_free(from);
        least = std::min(least, std::chrono::steady_clock::now() - begin);
        REQUIRE(free == moment_of("2028-06-19T00:00:00Z"));
    }
    CHECK(least < std::chrono::milliseconds{kSanitized ? 30 : 1});
}
