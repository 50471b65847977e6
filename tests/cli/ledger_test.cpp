// verify and why against a recorded center.
#include <catch2/catch.hpp>

#include "cli/exit.h"
#include "tests/cli/fake_center.h"

namespace cloudtask::cli::test {

namespace {

constexpr const char* kLastHour = "GET /api/v1/ledger?from=2026-11-21T11%3A00%3A00Z&to=2026-11-21T12%3A00%3A00Z";

std::string ledger(int unexplained, const std::string& fires) {
    return R"({"from":"2026-11-21T11:00:00Z","to":"2026-11-21T12:00:00Z","as_of":"2026-11-21T12:00:00Z","due":12,)"
           R"("counts":{"ran":9,"late":0,"skipped":2,"awaited":0,"unexplained":)" +
           std::to_string(unexplained) +
           R"(},"unexpected":0,"task_count":2,"tasks":[],)"
           R"("reasons":[{"verdict":"skipped","reason":"overlap","count":2}],"unexplained_fires":[)" +
           fires + R"(],"unexpected_fires":[],"awaited_fires":[]})";
}

constexpr const char* kFire =
    R"({"task_id":"0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10","runtime":"demo","group":"reports","task_name":"daily","fire_time":"2026-11-21T11:30:00Z"})";

}  // namespace

TEST_CASE("verify says that all is accounted for, and exits with 1 when it is not") {
    Program program;
    program.center.answer(kLastHour, 200, ledger(0, ""));
    REQUIRE(program.run({"verify"}) == 0);
    CHECK(contains(program.out, "12 fires were due"));
    CHECK(contains(program.out, "skipped      2      overlap 2"));
    CHECK(contains(program.out, "unexplained  0"));
    CHECK_FALSE(contains(program.out, "late"));

    Program holed;
    holed.center.answer(kLastHour, 200, ledger(1, kFire));
    CHECK(holed.run({"verify"}) == static_cast<int>(Exit::failed));
    CHECK(contains(holed.out, "2026-11-21T11:30:00Z  demo/reports/daily"));
    CHECK(contains(holed.err, "1 of 12 fires are unexplained"));
    CHECK(holed.run({"verify", "-o", "json"}) == static_cast<int>(Exit::failed));
    CHECK(contains(holed.out, R"("unexplained": 1)"));
    CHECK(holed.run({"verify", "-q"}) == static_cast<int>(Exit::failed));
    CHECK(holed.out == "demo/reports/daily 2026-11-21T11:30:00Z\n");
}

TEST_CASE("verify does not say that all is well when a definition cannot be read") {
    Program program;
    std::string answer = ledger(0, "");
    answer.back() = ',';
    answer += R"("unreadable":[{"task_id":"0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10","runtime":"demo","group":"reports","task_name":"daily",)"
              R"("version":3,"from":"2026-11-21T11:00:00Z","to":"2026-11-21T11:20:00Z","problem":"it is not JSON"}]})";
    program.center.answer(kLastHour, 200, answer);
    CHECK(program.run({"verify"}) == static_cast<int>(Exit::failed));
    CHECK(contains(program.out, "demo/reports/daily  3"));
    CHECK(contains(program.out, "it is not JSON"));
    CHECK(contains(program.err, "1 versions of definitions cannot be read"));
}

TEST_CASE("verify takes times as instants and as how long ago, and a task by name or id") {
    Program program;
    const std::string tail = "&task=" + std::string(kId) + "&late=2s";
    program.center.answer("GET /api/v1/ledger?from=2026-11-20T12%3A00%3A00Z&to=2026-11-21T11%3A59%3A00Z" + tail, 200, ledger(0, ""));
    CHECK(program.run({"verify", "--from", "-1d", "--to=-1m", "--task", kId, "--late", "2s"}) == 0);
    CHECK(program.run({"verify", "--from", "2026-11-20T13:00:00+01:00", "--to", "-60s", "--task", kId, "--late", "2s"}) == 0);
    program.center.answer("GET /api/v1/tasks?runtime=demo&group=reports&name=daily&limit=200", 200,
                          R"({"items":[{"id":")" + std::string(kId) + R"(","runtime":"demo","group":"reports","name":"daily"}]})");
    CHECK(program.run({"verify", "--from=-1d", "--to=-1m", "--task", "demo/reports/daily", "--late", "2s"}) == 0);
    CHECK(program.run({"verify", "--from", "yesterday"}) == static_cast<int>(Exit::usage));
    CHECK(contains(program.err, "--from cannot be \"yesterday\""));
    program.center.answer(kLastHour, 200, "[]");
    CHECK(program.run({"verify"}) == static_cast<int>(Exit::failed));
}

TEST_CASE("why tells it in a sentence, with the runs, or in one word") {
    Program program;
    program.center.answer(
        "GET /api/v1/tasks/" + std::string(kId) + "/why?at=2026-11-21T09%3A00%3A00Z", 200,
        R"({"cause":"lost","sentence":"It is LOST: node n1 lost.","due":true,"runs":[{"id":"r","attempt":1,"state":"LOST",)"
        R"("node_name":"n1","epoch":7,"started_at":"2026-11-21T09:00:00.002Z","lateness_us":2000,"reason":"node n1 lost",)"
        R"("late_report":{"state":"SUCCEEDED"}}]})");
    REQUIRE(program.run({"why", kId, "2026-11-21T10:00:00+01:00"}) == 0);
    CHECK(contains(program.out, "It is LOST: node n1 lost."));
    CHECK(contains(program.out, "SUCCEEDED"));
    CHECK(contains(program.out, "2ms"));
    REQUIRE(program.run({"why", kId, "2026-11-21T09:00:00Z", "-q"}) == 0);
    CHECK(program.out == "lost\n");
    REQUIRE(program.run({"why", kId, "2026-11-21T09:00:00Z", "-o", "yaml"}) == 0);
    CHECK(contains(program.out, "cause: lost"));
    CHECK(program.run({"why", kId, "nine"}) == static_cast<int>(Exit::usage));
}

TEST_CASE("a run that was reported of after its end says so in lists") {
    Program program;
    program.center.answer("GET /api/v1/runs?limit=51", 200,
                          R"({"items":[{"id":"r","state":"LOST","reason":"node n1 lost","late_report":{"state":"FAILED"}}]})");
    REQUIRE(program.run({"get", "runs"}) == 0);
    CHECK(contains(program.out, "node n1 lost; reported late: FAILED"));
}

}  // namespace cloudtask::cli::test
