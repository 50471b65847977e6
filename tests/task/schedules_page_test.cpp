// docs/schedules.md says what schedules do, with tables of examples: each row is computed here, so that the page stays true.
#include <catch2/catch.hpp>

#include <fstream>
#include <string>
#include <vector>

#include "cloudtask/task/schedule.h"

using namespace cloudtask;

namespace {

std::string trimmed(std::string text, const std::string& what = " ") {
    text.erase(0, std::min(text.find_first_not_of(what), text.size()));
    text.erase(text.find_last_not_of(what) + 1);
    return text;
}

std::vector<std::string> split(const std::string& text, char separator) {
    std::vector<std::string> parts;
    std::size_t begin = 0;
    for (std::size_t end = text.find(separator); end != std::string::npos; end = text.find(separator, begin)) {
        parts.push_back(trimmed(text.substr(begin, end - begin)));
        begin = end + 1;
    }
    parts.push_back(trimmed(text.substr(begin)));
    return parts;
}

// JSON without zone, "every 1h from X", "at X", or a cron expression, as the page writes them.
std::string as_json(const std::string& rule, const std::string& zone) {
    if (rule.starts_with('{')) return rule.substr(0, rule.size() - 1) + R"(, "zone": ")" + zone + R"("})";
    std::string text;
    const auto from = rule.find(" from ");
    if (rule.starts_with("every ")) {
        text = R"("every": ")" + rule.substr(6, from == std::string::npos ? from : from - 6) + '"';
        if (from != std::string::npos) text += R"(, "anchor": ")" + rule.substr(from + 6) + '"';
    } else if (rule.starts_with("at ")) {
        text = R"("at": ")" + rule.substr(3) + '"';
    } else {
        text = R"("cron": ")" + rule + '"';
    }
    return "{" + text + R"(, "zone": ")" + zone + R"("})";
}

}  // namespace

TEST_CASE("schedule: the examples of docs/schedules.md are true") {
    std::ifstream page{std::string{CLOUDTASK_SOURCE_DIR} + "/docs/schedules.md"};
    REQUIRE(page);
    int rows = 0;
    for (std::string line; std::getline(page, line);) {
        const auto cells = split(line, '|');
        if (cells.size() != 6 || !cells[1].starts_with('`')) continue;
        CAPTURE(line);
        const auto document = json::parse(as_json(trimmed(cells[1], "`"), cells[2]));
        REQUIRE(document);
        Faults faults;
        const auto schedule = task::Schedule::read(*document, "", faults);
        if (!schedule) FAIL(faults.summary());
        const auto after = parse_instant(cells[3]);
        REQUIRE(after);
        Instant now = *after;
        for (const std::string& expected : split(cells[4], ',')) {
            CAPTURE(expected);
            const auto wanted = parse_instant(expected);
            REQUIRE(wanted);
            const auto fire = schedule->next(now);
            REQUIRE(fire);
            CHECK(format_instant(*fire) == format_instant(*wanted));
            now = *fire;
        }
        ++rows;
    }
    CHECK(rows >= 25);
}
