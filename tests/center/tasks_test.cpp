// The rules of tasks, through the API.
#include "center/tasks.h"

#include <soci/soci.h>
#include <catch2/catch.hpp>

#include "api_fixture.h"

using namespace cloudtask;
using namespace cloudtask::center;

namespace {

std::string revision_of(const Answer& answer) { return answer.text("revision"); }

}  // namespace

TEST_CASE("a task is made with its server's fields, a version row and an audit entry, and nodes are told after the commit") {
    ApiFixture api;
    api.make_group();
    const auto made = api.post("/api/v1/tasks", task_definition("daily", R"(,"schedules":[{"every":"30s"}])"));
    INFO(made.body);
    REQUIRE(made.status == 201);
    CHECK(made.headers.at("etag") == "\"1\"");
    CHECK(made.headers.at("location") == "/api/v1/tasks/" + made.text("id"));
    CHECK(made.text("version") == "1");
    CHECK(made.text("revision") == "1");
    CHECK(made.text("created_revision") == "1");
    CHECK(made.text("effective_from") == format_instant(api.clock.now()));
    CHECK(made.text("state") == "reallocating");
    CHECK(made.text("next_fire") == format_instant(api.clock.now() + std::chrono::seconds{30}));
    CHECK(api.count("SELECT count(*) FROM task_versions") == 1);
    CHECK(api.count("SELECT count(*) FROM audit WHERE action = 'task.create' AND before IS NULL AND after LIKE '%daily%' AND principal "
                    "LIKE 'user:%'") == 1);
    CHECK(api.catalog_changes == std::vector<std::pair<std::string, std::int64_t>>{{"demo", 1}});
}

TEST_CASE("each change takes the next version and revision, and is audited with both documents") {
    ApiFixture api;
    api.make_group();
    const auto id = api.make_task("daily");
    const auto path = "/api/v1/tasks/" + id;
    const auto other = api.make_task("other");
    const auto changed = api.put(path, "1", task_definition("daily", R"(,"description":"changed")"));
    REQUIRE(changed.status == 200);
    CHECK(changed.text("version") == "2");
    CHECK(revision_of(changed) == "3");
    CHECK(changed.text("created_revision") == "1");
    CHECK(api.count("SELECT count(*) FROM task_versions WHERE task_id = '" + id + "'") == 2);
    CHECK(api.count("SELECT count(*) FROM audit WHERE action = 'task.update' AND before NOT LIKE '%changed%' AND after LIKE '%changed%'") ==
          1);
    CHECK(api.catalog_changes.back() == std::pair<std::string, std::int64_t>{"demo", 3});
    CHECK(revision_of(api.get("/api/v1/tasks/" + other)) == "2");
}

TEST_CASE("a definition that says what is there already changes nothing") {
    ApiFixture api;
    api.make_group();
    const auto path = "/api/v1/tasks/" + api.make_task("daily", R"(,"schedules":[{"cron":"0 9 * * *"}])");
    const auto seen = api.get(path);
    api.clock.advance(std::chrono::hours{1});
    const auto same = api.put(path, "1", seen.body);
    INFO(same.body);
    CHECK(same.status == 200);
    CHECK(same.text("version") == "1");
    CHECK(api.catalog_changes.size() == 1);
    CHECK(api.count("SELECT count(*) FROM audit WHERE action = 'task.update'") == 0);
}

TEST_CASE("fires count from now on when the schedules change or the task is enabled, and only then") {
    ApiFixture api;
    api.make_group();
    const auto path = "/api/v1/tasks/" + api.make_task("daily", R"(,"schedules":[{"every":"30s"}])");
    const auto first = format_instant(api.clock.now());
    api.clock.advance(std::chrono::hours{1});
    CHECK(api.put(path, "1", task_definition("daily", R"(,"schedules":[{"every":"30s"}],"description":"x")")).text("effective_from") ==
          first);
    CHECK(api.put(path, "2", task_definition("daily", R"(,"schedules":[{"every":"60s"}],"description":"x")")).text("effective_from") ==
          format_instant(api.clock.now()));
    const auto second = format_instant(api.clock.now());
    api.clock.advance(std::chrono::hours{1});
    CHECK(api.post(path + "/disable").text("effective_from") == second);
    CHECK(api.post(path + "/enable").text("effective_from") == format_instant(api.clock.now()));
}

