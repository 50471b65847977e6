// The versions of a task, back to an earlier one, and writes that are only tried, through the API.
#include <catch2/catch.hpp>

#include "api_fixture.h"

using namespace cloudtask;
using namespace cloudtask::center;

TEST_CASE("versions: who changed what, newest first, page by page") {
    ApiFixture api;
    api.make_group();
    const auto path = "/api/v1/tasks/" + api.make_task("daily", R"(,"time_limit":"1h")");
    api.clock.advance(std::chrono::hours{1});
    REQUIRE(api.put(path, "1", task_definition("daily", R"(,"time_limit":"2h","notify":["ops@example.org"])")).status == 200);
    REQUIRE(api.post(path + "/disable").status == 200);
    const auto all = api.get(path + "/versions").json();
    REQUIRE(all["items"].Size() == 3);
    CHECK(member_text(all["items"][0], "change") == "enabled true -> false");
    CHECK(member_text(all["items"][1], "change") == R"(time_limit "1h" -> "2h"; notify [] -> ["ops@example.org"])");
    CHECK(member_text(all["items"][1], "by") == "root");
    CHECK(member_text(all["items"][1], "at") == format_instant(api.clock.now()));
    CHECK(member_text(all["items"][1], "version") == "2");
    CHECK(member_text(all["items"][2], "change") == "created");
    CHECK_FALSE(all["items"][2].HasMember("note"));

    // Over a page's border, in both directions, a version is held against the one before it.
    for (const std::string sort : {"version", "-version"}) {
        std::vector<std::string> changes;
        std::string cursor;
        do {
            const auto page = api.get(path + "/versions?limit=1&sort=" + sort + (cursor.empty() ? "" : "&cursor=" + cursor)).json();
            REQUIRE(page["items"].Size() == 1);
            changes.push_back(member_text(page["items"][0], "change"));
            cursor = page.HasMember("next") ? page["next"].GetString() : "";
        } while (!cursor.empty());
        REQUIRE(changes.size() == 3);
        if (sort == "version") std::reverse(changes.begin(), changes.end());
        CHECK(changes[0] == "enabled true -> false");
        CHECK(changes[2] == "created");
    }

    const auto second = api.get(path + "/versions/2").json();
    CHECK(member_text(second["task"], "time_limit") == "2h");
    CHECK(member_text(second, "by") == "root");
    const auto diff = api.get(path + "/versions/3/diff/1").json();
    CHECK(member_text(diff["from"], "version") == "3");
    CHECK(member_text(diff, "differences") ==
          R"([{"pointer":"/enabled","before":false,"after":true},{"pointer":"/time_limit","before":"2h","after":"1h"},)"
          R"({"pointer":"/notify","before":["ops@example.org"],"after":[]}])");
    CHECK(api.get(path + "/versions/4").status == 404);
    CHECK(api.get(path + "/versions/1/diff/4").status == 404);
    for (const char* bad : {"0", "-1", "x", "1x", "99999999999999999999"}) CHECK(api.get(path + "/versions/" + bad).status == 400);
    CHECK(api.get("/api/v1/tasks/00000000-0000-7000-8000-000000000000/versions").status == 404);
}

TEST_CASE("versions: those of a deleted task can still be seen, and one that cannot be read hides no other") {
    ApiFixture api;
    api.make_group();
    const auto path = "/api/v1/tasks/" + api.make_task("daily");
    REQUIRE(api.put(path, "1", task_definition("daily", R"(,"description":"x")")).status == 200);
    REQUIRE(api.erase(path).status == 204);
    CHECK(api.get(path + "/versions").json()["items"].Size() == 2);
    CHECK(member_text(api.get(path + "/versions/1").json()["task"], "description").empty());
}

