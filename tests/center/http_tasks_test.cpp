// URL tasks at the center: the form of one call, networks of a runtime on their way to the nodes, and the status of an answer in the
// history.
#include <catch2/catch.hpp>

#include "api_fixture.h"
#include "cloudtask/task/codec.h"
#include "ingest_fixture.h"

using namespace cloudtask;
using namespace cloudtask::center;

namespace {

// The clock of the fixture stands at 2030-01-01T00:00:00Z.
constexpr const char* kOneCall =
    R"({"runtime": "demo", "url": "http://example.org/x", "at": "2030-01-01T00:10:00Z", "method": "POST", "body": "b", "redirects": 2,
    "headers": {"X-A": "1"}, "expect": {"status": [204]}, "time_limit": "5s", "retry": {"attempts": 2}})";

std::string pointer_of_fault(const Answer& answer) { return answer.json()["faults"][0]["pointer"].GetString(); }

}  // namespace

TEST_CASE("one request has an address called once") {
    ApiFixture api;
    api.make_group();
    const auto made = api.post("/api/v1/http-tasks", kOneCall, {{"Idempotency-Key", "one"}});
    INFO(made.body);
    REQUIRE(made.status == 201);
    const auto task = made.json();
    CHECK(std::string(task["executor"].GetString()) == "http");
    CHECK(std::string(task["http"]["url"].GetString()) == "http://example.org/x");
    CHECK(std::string(task["http"]["body"].GetString()) == "b");
    CHECK(task["http"]["redirects"].GetInt() == 2);
    CHECK(std::string(task["schedules"][0]["at"].GetString()).starts_with("2030-01-01T00:10:00"));
    CHECK(task["retry"]["attempts"].GetInt() == 2);
    CHECK(std::string(task["group"].GetString()) == "http-tasks");
    CHECK(made.headers.at("location") == "/api/v1/tasks/" + made.text("id"));

    // The same again, also when its instant has passed; something else under the same key; and another one.
    api.clock.advance(std::chrono::hours{1});
    CHECK(api.post("/api/v1/http-tasks", kOneCall, {{"Idempotency-Key", "one"}}).text("id") == made.text("id"));
    std::string other = kOneCall;
    other.replace(other.find("00:10"), 5, "02:10");
    CHECK(api.post("/api/v1/http-tasks", other, {{"Idempotency-Key", "one"}}).status == 422);
    CHECK(api.post("/api/v1/http-tasks", other).status == 201);
    CHECK(api.post("/api/v1/http-tasks?dry_run=true", other).status == 200 + 1);
    CHECK(api.count("SELECT count(*) FROM tasks") == 2);
    CHECK(api.count("SELECT count(*) FROM task_groups") == 2);

    const auto past = api.post("/api/v1/http-tasks", kOneCall);
    CHECK(past.status == 422);
    CHECK(pointer_of_fault(past) == "/at");
}

TEST_CASE("the key of a call is a secret that there is, and that stays and reaches the node as others do") {
    ApiFixture api;
    api.make_group();
    std::string call = kOneCall;
    call.replace(call.find("\"method\""), 0, R"("sign": {"secret": "hook"}, )");
    const auto refused = api.post("/api/v1/http-tasks", call);
    CHECK(refused.status == 422);
    CHECK(pointer_of_fault(refused) == "/sign/secret");
    REQUIRE(api.call("PUT", "/api/v1/runtimes/demo/secrets/hook", R"({"value":"the-key-of-the-hook"})").status == 201);
    const auto made = api.post("/api/v1/http-tasks", call);
    INFO(made.body);
    REQUIRE(made.status == 201);
    CHECK(std::string(made.json()["http"]["sign"]["secret"].GetString()) == "hook");
    CHECK(api.erase("/api/v1/runtimes/demo/secrets/hook").status == 409);
    CHECK(api.count("SELECT count(*) FROM task_secrets WHERE secret = 'hook'") == 1);
    CHECK(api.erase("/api/v1/tasks/" + made.text("id")).status == 204);
    CHECK(api.erase("/api/v1/runtimes/demo/secrets/hook").status == 204);
}

