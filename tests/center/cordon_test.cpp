// Cordoning a node and planning a failover, through the API: the wish, the command for the node, and what is shown of it.
#include <catch2/catch.hpp>

#include "api_fixture.h"
#include "center/node_store.h"

using namespace cloudtask;
using namespace cloudtask::center;

namespace {

constexpr const char* kOne = "0193a0c4-0000-7000-8000-000000000001";
constexpr const char* kTwo = "0193a0c4-0000-7000-8000-000000000002";

ring::Member member(const std::string& id, const std::string& name) {
    return {.id = id, .incarnation = id + ".1", .name = name, .labels = {}};
}

// Nodes one and two of the runtime demo, online and in the ring.
struct CordonWorld : ApiFixture {
    CordonWorld() {
        make_group();
        REQUIRE(post("/api/v1/runtimes", R"({"name":"other"})").status == 201);
        const auto token = post("/api/v1/join-tokens", R"({"runtime":"demo","description":"t","expires_in":"1h"})").text("token");
        join_token = token;
        node_token = join(kOne, "one");
        join(kTwo, "two");
        set_cluster({member(kOne, "one"), member(kTwo, "two")});
        auto view = std::make_shared<ClusterView>(*cluster.get());
        view->runtimes.at("demo").complete = true;
        cluster.set(view);
    }
    std::string join(const std::string& id, const std::string& name) {
        const auto joined =
            post("/api/v1/node/join",
                 fmt::format(R"({{"token":"{}","runtime":"demo","node_id":"{}","name":"{}","version":"1"}})", join_token, id, name),
                 {{"Authorization", ""}});
        INFO(joined.body);
        REQUIRE(joined.status == 200);
        return joined.text("node_token");
    }
    Answer cordon(const std::string& id = kOne) { return post("/api/v1/nodes/" + id + "/cordon"); }
    Answer uncordon(const std::string& id = kOne) { return post("/api/v1/nodes/" + id + "/uncordon"); }
    Answer one() { return get(std::string("/api/v1/nodes/") + kOne); }
    // What node one is asked to do: "cordon", "uncordon".
    std::vector<std::string> commands() {
        const auto answer = call("GET", "/api/v1/node/commands?wait=1ms", {}, {{"Authorization", "Bearer " + node_token}});
        REQUIRE(answer.status == 200);
        std::vector<std::string> kinds;
        const auto document = answer.json();
        for (const auto& command : document["commands"].GetArray()) {
            kinds.emplace_back(command["kind"].GetString());
            last_command = command["id"].GetString();
        }
        return kinds;
    }
    void report_done() {
        const auto taken = call(
            "POST", "/api/v1/node/reports",
            fmt::format(R"({{"reports":[{{"incarnation":"{}.1","sequence":{},"kind":"command","command_id":"{}","outcome":"done"}}]}})",
                        kOne, ++sequence, last_command),
            {{"Authorization", "Bearer " + node_token}});
        INFO(taken.body);
        REQUIRE(taken.status == 200);
        REQUIRE(count("SELECT count(*) FROM dead_letters") == 0);
    }
    // What node one itself says.
    void say_leaving() {
        auto view = std::make_shared<ClusterView>(*cluster.get());
        view->runtimes.at("demo").nodes.at(kOne).leaving = true;
        cluster.set(view);
    }
    // Node one is online, and the ring is that of two alone.
    void leave_ring(bool settled) {
        auto view = std::make_shared<ClusterView>(*cluster.get());
        view->connected = true;
        auto& runtime = view->runtimes.at("demo");
        runtime.ring = std::make_shared<const ring::Ring>(std::vector{member(kTwo, "two")});
        runtime.settled = settled;
        cluster.set(view);
    }

    std::string join_token, node_token, last_command;
    int sequence = 0;
};

const std::vector<std::string> kCordon{"cordon"}, kUncordon{"uncordon"}, kNothing;

}  // namespace

