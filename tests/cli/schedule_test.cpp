// schedule preview, forecast and spread, and tzdata, against a recorded center.
#include <catch2/catch.hpp>

#include "cli/exit.h"
#include "tests/cli/fake_center.h"

namespace cloudtask::cli::test {

namespace {

constexpr const char* kPreview = "POST /api/v1/schedules/preview";
constexpr const char* kPreviewAnswer =
    R"({"words":{"en":["at 02:30 every day, Berlin time"],"zh":["柏林时间每天 02:30"]},"tzdata":"2026a","after":"2026-11-21T12:00:00Z","fires":[)"
    R"({"at":"2027-03-28T01:00:00Z","local":"2027-03-28T03:00:00","offset":"+02:00","abbreviation":"CEST","schedule":0,"clock_change":"moved"}]})";

constexpr const char* kSpread =
    R"({"runtime":"demo","from":"2026-11-21T12:00:00Z","to":"2026-11-22T12:00:00Z","tasks":2,"unreadable":0,"max_jitter":"5min","target":10,)"
    R"("before":{"fires":2,"peak_second":{"at":"2026-11-22T00:00:00Z","fires":2},"peak_minute":{"at":"2026-11-22T00:00:00Z","fires":2}},)"
    R"("after":{"fires":2,"peak_second":{"at":"2026-11-22T00:00:07Z","fires":1},"peak_minute":{"at":"2026-11-22T00:00:00Z","fires":1}},"proposed":2,)"
    R"("proposals":[{"task_id":"0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10","group":"reports","name":"daily","version":3,"schedule":0,"jitter":"5min"},)"
    R"({"task_id":"0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10","group":"reports","name":"daily","version":3,"schedule":1,"jitter":"1min"}]})";

std::string task_at(int version) {
    return R"({"id":"0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10","runtime":"demo","group":"reports","name":"daily","version":)" +
           std::to_string(version) + R"(,"schedules":[{"cron":"0 0 * * *"},{"cron":"0 12 * * *"}]})";
}

}  // namespace

TEST_CASE("schedule preview sends a rule, and shows words and fires") {
    Program program;
    program.center.answer(kPreview, 200, kPreviewAnswer);
    REQUIRE(program.run({"schedule", "preview", "--cron", "30 2 * * *", "--zone", "Europe/Berlin", "--count", "1"}) == 0);
    CHECK(program.center.find(kPreview)->body == R"({"schedule":{"cron":"30 2 * * *","zone":"Europe/Berlin"},"count":1})");
    CHECK(contains(program.out, "at 02:30 every day, Berlin time\n"));
    CHECK(contains(program.out, "2027-03-28T03:00:00  +02:00  CEST  2027-03-28T01:00:00Z  the clocks skip its time"));
    CHECK(contains(program.err, "tzdata 2026a"));
    REQUIRE(program.run({"schedule", "preview", "--every", "30s", "-o", "json"}) == 0);
    CHECK(contains(program.out, R"("clock_change": "moved")"));
    REQUIRE(program.run({"schedule", "preview", "--every", "30s", "-q"}) == 0);
    CHECK(program.out == "2027-03-28T01:00:00Z\n");

    Program chinese;
    chinese.environment["LANG"] = "zh_CN.UTF-8";
    chinese.center.answer(kPreview, 200, kPreviewAnswer);
    REQUIRE(chinese.run({"schedule", "preview", "--cron", "30 2 * * *"}) == 0);
    CHECK(contains(chinese.out, "柏林时间每天 02:30\n"));
}

TEST_CASE("schedule preview takes the schedules of a task or of a file") {
    Program program;
    program.center.answer(kFindTask, 200, R"({"items":[)" + task_at(3) + "]}");
    program.center.answer(kPreview, 200, kPreviewAnswer);
    REQUIRE(program.run({"schedule", "preview", "--task", "demo/reports/daily"}) == 0);
    CHECK(program.center.find(kPreview)->body ==
          R"({"task_id":")" + std::string(kId) +
              R"(","schedules":[{"cron":"0 0 * * *"},{"cron":"0 12 * * *"}],"runtime":"demo","count":20})");

    Folder folder;
    folder.write("rules.yaml", "kind: task\nschedules:\n  - cron: 0 9 * * *\n---\nevery: 30s\n");
    Program filed;
    filed.folder = folder.path();
    filed.center.answer(kPreview, 200, kPreviewAnswer);
    CHECK(filed.run({"schedule", "preview", "-f", "rules.yaml"}) == 0);
    REQUIRE(filed.center.find(kPreview) != nullptr);
    CHECK(filed.center.find(kPreview)->body == R"({"schedules":[{"cron":"0 9 * * *"},{"every":"30s"}],"count":20})");

    Program excluding;
    excluding.center.answer(kPreview, 200, kPreviewAnswer);
    CHECK(excluding.run({"schedule", "preview", "--cron", "0 9 * * *", "--exclude", "uk", "--on-excluded", "defer", "--runtime", "demo"}) ==
          0);
    REQUIRE(excluding.center.find(kPreview) != nullptr);
    CHECK(excluding.center.find(kPreview)->body ==
          R"({"schedule":{"cron":"0 9 * * *","on_excluded":"defer","exclude":["uk"]},"runtime":"demo","count":20})");

    Program nothing;
    CHECK(nothing.run({"schedule", "preview"}) == static_cast<int>(Exit::usage));
    CHECK(contains(nothing.err, "--cron"));
}

