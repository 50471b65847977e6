// The rules of users.
#include <catch2/catch.hpp>

#include "api_fixture.h"

using namespace cloudtask;
using namespace cloudtask::center;

namespace {

std::string user(const std::string& name, const std::string& role, const std::string& more = R"(,"password":"a good password")") {
    return R"({"name":")" + name + R"(","role":")" + role + "\"" + more + "}";
}

}  // namespace

TEST_CASE("a user is made, read, changed and deleted; its password is never shown") {
    ApiFixture api;
    const auto made = api.post("/api/v1/users", user("ada", "viewer", R"(,"password":"a good password","email":"ada@example.org")"));
    REQUIRE(made.status == 201);
    CHECK(made.headers.at("etag") == "\"1\"");
    CHECK(made.headers.at("location") == "/api/v1/users/" + made.text("id"));
    CHECK(made.body.find("password") == std::string::npos);
    const auto path = "/api/v1/users/" + made.text("id");
    CHECK(api.get(path).body == made.body);
    // What was read can be sent back.
    const auto changed = api.put(path, "1", made.body);
    CHECK(changed.status == 200);
    CHECK(changed.text("version") == "2");
    CHECK(api.put(path, "2", user("ada", "admin", "")).text("role") == "admin");
    CHECK(api.get("/api/v1/users?role=admin").json()["items"].Size() == 2);
    CHECK(api.erase(path).status == 204);
    CHECK(api.get(path).status == 404);
    CHECK(api.erase(path).status == 404);
    CHECK(api.count("SELECT count(*) FROM audit WHERE subject LIKE 'user:%'") == 4);
    CHECK(api.count("SELECT count(*) FROM audit WHERE before LIKE '%argon2%' OR after LIKE '%argon2%'") == 0);
}

TEST_CASE("every fault of a user is told at once") {
    ApiFixture api;
    const auto answer = api.post("/api/v1/users", R"({"name":"a b","role":"king","email":"nobody","password":"short","colour":1})");
    CHECK(answer.status == 422);
    CHECK(answer.json()["faults"].Size() == 5);
    CHECK(answer.body.find("/colour") != std::string::npos);
    CHECK(api.post("/api/v1/users", R"({"name":"ada","role":"viewer"})").status == 422);
}

TEST_CASE("a name is taken once") {
    ApiFixture api;
    CHECK(api.post("/api/v1/users", user("ada", "viewer")).status == 201);
    CHECK(api.post("/api/v1/users", user("ada", "viewer")).status == 409);
    const auto bob = api.post("/api/v1/users", user("bob", "viewer"));
    CHECK(api.put("/api/v1/users/" + bob.text("id"), "1", user("ada", "viewer", "")).status == 409);
}

TEST_CASE("a new password ends every session of the user, another change none") {
    ApiFixture api;
    const auto id = api.make_user("ada", "admin");
    const auto token = api.log_in("ada");
    const ApiFixture::Headers as_ada{{"Authorization", "Bearer " + token}};
    CHECK(api.put("/api/v1/users/" + id, "1", user("ada", "admin", "")).status == 200);
    CHECK(api.call("GET", "/api/v1/tasks", "", as_ada).status == 200);
    CHECK(api.put("/api/v1/users/" + id, "2", user("ada", "admin", R"(,"password":"another password")")).status == 200);
    CHECK(api.call("GET", "/api/v1/tasks", "", as_ada).status == 401);
    CHECK_FALSE(api.log_in("ada", "another password").empty());
}

TEST_CASE("the last administrator can be neither deleted nor made a viewer") {
    ApiFixture api;
    const auto root = api.get("/api/v1/users?name=root").json();
    const std::string path = std::string("/api/v1/users/") + root["items"][0]["id"].GetString();
    CHECK(api.erase(path).status == 409);
    CHECK(api.put(path, "1", user("root", "viewer", "")).status == 409);
    api.make_user("ada", "admin");
    CHECK(api.put(path, "1", user("root", "viewer", "")).status == 200);
}
