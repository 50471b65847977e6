// Sharded and broadcast tasks at the center: owners, starts by hand, the ledger of each piece, why, and a fire as a whole.
#include <soci/soci.h>
#include <catch2/catch.hpp>

#include "api_fixture.h"
#include "center/fires.h"
#include "center/ledger_store.h"
#include "center/node_store.h"
#include "center/presence_watch.h"
#include "center/runs_store.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/http/client.h"
#include "cloudtask/task/pieces.h"

using namespace cloudtask;
using namespace cloudtask::center;
using std::chrono::seconds;
using task::RunState;

namespace {

const std::vector<std::string> kNodes{"01920000-0000-7000-8000-00000000000a", "01920000-0000-7000-8000-00000000000b",
                                      "01920000-0000-7000-8000-00000000000c"};

// Three nodes n1, n2 and n3, of which n3 is in the zone west; they are there since long.
struct ShardsWorld : ApiFixture {
    ShardsWorld() {
        make_group();
        for (std::size_t i = 0; i < kNodes.size(); ++i) {
            NodeRow node;
            node.id = node.token_hash = kNodes[i];
            node.runtime = "demo";
            node.name = fmt::format("n{}", i + 1);
            node.document = i == 2 ? R"({"labels":{"zone":"west"}})" : "{}";
            node.registered_at = start - std::chrono::hours{1};
            node.last_seen_at = start;
            write([&](soci::session& sql) { insert_node(sql, node); });
        }
        set_present({0, 1, 2});
    }

    Instant at(int second) const { return start + seconds{second}; }
    void write(const std::function<void(soci::session&)>& body) {
        REQUIRE(store->write([&](soci::session& sql) -> Result<> {
            body(sql);
            return {};
        }));
    }
    void set_present(const std::set<std::size_t>& numbers) {
        std::vector<ring::Member> members;
        std::set<std::string> ids;
        for (const auto number : numbers) {
            ring::Member member{.id = kNodes[number], .incarnation = kNodes[number] + ".1", .name = fmt::format("n{}", number + 1)};
            if (number == 2) member.labels = {{"zone", "west"}};
            members.push_back(std::move(member));
            ids.insert(kNodes[number]);
        }
        set_cluster(members);
        write([&](soci::session& sql) { note_presence(sql, "demo", ids, clock.now()); });
    }
    // As the nodes do it.
    task::Run run_of(const std::string& task_id, const std::string& piece, std::optional<std::int64_t> shard, int second, RunState state,
                     std::int64_t attempt = 1, std::size_t node = 0) const {
        task::Run run;
        run.fire_time = at(second);
        run.id = task::run_id(piece.empty() ? task_id : piece, *run.fire_time, attempt);
        run.task_id = task_id;
        run.piece = piece;
        run.shard = shard;
        run.task_version = 1;
        run.runtime = "demo";
        run.group = "reports";
        run.task_name = "t";
        run.attempt = attempt;
        run.state = state;
        if (state == RunState::skipped) run.reason = "overlap: x";
        run.node_id = kNodes[node];
        run.node_name = fmt::format("n{}", node + 1);
        if (state == RunState::succeeded || state == RunState::failed || state == RunState::running) {
            run.started_at = at(second) + Duration{2000};
            run.lateness = Duration{2000};
        }
        if (task::is_terminal(state)) run.ended_at = at(second) + seconds{1};
        return run;
    }
    void put_run(const task::Run& run) {
        write([&](soci::session& sql) { RunWriter(sql).insert(run); });
    }
    void put_shard(const std::string& task_id, std::int64_t shard, int second, RunState state, std::int64_t attempt = 1) {
        put_run(run_of(task_id, task::shard_id(task_id, shard), shard, second, state, attempt, static_cast<std::size_t>(shard % 3)));
    }
    void put_on(const std::string& task_id, std::size_t node, int second, RunState state) {
        put_run(run_of(task_id, task::node_piece_id(task_id, kNodes[node]), {}, second, state, 1, node));
    }
    json::Document ledger(int from, int to) {
        write([&](soci::session& sql) {
            for (const auto& id : kNodes) touch_node(sql, id, clock.now());
        });
        const auto answer = get("/api/v1/ledger?from=" + http::encode_component(format_instant(at(from))) +
                                "&to=" + http::encode_component(format_instant(at(to))));
        INFO(answer.body);
        REQUIRE(answer.status == 200);
        return answer.json();
    }
    json::Document why(const std::string& task_id, int second, const std::string& more = {}) {
        const auto answer = get("/api/v1/tasks/" + task_id + "/why?at=" + http::encode_component(format_instant(at(second))) + more);
        INFO(answer.body);
        REQUIRE(answer.status == 200);
        return answer.json();
    }