TEST_CASE("what is wrong with a call is told where the request has it") {
    ApiFixture api;
    api.make_group();
    const std::string rest = R"("runtime": "demo", "at": "2030-01-02T00:00:00Z", "url": "http://example.org/")";
    for (const auto& [body, pointer] : std::initializer_list<std::pair<std::string, std::string>>{
             {R"({"runtime": "demo", "at": "2030-01-02T00:00:00Z", "url": "file:///etc/passwd"})", "/url"},
             {R"({"runtime": "demo", "at": "tomorrow", "url": "http://example.org/"})", "/at"},
             {R"({"runtime": "demo", "at": ["2030-01-02T00:00:00Z"], "url": "http://example.org/"})", "/at"},
             {R"({"runtime": "demo", "url": "http://example.org/"})", "/at"},
             {"{" + rest + R"(, "expect": {"status": [1]}})", "/expect/status/0"},
             {"{" + rest + R"(, "headers": {"Host": "a"}})", "/headers/Host"},
             {"{" + rest + R"(, "schedules": []})", "/schedules"},
             {"{" + rest + R"(, "http": {}})", "/http"},
             {"{" + rest + R"(, "shell": "true"})", "/shell"},
             {"{" + rest + R"(, "mood": "bad"})", "/mood"},
             {"{" + rest + R"(, "group": "nowhere"})", "/group"},
             {R"({"runtime": "nowhere", "at": "2030-01-02T00:00:00Z", "url": "http://example.org/"})", "/runtime"},
             {"[]", ""},
         }) {
        INFO(body);
        const auto answer = api.post("/api/v1/http-tasks", body);
        CHECK(answer.status == 422);
        CHECK(pointer_of_fault(answer) == pointer);
    }
    CHECK(api.count("SELECT count(*) FROM tasks") == 0);
    CHECK(api.count("SELECT count(*) FROM task_groups") == 1);
}

TEST_CASE("a change of a runtime's networks is a revision of its catalog") {
    ApiFixture api;
    api.make_group();
    const auto before = api.newest_revision();
    CHECK(api.put("/api/v1/runtimes/demo", "1", R"({"name": "demo", "description": "other words"})").status == 200);
    CHECK(api.newest_revision() == before);
    CHECK(api.put("/api/v1/runtimes/demo", "2", R"({"name": "demo", "http": {"allow": ["10.1.0.0/16"]}})").status == 200);
    const auto allowed = api.newest_revision();
    CHECK(allowed > before);
    CHECK(api.catalog_changes.back() == std::pair<std::string, std::int64_t>{"demo", allowed});
    CHECK(api.get("/api/v1/runtimes/demo").json()["http"]["allow"].Size() == 1);
    CHECK(api.put("/api/v1/runtimes/demo", "3", R"({"name": "demo", "http": {"allow": ["10.1.0.0/16"]}})").status == 200);
    CHECK(api.newest_revision() == allowed);
    const auto wrong = api.put("/api/v1/runtimes/demo", "4", R"({"name": "demo", "http": {"allow": ["10.1.0.1/16"]}})");
    CHECK(wrong.status == 422);
    CHECK(pointer_of_fault(wrong) == "/http/allow/0");
}

TEST_CASE("the status of an answer stands in the history and in the mail", "[ingest]") {
    HistoryFixture f;
    auto run = f.run(1, task::RunState::failed);
    run.exit_code.reset();
    run.http_status = 503;
    run.reason = "it answered 503";
    f.take({f.run_report(run, 1)});
    CHECK(f.stored(run.id).run.http_status == 503);
    const auto mail = f.failure_mail(run.id);
    REQUIRE(mail);
    CHECK(mail->body.find("HTTP:      503") != std::string::npos);
    CHECK(mail->body.find("standard error") == std::string::npos);
}
