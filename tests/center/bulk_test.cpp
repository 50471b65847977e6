// Tags, clones, and changes of many tasks at once, through the API.
#include <catch2/catch.hpp>

#include <set>

#include "api_fixture.h"

using namespace cloudtask;
using namespace cloudtask::center;

namespace {

std::set<std::string> names_in(const json::Value& list, const char* member) {
    std::set<std::string> names;
    for (const auto& item : list.GetArray()) names.insert(item[member].GetString());
    return names;
}

using Names = std::set<std::string>;

}  // namespace

TEST_CASE("tags: a task is found by its tags, and a version may change them") {
    ApiFixture api;
    api.make_group();
    const auto first = api.make_task("first", R"(,"tags":{"team":"payroll","stage":"live"})");
    api.make_task("second", R"(,"tags":{"team":"payroll"})");
    api.make_task("third", R"(,"tags":{"team":"sales"})");
    const auto second = api.make_task("plain");
    const auto found = [&](const std::string& query) {
        const auto answer = api.get("/api/v1/tasks?" + query);
        INFO(answer.body);
        REQUIRE(answer.status == 200);
        return names_in(answer.json()["items"], "name");
    };
    CHECK(found("tag=team=payroll") == Names{"first", "second"});
    CHECK(found("tag=team") == Names{"first", "second", "third"});
    CHECK(found("tag=team%3Dpayroll%2Cstage") == Names{"first"});
    CHECK(found("tag=team=pay") == Names{});
    CHECK(found("tag=tea") == Names{});
    CHECK(found("tag=team&name=t*") == Names{"third"});
    CHECK(api.get("/api/v1/tasks?tag=").status == 400);
    CHECK(api.get("/api/v1/tasks?tag=team,,x").status == 400);
    CHECK(api.get("/api/v1/tasks?tag=a,b,c,d,e,f,g,h,i").status == 400);

    // Tags alone move nothing: fires count from when they did.
    const auto path = "/api/v1/tasks/" + first;
    const auto before = api.get(path).text("effective_from");
    api.clock.advance(std::chrono::hours{1});
    const auto changed = api.put(path, "1", task_definition("first", R"(,"tags":{"team":"sales"})"));
    CHECK(changed.text("version") == "2");
    CHECK(changed.text("effective_from") == before);
    CHECK(found("tag=team=payroll") == Names{"second"});
    CHECK(found("tag=stage") == Names{});
    REQUIRE(api.erase(path).status == 204);
    CHECK(found("tag=team=sales") == Names{"third"});
    CHECK(api.count("SELECT count(*) FROM task_tags") == 2);
}

TEST_CASE("clone: in another group or runtime, and enabled only if that is asked for") {
    ApiFixture api;
    api.make_group();
    REQUIRE(api.post("/api/v1/groups", R"({"runtime":"demo","name":"trial"})").status == 201);
    REQUIRE(api.post("/api/v1/runtimes", R"({"name":"other"})").status == 201);
    REQUIRE(api.post("/api/v1/groups", R"({"runtime":"other","name":"reports"})").status == 201);
    const auto path = "/api/v1/tasks/" + api.make_task("daily", R"(,"tags":{"a":"b"})") + "/clone";
    const auto grouped = api.post(path, R"({"name":"daily","group":"trial"})");
    REQUIRE(grouped.status == 201);
    CHECK(grouped.text("group") == "trial");
    CHECK(grouped.text("enabled") == "false");
    CHECK(grouped.json()["tags"]["a"] == "b");
    const auto elsewhere = api.post(path, R"({"name":"daily","runtime":"other","enabled":true})");
    REQUIRE(elsewhere.status == 201);
    CHECK(elsewhere.text("runtime") == "other");
    CHECK(elsewhere.text("enabled") == "true");
    CHECK(api.post(path, R"({"name":"daily"})").status == 409);
    CHECK(api.post(path, R"({"name":"x","group":"none"})").status == 422);
    CHECK(api.post(path, R"({"group":"trial"})").status == 422);
    CHECK(api.post(path, R"({"name":"x","colour":"red"})").status == 422);
}