TEST_CASE("a cordon is kept with who wished it, audited, and asked of the node until it reports it", "[cordon]") {
    CordonWorld w;
    CHECK(w.one().json()["cordoned"].IsNull());
    CHECK(w.one().text("in_ring") == "true");
    const auto asked = w.cordon();
    INFO(asked.body);
    CHECK(asked.status == 202);
    const auto document = asked.json();
    CHECK(document["cordoned"]["by"] == "root");
    CHECK(document["cordoned"]["at"].GetString() == format_instant(w.clock.now()));
    CHECK_FALSE(document["cordoned"]["done"].GetBool());
    CHECK(w.count("SELECT count(*) FROM audit WHERE action = 'node.cordon'") == 1);

    CHECK(w.commands() == kCordon);
    CHECK(w.cordon().status == 200);  // it is being asked already
    w.say_leaving();
    w.report_done();
    CHECK(w.commands() == kNothing);
    CHECK(w.one().json()["cordoned"]["done"].GetBool());
    const auto listed = w.get("/api/v1/nodes").json();
    CHECK(listed["items"][0]["cordoned"]["by"] == "root");
    CHECK(listed["items"][1]["cordoned"].IsNull());

    SECTION("the same wish again changes nothing") {
        w.clock.advance(std::chrono::minutes{1});
        CHECK(w.cordon().status == 200);
        CHECK(w.cordon().json()["cordoned"]["at"] == document["cordoned"]["at"]);
        CHECK(w.commands() == kNothing);
        CHECK(w.count("SELECT count(*) FROM audit WHERE action = 'node.cordon'") == 1);
    }
    SECTION("and it is taken back") {
        const auto back = w.uncordon();
        CHECK(back.status == 202);
        CHECK(back.json()["cordoned"].IsNull());
        CHECK(w.uncordon().status == 200);
        CHECK(w.commands() == kUncordon);
        CHECK(w.count("SELECT count(*) FROM audit WHERE action = 'node.uncordon'") == 1);
    }
    SECTION("a node that joins again, with another data folder, is asked again") {
        w.set_cluster({member(kTwo, "two")});
        w.node_token = w.join(kOne, "one");
        CHECK(w.commands() == kCordon);
        CHECK_FALSE(w.one().json()["cordoned"]["done"].GetBool());
    }
}

TEST_CASE("the newest wish wins over one that the node has not carried out", "[cordon]") {
    CordonWorld w;
    w.set_cluster({});  // nobody is online: the wishes wait
    CHECK(w.cordon().status == 202);
    CHECK(w.uncordon().status == 202);
    CHECK(w.commands() == kUncordon);
    CHECK(w.cordon().status == 202);
    CHECK(w.commands() == kCordon);
    CHECK(w.count("SELECT count(*) FROM commands WHERE state = 'withdrawn'") == 2);
}

TEST_CASE("a node that wants something else than the center knows is asked again", "[cordon]") {
    CordonWorld w;
    // The database is older than the node's own: it is cordoned, and nobody here wished it.
    w.say_leaving();
    CHECK(w.one().text("leaving") == "true");
    CHECK(w.uncordon().status == 202);
    CHECK(w.uncordon().status == 200);
    CHECK(w.commands() == kUncordon);
    CHECK(w.get(std::string("/api/v1/nodes/") + kTwo).text("leaving") == "false");
    CHECK(w.uncordon(kTwo).status == 200);
}

TEST_CASE("who may cordon, and what", "[cordon]") {
    CordonWorld w;
    CHECK(w.cordon("0193a0c4-0000-7000-8000-000000000009").status == 404);
    CHECK(w.uncordon("0193a0c4-0000-7000-8000-000000000009").status == 404);
    w.make_user("eve", "viewer");
    CHECK(w.post(std::string("/api/v1/nodes/") + kOne + "/cordon", {}, {{"Authorization", "Bearer " + w.log_in("eve")}}).status == 403);
    CHECK(w.one().json()["cordoned"].IsNull());
}

TEST_CASE("a cordon is that of a node: when it is deleted nothing is asked of it any more", "[cordon]") {
    CordonWorld w;
    REQUIRE(w.cordon().status == 202);
    auto view = std::make_shared<ClusterView>(*w.cluster.get());
    view->runtimes.at("demo").nodes.erase(kOne);
    w.cluster.set(view);
    REQUIRE(w.count("SELECT count(*) FROM commands WHERE state = 'open'") == 1);
    REQUIRE(w.erase(std::string("/api/v1/nodes/") + kOne).status == 204);
    CHECK(w.count("SELECT count(*) FROM commands WHERE state = 'open'") == 0);
    // Another node under its name.
    constexpr const char* kNew = "0193a0c4-0000-7000-8000-000000000003";
    w.join(kNew, "one");
    CHECK(w.get(std::string("/api/v1/nodes/") + kNew).json()["cordoned"].IsNull());
}

