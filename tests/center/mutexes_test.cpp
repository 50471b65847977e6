// Mutexes of tasks and exclusive groups, as the center keeps their rules: what shares one has the same targets and labels, and one owner.
#include <catch2/catch.hpp>

#include <algorithm>
#include <set>

#include "api_fixture.h"

using namespace cloudtask;
using namespace cloudtask::center;

namespace {

std::string under(const std::string& mutex, const std::string& more = {}) { return R"(,"mutex":")" + mutex + '"' + more; }

}  // namespace

TEST_CASE("tasks under one mutex have the same targets and labels", "[mutex]") {
    ApiFixture api;
    api.make_group();
    const std::string placed = R"(,"targets":["n1","n2"],"labels":{"disk":"ssd"})";
    const auto first = "/api/v1/tasks/" + api.make_task("first", under("door", placed));
    // In whatever order.
    const auto second = "/api/v1/tasks/" + api.make_task("second", under("door", R"(,"targets":["n2","n1"],"labels":{"disk":"ssd"})"));
    const auto apart = api.post("/api/v1/tasks", task_definition("third", under("door", R"(,"targets":["n1"],"labels":{"disk":"ssd"})")));
    CHECK(apart.status == 422);
    CHECK(apart.body.find("/targets") != std::string::npos);
    CHECK(apart.body.find("reports/") != std::string::npos);
    CHECK(apart.body.find("the mutex door") != std::string::npos);
    CHECK(api.post("/api/v1/tasks", task_definition("third", under("door"))).status == 422);
    CHECK(api.post("/api/v1/tasks", task_definition("third", under("window"))).status == 201);
    CHECK(api.put(second, "1", task_definition("second", under("door"))).status == 422);
    // All of them move by way of another mutex.
    CHECK(api.put(second, "1", task_definition("second", under("gate"))).status == 200);
    CHECK(api.put(first, "1", task_definition("first", under("gate"))).status == 200);
    // The one that is alone under it may be placed as it likes.
    CHECK(api.put(first, "2", task_definition("first", under("door"))).status == 200);
    CHECK(api.put(first, "3", task_definition("first", under("door", placed))).status == 200);
    CHECK(api.call("POST", first + "/rollback", R"({"version":2})", {{"If-Match", "\"4\""}}).status == 200);
    CHECK(api.get(first).text("mutex") == "gate");
}

TEST_CASE("a task that gets another mutex moves, as with other targets", "[mutex]") {
    ApiFixture api;
    api.make_group();
    const auto path = "/api/v1/tasks/" + api.make_task("daily", R"(,"schedules":[{"every":"30s"}])");
    api.clock.advance(std::chrono::hours{1});
    const auto ahead = format_instant(api.clock.now() + std::chrono::seconds{5});
    const auto changed = api.put(path, "1", task_definition("daily", under("door", R"(,"schedules":[{"every":"30s"}])")));
    CHECK(changed.text("effective_from") == ahead);
    CHECK(changed.json()["effective_revision"].GetInt64() == changed.json()["revision"].GetInt64());
}

TEST_CASE("tasks under one mutex have one owner, whatever their ids", "[mutex]") {
    ApiFixture api;
    api.make_group();
    api.set_cluster(
        {{.id = "n1", .incarnation = "i1", .name = "one", .labels = {}}, {.id = "n2", .incarnation = "i2", .name = "two", .labels = {}}});
    std::set<std::string> owners, free;
    for (int n = 0; n < 12; ++n) {
        const auto name = "mutual-" + std::to_string(n);
        owners.insert(api.get("/api/v1/tasks/" + api.make_task(name, under("door")) + "/owner").text("node_name"));
        free.insert(api.get("/api/v1/tasks/" + api.make_task("free-" + std::to_string(n)) + "/owner").text("node_name"));
    }
    CHECK(owners.size() == 1);
    CHECK(free.size() == 2);
    const auto nodes = api.get("/api/v1/runtimes/demo/allocation").json();
    CHECK(std::max(nodes["nodes"][0]["tasks"].GetInt(), nodes["nodes"][1]["tasks"].GetInt()) >= 12);
}

TEST_CASE("an exclusive group is a mutex of its tasks, which learn of it when it changes", "[mutex]") {
    ApiFixture api;
    const auto group = "/api/v1/groups/" + api.make_group();
    const auto first = "/api/v1/tasks/" + api.make_task("first");
    const auto second = "/api/v1/tasks/" + api.make_task("second", R"(,"targets":["n1"])");
    const auto exclusive = R"({"runtime":"demo","name":"reports","exclusive":true})";
    const auto refused = api.put(group, "1", exclusive);
    CHECK(refused.status == 422);
    CHECK(refused.body.find("/exclusive") != std::string::npos);
    CHECK_FALSE(api.get(first).json().HasMember("exclusive_group"));

    CHECK(api.put(second, "1", task_definition("second")).status == 200);
    CHECK(api.put(group, "1", exclusive).status == 200);
    for (const auto& path : {first, second}) {
        const auto task = api.get(path).json();
        CHECK(task["exclusive_group"].GetBool());
        CHECK(std::string(task["effective_from"].GetString()) == format_instant(api.clock.now() + std::chrono::seconds{5}));
    }
    CHECK(api.get(first).text("version") == "2");
    CHECK(api.post("/api/v1/tasks", task_definition("third", under("door"))).status == 422);
    CHECK(api.post("/api/v1/tasks", task_definition("third", R"(,"overlap":"allow")")).status == 422);
    CHECK(api.post("/api/v1/tasks", task_definition("third", R"(,"targets":["n1"])")).status == 422);
    CHECK(api.post("/api/v1/tasks", task_definition("third")).status == 201);
    // What the server says of it may be sent back, and counts for nothing.
    CHECK(api.put(first, "2", task_definition("first", R"(,"exclusive_group":false)")).text("version") == "2");

    CHECK(api.put(group, "2", R"({"runtime":"demo","name":"reports"})").status == 200);
    CHECK_FALSE(api.get(first).json().HasMember("exclusive_group"));
    CHECK(api.get(first).text("version") == "3");
}