    const Instant start = clock.now();
};

constexpr const char* kEveryMinute = R"(,"schedules":[{"every":"1m"}])";
std::int64_t count_of(const json::Document& ledger, const char* verdict) { return ledger["counts"][verdict].GetInt64(); }

WholeFire fire_of(const std::vector<std::pair<int, RunState>>& states, std::int64_t shards) {
    std::vector<task::Run> runs;
    std::map<std::int64_t, std::int64_t> attempts;
    for (const auto& [shard, state] : states) {
        task::Run run;
        run.task_id = kNodes[0];
        run.shard = shard;
        run.piece = task::shard_id(run.task_id, shard);
        run.fire_time = Instant{seconds{100}};
        run.attempt = ++attempts[shard];
        run.state = state;
        runs.push_back(run);
    }
    return whole_fire(std::move(runs), task::Mode::shards, shards, {});
}

}  // namespace

TEST_CASE("a fire as a whole is what its shards are", "[shards]") {
    using enum RunState;
    CHECK((state_of(fire_of({{0, succeeded}, {1, succeeded}}, 2)) == FireState::succeeded));
    CHECK((state_of(fire_of({{0, succeeded}, {1, running}}, 2)) == FireState::running));
    CHECK((state_of(fire_of({{0, succeeded}}, 2)) == FireState::running));  // nobody has told of the other
    CHECK((state_of(fire_of({{0, pending}}, 2)) == FireState::pending));
    CHECK((state_of(fire_of({{0, failed}, {1, running}}, 2)) == FireState::failed));
    CHECK((state_of(fire_of({{0, lost}, {1, succeeded}}, 2)) == FireState::failed));
    CHECK((state_of(fire_of({{0, failed}, {0, succeeded}, {1, succeeded}}, 2)) == FireState::succeeded));  // tried again
    CHECK((state_of(fire_of({{0, failed}, {0, pending}, {1, succeeded}}, 2)) == FireState::running));
    CHECK((state_of(fire_of({{0, failed}, {0, skipped}, {1, succeeded}}, 2)) == FireState::failed));  // given up
    CHECK((state_of(fire_of({{0, skipped}, {1, succeeded}}, 2)) == FireState::incomplete));
    CHECK((state_of(fire_of({{0, skipped}, {1, skipped}}, 2)) == FireState::skipped));
    const auto fire = fire_of({{2, succeeded}, {0, succeeded}, {0, failed}}, 4);
    REQUIRE(fire.parts.size() == 4);
    for (std::size_t shard = 0; shard < 4; ++shard) CHECK(fire.parts[shard].shard == static_cast<std::int64_t>(shard));
    CHECK(fire.parts[0].attempts == 2);
    CHECK((fire.parts[0].run->state == succeeded));
    CHECK_FALSE(fire.parts[1].run);
}

