// The ledger through the API: sums, and the causes of single fires.
#include <soci/soci.h>
#include <catch2/catch.hpp>

#include "api_fixture.h"
#include "center/ledger_store.h"
#include "center/ledger_watch.h"
#include "center/node_store.h"
#include "center/presence_watch.h"
#include "center/runs_store.h"
#include "cloudtask/core/fake_loop.h"
#include "cloudtask/http/client.h"

using namespace cloudtask;
using namespace cloudtask::center;
using std::chrono::seconds;
using task::RunState;

namespace {

constexpr const char* kNode = "01920000-0000-7000-8000-00000000000a";
constexpr const char* kOther = "01920000-0000-7000-8000-00000000000b";

// A center with a node n1 that has been there since long, and a task `daily` that is due every minute from the start on.
struct LedgerFixture {
    LedgerFixture() {
        api.make_group();
        add_node(kNode, "n1");
        set_present({kNode});
        daily = api.make_task("daily", R"(,"schedules":[{"every":"1m"}])");
    }

    Instant at(int second) const { return start + seconds{second}; }
    void go_to(int second) { api.clock.advance(at(second) - api.clock.now()); }

    void write(const std::function<void(soci::session&)>& body) {
        REQUIRE(api.store->write([&](soci::session& sql) -> Result<> {
            body(sql);
            return {};
        }));
    }

    void add_node(const std::string& id, const std::string& name) {
        NodeRow node;
        node.id = id;
        node.runtime = "demo";
        node.name = name;
        node.token_hash = id;
        node.document = "{}";
        node.registered_at = start - std::chrono::hours{1};
        node.last_seen_at = start;
        write([&](soci::session& sql) { insert_node(sql, node); });
    }

    // Who is registered in ZooKeeper, as the cluster's view and the database have it; who is there has just been heard of.
    void set_present(const std::set<std::string>& ids) {
        std::vector<ring::Member> members;
        for (const auto& id : ids) {
            ring::Member member;
            member.id = member.name = id;
            members.push_back(std::move(member));
        }
        api.set_cluster(members);
        heard_of = ids;
        write([&](soci::session& sql) { note_presence(sql, "demo", ids, api.clock.now()); });
    }

    task::Run run(int second, RunState state, const std::string& reason = {}, std::int64_t attempt = 1) const {
        task::Run run;
        run.fire_time = at(second);
        run.id = task::run_id(daily, *run.fire_time, attempt);
        run.task_id = daily;
        run.task_version = 1;
        run.runtime = "demo";
        run.group = "reports";
        run.task_name = "daily";
        run.attempt = attempt;
        run.state = state;
        run.reason = reason;
        run.node_id = kNode;
        run.node_name = "n1";
        run.incarnation = std::string(kNode) + ".1";
        run.epoch = 7;
        if (state != RunState::skipped && state != RunState::pending && state != RunState::lost) {
            run.started_at = at(second) + Duration{2000};
            run.lateness = Duration{2000};
        }
        if (task::is_terminal(state)) run.ended_at = at(second) + seconds{1};
        return run;
    }
    void put(const task::Run& run) {
        write([&](soci::session& sql) {
            RunWriter writer(sql);
            writer.insert(run);
            if (run.covers_until) writer.set_covers(run);
        });
    }

    Answer ask(const std::string& target) {
        write([&](soci::session& sql) {
            for (const auto& id : heard_of) touch_node(sql, id, api.clock.now());
        });
        return api.get(target);
    }
    json::Document why(Instant when) {
        const auto answer = ask("/api/v1/tasks/" + daily + "/why?at=" + http::encode_component(format_instant(when)));
        INFO(answer.body);
        REQUIRE(answer.status == 200);
        return answer.json();
    }
    json::Document ledger(int from, int to, const std::string& more = {}) {
        const auto answer = ask("/api/v1/ledger?from=" + http::encode_component(format_instant(at(from))) +
                                "&to=" + http::encode_component(format_instant(at(to))) + more);
        INFO(answer.body);
        REQUIRE(answer.status == 200);
        return answer.json();
    }

    ApiFixture api;
    const Instant start = api.clock.now();
    std::string daily;
    std::set<std::string> heard_of;
};

std::string text(const json::Value& value, const char* name) {
    return value.HasMember(name) && value[name].IsString() ? value[name].GetString() : "";
}
std::int64_t count(const json::Document& ledger, const char* verdict) { return ledger["counts"][verdict].GetInt64(); }

}  // namespace

