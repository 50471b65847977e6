// What every route has in common: bad requests, versions, idempotency keys, errors.
#include "center/api_routes.h"

#include <catch2/catch.hpp>

#include "api_fixture.h"
#include "center/errors.h"

using namespace cloudtask;
using namespace cloudtask::center;

TEST_CASE("a body that cannot be read is answered 400 with the place, and changes nothing") {
    ApiFixture api;
    for (const std::string body : {"", "{", "[1,2", "{\"name\":}", "nonsense", "{\"name\":\"a\",\"name\":\"b\"}", "{\"name\":\"\xff\"}"}) {
        const auto answer = api.post("/api/v1/runtimes", body);
        INFO(body << " -> " << answer.body);
        CHECK(answer.status == 400);
        CHECK(answer.headers.at("content-type") == "application/problem+json");
        CHECK(answer.text("detail").size() > 10);
    }
    CHECK(api.post("/api/v1/runtimes", std::string(60'000, '[')).status == 400);
    CHECK(api.post("/api/v1/runtimes", "[]").status == 422);
    CHECK(api.count("SELECT count(*) FROM runtimes") == 0);
}

TEST_CASE("a definition above 64 KiB is answered 413") {
    ApiFixture api;
    const std::string big = R"({"name":"demo","description":")" + std::string(70'000, 'x') + "\"}";
    CHECK(api.post("/api/v1/runtimes", big).status == 413);
    CHECK(api.post("/api/v1/runtimes", std::string(200'000, '[')).status == 413);
}

TEST_CASE("unknown paths are 404, wrong methods 405") {
    ApiFixture api;
    CHECK(api.get("/api/v1/nothing").status == 404);
    CHECK(api.get("/api/v1/tasks/../users").status != 200);
    const auto wrong = api.call("PATCH", "/api/v1/tasks");
    CHECK(wrong.status == 405);
    CHECK(wrong.headers.at("allow").find("POST") != std::string::npos);
}

TEST_CASE("a change needs the version that was seen: 428 without, 412 when stale, 400 when it is none") {
    ApiFixture api;
    api.make_group();
    const std::string body = R"({"name":"demo","description":"x"})";
    CHECK(api.call("PUT", "/api/v1/runtimes/demo", body).status == 428);
    for (const char* bad : {"1", "\"\"", "\"x\"", "\"1", "W/\"1\"", "\"0\"", "\"1\", \"2\""}) {
        INFO(bad);
        CHECK(api.call("PUT", "/api/v1/runtimes/demo", body, {{"If-Match", bad}}).status == 400);
    }
    CHECK(api.put("/api/v1/runtimes/demo", "2", body).status == 412);
    CHECK(api.put("/api/v1/runtimes/demo", "1", body).status == 200);
    CHECK(api.put("/api/v1/runtimes/demo", "1", body).status == 412);
    CHECK(api.call("PUT", "/api/v1/runtimes/demo", body, {{"If-Match", "*"}}).status == 200);
}

TEST_CASE("the same key with the same request answers as before and changes nothing") {
    ApiFixture api;
    api.make_group();
    const ApiFixture::Headers key{{"Idempotency-Key", "once"}};
    const auto first = api.post("/api/v1/tasks", task_definition("daily"), key);
    REQUIRE(first.status == 201);
    const auto again = api.post("/api/v1/tasks", task_definition("daily"), key);
    CHECK(again.status == 201);
    CHECK(again.body == first.body);
    CHECK(again.headers.at("etag") == first.headers.at("etag"));
    CHECK(again.headers.at("location") == first.headers.at("location"));
    CHECK(again.headers.at("idempotency-replayed") == "true");
    CHECK(api.count("SELECT count(*) FROM tasks") == 1);
    CHECK(api.catalog_changes.size() == 1);
    // A deletion too, which otherwise would be 404 the second time.
    const ApiFixture::Headers other{{"Idempotency-Key", "gone"}};
    CHECK(api.call("DELETE", "/api/v1/tasks/" + first.text("id"), "", other).status == 204);
    CHECK(api.call("DELETE", "/api/v1/tasks/" + first.text("id"), "", other).status == 204);
}

TEST_CASE("the same key with another request is refused") {
    ApiFixture api;
    api.make_group();
    const ApiFixture::Headers key{{"Idempotency-Key", "once"}};
    CHECK(api.post("/api/v1/tasks", task_definition("daily"), key).status == 201);
    CHECK(api.post("/api/v1/tasks", task_definition("nightly"), key).status == 422);
    CHECK(api.post("/api/v1/runtimes", task_definition("daily"), key).status == 422);
    CHECK(api.count("SELECT count(*) FROM tasks") == 1);
}

TEST_CASE("a key is one person's, lasts a day, and does not remember refusals") {
    ApiFixture api;
    api.make_group();
    api.make_user("ada", "admin");
    const auto ada = api.log_in("ada");
    const std::string body = R"({"runtime":"demo","name":"extra"})";
    CHECK(api.post("/api/v1/groups", R"({"runtime":"nowhere","name":"extra"})", {{"Idempotency-Key", "k"}}).status == 422);
    CHECK(api.post("/api/v1/groups", body, {{"Idempotency-Key", "k"}}).status == 201);
    CHECK(api.post("/api/v1/groups", body, {{"Idempotency-Key", "k"}, {"Authorization", "Bearer " + ada}}).status == 409);
    api.clock.advance(std::chrono::hours{24});
    api.admin_token = api.log_in("root");
    CHECK(api.post("/api/v1/groups", body, {{"Idempotency-Key", "k"}}).status == 409);
    CHECK(api.post("/api/v1/groups", R"({"runtime":"demo","name":"third"})", {{"Idempotency-Key", "k"}}).status == 201);
}

TEST_CASE("a key that is not one is refused") {
    ApiFixture api;
    CHECK(api.post("/api/v1/runtimes", R"({"name":"demo"})", {{"Idempotency-Key", std::string(129, 'x')}}).status == 400);
    CHECK(api.post("/api/v1/runtimes", R"({"name":"demo"})", {{"Idempotency-Key", std::string(128, 'x')}}).status == 201);
}

TEST_CASE("requests at the same time under one key make one thing") {
    ApiFixture api;
    api.make_group();
    std::vector<std::thread> threads;
    std::vector<Answer> answers(8);
    for (std::size_t i = 0; i < answers.size(); ++i) {
        threads.emplace_back([&, i] { answers[i] = api.post("/api/v1/tasks", task_definition("daily"), {{"Idempotency-Key", "once"}}); });
    }
    for (auto& thread : threads) thread.join();
    for (const auto& answer : answers) {
        CHECK(answer.status == 201);
        CHECK(answer.body == answers[0].body);
    }
    CHECK(api.count("SELECT count(*) FROM tasks") == 1);
}

TEST_CASE("each error has its status") {
    CHECK(problem_for({make_error_code(CenterErrc::precondition_required), "x"}).status == 428);
    CHECK(problem_for({make_error_code(CenterErrc::too_many_attempts), "x"}).status == 429);
    CHECK(problem_for({make_error_code(Errc::io), "x"}).status == 507);
    const auto unavailable = problem_for({make_error_code(Errc::unavailable), "x"});
    CHECK(unavailable.status == 503);
    CHECK_FALSE(unavailable.headers.get("Retry-After").empty());
    const auto internal = problem_for({make_error_code(Errc::internal), "the secret path"});
    CHECK(internal.status == 500);
    CHECK(internal.body.find("secret") == std::string::npos);
}