TEST_CASE("a node shows what it owns, whether it is in the ring, and what runs there", "[cordon]") {
    CordonWorld w;
    std::string task;
    for (int i = 0; i < 8; ++i) w.make_task("task-" + std::to_string(i));
    task = w.make_task("pinned", R"(,"targets":["one"])");
    const auto owned = [&](const char* id) { return w.get(std::string("/api/v1/nodes/") + id).json()["owned_tasks"].GetInt(); };
    CHECK(owned(kOne) >= 1);
    CHECK(owned(kOne) + owned(kTwo) == 9);
    CHECK_FALSE(w.get("/api/v1/nodes").json()["items"][0].HasMember("owned_tasks"));
    REQUIRE(w.post("/api/v1/tasks/" + task + "/start").status == 202);
    CHECK(w.one().text("running_runs") == "1");
    CHECK(w.get("/api/v1/nodes").json()["items"][0]["running_runs"].GetInt() == 1);

    w.leave_ring(false);
    CHECK(owned(kOne) == 0);
    CHECK(w.one().text("online") == "true");
    CHECK(w.one().text("in_ring") == "false");
    CHECK(w.one().text("ring_settled") == "false");
    w.leave_ring(true);
    CHECK(w.one().text("ring_settled") == "true");
    // What was known before contact was lost settles nothing.
    auto stale = std::make_shared<ClusterView>(*w.cluster.get());
    stale->connected = false;
    w.cluster.set(stale);
    CHECK(w.one().text("ring_settled") == "false");
    w.leave_ring(true);
    // What is started by hand goes to the others, and nowhere if it must run here.
    CHECK(w.post("/api/v1/tasks/" + task + "/start").status == 409);
}

TEST_CASE("a failover plan names each task that would move, its new node, and the load after", "[plan]") {
    CordonWorld w;
    for (int i = 0; i < 30; ++i) w.make_task("task-" + std::to_string(i));
    w.make_task("pinned", R"(,"targets":["one"])");
    w.make_task("off", R"(,"targets":["one"],"enabled":false)");
    const std::string path = "/api/v1/runtimes/demo/failover-plan";
    const auto plan = w.get(path + "?down=one").json();
    CHECK(plan["epoch"].GetInt() == 7);
    CHECK(plan["settled"].GetBool());
    CHECK(plan["down"][0]["id"] == kOne);
    const int moved = plan["moved"].GetInt();
    CHECK(moved == static_cast<int>(plan["moves"].Size()));
    CHECK(moved > 2);
    CHECK(moved < 31);
    CHECK(plan["without_node"].GetInt() == 1);
    for (const auto& move : plan["moves"].GetArray()) {
        CHECK(move["from"] == "one");
        const bool pinned = move["name"] == "pinned";
        CHECK(move["to"].IsNull() == pinned);
        if (!pinned) CHECK(move["to"] == "two");
        // The owner as the API gives it is the one that is said to lose it.
        CHECK(w.get(std::string("/api/v1/tasks/") + move["task_id"].GetString() + "/owner").text("node_id") == kOne);
    }
    REQUIRE(plan["nodes"].Size() == 2);
    CHECK(plan["nodes"][0]["tasks"].GetInt() == moved);
    CHECK(plan["nodes"][0]["tasks_after"].GetInt() == 0);
    CHECK_FALSE(plan["nodes"][0]["stays"].GetBool());
    CHECK(plan["nodes"][1]["tasks"].GetInt() == 31 - moved);
    CHECK(plan["nodes"][1]["tasks_after"].GetInt() == 30);

    SECTION("page by page") {
        std::vector<std::string> ids;
        std::string cursor;
        do {
            const auto page = w.get(path + "?down=one&limit=3&cursor=" + cursor).json();
            CHECK(page["moved"].GetInt() == moved);
            for (const auto& move : page["moves"].GetArray()) ids.emplace_back(move["task_id"].GetString());
            cursor = page.HasMember("next") ? page["next"].GetString() : "";
        } while (!cursor.empty());
        CHECK(static_cast<int>(ids.size()) == moved);
        CHECK(std::set<std::string>(ids.begin(), ids.end()).size() == ids.size());
    }
    SECTION("of all nodes, by id") {
        const auto none = w.get(path + "?down=" + kOne + ",two").json();
        CHECK(none["moved"].GetInt() == 31);
        CHECK(none["without_node"].GetInt() == 31);
    }
    SECTION("what is no question") {
        CHECK(w.get(path).status == 400);
        CHECK(w.get(path + "?down=,").status == 400);
        CHECK(w.get(path + "?down=one&limit=0").status == 400);
        CHECK(w.get(path + "?down=one&limit=10001").status == 400);
        CHECK(w.get(path + "?down=one&up=two").status == 400);
        CHECK(w.get(path + "?down=nobody").status == 404);
        CHECK(w.get("/api/v1/runtimes/other/failover-plan?down=one").status == 404);
        CHECK(w.get("/api/v1/runtimes/nowhere/failover-plan?down=one").status == 404);
    }
}