TEST_CASE("why: each cause is told by its name, with who, when and which run", "[ledger]") {
    LedgerFixture f;
    auto late = f.run(120, RunState::succeeded);
    late.lateness = seconds{3};
    auto long_one = f.run(180, RunState::succeeded);
    long_one.ended_at = f.at(250);
    auto lost = f.run(420, RunState::lost, "node n1 lost at 00:07:05");
    for (const auto& run :
         {f.run(60, RunState::failed), late, long_one, f.run(240, RunState::skipped, "overlap: the run before it is still going"),
          f.run(300, RunState::skipped, "misfire: 40s late, tolerance 10s; the policy is to skip"), lost,
          f.run(480, RunState::lost, "its node went away"), f.run(480, RunState::succeeded, "", 2)}) {
        f.put(run);
    }
    f.write([&](soci::session& sql) {
        auto told = lost;
        told.state = RunState::succeeded;
        json::Writer run;
        run.begin_object().member("id", told.id).member("state", "SUCCEEDED").end_object();
        RunWriter(sql).set_late_report(lost.id, R"({"kind":"run","run":)" + run.text() + "}");
    });

    SECTION("it ran") {
        const auto why = f.why(f.at(60));
        CHECK(text(why, "cause") == "ran");
        CHECK(text(why, "verdict") == "ran");
        CHECK(why["due"].GetBool());
        const std::string sentence = text(why, "sentence");
        for (const char* part : {"node n1", "epoch 7", "attempt 1", "2ms", "FAILED"}) {
            INFO(sentence << " lacks " << part);
            CHECK(sentence.find(part) != std::string::npos);
        }
        CHECK(why["runs"].Size() == 1);
    }
    SECTION("it ran late") { CHECK(text(f.why(f.at(120)), "cause") == "ran_late"); }
    SECTION("it is no fire time") {
        const auto why = f.why(f.at(90));
        CHECK(text(why, "cause") == "not_a_fire_time");
        CHECK(text(why, "before") == format_instant(f.at(60)));
        CHECK(text(why, "after") == format_instant(f.at(120)));
        CHECK_FALSE(why["due"].GetBool());
        CHECK_FALSE(why.HasMember("verdict"));
    }
    SECTION("overlap, with which run") {
        const auto why = f.why(f.at(240));
        CHECK(text(why, "cause") == "overlap");
        CHECK(text(why["other_run"], "id") == long_one.id);
    }
    SECTION("it came too late, and a node was there") { CHECK(text(f.why(f.at(300)), "cause") == "misfire_too_late"); }
    SECTION("no node was there") {
        f.go_to(340);
        f.write([&](soci::session& sql) { touch_node(sql, kNode, f.at(330)); });
        f.set_present({});
        f.go_to(400);
        f.set_present({kNode});
        f.put(f.run(360, RunState::skipped, "misfire: 40s late, tolerance 10s; the policy is to skip"));
        const auto why = f.why(f.at(360));
        CHECK(text(why, "cause") == "misfire_no_node");
        CHECK(text(why, "since") == format_instant(f.at(330)));
    }
    SECTION("lost, with its incarnation and what came later") {
        const auto why = f.why(f.at(420));
        CHECK(text(why, "cause") == "lost");
        CHECK(text(why, "sentence").find(lost.incarnation) != std::string::npos);
        CHECK(text(why, "sentence").find("came later") != std::string::npos);
        CHECK(text(why["runs"][0]["late_report"], "state") == "SUCCEEDED");
        CHECK(text(why["runs"][0], "state") == "LOST");
    }
    SECTION("lost, and run again") {
        const auto why = f.why(f.at(480));
        CHECK(text(why, "cause") == "ran");
        CHECK(text(why, "sentence").find("Attempt 1 is LOST") != std::string::npos);
        REQUIRE(why["runs"].Size() == 2);
        CHECK(why["runs"][1]["attempt"].GetInt64() == 2);
        CHECK_FALSE(why["runs"][1].HasMember("late_report"));
    }
    SECTION("disabled, by whom and when") {
        f.go_to(500);
        REQUIRE(f.api.post("/api/v1/tasks/" + f.daily + "/disable").status == 200);
        f.go_to(510);
        const auto edited = f.api.put("/api/v1/tasks/" + f.daily, "2",
                                      task_definition("daily", R"(,"enabled":false,"schedules":[{"every":"1m"}],"description":"x")"));
        REQUIRE(edited.status == 200);
        f.go_to(5000);
        auto why = f.why(f.at(540));
        CHECK(text(why, "cause") == "disabled");
        CHECK(text(why, "by") == "root");
        CHECK(text(why, "since") == format_instant(f.at(500)));
        CHECK(text(f.why(f.at(4980)), "since") == format_instant(f.at(500)));
        CHECK(text(f.why(f.at(570)), "cause") == "not_a_fire_time");
        // The node had taken the fire already.
        f.put(f.run(540, RunState::skipped, "disabled: the task was disabled before the fire was due"));
        why = f.why(f.at(540));
        CHECK(text(why, "cause") == "disabled");
        CHECK(text(why, "since") == format_instant(f.at(500)));
    }
    SECTION("deleted, by whom and when") {
        f.go_to(800);
        REQUIRE(f.api.erase("/api/v1/tasks/" + f.daily).status == 204);
        const auto why = f.why(f.at(840));
        CHECK(text(why, "cause") == "deleted");
        CHECK(text(why, "by") == "root");
        CHECK(text(why, "since") == format_instant(f.at(800)));
        CHECK(text(f.why(f.at(60)), "cause") == "ran");
    }
    SECTION("not made yet") {
        const auto why = f.why(f.at(-60));
        CHECK(text(why, "cause") == "not_created");
        CHECK(text(why, "by") == "root");
        CHECK(text(why, "since") == format_instant(f.start));
    }
    SECTION("unexplained") {
        f.go_to(700);
        CHECK(text(f.why(f.at(540)), "cause") == "unexplained");
        CHECK(text(f.why(f.at(540)), "verdict") == "unexplained");
    }
    SECTION("still going, waiting, coming") {
        f.put(f.run(600, RunState::running));
        f.put(f.run(660, RunState::pending));
        CHECK(text(f.why(f.at(600)), "cause") == "running");
        CHECK(text(f.why(f.at(660)), "cause") == "pending");
        CHECK(text(f.why(f.at(6000)), "cause") == "future");
        f.go_to(730);
        CHECK(text(f.why(f.at(720)), "cause") == "not_yet");
    }
    SECTION("waiting on a node that is away") {
        f.put(f.run(660, RunState::pending, "overlap: it waits for the run before it"));
        f.go_to(700);
        f.set_present({});
        f.go_to(2000);
        const auto why = f.why(f.at(660));
        CHECK(text(why, "verdict") == "pending");
        CHECK(text(why, "sentence").find("it waits for the run before it. That node is away since") != std::string::npos);
    }
    SECTION("a node that is offline may know") {
        f.go_to(545);
        f.write([&](soci::session& sql) { touch_node(sql, kNode, f.at(535)); });
        f.add_node(kOther, "n2");
        f.set_present({kOther});
        f.go_to(2000);
        CHECK(text(f.why(f.at(540)), "cause") == "awaited");
        CHECK(text(f.why(f.at(540)), "sentence").find("n1") != std::string::npos);
        CHECK(text(f.why(f.at(1200)), "cause") == "unexplained");
        // Whoever is deleted is not waited for.
        f.write([&](soci::session& sql) { erase_node(sql, kNode); });
        CHECK(text(f.why(f.at(540)), "cause") == "unexplained");
    }
    SECTION("told by an entry that covers it") {
        auto cut = f.run(540, RunState::skipped, "misfire: 2h late; and all further ones");
        cut.covers_until = f.at(700);
        f.put(cut);
        f.go_to(2000);
        CHECK(text(f.why(f.at(600)), "cause") == "misfire_too_late");
        CHECK(text(f.why(f.at(720)), "cause") == "unexplained");
    }
    SECTION("the definition was changed around that time") {
        f.go_to(725);
        const auto edited = f.api.put("/api/v1/tasks/" + f.daily, "1", task_definition("daily", R"(,"schedules":[{"every":"7m"}])"));
        REQUIRE(edited.status == 200);
        f.go_to(2000);
        CHECK(text(f.why(f.at(720)), "cause") == "unexplained");  // nodes account for it
    }
    SECTION("an older version went on beyond the change") {
        f.go_to(655);
        const auto edited = f.api.put("/api/v1/tasks/" + f.daily, "1", task_definition("daily", R"(,"schedules":[{"every":"2m"}])"));
        REQUIRE(edited.status == 200);
        f.put(f.run(900, RunState::succeeded));
        f.go_to(2000);
        const auto why = f.why(f.at(840));
        CHECK(text(why, "cause") == "changed");
        CHECK(text(why, "by") == "root");
        CHECK(text(why, "since") == format_instant(f.at(655)));
    }
    SECTION("its schedule was disabled") {
        const auto edited = f.api.put("/api/v1/tasks/" + f.daily, "1",
                                      task_definition("daily", R"(,"schedules":[{"every":"1m","enabled":false},{"every":"7m"}])"));
        REQUIRE(edited.status == 200);
        f.go_to(2000);
        CHECK(text(f.why(f.at(1080)), "cause") == "schedule_disabled");
    }
}

