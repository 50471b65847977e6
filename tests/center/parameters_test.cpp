// The rules of parameters, through the API: what tasks carry of their group and runtime, what a change of these does to them, and what a
// manual start may give.
#include "center/parameters.h"

#include <soci/soci.h>
#include <catch2/catch.hpp>

#include "api_fixture.h"
#include "cloudtask/task/codec.h"

using namespace cloudtask;
using namespace cloudtask::center;

namespace {

bool has_text(const std::string& text, const std::string& part) { return text.find(part) != std::string::npos; }

std::string group_of_tests(const std::string& parameters) {
    return R"({"runtime":"demo","name":"reports","parameters":)" + parameters + "}";
}

std::string runtime_of_tests(const std::string& parameters) { return R"({"name":"demo","parameters":)" + parameters + "}"; }

const std::string kUses =
    R"(,"parameters":{"day":"${fire_date}","region":null},"environment":{"R":"${region}"},"schedules":[{"cron":"@daily"}])";

ring::Member some_member() {
    ring::Member member;
    member.id = "018f3c2e-1111-7222-8333-aaaaaaaaaaaa";
    member.incarnation = "018f3c2e-1111-7222-8333-bbbbbbbbbbbb";
    member.name = "n1";
    return member;
}

}  // namespace

TEST_CASE("a task carries the values of its group and runtime that it uses, and a change of them makes its next version") {
    ApiFixture api;
    const std::string group = "/api/v1/groups/" + api.make_group();
    const auto refused = api.post("/api/v1/tasks", task_definition("daily", kUses));
    CHECK(refused.status == 422);
    CHECK(has_text(refused.body, "/schedules/0"));
    CHECK(has_text(refused.body, "leaves the parameter region without a value"));

    REQUIRE(api.put("/api/v1/runtimes/demo", "1", runtime_of_tests(R"({"region":"eu","other":"1"})")).status == 200);
    const std::string task = "/api/v1/tasks/" + api.make_task("daily", kUses);
    const std::string own = "/api/v1/tasks/" + api.make_task("own", R"(,"parameters":{"region":"here"})");
    const std::string none = "/api/v1/tasks/" + api.make_task("none");
    const auto seen = api.get(task);
    CHECK(has_text(seen.body, R"("inherited_parameters":{"runtime":{"region":"eu"}})"));
    CHECK_FALSE(has_text(api.get(own).body, "inherited_parameters"));
    // What was read can be sent back, and what a user says of inherited values does not count.
    CHECK(api.put(task, "1", seen.body).text("version") == "1");
    CHECK(api.put(task, "1", task_definition("daily", kUses + R"(,"inherited_parameters":{"group":{"region":"x"}})")).text("version") ==
          "1");

    api.clock.advance(std::chrono::hours{1});
    auto told = api.catalog_changes.size();
    // What nobody uses makes no version; nor does what is overridden.
    REQUIRE(api.put("/api/v1/runtimes/demo", "2", runtime_of_tests(R"({"region":"eu","other":"2"})")).status == 200);
    CHECK(api.get(task).text("version") == "1");
    CHECK(api.catalog_changes.size() == told);
    REQUIRE(api.put(group, "1", group_of_tests(R"({"region":"${zone_of_group}-1","zone_of_group":"b"})")).status == 200);
    const auto changed = api.get(task);
    CHECK(changed.text("version") == "2");
    CHECK(changed.text("effective_from") == seen.text("effective_from"));  // it fires as before
    CHECK(changed.text("effective_revision") == seen.text("effective_revision"));
    CHECK(changed.text("updated_at") == format_instant(api.clock.now()));
    CHECK(has_text(changed.body, R"("inherited_parameters":{"group":{"region":"${zone_of_group}-1","zone_of_group":"b"}})"));
    CHECK(api.get(own).text("version") == "1");
    CHECK(api.get(none).text("version") == "1");
    REQUIRE(api.catalog_changes.size() == told + 1);
    CHECK(std::to_string(api.catalog_changes.back().second) == changed.text("revision"));
    CHECK(api.count("SELECT count(*) FROM task_versions WHERE version = 2 AND note = 'version 2 of the group reports'") == 1);
    // The group's value counts more, so the runtime's is of no use to the task any more.
    REQUIRE(api.put("/api/v1/runtimes/demo", "3", runtime_of_tests("{}")).status == 200);
    CHECK(api.get(task).text("version") == "2");
}

