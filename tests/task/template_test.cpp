// Templates: what is refused and where, what comes out, and the table of docs/parameters.md.
#include "cloudtask/task/template.h"

#include <catch2/catch.hpp>

#include <fmt/format.h>

#include <fstream>
#include <random>
#include <string>
#include <vector>

#include "cloudtask/core/json.h"
#include "tests/support/sanitized.h"

using namespace cloudtask;
using namespace cloudtask::task;

namespace {

const std::string* no_parameter(const std::string&) { return nullptr; }

Template parsed_template(const std::string& text) {
    INFO(text);
    TemplateFault fault;
    auto value = Template::parse(text, fault);
    INFO(fault.sentence());
    REQUIRE(value);
    return *value;
}

FireFacts facts_at(const std::string& fire_time, const std::string& zone = "UTC") {
    FireFacts facts;
    facts.fire_time = parse_instant(fire_time).value();
    facts.zone = zone;
    return facts;
}

std::string outcome(const std::string& text, const FireFacts& facts) {
    const auto value = parsed_template(text).evaluate(facts, no_parameter);
    return value ? *value : "error: " + value.error().message;
}

std::vector<std::string> page_cells(const std::string& line) {
    std::vector<std::string> cells;
    for (std::size_t begin = 0, end = 0; end != std::string::npos; begin = end + 1) {
        end = line.find('|', begin);
        std::string cell = line.substr(begin, end == std::string::npos ? end : end - begin);
        cell.erase(0, std::min(cell.find_first_not_of(' '), cell.size()));
        cell.erase(cell.find_last_not_of(' ') + 1);
        cells.push_back(cell);
    }
    return cells;
}

}  // namespace

TEST_CASE("template: the examples of docs/parameters.md are true") {
    std::ifstream page{std::string{CLOUDTASK_SOURCE_DIR} + "/docs/parameters.md"};
    REQUIRE(page);
    int rows = 0;
    for (std::string line; std::getline(page, line);) {
        const auto cells = page_cells(line);
        if (cells.size() != 6 || cells[1].find("${") == std::string::npos) continue;
        CAPTURE(line);
        CHECK(outcome(cells[1].substr(1, cells[1].size() - 2), facts_at(cells[2], cells[3])) == cells[4]);
        ++rows;
    }
    CHECK(rows >= 20);
}

TEST_CASE("template: faults have the character at which they stand") {
    struct Row {
        const char* text;
        std::size_t position;
        const char* problem;
    };
    for (const Row& row : std::vector<Row>{
             {"${", 1, "the expression has no end"},
             {"ab ${fire_date", 4, "the expression has no end"},
             {"${}", 3, "a name is missing"},
             {"é${ }", 5, "a name is missing"},
             {"${fire_date - ${x}}", 1, "an expression stands in another"},
             {"${attempt + 1 day}", 11, "nothing can follow 'attempt'"},
             {"${region as %Y}", 10, "nothing can follow 'region'"},
             {"${fire_date in Mars/Base}", 16, "'Mars/Base' is not a zone of the IANA database"},
             {"${fire_date in ../etc/passwd}", 16, "'../etc/passwd' is not a zone of the IANA database"},
             {"${fire_date -}", 14, "a number is missing"},
             {"${fire_date - 1}", 16, "this is not a unit"},
             {"${fire_date - 1 fortnight}", 17, "this is not a unit"},
             {"${fire_date - 1 working week}", 25, "this is not a unit"},
             {"${fire_date - 0 days}", 15, "0 is out of bounds"},
             {"${fire_date - 99999999999999999999 days}", 15, "99999999999999999999 is out of bounds"},
             {"${fire_date - 367 working days}", 15, "367 is out of bounds"},
             {"${fire_date - 1 hour}", 13, "a date has no time of day"},
             {"${fire_date to start of hour}", 13, "a date has no time of day"},
             {"${fire_date to begin of day}", 16, "this is not a step"},
             {"${fire_date to start of second}", 25, "this is not a unit"},
             {"${fire_date - 1 working day of }", 32, "the name of a calendar is missing"},
             {"${fire_date as }", 13, "a format is missing"},
             {"${fire_date as %Y%Q}", 16, "the format has %Q, which is not known"},
             {"${fire_date as %}", 16, "the format ends with a %"},
             {"${fire_date as %H}", 16, "the format has %H, and a date has no time of day: begin with fire_time"},
             {"${fire_date - 1 day in UTC}", 21, "this is not understood"},
             {"${fire_date junk}", 13, "this is not understood"},
         }) {
        CAPTURE(row.text);
        TemplateFault fault;
        CHECK_FALSE(Template::parse(row.text, fault));
        CHECK(fault.position == row.position);
        CHECK(fault.problem == row.problem);
        CHECK_FALSE(fault.allowed.empty());
    }
}