TEST_CASE("why: questions that cannot be answered", "[ledger]") {
    LedgerFixture f;
    const std::string path = "/api/v1/tasks/" + f.daily + "/why";
    CHECK(f.api.get(path).status == 400);
    CHECK(f.api.get(path + "?at=noon").status == 400);
    CHECK(f.api.get(path + "?at=2030-01-01T00:00:00Z&on=monday").status == 400);
    CHECK(f.api.get("/api/v1/tasks/01920000-0000-7000-8000-0000000000ff/why?at=2030-01-01T00:00:00Z").status == 404);
}

TEST_CASE("the ledger sums up, and names the fire of a row that is gone", "[ledger]") {
    LedgerFixture f;
    const std::string quiet = f.api.make_task("quiet", R"(,"enabled":false,"schedules":[{"every":"1m"}])");
    for (int minute = 1; minute <= 30; ++minute) {
        auto run = f.run(60 * minute, minute == 5 ? RunState::skipped : RunState::succeeded, minute == 5 ? "overlap: x" : "");
        if (minute == 7) run.lateness = seconds{2};
        f.put(run);
    }
    f.put(f.run(95, RunState::succeeded));
    f.go_to(1810 + 70);
    auto ledger = f.ledger(0, 1801);
    CHECK(ledger["due"].GetInt64() == 30);
    CHECK(count(ledger, "ran") == 28);
    CHECK(count(ledger, "late") == 1);
    CHECK(count(ledger, "skipped") == 1);
    CHECK(count(ledger, "unexplained") == 0);
    CHECK(ledger["unexpected"].GetInt64() == 1);
    CHECK(text(ledger["unexpected_fires"][0], "fire_time") == format_instant(f.at(95)));
    CHECK(ledger["task_count"].GetInt64() == 1);
    REQUIRE(ledger["reasons"].Size() == 1);
    CHECK(text(ledger["reasons"][0], "reason") == "overlap");
    // [from, to)
    CHECK(f.ledger(60, 120)["due"].GetInt64() == 1);
    CHECK(count(f.ledger(0, 1801, "&late=3s"), "late") == 0);

    const std::string gone = task::run_id(f.daily, f.at(600), 1);
    f.write([&](soci::session& sql) { sql << "DELETE FROM runs WHERE id = :id", soci::use(gone); });
    for (const std::string& scope : {std::string(), "&task=" + f.daily, std::string("&runtime=demo"), std::string("&group=reports")}) {
        ledger = f.ledger(0, 1801, scope);
        INFO(scope);
        CHECK(count(ledger, "unexplained") == 1);
        REQUIRE(ledger["unexplained_fires"].Size() == 1);
        CHECK(text(ledger["unexplained_fires"][0], "fire_time") == format_instant(f.at(600)));
        CHECK(text(ledger["unexplained_fires"][0], "task_name") == "daily");
    }
    for (const std::string& scope : {"&task=" + quiet, std::string("&runtime=other"), std::string("&group=other")}) {
        CHECK(f.ledger(0, 1801, scope)["due"].GetInt64() == 0);
    }
    // A task that is gone still owes what it owed.
    REQUIRE(f.api.erase("/api/v1/tasks/" + f.daily).status == 204);
    ledger = f.ledger(0, 1801);
    CHECK(ledger["due"].GetInt64() == 30);
    CHECK(count(ledger, "unexplained") == 1);
    CHECK(ledger["tasks"][0]["deleted"].GetBool());
    CHECK(f.ledger(0, 1801, "&group=other")["due"].GetInt64() == 0);
}