TEST_CASE("a task that may move does so a little later, so that its old owner and its new one know from when on") {
    ApiFixture api;
    api.make_group();
    const auto path = "/api/v1/tasks/" + api.make_task("daily", R"(,"schedules":[{"every":"30s"}])");
    const auto ahead = [&] { return format_instant(api.clock.now() + std::chrono::seconds{5}); };
    api.clock.advance(std::chrono::hours{1});
    const auto first = ahead();
    CHECK(
        api.put(path, "1", task_definition("daily", R"(,"schedules":[{"every":"30s"}],"labels":{"disk":"ssd"})")).text("effective_from") ==
        first);
    // Whatever else changes meanwhile, the old owner fires up to there.
    api.clock.advance(std::chrono::seconds{1});
    CHECK(
        api.put(path, "2", task_definition("daily", R"(,"schedules":[{"every":"20s"}],"labels":{"disk":"ssd"})")).text("effective_from") ==
        first);
    CHECK(api.post(path + "/disable").text("effective_from") == first);
    CHECK(api.post(path + "/enable").text("effective_from") == first);
    api.clock.advance(std::chrono::seconds{1});
    const auto second = ahead();
    CHECK(api.put(path, "5", task_definition("daily", R"(,"schedules":[{"every":"20s"}],"targets":["n1"])")).text("effective_from") ==
          second);
    CHECK(api.put(path, "6", task_definition("daily", R"(,"schedules":[{"every":"20s"}],"targets":["n1"],"description":"x")"))
              .text("effective_from") == second);
}

TEST_CASE("enable and disable are changes of the definition; asking for what is so changes nothing") {
    ApiFixture api;
    api.make_group();
    const auto path = "/api/v1/tasks/" + api.make_task("daily", R"(,"schedules":[{"every":"30s"}])");
    const auto disabled = api.post(path + "/disable");
    CHECK(disabled.status == 200);
    CHECK(disabled.text("enabled") == "false");
    CHECK(disabled.text("state") == "disabled");
    CHECK(disabled.text("next_fire") == "null");
    CHECK(disabled.text("version") == "2");
    CHECK(api.post(path + "/disable").text("version") == "2");
    CHECK(api.call("POST", path + "/enable", "", {{"If-Match", "\"1\""}}).status == 412);
    CHECK(api.post(path + "/enable").text("version") == "3");
    CHECK(api.post("/api/v1/tasks/00000000-0000-7000-8000-000000000000/enable").status == 404);
}

TEST_CASE("a clone is a new task, disabled, under another name") {
    ApiFixture api;
    api.make_group();
    const auto id = api.make_task("daily", R"(,"schedules":[{"every":"30s"}],"environment":{"A":"1"})");
    const auto clone = api.post("/api/v1/tasks/" + id + "/clone", R"({"name":"copy"})");
    REQUIRE(clone.status == 201);
    CHECK(clone.text("id") != id);
    CHECK(clone.text("name") == "copy");
    CHECK(clone.text("enabled") == "false");
    CHECK(clone.json()["environment"]["A"] == "1");
    CHECK(clone.text("version") == "1");
    CHECK(clone.text("created_revision") == "2");
    CHECK(api.post("/api/v1/tasks/" + id + "/clone", R"({"name":"copy"})").status == 409);
    CHECK(api.post("/api/v1/tasks/" + id + "/clone", R"({"name":"No Slug"})").status == 422);
}