TEST_CASE("each shard has an owner of its own; a plan for a node's end names its shards", "[shards]") {
    ShardsWorld w;
    const std::string id = w.make_task("t", R"(,"mode":"shards","shards":32)");
    const auto owner = w.get("/api/v1/tasks/" + id + "/owner").json();
    CHECK(owner["node_id"].IsNull());
    REQUIRE(owner["owners"].Size() == 32);
    std::map<std::string, std::set<std::int64_t>> shards;
    for (const auto& piece : owner["owners"].GetArray()) shards[piece["node_name"].GetString()].insert(piece["shard"].GetInt64());
    CHECK(shards.size() == 3);
    CHECK(w.get("/api/v1/tasks/" + id).text("state") == "idle");
    CHECK(w.get("/api/v1/tasks/" + id).json()["owner"].IsNull());
    const auto plan = w.get("/api/v1/runtimes/demo/failover-plan?down=n2").json();
    std::set<std::int64_t> moved;
    for (const auto& move : plan["moves"].GetArray()) moved.insert(move["shard"].GetInt64());
    CHECK(moved == shards["n2"]);
    CHECK(w.get("/api/v1/nodes/" + kNodes[1]).json()["owned_tasks"].GetInt64() == static_cast<std::int64_t>(moved.size()));
    const std::string everywhere = w.make_task("everywhere", R"(,"mode":"broadcast","targets":["n1","n3"])");
    CHECK(w.get("/api/v1/tasks/" + everywhere + "/owner").json()["owners"].Size() == 2);
    CHECK(w.get("/api/v1/runtimes/demo/failover-plan?down=n3").json()["without_node"].GetInt64() == 0);
}

TEST_CASE("a start by hand is one of each shard, or of the one that is named; of a broadcast, on each node", "[shards]") {
    ShardsWorld w;
    const std::string id = w.make_task("t", R"(,"mode":"shards","shards":4)");
    const std::string path = "/api/v1/tasks/" + id + "/start";
    const auto all = w.post(path).json();
    REQUIRE(all["items"].Size() == 4);
    for (rapidjson::SizeType i = 0; i < 4; ++i) {
        CHECK(all["items"][i]["shard"].GetUint() == i);
        CHECK(all["items"][i]["task_id"].GetString() == id);
        CHECK(all["items"][i]["piece"].GetString() == task::shard_id(id, i));
    }
    CHECK(w.count("SELECT count(*) FROM commands WHERE document LIKE '%\"piece\":{%'") == 4);
    const auto one = w.post(path + "?shard=2").json();
    REQUIRE(one["items"].Size() == 1);
    CHECK(one["items"][0]["shard"].GetUint() == 2);
    CHECK(w.get("/api/v1/runs?task=" + id + "&shard=2").json()["items"].Size() == 2);
    CHECK(w.get("/api/v1/runs?task=" + id + "&shard=x").status == 400);
    CHECK(w.post(path + "?shard=4").status == 400);
    CHECK(w.post(path + "?node=n1").status == 400);
    CHECK(w.post(path + "?colour=red").status == 400);

    const std::string west = w.make_task("west", R"(,"mode":"broadcast","labels":{"zone":"west"})");
    const auto run = w.post("/api/v1/tasks/" + west + "/start").json();
    REQUIRE(run["items"].Size() == 1);
    CHECK(run["items"][0]["node_name"] == "n3");
    const std::string all_nodes = "/api/v1/tasks/" + w.make_task("everywhere", R"(,"mode":"broadcast")") + "/start";
    CHECK(w.post(all_nodes).json()["items"].Size() == 3);
    CHECK(w.post(all_nodes + "?node=n2").json()["items"].Size() == 1);
    const auto nowhere = w.post(all_nodes + "?node=n9");
    CHECK(nowhere.status == 409);
    CHECK(nowhere.body.find("on the node n9") != std::string::npos);
    const std::string single = "/api/v1/tasks/" + w.make_task("single") + "/start";
    CHECK(w.post(single).json().HasMember("id"));
    CHECK(w.post(single + "?shard=0").status == 400);
}