TEST_CASE("the ledger refuses what is too much or makes no sense", "[ledger]") {
    LedgerFixture f;
    const auto status = [&](const std::string& query) { return f.api.get("/api/v1/ledger" + query).status; };
    CHECK(status("") == 400);
    CHECK(status("?from=2030-01-01T00:00:00Z") == 400);
    CHECK(status("?from=2030-01-01T00:00:00Z&to=2030-01-01T00:00:00Z") == 400);
    CHECK(status("?from=2030-01-01T00:00:00Z&to=2031-01-01T00:00:00Z") == 400);
    CHECK(status("?from=2030-01-01T00:00:00Z&to=2030-01-02T00:00:00Z&late=soon") == 400);
    CHECK(status("?from=2030-01-01T00:00:00Z&to=2030-01-02T00:00:00Z&who=me") == 400);
    CHECK(status("?from=2030-01-01T00:00:00Z&to=2030-01-02T00:00:00Z") == 200);
    f.api.make_task("busy", R"(,"schedules":[{"every":"1s"}])");
    const auto answer = f.api.get("/api/v1/ledger?from=2030-01-01T00:00:00Z&to=2030-02-01T00:00:00Z");
    CHECK(answer.status == 422);
    CHECK(answer.body.find("1000000 fires") != std::string::npos);
}