TEST_CASE("template: dollars") {
    const FireFacts facts = facts_at("2026-11-21T02:00:00Z");
    CHECK(outcome("$$", facts) == "$");
    CHECK(outcome("$HOME $1 $", facts) == "$HOME $1 $");
    CHECK(outcome("$${fire_date}", facts) == "${fire_date}");
    CHECK(outcome("$$${fire_date}", facts) == "$2026-11-21");
    CHECK(outcome("}{", facts) == "}{");
    CHECK(Template::literal("${fire_date}$$").evaluate(facts, no_parameter).value() == "${fire_date}$$");
}

TEST_CASE("template: spaces do not matter, and units may be plural") {
    const FireFacts facts = facts_at("2026-11-21T02:00:00Z");
    for (const char* same : {"${fire_date-1 day}", "${ fire_date\t-\n1 days }", "${fire_date -1day}", "${fire_date - 01 day}"})
        CHECK(outcome(same, facts) == "2026-11-20");
}

TEST_CASE("template: a run knows itself") {
    FireFacts facts = facts_at("2026-11-21T02:00:00Z");
    facts.attempt = 3;
    facts.run_id = "r";
    facts.trigger = "retry";
    facts.task = "t";
    facts.group = "g";
    facts.runtime = "rt";
    facts.node = "n";
    CHECK(outcome("${attempt} ${run_id} ${trigger} ${task} ${group} ${runtime} ${node}", facts) == "3 r retry t g rt n");
    CHECK(outcome("${shard}", facts) == "error: the run is no shard");
    facts.shard = 2;
    facts.shards = 8;
    CHECK(outcome("${shard}/${shards}", facts) == "2/8");
}

TEST_CASE("template: unknown names are told") {
    KnownNames known{.is_parameter = [](std::string_view name) { return name == "region"; },
                     .is_calendar = [](std::string_view name) { return name == "uk"; }};
    CHECK_FALSE(parsed_template("${region} ${fire_date - 1 working day of uk}").unknown(known));
    CHECK(parsed_template("ü ${regoin}").unknown(known)->sentence() == "character 5: 'regoin' is not a name that the task has");
    CHECK(parsed_template("${Fire_date}").unknown(known)->problem == "'Fire_date' is not a name that the task has");
    CHECK(parsed_template("${fire_date - 1 working day of us}").unknown(known)->problem == "there is no calendar 'us'");
    CHECK(parsed_template("${shard}").unknown(known)->problem == "the task has no shards");
    known.sharded = true;
    CHECK_FALSE(parsed_template("${shard}").unknown(known));
    CHECK(parsed_template("${b} ${a} ${b} ${fire_date}").parameters() == std::vector<std::string>{"b", "a"});
    CHECK(parsed_template("${fire_date + 1 working day of uk}").calendars() == std::vector<std::string>{"uk"});
}

TEST_CASE("template: working days go by calendars") {
    const auto document =
        json::parse(R"({"zone": "UTC", "holidays": [{"from": "2026-12-24", "to": "2027-01-04"}], "extra_working_days": ["2026-12-19"]})");
    const auto none = json::parse(R"({"zone": "UTC", "holidays": [{"from": "2020-01-01", "to": "2090-01-01"}]})");
    REQUIRE(document);
    REQUIRE(none);
    Faults faults;
    FireFacts facts = facts_at("2027-01-04T02:00:00Z");
    facts.calendars["uk"] = Calendar::read(*document, "", faults);
    facts.calendars["closed"] = Calendar::read(*none, "", faults);
    INFO(faults.summary());
    REQUIRE(faults.empty());
    CHECK(outcome("${fire_date - 1 working day}", facts) == "2027-01-01");
    CHECK(outcome("${fire_date - 1 working day of uk}", facts) == "2026-12-23");
    CHECK(outcome("${fire_date - 4 working days of uk}", facts) == "2026-12-19");
    facts.working_days = "uk";
    CHECK(outcome("${fire_date - 1 working day}", facts) == "2026-12-23");
    CHECK(outcome("${fire_date - 1 working day of closed}", facts) == "error: there are not 1 working days shortly before 2027-01-04");
    CHECK(outcome("${fire_date - 1 working day of us}", facts) == "error: the definition lacks the calendar us");
}

TEST_CASE("template: dates stay in the years 1970 to 9999") {
    const FireFacts facts = facts_at("2026-11-21T02:00:00Z");
    CHECK(outcome("${fire_date - 57 years}", facts) == "error: a date of an expression is outside the years 1970 to 9999");
    CHECK(outcome("${fire_date - 56 years}", facts) == "1970-11-21");
    CHECK(outcome("${fire_time + 9999 years + 9999 years}", facts).starts_with("error"));
    CHECK(outcome("${fire_date + 7973 years}", facts) == "9999-11-21");
}