TEST_CASE("a task's last run is the shard of its last fire that failed", "[shards]") {
    ShardsWorld w;
    const std::string id = w.make_task("t", R"(,"mode":"shards","shards":4)");
    const auto report = [&](std::int64_t shard, int second, RunState state, std::int64_t attempt = 1) {
        task::Run run;
        run.fire_time = w.at(second);
        run.piece = task::shard_id(id, shard);
        run.shard = shard;
        run.id = task::run_id(run.piece, *run.fire_time, attempt);
        run.task_id = id;
        run.state = state;
        w.write([&](soci::session& sql) {
            RunWriter writer(sql);
            if (!writer.find(run.id)) writer.insert(run);
            writer.update_task(run, std::nullopt);
        });
        return w.get("/api/v1/tasks/" + id).text("state");
    };
    CHECK(report(0, 60, RunState::succeeded) == "idle");
    CHECK(report(1, 60, RunState::failed) == "failed");
    CHECK(report(2, 60, RunState::succeeded) == "failed");
    CHECK(report(1, 60, RunState::succeeded, 2) == "idle");  // it was tried again
    CHECK(report(3, 60, RunState::lost) == "failed");
    CHECK(report(0, 120, RunState::succeeded) == "idle");
}

TEST_CASE("a change of the mode or of the number of shards takes effect a little later", "[shards]") {
    ShardsWorld w;
    const auto body = [](const std::string& more) {
        return R"({"runtime":"demo","group":"reports","name":"t","shell":"true","schedules":[{"every":"1m"}])" + more + "}";
    };
    const std::string path = "/api/v1/tasks/" + w.post("/api/v1/tasks", body(R"(,"mode":"shards","shards":4)")).text("id");
    int version = 0;
    for (const char* mode : {R"(,"mode":"shards","shards":5)", "", R"(,"mode":"broadcast")"}) {
        w.clock.advance(seconds{60});
        const auto changed = w.put(path, std::to_string(++version), body(mode));
        INFO(changed.body);
        REQUIRE(changed.status == 200);
        CHECK(changed.text("effective_from") == format_instant(w.clock.now() + seconds{5}));
        CHECK(changed.text("effective_revision") == changed.text("revision"));
    }
}

TEST_CASE("the ledger accounts for each shard of each fire", "[shards][ledger]") {
    ShardsWorld w;
    const std::string id = w.make_task("t", std::string{R"(,"mode":"shards","shards":4)"} + kEveryMinute);
    for (const int second : {60, 120}) {
        for (std::int64_t shard = 0; shard < 4; ++shard) {
            if (second == 120 && shard == 1) continue;
            w.put_shard(id, shard, second, second == 120 && shard == 2 ? RunState::skipped : RunState::succeeded);
        }
    }
    w.put_shard(id, 7, 120, RunState::succeeded);  // no version has it
    w.clock.advance(seconds{300});
    const auto ledger = w.ledger(0, 121);
    CHECK(ledger["due"].GetInt64() == 8);
    CHECK(count_of(ledger, "ran") == 6);
    CHECK(count_of(ledger, "skipped") == 1);
    CHECK(count_of(ledger, "unexplained") == 1);
    CHECK(ledger["unexpected"].GetInt64() == 1);
    CHECK(ledger["task_count"].GetInt64() == 1);
    REQUIRE(ledger["unexplained_fires"].Size() == 1);
    CHECK(ledger["unexplained_fires"][0]["piece"] == "shard 1");

    const auto whole = w.why(id, 120);
    CHECK(whole["cause"] == "unexplained");
    CHECK(std::string{whole["sentence"].GetString()}.find("Of 4 pieces, shard 1:") == 0);
    REQUIRE(whole["pieces"].Size() == 4);
    CHECK(whole["pieces"][2]["cause"] == "overlap");
    CHECK(w.why(id, 120, "&shard=0")["cause"] == "ran");
    CHECK(w.get("/api/v1/tasks/" + id + "/why?shard=9&at=" + http::encode_component(format_instant(w.at(120)))).status == 404);
    CHECK(w.why(id, 90)["cause"] == "not_a_fire_time");

    const auto fires = w.get("/api/v1/tasks/" + id + "/fires").json();
    REQUIRE(fires["items"].Size() == 2);
    CHECK(fires["items"][1]["state"] == "SUCCEEDED");
    CHECK(fires["items"][1]["fire_time"].GetString() == format_instant(w.at(60)));
    CHECK(fires["items"][0]["state"] == "RUNNING");  // of one nothing is known yet
    CHECK(fires["items"][0]["counts"]["SUCCEEDED"].GetInt() == 3);
    REQUIRE(fires["items"][1]["pieces"].Size() == 4);
    CHECK(fires["items"][1]["pieces"][3]["shard"].GetInt() == 3);
    CHECK(fires["items"][1]["pieces"][3]["node_name"] == "n1");
    const auto page = w.get("/api/v1/tasks/" + id + "/fires?limit=1").json();
    REQUIRE(page["items"].Size() == 1);
    const auto next = w.get("/api/v1/tasks/" + id + "/fires?limit=1&cursor=" + page["next"].GetString()).json();
    REQUIRE(next["items"].Size() == 1);
    CHECK(next["items"][0]["fire_time"].GetString() == format_instant(w.at(60)));
    CHECK_FALSE(next.HasMember("next"));
    CHECK(w.get("/api/v1/tasks/" + id + "/fires?sort=id").status == 400);
    CHECK(w.get("/api/v1/tasks/01920000-0000-7000-8000-0000000000ff/fires").status == 404);
}

