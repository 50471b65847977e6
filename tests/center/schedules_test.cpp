// Schedules beside their tasks: preview, rules that came to their end, forecast and spread, a change of tzdata.
#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <map>

#include <soci/soci.h>
#include <catch2/catch.hpp>

#include "api_fixture.h"
#include "center/spread.h"
#include "center/task_store.h"
#include "center/tzdata_check.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/tzdata.h"
#include "tests/support/sanitized.h"

using namespace cloudtask;
using namespace cloudtask::center;
using std::chrono::hours;
using std::chrono::minutes;
using std::chrono::seconds;

namespace {

Instant moment(const char* text) {
    const auto parsed = parse_instant(text);
    REQUIRE(parsed);
    return *parsed;
}

// A task in the database, without the cost of a request.
void insert(ApiFixture& api, const std::string& group, const std::string& first, int count, const std::string& schedules) {
    REQUIRE(api.store->write([&](soci::session& sql) -> Result<> {
        for (int i = 0; i < count; ++i) {
            const std::string name = first + "-" + std::to_string(i);
            Faults faults;
            auto task = task::read_task_input(*json::parse(task_definition(name, R"(,"schedules":)" + schedules)), faults);
            REQUIRE(task);
            task->id = fmt::format("00000000-0000-7000-8000-{:012x}", std::hash<std::string>{}(name) % 0xFFFFFFFFFFFF);
            task->created_at = task->updated_at = task->effective_from = api.clock.now();
            task->revision = task->created_revision = task->effective_revision = next_revision(sql);
            insert_task(sql, *task, group, {"test"});
        }
        return {};
    }));
}

std::int64_t fires_at(const json::Document& answer, const char* name) { return answer[name]["fires"].GetInt64(); }

// TZDIR is what this says for as long as the object is there.
class ZoneFolder {
  public:
    ZoneFolder() {
        if (const char* chosen = std::getenv("TZDIR")) before_ = chosen;
        system_ = task::zoneinfo_folder();
        ::setenv("TZDIR", folder_.path().c_str(), 1);
    }
    ~ZoneFolder() { before_ ? ::setenv("TZDIR", before_->c_str(), 1) : ::unsetenv("TZDIR"); }

    void put(const std::string& name, const std::string& zone_of_the_system) {
        const std::filesystem::path path = folder_.file(name);
        std::filesystem::create_directories(path.parent_path());
        std::filesystem::copy_file(system_ + "/" + zone_of_the_system, path, std::filesystem::copy_options::overwrite_existing);
    }
    void version(const std::string& text) { std::ofstream(folder_.file("tzdata.zi")) << "# version " << text << "\n"; }

  private:
    TemporaryFolder folder_;
    std::optional<std::string> before_;
    std::string system_;
};

}  // namespace

TEST_CASE("preview: the next fires, what the clocks do to them, and the rule in words", "[schedules]") {
    ApiFixture api;
    const auto answer =
        api.post("/api/v1/schedules/preview",
                 R"({"schedule": {"cron": "30 2 * * *", "zone": "Europe/Berlin"}, "after": "2030-03-30T00:00:00Z", "count": 3})");
    REQUIRE(answer.status == 200);
    const auto body = answer.json();
    CHECK(std::string(body["words"]["en"][0].GetString()) == "at 02:30 every day, Berlin time");
    CHECK(std::string(body["words"]["zh"][0].GetString()) == "柏林时间每天 02:30");
    CHECK(body.HasMember("tzdata"));
    const auto& list = body["fires"];
    REQUIRE(list.Size() == 3);
    CHECK(member_text(list[0], "local") == "2030-03-30T02:30:00");
    CHECK(member_text(list[0], "offset") == "+01:00");
    CHECK(member_text(list[0], "abbreviation") == "CET");
    CHECK(member_text(list[0], "clock_change") == "none");
    CHECK(member_text(list[1], "at") == "2030-03-31T01:00:00Z");
    CHECK(member_text(list[1], "local") == "2030-03-31T03:00:00");
    CHECK(member_text(list[1], "clock_change") == "moved");
    CHECK(member_text(list[1], "abbreviation") == "CEST");
}

