// The rules of runtimes, groups, join tokens, and what is shown of nodes.
#include <soci/soci.h>
#include <catch2/catch.hpp>

#include "api_fixture.h"
#include "center/join_token_store.h"
#include "center/node_store.h"

using namespace cloudtask;
using namespace cloudtask::center;

TEST_CASE("a runtime is made, read, changed and deleted") {
    ApiFixture api;
    int told = 0;
    api.hooks.runtimes_changed = [&told] { ++told; };
    const auto made = api.post("/api/v1/runtimes", R"({"name":"demo","description":"for tests","notify":["ops@example.org"]})");
    REQUIRE(made.status == 201);
    CHECK(made.headers.at("etag") == "\"1\"");
    CHECK(api.get("/api/v1/runtimes/demo").body == made.body);
    CHECK(api.post("/api/v1/runtimes", R"({"name":"demo"})").status == 409);
    const auto changed = api.put("/api/v1/runtimes/demo", "1", R"({"name":"demo","description":"changed"})");
    CHECK(changed.status == 200);
    CHECK(changed.text("version") == "2");
    CHECK(changed.text("created_at") == made.text("created_at"));
    CHECK(api.put("/api/v1/runtimes/demo", "1", R"({"name":"demo"})").status == 412);
    CHECK(api.put("/api/v1/runtimes/demo", "2", R"({"name":"other"})").status == 422);
    CHECK(api.call("PUT", "/api/v1/runtimes/demo", R"({"name":"demo"})").status == 428);
    CHECK(api.get("/api/v1/runtimes").json()["items"].Size() == 1);
    CHECK(api.call("DELETE", "/api/v1/runtimes/demo", "", {{"If-Match", "\"1\""}}).status == 412);
    CHECK(api.erase("/api/v1/runtimes/demo").status == 204);
    CHECK(api.get("/api/v1/runtimes/demo").status == 404);
    CHECK(told == 2);
}

TEST_CASE("a runtime with groups, or with online nodes, stays") {
    ApiFixture api;
    const auto group = api.make_group();
    CHECK(api.erase("/api/v1/runtimes/demo").status == 409);
    CHECK(api.erase("/api/v1/groups/" + group).status == 204);
    api.set_cluster({{.id = "n1", .incarnation = "i1", .name = "one", .labels = {}}});
    CHECK(api.erase("/api/v1/runtimes/demo").status == 409);
    api.set_cluster({});
    CHECK(api.erase("/api/v1/runtimes/demo").status == 204);
}

TEST_CASE("the rules of groups") {
    ApiFixture api;
    const auto id = api.make_group();
    const auto path = "/api/v1/groups/" + id;
    CHECK(api.post("/api/v1/groups", R"({"runtime":"demo","name":"reports"})").status == 409);
    const auto unknown = api.post("/api/v1/groups", R"({"runtime":"nowhere","name":"reports"})");
    CHECK(unknown.status == 422);
    CHECK(unknown.body.find("/runtime") != std::string::npos);
    CHECK(api.put(path, "1", R"({"runtime":"demo","name":"renamed"})").status == 200);
    CHECK(api.put(path, "2", R"({"runtime":"demo","name":"reports","notify":["not an address"]})").status == 422);
    CHECK(api.put(path, "2", R"({"runtime":"demo","name":"reports"})").status == 200);
    const auto task = api.make_task("daily");
    CHECK(api.put(path, "3", R"({"runtime":"demo","name":"renamed"})").status == 409);
    CHECK(api.erase(path).status == 409);
    CHECK(api.erase("/api/v1/tasks/" + task).status == 204);
    CHECK(api.erase(path).status == 204);
}