TEST_CASE("a page of fires has no more than thousands of runs, whatever the limit", "[shards]") {
    constexpr int kFires = 22, kShards = 256;  // 20 fires are enough for a page
    ShardsWorld w;
    const std::string id = w.make_task("t", std::string{R"(,"mode":"shards","shards":256)"} + kEveryMinute);
    std::vector<task::Run> runs;
    for (int fire = 1; fire <= kFires; ++fire) {
        for (std::int64_t shard = 0; shard < kShards; ++shard) {
            runs.push_back(w.run_of(id, task::shard_id(id, shard), shard, 60 * fire, RunState::succeeded));
        }
    }
    w.write([&](soci::session& sql) {
        RunWriter writer(sql);
        for (const auto& run : runs) writer.insert(run);
    });
    w.clock.advance(std::chrono::hours{1});
    const std::string path = "/api/v1/tasks/" + id + "/fires?limit=50";
    const auto answer = w.get(path);
    INFO(answer.body.substr(0, 1000));
    REQUIRE(answer.status == 200);
    const auto page = answer.json();
    REQUIRE(page["items"].Size() == 20);
    CHECK(page["items"][19]["counts"]["SUCCEEDED"].GetInt() == kShards);
    const auto rest = w.get(path + "&cursor=" + page["next"].GetString()).json();
    REQUIRE(rest["items"].Size() == kFires - 20);
    CHECK(rest["items"][1]["fire_time"].GetString() == format_instant(w.at(60)));
    CHECK_FALSE(rest.HasMember("next"));
}

TEST_CASE("a shard's entry covers its own fires only", "[shards][ledger]") {
    ShardsWorld w;
    const std::string id = w.make_task("t", std::string{R"(,"mode":"shards","shards":2)"} + kEveryMinute);
    w.put_shard(id, 0, 60, RunState::skipped);
    w.put_shard(id, 1, 60, RunState::succeeded);
    w.put_shard(id, 1, 120, RunState::succeeded);
    task::Run covering;
    covering.id = task::run_id(task::shard_id(id, 0), w.at(60), 1);
    covering.fire_time = w.at(60);
    covering.covers_until = w.at(180);
    covering.state = RunState::skipped;
    covering.reason = "misfire: nobody was there";
    w.write([&](soci::session& sql) { RunWriter(sql).set_covers(covering); });
    w.clock.advance(seconds{400});
    const auto ledger = w.ledger(0, 181);
    CHECK(ledger["due"].GetInt64() == 6);
    CHECK(count_of(ledger, "ran") == 2);
    CHECK(count_of(ledger, "missed") == 2);
    CHECK(count_of(ledger, "unexplained") == 1);  // shard 1 at 180
    const auto fires = w.get("/api/v1/tasks/" + id + "/fires").json();
    CHECK(fires["items"][0]["state"] == "INCOMPLETE");
    CHECK(fires["items"][0]["pieces"][0]["reason"] == "misfire: nobody was there");
}

