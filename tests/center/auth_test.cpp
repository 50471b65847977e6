// Logins, tokens, roles.
#include "center/auth.h"

#include <sys/stat.h>
#include <fstream>

#include <catch2/catch.hpp>

#include "api_fixture.h"
#include "cloudtask/core/hash.h"

using namespace cloudtask;
using namespace cloudtask::center;

namespace {

Answer log_in(ApiFixture& api, const std::string& name, const std::string& password) {
    return api.post("/api/v1/login", R"({"name":")" + name + R"(","password":")" + password + R"("})", {{"Authorization", ""}});
}

ApiFixture::Headers with(const std::string& token) { return {{"Authorization", "Bearer " + token}}; }

}  // namespace

TEST_CASE("the Bearer scheme is read whatever its case, and no other") {
    CHECK(bearer_token("Bearer abc") == "abc");
    CHECK(bearer_token("bEARER abc") == "abc");
    CHECK(bearer_token("Basic abc").empty());
    CHECK(bearer_token("Bearer").empty());
    CHECK(bearer_token("").empty());
}

TEST_CASE("a login gives a token that works until it expires") {
    ApiFixture api;
    api.make_user("ada", "admin");
    const auto login = log_in(api, "ada", "a good password");
    REQUIRE(login.status == 200);
    CHECK(login.headers.at("cache-control") == "no-store");
    CHECK(login.body.find("password") == std::string::npos);
    const auto token = login.text("token");
    CHECK(from_base64url(token)->size() == 32);
    CHECK(api.call("GET", "/api/v1/tasks", "", with(token)).status == 200);
    api.clock.advance(api.options.login_lifetime - std::chrono::seconds{1});
    CHECK(api.call("GET", "/api/v1/tasks", "", with(token)).status == 200);
    api.clock.advance(std::chrono::seconds{2});
    const auto late = api.call("GET", "/api/v1/tasks", "", with(token));
    CHECK(late.status == 401);
    CHECK(late.headers.at("www-authenticate") == "Bearer");
}

TEST_CASE("the database holds no token and no password") {
    ApiFixture api;
    CHECK(api.count("SELECT count(*) FROM user_tokens WHERE token_hash = '" + sha256_hex(api.admin_token) + "'") == 1);
    std::ifstream file(api.folder.file("center.db") + "-wal", std::ios::binary);
    const std::string bytes{std::istreambuf_iterator<char>(file), {}};
    REQUIRE(bytes.size() > 1000);
    CHECK(bytes.find(api.admin_token) == std::string::npos);
    CHECK(bytes.find("a good password") == std::string::npos);
}

TEST_CASE("a wrong name and a wrong password get the same answer") {
    ApiFixture api;
    api.make_user("ada", "admin");
    const auto wrong_password = log_in(api, "ada", "not the password");
    const auto wrong_name = log_in(api, "eve", "not the password");
    CHECK(wrong_password.status == 401);
    CHECK(wrong_name.status == 401);
    CHECK(wrong_password.body == wrong_name.body);
}

TEST_CASE("guessing is slowed down, and a right password in between is held back too") {
    ApiFixture api;
    api.make_user("ada", "admin");
    for (int i = 0; i < LoginThrottle::kFree; ++i) CHECK(log_in(api, "ada", "not the password").status == 401);
    const auto held_back = log_in(api, "ada", "a good password");
    CHECK(held_back.status == 429);
    CHECK(held_back.headers.at("retry-after") == "1");
    CHECK(log_in(api, "root", "a good password").status == 200);
    api.clock.advance(std::chrono::seconds{2});
    CHECK(log_in(api, "ada", "a good password").status == 200);
}

TEST_CASE("a logout ends this session and no other") {
    ApiFixture api;
    const auto other = api.log_in("root");
    CHECK(api.erase("/api/v1/login").status == 204);
    CHECK(api.get("/api/v1/tasks").status == 401);
    CHECK(api.call("GET", "/api/v1/tasks", "", with(other)).status == 200);
}