TEST_CASE("the allocation shows how many enabled tasks each node owns") {
    ApiFixture api;
    CHECK(api.get("/api/v1/runtimes/demo/allocation").status == 404);
    api.make_group();
    CHECK(api.get("/api/v1/runtimes/demo/allocation").text("epoch") == "0");
    for (int i = 0; i < 20; ++i) api.make_task("task-" + std::to_string(i));
    api.make_task("off", R"(,"enabled":false)");
    api.make_task("pinned", R"(,"targets":["two"])");
    api.set_cluster(
        {{.id = "n1", .incarnation = "i1", .name = "one", .labels = {}}, {.id = "n2", .incarnation = "i2", .name = "two", .labels = {}}});
    const auto document = api.get("/api/v1/runtimes/demo/allocation").json();
    CHECK(document["epoch"].GetInt() == 7);
    CHECK(document["nodes"][0]["tasks"].GetInt() + document["nodes"][1]["tasks"].GetInt() == 21);
    CHECK(document["nodes"][1]["tasks"].GetInt() > 1);
}

TEST_CASE("a join token is shown once, lets in until it expires, and is kept as a hash") {
    ApiFixture api;
    api.make_group();
    const auto made =
        api.post("/api/v1/join-tokens", R"({"runtime":"demo","description":"lab","expires_in":"1h"})", {{"Idempotency-Key", "k"}});
    REQUIRE(made.status == 201);
    const auto secret = made.text("token");
    const auto valid = [&] {
        bool found = false;
        REQUIRE(api.store->read([&](soci::session& sql) -> Result<> {
            found = find_valid_join_token(sql, hash_token(secret), api.clock.now()).has_value();
            return {};
        }));
        return found;
    };
    CHECK(valid());
    CHECK(api.get("/api/v1/join-tokens").body.find(secret) == std::string::npos);
    CHECK(api.get("/api/v1/join-tokens").text("items").find(made.text("id")) != std::string::npos);
    // A repeated request makes no second token, and does not show the first one again.
    const auto again =
        api.post("/api/v1/join-tokens", R"({"runtime":"demo","description":"lab","expires_in":"1h"})", {{"Idempotency-Key", "k"}});
    CHECK(again.status == 201);
    CHECK(again.text("id") == made.text("id"));
    CHECK(again.body.find(secret) == std::string::npos);
    CHECK(api.count("SELECT count(*) FROM idempotency_keys WHERE body LIKE '%" + secret + "%'") == 0);
    api.clock.advance(std::chrono::minutes{61});
    CHECK_FALSE(valid());
    CHECK(api.erase("/api/v1/join-tokens/" + made.text("id")).status == 204);
    CHECK(api.erase("/api/v1/join-tokens/" + made.text("id")).status == 404);
    CHECK(api.post("/api/v1/join-tokens", R"({"runtime":"nowhere"})").status == 422);
    CHECK(api.post("/api/v1/join-tokens", R"({"runtime":"demo","expires_in":"1s"})").status == 422);
}

TEST_CASE("nodes are shown as they joined, overlaid by their live registration; only an offline one can be deleted") {
    ApiFixture api;
    api.make_group();
    REQUIRE(api.store->write([&](soci::session& sql) -> Result<> {
        for (const char* name : {"one", "two"}) {
            insert_node(sql, {std::string("n-") + name, "demo", name, std::string("hash-") + name,
                              R"({"labels":{"disk":"ssd"},"weight":2,"version":"0.0.9"})", api.clock.now(), api.clock.now()});
        }
        return {};
    }));
    api.set_cluster({{.id = "n-one", .incarnation = "i1", .name = "one", .labels = {{"disk", "hdd"}}, .weight = 3}});
    const auto one = api.get("/api/v1/nodes/n-one");
    CHECK(one.text("online") == "true");
    CHECK(one.text("weight") == "3");
    CHECK(one.text("incarnation") == "i1");
    CHECK(one.json()["labels"]["disk"] == "hdd");
    const auto two = api.get("/api/v1/nodes/n-two");
    CHECK(two.text("online") == "false");
    CHECK(two.json()["labels"]["disk"] == "ssd");
    CHECK(two.body.find("hash") == std::string::npos);
    CHECK(api.get("/api/v1/nodes?online=true").json()["items"].Size() == 1);
    CHECK(api.get("/api/v1/nodes?runtime=demo").json()["items"].Size() == 2);
    CHECK(api.erase("/api/v1/nodes/n-one").status == 409);
    CHECK(api.erase("/api/v1/nodes/n-two").status == 204);
    CHECK(api.get("/api/v1/nodes/n-two").status == 404);
}