TEST_CASE("a version that cannot be read hides neither the other versions nor the other tasks", "[ledger]") {
    LedgerFixture f;
    const std::string other = f.api.make_task("other", R"(,"schedules":[{"every":"5m"}])");
    f.put(f.run(300, RunState::succeeded));
    f.go_to(330);
    REQUIRE(f.api.put("/api/v1/tasks/" + f.daily, "1", task_definition("daily", R"(,"schedules":[{"every":"2m"}])")).status == 200);
    f.put(f.run(480, RunState::succeeded));
    f.go_to(630);
    REQUIRE(f.api.put("/api/v1/tasks/" + f.daily, "2", task_definition("daily", R"(,"schedules":[{"every":"1m"}])")).status == 200);
    f.write([](soci::session& sql) { sql << "UPDATE task_versions SET document = '{\"name\":' WHERE version = 2"; });
    f.go_to(2000);
    const auto ledger = f.ledger(0, 901);
    REQUIRE(ledger["unreadable"].Size() == 1);
    CHECK(text(ledger["unreadable"][0], "task_id") == f.daily);
    CHECK(ledger["unreadable"][0]["version"].GetInt() == 2);
    CHECK(text(ledger["unreadable"][0], "from") == format_instant(f.at(330)));
    CHECK(text(ledger["unreadable"][0], "to") == format_instant(f.at(630)));
    CHECK_FALSE(text(ledger["unreadable"][0], "problem").empty());
    CHECK(count(ledger, "ran") == 2);                  // also the one of its time
    CHECK(count(ledger, "unexplained") == 4 + 5 + 3);  // versions 1 and 3, and the other task
    CHECK(ledger["unexpected"].GetInt64() == 0);
    CHECK(f.ledger(0, 320)["unreadable"].Empty());
    const auto why = f.why(f.at(420));
    CHECK(text(why, "cause") == "unreadable");
    CHECK(text(why, "since") == format_instant(f.at(330)));
    CHECK(text(f.why(f.at(480)), "cause") == "ran");
    CHECK(text(f.why(f.at(720)), "cause") == "unexplained");
}

TEST_CASE("reports that are still being sent are awaited", "[ledger]") {
    LedgerFixture f;
    f.go_to(3600);
    f.write([&](soci::session& sql) { note_reported(sql, kNode, f.at(1790), f.at(3595)); });
    const auto ledger = f.ledger(0, 3000);
    CHECK(count(ledger, "unexplained") == 29);  // up to 1740
    CHECK(count(ledger, "awaited") == 20);
    // Long after the last of them nothing is under way any more.
    f.go_to(3700);
    CHECK(count(f.ledger(0, 3000), "awaited") == 0);
}

TEST_CASE("what a node says it still has to tell is awaited until it has told it", "[ledger]") {
    LedgerFixture f;
    for (int minute = 1; minute <= 20; ++minute) f.put(f.run(60 * minute, RunState::succeeded));
    f.go_to(1205);
    f.write([&](soci::session& sql) { note_reported(sql, kNode, f.at(1201), f.at(1205)); });
    // The center is away for half an hour; then the node asks for commands, which is no word of its reports.
    f.go_to(3600);
    f.write([](soci::session& sql) { note_pending(sql, kNode, 30); });
    auto ledger = f.ledger(0, 3001);
    CHECK(count(ledger, "ran") == 20);
    CHECK(count(ledger, "awaited") == 30);
    CHECK(count(ledger, "unexplained") == 0);
    CHECK(text(ledger["awaited_fires"][0], "reason") == "node n1");
    // A fire from before what it has told of is not among what it still has.
    const std::string gone = task::run_id(f.daily, f.at(600), 1);
    f.write([&](soci::session& sql) { sql << "DELETE FROM runs WHERE id = :id", soci::use(gone); });
    CHECK(count(f.ledger(0, 3001), "unexplained") == 1);
    f.write([](soci::session& sql) { note_pending(sql, kNode, 0); });
    CHECK(count(f.ledger(0, 3001), "unexplained") == 31);
}

