// Questions that take seconds: one at a time, within bounds, and nobody else waits for them.
#include <algorithm>
#include <atomic>
#include <chrono>
#include <thread>
#include <vector>

#include <soci/soci.h>
#include <catch2/catch.hpp>

#include "api_fixture.h"
#include "center/question_line.h"
#include "cloudtask/core/fake_loop.h"
#include "cloudtask/http/client.h"

using namespace cloudtask;
using namespace cloudtask::center;
using std::chrono::milliseconds;
using std::chrono::seconds;

namespace {

constexpr const char* kLongLedger = "/api/v1/ledger?from=2030-01-01T00:00:00Z&to=2030-03-01T00:00:00Z";

Duration took(const std::function<void()>& what) {
    const auto begun = std::chrono::steady_clock::now();
    what();
    return std::chrono::duration_cast<Duration>(std::chrono::steady_clock::now() - begun);
}

Duration median(std::vector<Duration> times) {
    std::nth_element(times.begin(), times.begin() + static_cast<std::ptrdiff_t>(times.size() / 2), times.end());
    return times[times.size() / 2];
}

}  // namespace

TEST_CASE("questions get their turn one after another; who waits too long is told so", "[questions]") {
    FakeLoop loop(Instant{seconds{1'893'456'000}});
    LoopWorker worker(loop);
    QuestionLine line(worker, loop.clock(), {.most_waiting = 3, .longest_wait = seconds{10}, .longest_answer = seconds{20}});
    std::vector<bool> in_time;
    std::function<bool()> over;
    const auto note = [&](const QuestionLine::Turn& turn) {
        in_time.push_back(turn.in_time);
        over = turn.over;
    };
    for (int i = 0; i < 3; ++i) REQUIRE(line.enter(note));
    CHECK_FALSE(line.enter(note));  // it would be the fourth
    loop.advance(Duration{1});
    CHECK(in_time == std::vector<bool>{true, true, true});
    REQUIRE(over);
    CHECK_FALSE(over());
    loop.advance(seconds{21});
    CHECK(over());
    // Places are free again.
    REQUIRE(line.enter(note));
    line.close();
    loop.advance(Duration{1});
    CHECK(in_time.back() == false);
    CHECK(over());
}

TEST_CASE("nobody waits for those who ask for a quarter of seconds", "[questions]") {
    ApiFixture api;
    api.make_group();
    api.make_user("eva", "viewer", "a good password");
    const std::string task = api.make_task("busy", R"(,"schedules":[{"cron":"* * * * * *"}])");
    for (int i = 0; i < 10; ++i)
        api.make_task("more-" + std::to_string(i), R"(,"schedules":[{"cron":"* * * * * *","zone":"Europe/Berlin"}])");
    std::atomic<int> answered{0};
    std::vector<Answer> answers(4);
    std::vector<std::thread> askers;
    for (auto& answer : answers) {
        askers.emplace_back([&] {
            answer = api.get(kLongLedger);
            ++answered;
        });
    }
    std::vector<Duration> health, login, list;
    for (int round = 0; round < 15; ++round) {
        health.push_back(took([&] { CHECK(api.get("/healthz").status == 200); }));
        login.push_back(took([&] { CHECK(api.post("/api/v1/login", R"({"name":"eva","password":"a good password"})").status == 200); }));
        list.push_back(took([&] { CHECK(api.get("/api/v1/tasks").status == 200); }));
    }
    CHECK(answered == 0);  // or there was nothing to wait for
    CHECK(median(health) < milliseconds{100});
    CHECK(median(login) < milliseconds{100});
    CHECK(median(list) < milliseconds{100});
    // The one whose turn it is has used up its time, the others have waited too long.
    while (answered < 4) {
        api.clock.advance(seconds{30});
        std::this_thread::yield();
    }
    for (auto& asker : askers) asker.join();
    int too_long = 0, not_begun = 0;
    for (const auto& answer : answers) {
        INFO(answer.body);
        if (answer.status == 422) {
            ++too_long;
            CHECK(answer.body.find("ask for less") != std::string::npos);
        } else {
            CHECK(answer.status == 503);
            CHECK(answer.headers.count("retry-after") == 1);
            ++not_begun;
        }
    }
    CHECK(too_long >= 1);
    CHECK(not_begun >= 1);
}

TEST_CASE("why looks back over millions of fires without walking them", "[questions]") {
    ApiFixture api;
    api.make_group();
    // Every second, and only in January: in December the fire before is eleven months back.
    const std::string task = api.make_task("january", R"(,"schedules":[{"cron":"* * * * 1 *"}])");
    Answer answer;
    const Duration time = took([&] { answer = api.get("/api/v1/tasks/" + task + "/why?at=2031-12-15T12:00:00.5Z"); });
    REQUIRE(answer.status == 200);
    CHECK(answer.text("cause") == "not_a_fire_time");
    CHECK(answer.text("before") == "2031-01-31T23:59:59Z");
    CHECK(answer.text("after") == "2032-01-01T00:00:00Z");
    // A walk over the 2,678,400 fires takes several seconds.
    CHECK(time < seconds{1});
}

TEST_CASE("a statement ends when its time is up", "[questions]") {
    TemporaryFolder folder;
    auto store = Store::open(folder.file("center.db"));
    REQUIRE(store);
    int asked = 0;
    const auto endless = [](soci::session& sql) -> Result<> {
        long long rows = 0;
        sql << "WITH RECURSIVE n(i) AS (SELECT 1 UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n", soci::into(rows);
        return {};
    };
    const auto ended = (*store)->read(endless, [&asked] { return ++asked > 100; });
    REQUIRE_FALSE(ended);
    CHECK(ended.error().is(Errc::timeout));
    // The connection is as good as before.
    CHECK((*store)->check());
}

TEST_CASE("plans and counts of tasks read an index and no documents", "[questions]") {
    TemporaryFolder folder;
    auto store = Store::open(folder.file("center.db"));
    REQUIRE(store);
    for (const char* query : {"SELECT id, placement FROM tasks WHERE runtime = 'demo' AND enabled = 1",
                              "SELECT id, group_name, name, placement FROM tasks WHERE runtime = 'demo' AND enabled = 1 ORDER BY id"}) {
        REQUIRE((*store)->read([&](soci::session& sql) -> Result<> {
            int number = 0;
            std::string detail;
            sql << std::string("EXPLAIN QUERY PLAN ") + query, soci::into(number), soci::into(number), soci::into(number),
                soci::into(detail);
            CHECK(detail == "SEARCH tasks USING COVERING INDEX tasks_placed (runtime=?)");
            return {};
        }));
    }
}
