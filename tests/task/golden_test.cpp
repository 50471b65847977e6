// The golden table: (rule, zone, from) and the next five fires, made by another implementation (tests/task/golden/table.py).
#include <catch2/catch.hpp>

#include <fstream>
#include <string>
#include <vector>

#include "cloudtask/core/json.h"
#include "cloudtask/task/schedule.h"

using namespace cloudtask;

namespace {

constexpr const char* kGoldenTask = "018f3c2e-1111-7222-8333-123456789abc";

std::vector<std::string> cells_of(const std::string& line) {
    std::vector<std::string> cells;
    std::size_t begin = 0;
    for (std::size_t end = line.find('\t'); end != std::string::npos; end = line.find('\t', begin)) {
        cells.push_back(line.substr(begin, end - begin));
        begin = end + 1;
    }
    cells.push_back(line.substr(begin));
    return cells;
}

}  // namespace

TEST_CASE("schedule: the golden table") {
    std::ifstream table{std::string{CLOUDTASK_SOURCE_DIR} + "/tests/task/golden/schedules.tsv"};
    REQUIRE(table);
    int rows = 0;
    for (std::string line; std::getline(table, line); ++rows) {
        CAPTURE(line);
        const auto cells = cells_of(line);
        REQUIRE(cells.size() >= 3);
        const auto document = json::parse(cells[0].substr(0, cells[0].size() - 1) + R"(,"zone":")" + cells[1] + "\"}");
        REQUIRE(document);
        Faults faults;
        const auto read = task::Schedule::read(*document, "", faults);
        if (!read) FAIL(faults.summary());
        const auto schedule = read->for_task(kGoldenTask);
        std::optional<Instant> now = *parse_instant(cells[2]);
        for (std::size_t i = 3; i < cells.size(); ++i) {
            now = schedule.next(*now);
            REQUIRE(now);
            CHECK(format_instant(*now) == format_instant(*parse_instant(cells[i])));
        }
        if (cells.size() < 8) CHECK(schedule.next(*now) == std::nullopt);
    }
    CHECK(rows >= 400);
}