TEST_CASE("schedule forecast draws the day") {
    Program program;
    std::string minutes = "60";
    for (int i = 1; i < 1440; ++i) minutes += i == 720 ? ",30" : ",0";
    program.center.answer(
        "GET /api/v1/runtimes/demo/forecast", 200,
        R"({"runtime":"demo","from":"2026-11-21T12:00:00Z","to":"2026-11-22T12:00:00Z","tasks":90,"unreadable":0,"fires":90,)"
        R"("peak_second":{"at":"2026-11-21T12:00:00Z","fires":60},"peak_minute":{"at":"2026-11-21T12:00:00Z","fires":60},"minutes":[)" +
            minutes + "]}");
    REQUIRE(program.run({"schedule", "forecast", "demo"}) == 0);
    CHECK(contains(program.out, "90 fires of 90 tasks"));
    CHECK(contains(program.out, "fullest second: 60 at 2026-11-21T12:00:00Z"));
    CHECK(contains(program.out, "2026-11-21T12:00:00Z  60     60              " + std::string(50, '#') + "\n"));
    CHECK(contains(program.out, "2026-11-22T00:00:00Z  30     30              " + std::string(25, '#') + "\n"));
}

TEST_CASE("schedule spread shows, and writes only when it is told to") {
    const std::string path = "/api/v1/tasks/" + std::string(kId);
    Program program;
    program.center.answer("GET /api/v1/runtimes/demo/spread?max_jitter=5min", 200, kSpread);
    REQUIRE(program.run({"schedule", "spread", "demo", "--max-jitter", "5min"}) == 0);
    CHECK(contains(program.out, "demo/reports/daily  0         5min"));
    CHECK(contains(program.out, "before  2 at 2026-11-22T00:00:00Z"));
    CHECK(contains(program.err, "--apply"));
    CHECK(program.center.writes().empty());

    program.center.answer("GET " + path, 200, task_at(3));
    program.center.answer("GET " + path, 200, task_at(4));
    program.center.answer("PUT " + path, 200, "{}");
    REQUIRE(program.run({"schedule", "spread", "demo", "--max-jitter", "5min", "--apply"}) == 0);
    REQUIRE(program.center.writes().size() == 2);
    const auto* first = program.center.find("PUT " + path);
    CHECK(first->if_match == "\"3\"");
    CHECK(contains(first->body, R"({"cron":"0 0 * * *","jitter":"5min"})"));
    CHECK(program.center.calls.back().if_match == "\"4\"");
    CHECK(contains(program.center.calls.back().body, R"({"cron":"0 12 * * *","jitter":"1min"})"));

    Program changed;
    changed.center.answer("GET /api/v1/runtimes/demo/spread", 200, kSpread);
    changed.center.answer("GET " + path, 200, task_at(9));
    CHECK(changed.run({"schedule", "spread", "demo", "--apply"}) == static_cast<int>(Exit::failed));
    CHECK(contains(changed.err, "has changed since"));
    CHECK(changed.center.writes().empty());
}

TEST_CASE("tzdata says what a change did") {
    Program program;
    program.center.answer(
        "GET /api/v1/tzdata", 200,
        R"({"version":"2026b","loaded":"2026a","restart_needed":true,"checked_at":"2026-11-21T12:00:00Z","zones":["Europe/Berlin"],"change":{)"
        R"("noticed_at":"2026-11-21T11:00:00Z","from":"2026a","to":"2026b","zones":["Europe/Berlin"],"task_count":1,"tasks":[{"task_id":"x",)"
        R"("runtime":"demo","group":"reports","name":"daily","zone":"Europe/Berlin","before":"2027-03-28T07:00:00Z","after":"2027-03-28T08:00:00Z"}]}})");
    REQUIRE(program.run({"tzdata"}) == 0);
    CHECK(contains(program.out, "restart the center and the nodes"));
    CHECK(contains(program.out, "demo/reports/daily  Europe/Berlin  2027-03-28T07:00:00Z  2027-03-28T08:00:00Z"));
}

}  // namespace cloudtask::cli::test