TEST_CASE("preview: several schedules are merged; jitter and H are those of the task", "[schedules]") {
    ApiFixture api;
    const auto both = api.post("/api/v1/schedules/preview",
                               R"({"schedules": [{"cron": "0 9 * * *"}, {"cron": "0 9,12 * * *"}, {"manual": true}], "count": 3})");
    REQUIRE(both.status == 200);
    const auto merged = both.json();
    REQUIRE(merged["fires"].Size() == 3);
    CHECK(member_text(merged["fires"][0], "at") == "2030-01-01T09:00:00Z");
    CHECK(member_text(merged["fires"][1], "at") == "2030-01-01T12:00:00Z");
    CHECK(member_text(merged["fires"][1], "schedule") == "1");
    CHECK(merged["words"]["en"].Size() == 3);

    const std::string one = R"({"schedule": {"cron": "0 0 * * *", "jitter": "1h"}, "count": 1, "task_id": ")";
    const auto first = api.post("/api/v1/schedules/preview", one + "a\"}").json();
    const auto second = api.post("/api/v1/schedules/preview", one + "b\"}").json();
    CHECK(member_text(first["fires"][0], "at") != member_text(second["fires"][0], "at"));
    CHECK(member_text(first["fires"][0], "nominal") == "2030-01-01T00:00:00Z");
}

TEST_CASE("preview: faults are those of saving, and bounds hold", "[schedules]") {
    ApiFixture api;
    const auto faulty = api.post("/api/v1/schedules/preview", R"({"schedules": [{"cron": "61 * * * *"}], "count": 1001})");
    CHECK(faulty.status == 422);
    CHECK(faulty.body.find("/schedules/0/cron") != std::string::npos);
    CHECK(faulty.body.find("/count") != std::string::npos);
    CHECK(api.post("/api/v1/schedules/preview", "{}").status == 422);
    CHECK(api.post("/api/v1/schedules/preview", R"({"schedule": {"cron": "0 9 * * *"}, "after": "soon"})").status == 422);
    CHECK(api.call("POST", "/api/v1/schedules/preview", "{}", {{"Authorization", ""}}).status == 401);
    const auto many = api.post("/api/v1/schedules/preview", R"({"schedule": {"cron": "* * * * * *"}, "count": 1000})");
    REQUIRE(many.status == 200);
    CHECK(many.json()["fires"].Size() == 1000);
}

TEST_CASE("a rule without a fire left is refused, unless it was there before", "[schedules]") {
    ApiFixture api;
    api.make_group();
    const auto definition = task_definition("past", R"(,"schedules":[{"cron":"0 9 * * *"},{"at":"2029-12-24T18:00:00Z"}])");
    const auto past = api.post("/api/v1/tasks", definition);
    CHECK(past.status == 422);
    CHECK(past.body.find("/schedules/1") != std::string::npos);
    CHECK(past.body.find("no fire left") != std::string::npos);
    // As an export has it.
    CHECK(api.post("/api/v1/tasks?allow_ended=perhaps", definition).status == 400);
    CHECK(api.post("/api/v1/tasks?allow_ended=false", definition).status == 422);
    CHECK(api.post("/api/v1/tasks?allow_ended=true&dry_run=true", definition).status == 201);
    CHECK(
        api.post("/api/v1/tasks", task_definition("ended", R"(,"schedules":[{"cron":"0 9 * * *","end":"2029-12-31T00:00:00Z"}])")).status ==
        422);
    CHECK(api.post("/api/v1/tasks", task_definition("by-hand", R"(,"schedules":[{"manual":true}])")).status == 201);

    const std::string schedules = R"(,"schedules":[{"at":"2030-01-01T01:00:00Z"}])";
    const std::string id = api.make_task("soon", schedules);
    api.clock.advance(hours{2});
    // It has come to its end, and something else changes.
    CHECK(api.put("/api/v1/tasks/" + id, "1", task_definition("soon", schedules + R"(,"description":"over")")).status == 200);
    CHECK(api.put("/api/v1/tasks/" + id, "2", task_definition("soon", R"(,"schedules":[{"at":"2030-01-01T01:30:00Z"}])")).status == 422);
}