TEST_CASE("template: bounds") {
    TemplateFault fault;
    CHECK(Template::parse(std::string(kLongestTemplate, 'x'), fault));
    CHECK_FALSE(Template::parse(std::string(kLongestTemplate + 1, 'x'), fault));
    CHECK_FALSE(Template::parse("${" + std::string(kLongestTemplateExpression + 1, ' ') + "}", fault));
    std::string many;
    for (std::size_t i = 0; i < kMostExpressions; ++i) many += "${x}";
    const Template most = parsed_template(many);
    CHECK_FALSE(Template::parse(many + "${x}", fault));
    std::string steps = "${fire_date";
    for (std::size_t i = 0; i < kMostSteps; ++i) steps += "+1 day";
    CHECK(Template::parse(steps + "}", fault));
    CHECK_FALSE(Template::parse(steps + "+1 day}", fault));
    const std::string large(kLongestTemplateValue / kMostExpressions + 1, 'v');
    const auto value = most.evaluate({}, [&](const std::string&) { return &large; });
    REQUIRE_FALSE(value);
    CHECK(value.error().is(Errc::too_large));
}

TEST_CASE("template: an escaped text comes out as it was, and any text is refused or comes out") {
    constexpr std::string_view kPieces[] = {"$",  "{",  "}", "fire_date", "fire_time", " ",   "-",  "+",     "1", "99", "day", "working",
                                            "of", "as", "%", "Y",         "in",        "UTC", "to", "start", "é", "${", "x",   "\n"};
    std::mt19937 random{7};
    const FireFacts facts = facts_at("2026-11-21T02:00:00Z", "Europe/Berlin");
    const std::string value = "v";
    int right = 0;
    for (int round = 0; round < (kSanitized ? 2'000 : 20'000); ++round) {
        std::string text;
        for (unsigned left = random() % 12; left > 0; --left) text += kPieces[random() % std::size(kPieces)];
        CAPTURE(text);
        CHECK(parsed_template(Template::escaped(text)).evaluate(facts, no_parameter).value() == text);
        TemplateFault fault;
        const auto made = Template::parse(text, fault);
        if (!made) {
            CHECK(fault.position >= 1);
            CHECK(fault.position <= text.size() + 1);
            CHECK_FALSE(fault.problem.empty());
            continue;
        }
        ++right;
        CHECK(made->evaluate(facts, [&](const std::string&) { return &value; }));
        if (text.find('$') == std::string::npos) CHECK_FALSE(made->has_expressions());
    }
    CHECK(right > 100);
}

TEST_CASE("template: steps and their opposites, against the calendar") {
    std::mt19937_64 random{11};
    for (int round = 0; round < (kSanitized ? 200 : 2'000); ++round) {
        FireFacts facts;
        facts.fire_time = Instant{std::chrono::seconds{random() % 2'000'000'000 + 400'000'000}};
        facts.zone = "Europe/Berlin";
        const auto amount = random() % 300 + 1;
        CAPTURE(format_instant(facts.fire_time), amount);
        const std::string today = outcome("${fire_date}", facts);
        const auto there_and_back = [&](const char* unit) {
            return outcome(fmt::format("${{fire_date + {0} {1} - {0} {1}}}", amount, unit), facts);
        };
        CHECK(there_and_back("days") == today);
        CHECK(there_and_back("weeks") == today);
        CHECK(outcome(fmt::format("${{fire_time + {0} hours - {0} hours}}", amount), facts) == outcome("${fire_time}", facts));
        // Of a day that every month has.
        CHECK(outcome(fmt::format("${{fire_date to start of month + {0} months - {0} months}}", amount), facts) ==
              outcome("${fire_date to start of month}", facts));
        // As many working days as that many single ones; and never a weekend.
        if (amount <= 8) {
            std::string single = "${fire_date";
            for (unsigned i = 0; i < amount; ++i) single += " - 1 working day";
            CHECK(outcome(single + "}", facts) == outcome(fmt::format("${{fire_date - {} working days}}", amount), facts));
        }
        CHECK(outcome(fmt::format("${{fire_date + {} working days as %u}}", amount), facts) < "6");
        CHECK(outcome("${fire_date to end of month + 1 day as %d}", facts) == "01");
        CHECK(outcome("${fire_date to start of week as %a}", facts) == "Mon");
        // ISO dates are in the order of time.
        CHECK(outcome("${fire_date to start of quarter}", facts) <= today);
        CHECK(outcome("${fire_date to end of quarter}", facts) >= today);
    }
}