TEST_CASE("a group's or runtime's values cannot go while tasks use them, nor become what cannot be worked out") {
    ApiFixture api;
    const std::string group = "/api/v1/groups/" + api.make_group();
    REQUIRE(api.put(group, "1", group_of_tests(R"({"region":"eu"})")).status == 200);
    const std::string task = "/api/v1/tasks/" + api.make_task("daily", kUses);
    const auto gone = api.put(group, "2", group_of_tests("{}"));
    CHECK(gone.status == 422);
    CHECK(has_text(gone.body, "are used by the task reports/daily"));
    CHECK(has_text(gone.body, "without a value"));
    const auto unknown = api.put(group, "2", group_of_tests(R"({"region":"${nothing}"})"));
    CHECK(unknown.status == 422);
    CHECK(has_text(unknown.body, "'nothing' is not a name that the task has (of the group)"));
    CHECK(api.put(group, "2", group_of_tests(R"({"region":"${fire_date - 1 working day of uk}"})")).status == 422);
    CHECK(api.get(task).text("version") == "1");
    CHECK(api.get(group).text("version") == "2");
    // With dry_run all is judged, and nothing is done.
    CHECK(api.call("PUT", group + "?dry_run=true", group_of_tests(R"({"region":"us"})"), {{"if-match", "\"2\""}}).status == 200);
    CHECK(api.get(task).text("version") == "1");
    REQUIRE(api.put(task, "1", task_definition("daily")).status == 200);
    CHECK(api.put(group, "2", group_of_tests("{}")).status == 200);
    CHECK(api.get(task).text("version") == "2");
}

TEST_CASE("a task that moves to another group takes that group's values, and calendars of expressions come with it") {
    ApiFixture api;
    const std::string group = "/api/v1/groups/" + api.make_group();
    REQUIRE(api.put(group, "1", group_of_tests(R"({"region":"eu"})")).status == 200);
    REQUIRE(api.post("/api/v1/calendars", R"({"runtime":"demo","name":"uk"})").status == 201);
    const auto other =
        api.post("/api/v1/groups", R"({"runtime":"demo","name":"night","parameters":{"region":"${fire_date - 1 working day of uk}"}})");
    REQUIRE(other.status == 201);
    const std::string id = api.make_task("daily", kUses);
    CHECK_FALSE(has_text(api.get("/api/v1/tasks/" + id).body, R"("calendars")"));
    const auto moved = api.post("/api/v1/tasks/bulk", R"({"select":{"ids":[")" + id + R"("]},"action":"move","group":"night"})");
    INFO(moved.body);
    REQUIRE(moved.status == 200);
    const auto after = api.get("/api/v1/tasks/" + id);
    CHECK(has_text(after.body, R"("inherited_parameters":{"group":{"region":"${fire_date - 1 working day of uk}"}})"));
    CHECK(has_text(after.body, R"("calendars":{"uk":)"));
    // The calendar is used.
    CHECK(api.erase("/api/v1/calendars/" + member_text((api.get("/api/v1/calendars?name=uk").json())["items"][0], "id")).status == 409);
    const auto unknown =
        api.post("/api/v1/tasks", task_definition("x", R"(,"parameters":{},"environment":{"A":"${fire_date - 1 working day of de}"})"));
    CHECK(unknown.status == 422);
    CHECK(has_text(unknown.body, "/environment/A"));
    CHECK(has_text(unknown.body, "'de', which is not a calendar"));
}

