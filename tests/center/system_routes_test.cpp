// Health, readiness, figures, the API's description, the site.
#include <set>

#include <catch2/catch.hpp>

#include "api_fixture.h"
#include "center/openapi.h"

using namespace cloudtask;
using namespace cloudtask::center;

TEST_CASE("healthz needs nothing; readyz needs the store and ZooKeeper") {
    ApiFixture api;
    const ApiFixture::Headers nobody{{"Authorization", ""}};
    CHECK(api.call("GET", "/healthz", "", nobody).status == 200);
    const auto waiting = api.call("GET", "/readyz", "", nobody);
    CHECK(waiting.status == 503);
    CHECK(waiting.json()["checks"]["store"] == "ok");
    CHECK(waiting.json()["checks"]["zookeeper"] != "ok");
    api.set_cluster({});
    CHECK(api.call("GET", "/readyz", "", nobody).status == 200);
}

TEST_CASE("who asks often whether the center is ready does not keep its disk busy") {
    ApiFixture api;
    const auto writes = [&] { return api.count("SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'checked'"); };
    api.get("/readyz");
    const auto before = writes();
    for (int i = 0; i < 20; ++i) api.get("/readyz");
    CHECK(writes() == before);
    api.clock.advance(std::chrono::seconds{2});
    api.get("/readyz");
    CHECK(writes() == before + 1);
}

TEST_CASE("metrics count requests by route, not by path, and take the scraper's token") {
    ApiFixture api;
    api.get("/api/v1/tasks/00000000-0000-7000-8000-000000000001");
    api.get("/api/v1/tasks/00000000-0000-7000-8000-000000000002");
    api.get("/no/such/path");
    const auto page = api.get("/metrics");
    REQUIRE(page.status == 200);
    CHECK(page.body.find(R"(cloudtask_http_requests_total{method="GET",route="/api/v1/tasks/{id}",status="404"} 2)") != std::string::npos);
    CHECK(page.body.find("/no/such/path") == std::string::npos);
    CHECK(page.body.find("cloudtask_http_request_seconds_bucket") != std::string::npos);
    CHECK(api.call("GET", "/metrics", "", {{"Authorization", ""}}).status == 401);
    CHECK(api.call("GET", "/metrics", "", {{"Authorization", "Bearer scraper"}}).status == 401);
    api.options.metrics_token = "scraper";
    CHECK(api.call("GET", "/metrics", "", {{"Authorization", "Bearer scraper"}}).status == 200);
    CHECK(api.call("GET", "/metrics", "", {{"Authorization", "Bearer "}}).status == 401);
}

TEST_CASE("the description is served as it stands in the repository") {
    ApiFixture api;
    CHECK(api.get("/api/v1/openapi.json").body == openapi_json());
}

TEST_CASE("routes and their description agree, both ways, and in who may call them") {
    ApiFixture api;
    auto document = json::parse(openapi_json(), {.max_bytes = 4 << 20, .max_depth = 32});
    REQUIRE(document);
    const std::map<Access, std::string> words{
        {Access::anonymous, "anonymous"}, {Access::user_read, "user_read"}, {Access::user_write, "user_write"}, {Access::node, "node"}};
    std::set<std::string> described, served;
    for (const auto& path : (*document)["paths"].GetObject()) {
        for (const auto& operation : path.value.GetObject()) {
            std::string method = operation.name.GetString();
            for (char& c : method) c = static_cast<char>(std::toupper(c));
            described.insert(method + " " + path.name.GetString() + " " + operation.value["x-access"].GetString());
        }
    }
    for (const auto& route : api.table.routes()) {
        const bool site = route.pattern.rfind("/api/", 0) != 0 && route.pattern != "/healthz" && route.pattern != "/readyz" &&
                          route.pattern != "/metrics";
        if (!site) served.insert(route.method + " " + route.pattern + " " + words.at(route.access));
    }
    for (const auto& route : served) {
        INFO("served, not described: " << route);
        CHECK(described.contains(route));
    }
    for (const auto& route : described) {
        INFO("described, not served: " << route);
        CHECK(served.contains(route));
    }
}

TEST_CASE("every reference in the description leads somewhere, and operation ids are distinct") {
    auto document = json::parse(openapi_json(), {.max_bytes = 4 << 20, .max_depth = 32});
    REQUIRE(document);
    std::set<std::string> ids;
    const std::function<void(const json::Value&)> visit = [&](const json::Value& value) {
        if (value.IsArray()) {
            for (const auto& item : value.GetArray()) visit(item);
        }
        if (!value.IsObject()) return;
        for (const auto& member : value.GetObject()) {
            const std::string name = member.name.GetString();
            if (name == "$ref") {
                const std::string target = member.value.GetString();
                INFO(target);
                REQUIRE(target.rfind("#/components/", 0) == 0);
                const auto slash = target.find('/', 13);
                const auto& kind = (*document)["components"][target.substr(13, slash - 13).c_str()];
                CHECK(kind.HasMember(target.substr(slash + 1).c_str()));
            }
            if (name == "operationId") CHECK(ids.insert(member.value.GetString()).second);
            visit(member.value);
        }
    };
    visit(*document);
    CHECK(ids.size() > 40);
}

TEST_CASE("the site comes without a token, under a policy that runs only its own files") {
    ApiFixture api;
    const ApiFixture::Headers nobody{{"Authorization", ""}};
    const auto page = api.call("GET", "/", "", nobody);
    REQUIRE(page.status == 200);
    CHECK(page.headers.at("content-type") == "text/html; charset=utf-8");
    CHECK(page.headers.at("content-security-policy").find("default-src 'self'") != std::string::npos);
    CHECK(page.headers.at("x-content-type-options") == "nosniff");
    CHECK(page.body.find("<script>") == std::string::npos);
    CHECK(page.body.find(" style=") == std::string::npos);
    CHECK(api.call("GET", "/app.js", "", nobody).headers.at("content-type") == "text/javascript; charset=utf-8");
    CHECK(api.call("GET", "/style.css", "", nobody).status == 200);
    for (const char* outside : {"/../src/center/store.cpp", "/%2e%2e/README.md", "/..%2fREADME.md", "//etc/passwd"}) {
        const int status = api.call("GET", outside, "", nobody).status;
        INFO(outside);
        CHECK((status == 400 || status == 404));
    }
}