TEST_CASE("a deleted task leaves a note for nodes") {
    ApiFixture api;
    api.make_group();
    const auto id = api.make_task("daily");
    CHECK(api.call("DELETE", "/api/v1/tasks/" + id, "", {{"If-Match", "\"9\""}}).status == 412);
    CHECK(api.erase("/api/v1/tasks/" + id).status == 204);
    CHECK(api.get("/api/v1/tasks/" + id).status == 404);
    CHECK(api.count("SELECT count(*) FROM deleted_tasks WHERE task_id = '" + id + "' AND revision = 2") == 1);
    CHECK(api.catalog_changes.back() == std::pair<std::string, std::int64_t>{"demo", 2});
    api.make_task("daily");
}

TEST_CASE("names are unique in a group; group and package must be there; the runtime stays") {
    ApiFixture api;
    api.make_group();
    const auto path = "/api/v1/tasks/" + api.make_task("daily");
    CHECK(api.post("/api/v1/tasks", task_definition("daily")).status == 409);
    api.make_task("nightly");
    CHECK(api.put(path, "1", task_definition("nightly")).status == 409);
    const auto no_group = api.post("/api/v1/tasks", R"({"runtime":"demo","group":"none","name":"x","shell":"date"})");
    CHECK(no_group.status == 422);
    CHECK(no_group.body.find("/group") != std::string::npos);
    const auto no_package = api.post("/api/v1/tasks", task_definition("x", R"(,"package":")" + std::string(64, 'a') + "\""));
    CHECK(no_package.status == 422);
    CHECK(no_package.body.find("/package") != std::string::npos);
    CHECK(api.put(path, "1", R"({"runtime":"other","group":"reports","name":"daily","shell":"date"})").status == 422);
    CHECK(api.catalog_changes.size() == 2);
    CHECK(api.count("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'revision'") == 2);
}

TEST_CASE("every fault of a definition is told at once, and nothing is stored") {
    ApiFixture api;
    api.make_group();
    const auto answer =
        api.post("/api/v1/tasks",
                 task_definition(
                     "x", R"(,"time_limit":"soon","colour":"red","schedules":[{"cron":"61 * * * *"},{"every":"30s","zone":"Mars/Base"}])"));
    CHECK(answer.status == 422);
    CHECK(answer.json()["faults"].Size() >= 4);
    CHECK(answer.body.find("/schedules/1/zone") != std::string::npos);
    CHECK(api.count("SELECT count(*) FROM tasks") == 0);
}

TEST_CASE("state and owner follow the cluster and the last run") {
    ApiFixture api;
    api.make_group();
    const auto path = "/api/v1/tasks/" + api.make_task("daily");
    const auto pinned = "/api/v1/tasks/" + api.make_task("pinned", R"(,"labels":{"gpu":"yes"})");
    CHECK(api.get(path + "/owner").text("node_id") == "null");
    api.set_cluster({{.id = "n1", .incarnation = "i1", .name = "one", .labels = {}}});
    CHECK(api.get(path).text("state") == "idle");
    CHECK(api.get(path + "/owner").text("node_name") == "one");
    CHECK(api.get(path + "/owner").text("epoch") == "7");
    CHECK(api.get(pinned).text("state") == "reallocating");
    CHECK(api.get(pinned + "/owner").text("reason").find("labels") != std::string::npos);
    const auto set = [&](const std::string& assignment) {
        REQUIRE(api.store->write([&](soci::session& sql) -> Result<> {
            sql << "UPDATE tasks SET " + assignment;
            return {};
        }));
        return api.get(path).text("state");
    };
    CHECK(set("last_run_id = 'r', last_run_state = 'FAILED', last_run_at = 1000000") == "failed");
    CHECK(api.get(path).json()["last_run"]["at"] == "1970-01-01T00:00:01Z");
    CHECK(set("last_run_state = 'STOPPED'") == "idle");
    CHECK(set("last_run_state = 'LOST'") == "failed");
    CHECK(set("running = 1") == "running");
}