TEST_CASE("every route but login, join, health and the site refuses who has no token") {
    ApiFixture api;
    std::size_t guarded = 0;
    for (const auto& route : api.table.routes()) {
        std::string target = route.pattern;
        for (auto at = target.find('{'); at != std::string::npos; at = target.find('{'))
            target.replace(at, target.find('}', at) - at + 1, "x");
        INFO(route.method << " " << target);
        const bool open = target == "/api/v1/login" || target == "/api/v1/node/join" || target == "/healthz" || target == "/readyz";
        const bool site = target.rfind("/api/", 0) != 0 && target != "/metrics";
        if ((open && route.method != "DELETE") || site) continue;
        const auto answer = api.call(route.method, target, "", {{"Authorization", ""}});
        CHECK(answer.status == 401);
        CHECK(answer.headers.at("content-type") == "application/problem+json");
        CHECK(api.call(route.method, target, "", with("AAAA")).status == 401);
        ++guarded;
    }
    CHECK(guarded > 30);
}

TEST_CASE("a viewer may read everything and change nothing") {
    ApiFixture api;
    api.make_user("vera", "viewer");
    const auto token = api.log_in("vera");
    for (const auto& route : api.table.routes()) {
        std::string target = route.pattern;
        for (auto at = target.find('{'); at != std::string::npos; at = target.find('{'))
            target.replace(at, target.find('}', at) - at + 1, "x");
        INFO(route.method << " " << target);
        if (route.access == Access::user_write) CHECK(api.call(route.method, target, "{}", with(token)).status == 403);
        if (route.access == Access::user_read) {
            // A preview is a question that needs a body.
            const bool asks = target == "/api/v1/schedules/preview";
            CHECK(route.method == (asks ? "POST" : target == "/api/v1/login" ? "DELETE" : "GET"));
            if (route.method == "GET") {
                const int status = api.call(route.method, target, "", with(token)).status;
                CHECK((status == 200 || status == 404 || status == 400));
            }
        }
    }
}

TEST_CASE("a node's token opens no route of people, and theirs none of a node") {
    ApiFixture api;
    CHECK(api.get("/api/v1/node/catalog").status == 401);
}

TEST_CASE("the first start makes admin with a password that only the owner of the file can read, and later starts do not") {
    TemporaryFolder folder;
    TestClock clock;
    SystemRandom random;
    auto store = Store::open(folder.file("center.db"));
    REQUIRE(store);
    Auth auth(**store, clock, random, {.lifetime = std::chrono::hours{1}, .cost = cheapest_password_cost()});
    const auto path = folder.file("admin-password");
    const auto made = auth.make_first_admin(path);
    REQUIRE(made);
    REQUIRE(*made);
    CHECK((*made)->size() >= 20);
    struct stat info{};
    REQUIRE(::stat(path.c_str(), &info) == 0);
    CHECK((info.st_mode & 0777) == 0600);
    std::string line;
    std::getline(std::ifstream(path), line);
    CHECK(line == **made);
    CHECK(auth.login("admin", **made, "test"));
    const auto again = auth.make_first_admin(path);
    REQUIRE(again);
    CHECK_FALSE(*again);
}

TEST_CASE("sweeping erases expired sessions and old idempotency keys only") {
    ApiFixture api;
    api.make_group();
    CHECK(api.post("/api/v1/groups", R"({"runtime":"demo","name":"second"})", {{"Idempotency-Key", "k"}}).status == 201);
    SystemRandom random;
    Auth auth(*api.store, api.clock, random, {.lifetime = std::chrono::hours{1}, .cost = cheapest_password_cost()});
    REQUIRE(auth.sweep());
    CHECK(api.count("SELECT count(*) FROM user_tokens") == 1);
    CHECK(api.count("SELECT count(*) FROM idempotency_keys") == 1);
    api.clock.advance(std::chrono::hours{25});
    REQUIRE(auth.sweep());
    CHECK(api.count("SELECT count(*) FROM user_tokens") == 0);
    CHECK(api.count("SELECT count(*) FROM idempotency_keys") == 0);
}