TEST_CASE("a trial goes on with the version that a change of the group makes") {
    ApiFixture api;
    const std::string group = "/api/v1/groups/" + api.make_group();
    REQUIRE(api.put(group, "1", group_of_tests(R"({"region":"eu"})")).status == 200);
    const std::string id = api.make_task("daily", kUses);
    REQUIRE(api.call("PUT", "/api/v1/tasks/" + id + "?canary=3", task_definition("daily", kUses + R"(,"time_limit":"5m")"),
                     {{"if-match", "\"1\""}})
                .status == 200);
    REQUIRE(api.put(group, "2", group_of_tests(R"({"region":"us"})")).status == 200);
    CHECK(api.get("/api/v1/tasks/" + id).text("version") == "3");
    CHECK(api.count("SELECT count(*) FROM task_canaries WHERE state = 'running' AND version = 2 AND last_version = 3") == 1);
}

TEST_CASE("a manual start gives what the task declares, and all that it lacks") {
    ApiFixture api;
    api.make_group();
    api.set_cluster({some_member()});
    const std::string start =
        "/api/v1/tasks/" + api.make_task("daily", R"(,"parameters":{"day":"${fire_date}","bucket":null},"schedules":[{"manual":true}])") +
        "/start";
    const auto missing = api.post(start);
    CHECK(missing.status == 422);
    CHECK(has_text(missing.body, R"("pointer":"/parameters/bucket")"));
    const auto undeclared = api.post(start, R"({"parameters":{"bucket":"b","bukket":"b"}})");
    CHECK(undeclared.status == 422);
    CHECK(has_text(undeclared.body, R"("pointer":"/parameters/bukket")"));
    CHECK(api.post(start, R"({"parameters":{"bucket":[]}})").status == 422);
    CHECK(api.post(start, R"({"parameters":{"bucket":"b"},"as_of":"yesterday"})").status == 422);
    CHECK(api.post(start, R"({"parameters":{"bucket":"b"},"what":1})").status == 422);
    CHECK(api.post(start, "[").status == 400);
    CHECK(api.count("SELECT count(*) FROM runs") == 0);

    const auto begun = api.post(start, R"({"parameters":{"bucket":"${day}"},"as_of":"2026-11-20T03:00:00Z"})");
    INFO(begun.body);
    REQUIRE(begun.status == 202);
    CHECK(has_text(begun.body, R"("parameters":{"bucket":{"value":"${day}","from":"manual"}})"));
    CHECK(begun.text("as_of") == "2026-11-20T03:00:00Z");
    CHECK(has_text(api.get("/api/v1/runs/" + begun.text("id")).body, R"("as_of":"2026-11-20T03:00:00Z")"));
    CHECK(
        api.count(
            R"(SELECT count(*) FROM commands WHERE document LIKE '%"parameters":{"bucket":{"value":"${day}","from":"manual"}},"as_of":"2026-11-20T03:00:00Z","task"%')") ==
        1);
    // The time of the request, if none is given.
    CHECK(api.post(start, R"({"parameters":{"bucket":7}})").text("as_of") == format_instant(api.clock.now()));

    const std::string plain = "/api/v1/tasks/" + api.make_task("plain") + "/start";
    CHECK(api.post(plain, R"({"parameters":{"bucket":"b"}})").status == 422);
    CHECK(api.post(plain, R"({"as_of":"2026-11-20T03:00:00Z"})").status == 422);
    const auto without = api.post(plain, "{}");
    CHECK(without.status == 202);
    CHECK_FALSE(has_text(without.body, "as_of"));
    const std::string early = "/api/v1/tasks/" + api.make_task("early", R"(,"parameters":{"day":"${fire_date - 9999 days}"})") + "/start";
    const auto impossible = api.post(early, R"({"as_of":"1971-01-01T00:00:00Z"})");
    CHECK(impossible.status == 422);
    CHECK(has_text(impossible.body, "outside the years 1970 to 9999"));
}