TEST_CASE("bulk: what a selection names is changed together, with an audit entry for each") {
    ApiFixture api;
    api.make_group();
    REQUIRE(api.post("/api/v1/groups", R"({"runtime":"demo","name":"archive"})").status == 201);
    for (const char* name : {"night-1", "night-2", "day"}) api.make_task(name, R"(,"tags":{"team":"payroll"})");
    const auto bulk = [&](const std::string& body) {
        const auto answer = api.post("/api/v1/tasks/bulk", body);
        INFO(answer.body);
        REQUIRE(answer.status == 200);
        return answer.json();
    };
    const auto audited = [&](const std::string& action) { return api.count("SELECT count(*) FROM audit WHERE action = '" + action + "'"); };
    REQUIRE(api.post("/api/v1/tasks/" + api.make_task("night-3") + "/disable").status == 200);

    const auto tried = bulk(R"({"select":{"runtime":"demo","name":"night*"},"action":"disable","dry_run":true})");
    CHECK(names_in(tried["changed"], "name") == Names{"night-1", "night-2"});
    CHECK(tried["unchanged"].GetInt() == 1);
    CHECK(audited("task.disable") == 1);
    const auto told = api.catalog_changes.size();
    const auto done = bulk(R"({"select":{"runtime":"demo","name":"night*"},"action":"disable"})");
    CHECK(names_in(done["changed"], "name") == Names{"night-1", "night-2"});
    CHECK(done["changed"][0]["version"].GetInt() == 2);
    CHECK(audited("task.disable") == 3);
    // The nodes are told once, of the newest revision.
    REQUIRE(api.catalog_changes.size() == told + 1);
    CHECK(api.catalog_changes.back().second == api.count("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'revision'"));
    CHECK(bulk(R"({"select":{"tag":"team=payroll","enabled":true},"action":"enable"})")["unchanged"].GetInt() == 1);

    // One that cannot be moved is refused by itself.
    REQUIRE(api.post("/api/v1/tasks", R"({"runtime":"demo","group":"archive","name":"day","shell":"date"})").status == 201);
    const auto moved = bulk(R"({"select":{"tag":"team=payroll"},"action":"move","group":"archive"})");
    CHECK(names_in(moved["changed"], "name") == Names{"night-1", "night-2"});
    REQUIRE(moved["refused"].Size() == 1);
    CHECK(std::string(moved["refused"][0]["task"].GetString()) == "demo/reports/day");
    CHECK(std::string(moved["refused"][0]["reason"].GetString()).find("has a task named day already") != std::string::npos);
    CHECK(audited("task.move") == 2);
    const auto nowhere = bulk(R"({"select":{"tag":"team"},"action":"move","group":"none"})");
    CHECK(nowhere["changed"].Empty());
    CHECK(nowhere["refused"].Size() == 3);

    const std::string gone = "00000000-0000-7000-8000-000000000000";
    const auto ids = api.get("/api/v1/tasks?group=archive").json();
    std::string list = "\"" + gone + "\"";
    for (const auto& item : ids["items"].GetArray()) list += ",\"" + std::string(item["id"].GetString()) + "\"";
    const auto deleted = bulk(R"({"select":{"ids":[)" + list + "," + list + R"(]},"action":"delete"})");
    CHECK(deleted["changed"].Size() == 3);
    REQUIRE(deleted["refused"].Size() == 1);
    CHECK(gone == deleted["refused"][0]["id"].GetString());
    CHECK(audited("task.delete") == 3);
    CHECK(names_in(api.get("/api/v1/tasks").json()["items"], "name") == Names{"day", "night-3"});
}

TEST_CASE("bulk: a selection must name something, and an action what it needs") {
    ApiFixture api;
    api.make_group();
    api.make_task("daily");
    const auto status = [&](const std::string& body) { return api.post("/api/v1/tasks/bulk", body).status; };
    CHECK(status(R"({"select":{},"action":"delete"})") == 422);
    CHECK(status(R"({"select":{"enabled":true},"action":"delete"})") == 422);
    CHECK(status(R"({"action":"delete"})") == 422);
    CHECK(status(R"({"select":{"ids":[]},"action":"delete"})") == 422);
    CHECK(status(R"({"select":{"ids":["x"],"runtime":"demo"},"action":"delete"})") == 422);
    CHECK(status(R"({"select":{"runtime":""},"action":"delete"})") == 422);
    CHECK(status(R"({"select":{"tag":"=x"},"action":"delete"})") == 422);
    CHECK(status(R"({"select":{"runtime":"demo"},"action":"explode"})") == 422);
    CHECK(status(R"({"select":{"runtime":"demo"},"action":"move"})") == 422);
    CHECK(status(R"({"select":{"runtime":"demo"},"action":"enable","group":"x"})") == 422);
    CHECK(status(R"({"select":{"runtime":"demo"},"action":"enable","colour":"red"})") == 422);
    CHECK(api.count("SELECT count(*) FROM tasks") == 1);
    CHECK(status(R"({"select":{"runtime":"nowhere"},"action":"delete"})") == 200);
    CHECK(api.get("/api/v1/tasks/bulk").status == 404);
}