TEST_CASE("forecast: fires by minute, and the fullest second", "[schedules]") {
    ApiFixture api;
    const std::string group = api.make_group();
    insert(api, group, "midnight", 40, R"([{"cron":"0 0 * * *"}])");
    insert(api, group, "hourly", 3, R"([{"every":"1h"}])");
    insert(api, group, "second", 2, R"([{"cron":"* * * * * *"}])");
    insert(api, group, "off", 5, R"([{"cron":"0 0 * * *","enabled":false}])");
    const auto answer = api.get("/api/v1/runtimes/demo/forecast?from=2030-01-01T12:00:30Z");
    REQUIRE(answer.status == 200);
    const auto body = answer.json();
    CHECK(member_text(body, "from") == "2030-01-01T12:00:00Z");
    CHECK(member_text(body, "fires") == std::to_string(40 + 3 * 24 + 2 * 86'400));
    CHECK(member_text(body, "tasks") == "50");
    REQUIRE(body["minutes"].Size() == 1440);
    CHECK(body["minutes"][0].GetInt64() == 123);
    CHECK(body["minutes"][1].GetInt64() == 120);
    CHECK(fires_at(body, "peak_second") == 45);
    CHECK(member_text(body["peak_second"], "at") == "2030-01-02T00:00:00Z");
    CHECK(fires_at(body, "peak_minute") == 163);
    CHECK(api.get("/api/v1/runtimes/none/forecast").status == 404);
    CHECK(api.get("/api/v1/runtimes/demo/forecast?hours=0").status == 400);
}

TEST_CASE("spread: thousands of midnight tasks, the proposal accepted, the peak falls", "[schedules]") {
    constexpr unsigned kTasks = kSanitized ? 1000 : 5000;
    ApiFixture api;
    const std::string group = api.make_group();
    insert(api, group, "midnight", kTasks, R"([{"cron":"0 0 * * *"}])");
    insert(api, group, "once", 30, R"([{"at":"2030-01-01T00:00:00Z"}])");
    const auto answer = api.get("/api/v1/runtimes/demo/spread?max_jitter=5min");
    REQUIRE(answer.status == 200);
    const auto body = answer.json();
    const auto peak = [](const json::Value& sums) { return sums["peak_second"]["fires"].GetInt64(); };
    CHECK(peak(body["before"]) == kTasks + 30);
    // 5,000 fires (under a sanitizer, fewer) in 300 seconds and 30 of an instant of their own: 17 a second if they were even, and they are
    // random.
    CHECK(peak(body["after"]) < 100);
    CHECK(peak(body["after"]) >= 30);
    REQUIRE(body["proposals"].Size() == kTasks);
    const std::string jitter = member_text(body["proposals"][0], "jitter");
    CHECK(jitter == (kSanitized ? "2min" : "5min"));  // no more than makes them even
    CHECK(member_text(body["proposals"][0], "schedule") == "0");

    // Some of them accepted: what is shown for them is what they do.
    REQUIRE(api.store->write([&](soci::session& sql) -> Result<> {
        sql << "UPDATE tasks SET document = json_set(document, '$.schedules[0].jitter', :jitter) WHERE name LIKE 'midnight-%'",
            soci::use(jitter);
        return {};
    }));
    const auto spread = api.get("/api/v1/runtimes/demo/forecast").json();
    CHECK(fires_at(spread, "peak_second") == peak(body["after"]));
    CHECK(member_text(spread, "fires") == std::to_string(kTasks + 30));
    CHECK(api.get("/api/v1/runtimes/demo/spread?max_jitter=5min&target=100").json()["proposals"].Empty());
}

TEST_CASE("spread: a jitter is no more than half the time between a schedule's own fires", "[schedules]") {
    ScheduleLoad load(moment("2030-01-01T00:00:00Z"), hours{1});
    for (int i = 0; i < 1000; ++i) REQUIRE(load.add({std::to_string(i), "g", "n", 1}, R"({"schedules":[{"every":"1min"}]})"));
    for (int i = 0; i < 100; ++i) REQUIRE(load.add({"s" + std::to_string(i), "g", "n", 1}, R"({"schedules":[{"every":"1s"}]})"));
    REQUIRE(load.finish());
    CHECK(load.counts().peak_second().fires == 1100);
    const auto spread = propose_spread(load, {.max_jitter = minutes{5}, .target = 10});
    REQUIRE(spread);
    REQUIRE(spread->proposals.size() == 1000);
    CHECK(spread->proposals[0].jitter == seconds{30});
    CHECK(spread->after.peak_second().fires < 200);
    CHECK(spread->after.total() <= load.counts().total());

    ScheduleLoad late(moment("2030-01-01T00:00:00Z"), hours{24}, [] { return true; });
    const auto added = late.add({"a", "g", "n", 1}, R"({"schedules":[{"every":"1s"}]})");
    REQUIRE_FALSE(added);
    CHECK(added.error().is(Errc::timeout));
}

TEST_CASE("forecast: a fire counts for each shard, and for each node that a broadcast is for", "[schedules]") {
    const auto node = [](const std::string& name, const std::string& zone) {
        return ring::Member{.id = name, .incarnation = name + ".1", .name = name, .labels = {{"zone", zone}}};
    };
    for (const auto& [more, runs] :
         std::initializer_list<std::pair<std::string, std::int64_t>>{{"", 1},
                                                                     {R"("mode":"shards","shards":8,)", 8},
                                                                     {R"("mode":"broadcast",)", 3},
                                                                     {R"("mode":"broadcast","labels":{"zone":"west"},)", 2},
                                                                     {R"("mode":"broadcast","targets":["n1"],)", 1}}) {
        INFO(more);
        ScheduleLoad load(moment("2030-01-01T00:00:00Z"), hours{1}, {}, {node("n1", "east"), node("n2", "west"), node("n3", "west")});
        REQUIRE(load.add({"a", "g", "n", 1}, "{" + more + R"("schedules":[{"every":"30min"},{"cron":"H * * * *"}]})"));
        REQUIRE(load.finish());
        CHECK(load.counts().total() == 3 * runs);
        CHECK(load.entries().size() == (more.empty() ? 1 : 0));  // others are not spread
    }
}

TEST_CASE("tzdata: a change between two looks lists the tasks that fire at other times", "[schedules]") {
    ZoneFolder zones;
    // Names that no other test has asked for: cctz remembers what it did not find.
    zones.put("Moon/Camp", "Europe/Berlin");
    zones.put("Moon/Dome", "Asia/Tokyo");
    zones.version("2030a");
    ApiFixture api;
    api.make_group();
    const std::string id = api.make_task("base", R"(,"schedules":[{"cron":"0 9 * * *","zone":"Moon/Camp"}],"notify":["ada@example.org"])");
    api.make_task("dome", R"(,"schedules":[{"cron":"0 9 * * *","zone":"Moon/Dome"}])");
    api.make_task("every", R"(,"schedules":[{"every":"1h","zone":"Moon/Camp"}])");
    const TzdataParts parts{.store = *api.store, .folder = api.folder.file("zones"), .mail = {}, .loaded = "2030a"};
    const auto first = TzdataCheck{parts}.look(api.clock.now());
    REQUIRE(first);
    CHECK_FALSE(first->changed);
    CHECK_FALSE(TzdataCheck{parts}.look(api.clock.now())->changed);
    CHECK(api.get("/api/v1/tzdata").text("restart_needed") == "false");

    zones.put("Moon/Camp", "Europe/London");
    zones.version("2030b");
    // As after a restart: nothing is remembered but what is on disk.
    TzdataCheck again{parts};
    const auto second = again.look(api.clock.now());
    REQUIRE(second);
    CHECK(second->changed);
    CHECK(second->tasks == 1);
    CHECK(second->mails == 1);
    CHECK(api.count("SELECT count(*) FROM mails") == 1);
    const auto body = api.get("/api/v1/tzdata").json();
    CHECK(member_text(body, "version") == "2030b");
    CHECK(member_text(body, "loaded") == "2030a");
    CHECK(member_text(body, "restart_needed") == "true");
    const auto& change = body["change"];
    CHECK(member_text(change, "from") == "2030a");
    CHECK(member_text(change, "zones") == R"(["Moon/Camp"])");
    REQUIRE(change["tasks"].Size() == 1);
    CHECK(member_text(change["tasks"][0], "task_id") == id);
    CHECK(member_text(change["tasks"][0], "before") == "2030-01-01T08:00:00Z");
    CHECK(member_text(change["tasks"][0], "after") == "2030-01-01T09:00:00Z");
    // Told once; the list stays.
    CHECK_FALSE(again.look(api.clock.now())->changed);
    CHECK(api.get("/api/v1/tzdata").json()["change"]["tasks"].Size() == 1);
    CHECK(api.count("SELECT count(*) FROM mails") == 1);
}
