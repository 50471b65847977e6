// List queries, cursors, and pages found by key.
#include "center/listing.h"

#include <catch2/catch.hpp>

#include "api_fixture.h"
#include "cloudtask/core/hash.h"

using namespace cloudtask;
using namespace cloudtask::center;

namespace {

const ListSpec kSpec{
    .id_column = "id", .sort = {{"name", "name"}, {"changed", "changed_at", true}}, .default_sort = "name", .filters = {"state"}};

std::optional<ListQuery> read(std::map<std::string, std::string> parameters) {
    Faults faults;
    return read_list_query(parameters, kSpec, faults);
}

// All pages of a list, in order.
std::vector<std::string> walk(ApiFixture& api, const std::string& target, const char* member) {
    std::vector<std::string> found;
    std::string cursor;
    for (int page = 0; page < 100; ++page) {
        const auto answer = api.get(target + (cursor.empty() ? "" : "&cursor=" + cursor));
        INFO(answer.body);
        REQUIRE(answer.status == 200);
        const auto document = answer.json();
        for (const auto& item : document["items"].GetArray()) found.emplace_back(item[member].GetString());
        if (!document.HasMember("next")) return found;
        cursor = document["next"].GetString();
    }
    FAIL("the list does not end");
    return found;
}

}  // namespace

TEST_CASE("defaults, sort and filters of a list query") {
    const auto plain = read({});
    REQUIRE(plain);
    CHECK(plain->limit == 50);
    CHECK(plain->sort.column == "name");
    CHECK_FALSE(plain->descending);
    const auto query = read({{"limit", "200"}, {"sort", "-changed"}, {"state", "on"}});
    REQUIRE(query);
    CHECK(query->limit == 200);
    CHECK(query->descending);
    CHECK(query->sort.column == "changed_at");
    CHECK(*query->filter("state") == "on");
    CHECK(query->filter("other") == nullptr);
}

TEST_CASE("every fault of a list query is told") {
    Faults faults;
    CHECK_FALSE(read_list_query({{"limit", "0"}, {"sort", "password_hash"}, {"color", "red"}, {"cursor", "?"}}, kSpec, faults));
    CHECK(faults.list().size() == 4);
    for (const char* limit : {"201", "-1", "", "ten", "1e2", "99999999999999999999"}) CHECK_FALSE(read({{"limit", limit}}));
}

TEST_CASE("a cursor comes back as it was, and only for the same order") {
    const auto query = read({{"sort", "-changed"}});
    REQUIRE(query);
    const auto cursor = make_cursor(*query, {"123", "some id"});
    const auto back = read({{"sort", "-changed"}, {"cursor", cursor}});
    REQUIRE(back);
    CHECK(back->after->key == "123");
    CHECK(back->after->id == "some id");
    CHECK_FALSE(read({{"sort", "changed"}, {"cursor", cursor}}));
    CHECK_FALSE(read({{"cursor", cursor}}));
    for (const char* forged : {R"(["-changed","1 OR 1=1","x"])", R"(["-changed",1,"x"])", R"({"a":1})", "[]", "[[[["}) {
        CHECK_FALSE(read({{"sort", "-changed"}, {"cursor", to_base64url(forged)}}));
    }
}

TEST_CASE("pages hold every task once, in each order, with every filter") {
    ApiFixture api;
    api.make_group();
    for (int i = 0; i < 25; ++i) {
        api.clock.advance(std::chrono::milliseconds{1 + i % 2});
        api.make_task(fmt::format("{}-{:02}", i % 2 == 0 ? "even" : "odd", (i * 7) % 25), i % 5 == 0 ? R"(,"enabled":false)" : "");
    }
    for (const std::string sort : {"name", "-name", "created_at", "-created_at", "updated_at", "-updated_at"}) {
        auto found = walk(api, "/api/v1/tasks?limit=7&sort=" + sort, "name");
        CHECK(found.size() == 25);
        if (sort == "name") CHECK(std::is_sorted(found.begin(), found.end()));
        if (sort == "-name") CHECK(std::is_sorted(found.rbegin(), found.rend()));
        std::sort(found.begin(), found.end());
        CHECK(std::unique(found.begin(), found.end()) == found.end());
    }
    CHECK(walk(api, "/api/v1/tasks?limit=3&enabled=false", "name").size() == 5);
    CHECK(walk(api, "/api/v1/tasks?limit=3&name=even*", "name").size() == 13);
    CHECK(walk(api, "/api/v1/tasks?limit=3&name=odd-07", "name") == std::vector<std::string>{"odd-07"});
    CHECK(walk(api, "/api/v1/tasks?limit=3&runtime=demo&group=reports", "name").size() == 25);
    CHECK(walk(api, "/api/v1/tasks?limit=3&runtime=other", "name").empty());
}

TEST_CASE("a list with a wrong query is answered 400, which names each parameter") {
    ApiFixture api;
    const auto answer = api.get("/api/v1/tasks?limit=1000&colour=red&enabled=yes");
    CHECK(answer.status == 400);
    CHECK(answer.headers.at("content-type") == "application/problem+json");
    CHECK(answer.body.find("/limit") != std::string::npos);
    CHECK(answer.body.find("/colour") != std::string::npos);
    CHECK(api.get("/api/v1/tasks?enabled=yes").status == 400);
}