TEST_CASE("of a broadcast a fire is due on each node that it is for, from when it joined on", "[shards][ledger]") {
    ShardsWorld w;
    const std::string id = w.make_task("t", std::string{R"(,"mode":"broadcast")"} + kEveryMinute);
    const std::string west = w.make_task("west", std::string{R"(,"mode":"broadcast","labels":{"zone":"west"})"} + kEveryMinute);
    for (std::size_t node = 0; node < 3; ++node) w.put_on(id, node, 60, RunState::succeeded);
    w.put_on(west, 2, 60, RunState::succeeded);
    w.put_on(id, 0, 120, RunState::succeeded);
    w.put_on(id, 2, 120, RunState::succeeded);
    w.put_on(west, 2, 120, RunState::succeeded);
    w.clock.advance(seconds{300});
    auto ledger = w.ledger(0, 121);
    CHECK(ledger["due"].GetInt64() == 8);
    CHECK(count_of(ledger, "ran") == 7);
    REQUIRE(ledger["unexplained_fires"].Size() == 1);
    CHECK(ledger["unexplained_fires"][0]["piece"] == "node n2");
    CHECK(w.why(id, 120)["cause"] == "unexplained");
    CHECK(w.why(id, 120, "&node=n3")["cause"] == "ran");

    SECTION("a node that is away is awaited, and nobody else for it") {
        w.write([&](soci::session& sql) { note_presence(sql, "demo", {kNodes[0], kNodes[2]}, w.at(100)); });
        w.set_present({0, 2});
        ledger = w.ledger(0, 121);
        CHECK(count_of(ledger, "awaited") == 1);
        CHECK(count_of(ledger, "ran") == 7);
        CHECK(count_of(ledger, "unexplained") == 0);
    }
    SECTION("what a version owed a node that was cordoned until it was changed, nobody can tell") {
        w.write([&](soci::session& sql) { note_presence(sql, "demo", {kNodes[0], kNodes[2]}, w.at(100)); });
        w.write([&](soci::session& sql) {  // the task is changed at 150, and the node is back at 200
            sql << "INSERT INTO task_versions (task_id, version, document, created_at, created_by, note) SELECT task_id, 2, "
                   "replace(replace(document, '\"version\":1', '\"version\":2'), '\"effective_from\":\"" +
                       format_instant(w.start) + "\"', '\"effective_from\":\"" + format_instant(w.at(150)) + "\"'), " +
                       std::to_string(w.at(150).time_since_epoch().count()) + ", 'eva', '' FROM task_versions WHERE task_id = :id",
                soci::use(id);
            note_presence(sql, "demo", {kNodes[0], kNodes[1], kNodes[2]}, w.at(200));
        });
        ledger = w.ledger(0, 121);
        CHECK(ledger["due"].GetInt64() == 8);
        CHECK(count_of(ledger, "changed") == 1);
        CHECK(count_of(ledger, "unexplained") == 0);
    }
    SECTION("of a node that was deleted nothing is due, and what it did counts") {
        w.set_present({1, 2});
        REQUIRE(w.erase("/api/v1/nodes/" + kNodes[0]).status == 204);
        ledger = w.ledger(0, 121);
        CHECK(ledger["due"].GetInt64() == 8);
        CHECK(count_of(ledger, "ran") == 7);
        CHECK(ledger["unexpected"].GetInt64() == 0);
    }
    SECTION("of a node that joined later nothing is due before") {
        NodeRow late;
        late.id = late.token_hash = make_named_uuid(w.at(90), "late");
        late.runtime = "demo";
        late.name = "n4";
        late.document = "{}";
        late.registered_at = late.last_seen_at = w.at(90);
        w.write([&](soci::session& sql) { insert_node(sql, late); });
        ledger = w.ledger(0, 121);
        CHECK(ledger["due"].GetInt64() == 9);
    }
}