TEST_CASE("the gauge follows the last hour, in steps", "[ledger]") {
    LedgerFixture f;
    for (int minute = 1; minute <= 200; ++minute) {
        if (minute != 100) f.put(f.run(60 * minute, RunState::succeeded));
    }
    f.go_to(120 * 60);
    FakeLoop loop(f.api.clock.now());
    LoopWorker worker(loop);
    Metrics metrics;
    LedgerWatch watch(loop, worker, metrics, {.store = *f.api.store, .cluster = f.api.cluster, .rules = {}, .step_tasks = 1});
    CHECK(metrics.text().find("cloudtask_fires_unexplained Nan") != std::string::npos);
    f.write([&](soci::session& sql) { touch_node(sql, kNode, f.api.clock.now()); });
    watch.start();
    loop.advance(seconds{20});
    CHECK(metrics.text().find("cloudtask_fires_unexplained 1\n") != std::string::npos);
    f.put(f.run(6000, RunState::succeeded));
    loop.advance(seconds{20});
    CHECK(metrics.text().find("cloudtask_fires_unexplained 0\n") != std::string::npos);
}

TEST_CASE("the gauge looks back as far as a task's tolerance reaches", "[ledger]") {
    LedgerFixture f;
    const std::string patient = f.api.make_task("patient", R"(,"misfire_tolerance":"3h","schedules":[{"every":"30m"}])");
    const int now = 5 * 3600;
    for (int minute = 1; minute * 60 <= now; ++minute) f.put(f.run(60 * minute, RunState::succeeded));
    f.go_to(now);
    FakeLoop loop(f.api.clock.now());
    LoopWorker worker(loop);
    Metrics metrics;
    LedgerWatch watch(loop, worker, metrics, {.store = *f.api.store, .cluster = f.api.cluster, .rules = {}});
    f.write([&](soci::session& sql) { touch_node(sql, kNode, f.api.clock.now()); });
    watch.start();
    loop.advance(seconds{20});
    // Those of the second hour, up to a minute before its end: later ones may still be told of, earlier ones have been counted long ago.
    CHECK(metrics.text().find("cloudtask_fires_unexplained 2\n") != std::string::npos);
    CHECK(metrics.text().find("cloudtask_definitions_unreadable 0\n") != std::string::npos);
}

TEST_CASE("who was away is written down, and ZooKeeper's absence too", "[ledger]") {
    LedgerFixture f;
    f.add_node(kOther, "n2");
    FakeLoop loop(f.api.clock.now());
    LoopWorker worker(loop);
    PresenceWatch watch(loop, worker, *f.api.store);
    const auto view_of = [](bool connected, const std::set<std::string>& ids) {
        ClusterView view;
        view.connected = connected;
        view.runtimes["demo"].complete = true;
        for (const auto& id : ids) view.runtimes["demo"].nodes[id];
        return view;
    };
    const auto open = [&] { return f.api.count("SELECT count(*) FROM node_absences WHERE until IS NULL"); };
    watch.on_view(view_of(true, {kNode, kOther}));
    loop.advance(seconds{1});
    CHECK(open() == 0);
    watch.on_view(view_of(true, {kNode}));
    loop.advance(seconds{1});
    CHECK(f.api.count("SELECT count(*) FROM node_absences WHERE until IS NULL AND node_id = '" + std::string(kOther) + "'") == 1);
    watch.on_view(view_of(false, {}));
    loop.advance(seconds{40});
    CHECK(open() == 2);
    watch.on_view(view_of(true, {kNode, kOther}));
    loop.advance(seconds{1});
    CHECK(open() == 0);
    CHECK(f.api.count("SELECT count(*) FROM node_absences") == 2);
    ClusterView cordoned = view_of(true, {kNode, kOther});
    cordoned.runtimes["demo"].nodes[kOther].leaving = true;
    watch.on_view(cordoned);
    loop.advance(seconds{1});
    CHECK(f.api.count("SELECT count(*) FROM node_absences WHERE until IS NULL AND node_id = '" + std::string(kOther) + "'") == 1);
}