TEST_CASE("rollback: the old definition becomes the next version; enabled stays as it is") {
    ApiFixture api;
    api.make_group();
    const auto id = api.make_task("daily", R"(,"schedules":[{"every":"30s"}])");
    const auto path = "/api/v1/tasks/" + id;
    REQUIRE(api.put(path, "1", task_definition("daily", R"(,"schedules":[{"every":"60s"}],"description":"new")")).status == 200);
    REQUIRE(api.post(path + "/disable").status == 200);
    const auto roll_back = [&](const std::string& body, const std::string& seen) {
        return api.call("POST", path + "/rollback", body, {{"If-Match", seen}});
    };
    CHECK(api.post(path + "/rollback", R"({"version":1})").status == 428);
    CHECK(roll_back(R"({"version":1})", "\"2\"").status == 412);
    CHECK(roll_back(R"({"version":9})", "\"3\"").status == 422);
    CHECK(roll_back(R"({"version":0})", "\"3\"").status == 422);
    CHECK(roll_back(R"({})", "\"3\"").status == 422);
    api.clock.advance(std::chrono::hours{1});
    const auto back = roll_back(R"({"version":1})", "\"3\"");
    INFO(back.body);
    REQUIRE(back.status == 200);
    CHECK(back.headers.at("etag") == "\"4\"");
    CHECK(back.text("description").empty());
    CHECK(back.text("enabled") == "false");
    CHECK(back.json()["schedules"][0]["every"] == "30s");
    CHECK(back.text("effective_from") == format_instant(api.clock.now()));
    CHECK(api.count("SELECT count(*) FROM audit WHERE action = 'task.rollback' AND subject = 'task:" + id + "'") == 1);
    CHECK(member_text(api.get(path + "/versions").json()["items"][0], "note") == "rolled back to version 1");
    CHECK(api.catalog_changes.size() == 4);
    // What is there already is no version.
    CHECK(roll_back(R"({"version":1})", "\"4\"").text("version") == "4");
}

TEST_CASE("rollback: what the old definition refers to must still be there") {
    ApiFixture api;
    api.make_group();
    REQUIRE(api.post("/api/v1/groups", R"({"runtime":"demo","name":"old"})").status == 201);
    const auto made = api.post("/api/v1/tasks", R"({"runtime":"demo","group":"old","name":"daily","shell":"date"})");
    const auto path = "/api/v1/tasks/" + made.text("id");
    REQUIRE(api.put(path, "1", task_definition("daily")).status == 200);
    const auto groups = api.get("/api/v1/groups?name=old").json();
    REQUIRE(api.erase("/api/v1/groups/" + std::string(groups["items"][0]["id"].GetString())).status == 204);
    const auto refused = api.call("POST", path + "/rollback", R"({"version":1})", {{"If-Match", "*"}});
    CHECK(refused.status == 422);
    CHECK(refused.body.find("/group") != std::string::npos);
    CHECK(api.get(path).text("version") == "2");
}

TEST_CASE("a dry run answers as the write would, and writes nothing") {
    ApiFixture api;
    api.make_group();
    const auto path = "/api/v1/tasks/" + api.make_task("daily");
    const auto rows = [&] {
        return api.count(
            "SELECT (SELECT count(*) FROM tasks) + (SELECT count(*) FROM task_versions) + (SELECT count(*) FROM audit) + "
            "(SELECT count(*) FROM runtimes) + (SELECT count(*) FROM task_groups) + (SELECT count(*) FROM idempotency_keys)");
    };
    const auto before = rows();
    const auto told = api.catalog_changes.size();
    const ApiFixture::Headers key{{"Idempotency-Key", "k"}};
    CHECK(api.post("/api/v1/runtimes?dry_run=true", R"({"name":"other"})").status == 201);
    CHECK(api.post("/api/v1/groups?dry_run=true", R"({"runtime":"demo","name":"more"})").status == 201);
    CHECK(api.post("/api/v1/tasks?dry_run=true", task_definition("more"), key).status == 201);
    CHECK(api.post("/api/v1/tasks?dry_run=true", task_definition("daily")).status == 409);
    CHECK(api.post("/api/v1/tasks?dry_run=true", R"({"runtime":"demo","group":"none","name":"x","shell":"date"})").status == 422);
    const auto changed = api.put(path + "?dry_run=true", "1", task_definition("daily", R"(,"description":"x")"));
    CHECK(changed.status == 200);
    CHECK(changed.text("version") == "2");
    CHECK(api.put(path + "?dry_run=true", "7", task_definition("daily", R"(,"description":"x")")).status == 412);
    CHECK(rows() == before);
    CHECK(api.catalog_changes.size() == told);
    CHECK(api.get(path).text("version") == "1");
    // The key was not used up, and what cannot be tried is not done.
    CHECK(api.post("/api/v1/tasks", task_definition("more"), key).status == 201);
    CHECK(api.post(path + "/start?dry_run=true").status == 400);
    CHECK(api.call("DELETE", path + "?dry_run=true").status == 400);
    CHECK(api.post("/api/v1/tasks?dry_run=perhaps", task_definition("third")).status == 400);
    CHECK(api.get(path).status == 200);
    CHECK(api.post("/api/v1/tasks?dry_run=false", task_definition("third")).status == 201);
    // Who may only read may not try a write either.
    api.make_user("vera", "viewer");
    CHECK(api.call("POST", "/api/v1/tasks?dry_run=true", task_definition("fourth"), {{"Authorization", "Bearer " + api.log_in("vera")}})
              .status == 403);
}
