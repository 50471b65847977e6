// node cordon, drain and uncordon, and plan-failover, against a recorded center.
#include <catch2/catch.hpp>

#include "cli/exit.h"
#include "cloudtask/core/json.h"
#include "tests/cli/fake_center.h"

namespace cloudtask::cli::test {

namespace {

constexpr const char* kFind = "GET /api/v1/nodes?runtime=demo&limit=200";
const std::string kPath = std::string("/api/v1/nodes/") + kId;

// As the center shows node demo/n2; `rest` is more of it.
std::string node(const std::string& rest) {
    return std::string(R"({"id":")") + kId + R"(","runtime":"demo","name":"n2","online":true,)" + rest + "}";
}
std::string cordoned(bool done, bool in_ring, bool settled, int runs, int tasks = 0) {
    return node(fmt::format(
        R"("cordoned":{{"by":"ann","at":"2026-11-21T11:57:00Z","done":{}}},"in_ring":{},"ring_settled":{},"running_runs":{},"owned_tasks":{})",
        done, in_ring, settled, runs, tasks));
}
std::string uncordoned() { return node(R"("cordoned":null,"in_ring":true,"ring_settled":true,"running_runs":3)"); }

struct NodeProgram : Program {
    NodeProgram() { center.answer(kFind, 200, R"({"items":[)" + uncordoned() + "]}"); }
    void asked() { center.answer("POST " + kPath + "/cordon", 202, cordoned(false, true, true, 3)); }
    void shows(const std::string& body) { center.answer("GET " + kPath, 200, body); }
};

}  // namespace

TEST_CASE("node cordon and uncordon ask the center, and need not wait") {
    NodeProgram program;
    program.asked();
    program.center.answer("POST " + kPath + "/uncordon", 202, uncordoned());
    CHECK(program.run({"node", "cordon", "demo/n2"}) == 0);
    CHECK(contains(program.out, "node demo/n2 cordoned"));
    CHECK(program.run({"node", "uncordon", "demo/n2"}) == 0);
    CHECK(contains(program.out, "node demo/n2 uncordoned"));
    CHECK(program.run({"node", "drain", "demo/n2", "--no-wait", "-q"}) == 0);
    CHECK(program.out == "demo/n2\n");
    CHECK(program.center.writes() ==
          std::vector<std::string>{"POST " + kPath + "/cordon", "POST " + kPath + "/uncordon", "POST " + kPath + "/cordon"});
    CHECK(program.center.pauses.empty());
    CHECK(program.run({"node", "cordon", "demo/n9"}) == static_cast<int>(Exit::not_found));
}

TEST_CASE("node drain follows the node until it owns nothing, its last fires are known, the ring has settled, and nothing runs there") {
    NodeProgram program;
    program.asked();
    program.shows(cordoned(false, true, true, 3, 12));
    program.shows(cordoned(false, false, false, 3));
    program.shows(cordoned(false, false, true, 0));  // what it has begun last may not be known yet
    program.center.unreachable("GET " + kPath);
    program.shows(cordoned(true, false, false, 0));
    program.shows(cordoned(true, false, true, 2));
    program.shows(cordoned(true, false, true, 2));
    program.shows(cordoned(true, false, true, 0));
    REQUIRE(program.run({"node", "drain", "demo/n2"}) == 0);
    CHECK(program.center.pauses.size() == 7);
    CHECK(program.out == "node demo/n2 drained: it owns no task and runs nothing\n");
    CHECK(program.err ==
          "node demo/n2: in the ring yet (tasks: 12, runs: 3)\n"
          "node demo/n2: out of the ring, begins its last fires (runs: 3)\n"
          "node demo/n2: out of the ring, begins its last fires (runs: 0)\n"
          "node demo/n2: its tasks are being taken over (runs: 0)\n"
          "node demo/n2: its tasks have moved, its last runs go on (runs: 2)\n");
}

TEST_CASE("node drain fails when the time is up, or somebody uncordons the node") {
    NodeProgram program;
    program.asked();
    program.shows(cordoned(true, false, true, 2));
    CHECK(program.run({"node", "drain", "demo/n2", "--timeout", "0s"}) == static_cast<int>(Exit::failed));
    CHECK(contains(program.err, "not drained after 0s: its tasks have moved, its last runs go on (runs: 2); it stays cordoned"));

    NodeProgram other;
    other.asked();
    other.shows(cordoned(false, true, true, 3));
    other.shows(uncordoned());
    CHECK(other.run({"node", "drain", "demo/n2"}) == static_cast<int>(Exit::failed));
    CHECK(contains(other.err, "somebody has uncordoned it"));

    CHECK(other.run({"node", "drain", "demo/n2", "--timeout", "soon"}) == static_cast<int>(Exit::usage));
}

TEST_CASE("an offline node is drained without having been told") {
    NodeProgram program;
    program.asked();
    program.shows(
        std::string(R"({"id":")") + kId +
        R"(","runtime":"demo","name":"n2","online":false,"cordoned":{"by":"a","at":"x","done":false},"in_ring":false,"ring_settled":true,"running_runs":0})");
    CHECK(program.run({"node", "drain", "demo/n2"}) == 0);
}

TEST_CASE("get nodes shows who is cordoned, who stops, and who is in the ring") {
    Program program;
    program.center.answer("GET /api/v1/nodes?limit=51", 200,
                          R"({"items":[)" + cordoned(true, false, true, 2) + "," + uncordoned() + "," +
                              node(R"("cordoned":null,"leaving":true,"in_ring":false,"running_runs":0)") + "]}");
    REQUIRE(program.run({"get", "nodes"}) == 0);
    CHECK(contains(program.out, "demo     n2    online,leaving   no       0"));
    CHECK(contains(program.out, "RUNTIME  NAME  STATE            IN RING  RUNS"));
    CHECK(contains(program.out, "demo     n2    online,cordoned  no       2"));
    CHECK(contains(program.out, "demo     n2    online           yes      3"));
}

TEST_CASE("plan-failover shows what would move and the load after, all pages of it") {
    const std::string path = std::string("GET /api/v1/runtimes/demo/failover-plan?down=") + kId + "&limit=10000";
    const auto page = [](const std::string& moves, const std::string& more, int epoch = 7) {
        return fmt::format(
            R"({{"epoch":{},"settled":true,"down":[{{"id":"x","name":"n2"}}],"nodes":[{{"id":"x","name":"n2","stays":false,"tasks":2,"tasks_after":0}},)"
            R"({{"id":"y","name":"n1","stays":true,"tasks":5,"tasks_after":6}}],"moved":2,"without_node":1,"resumes_within":"6.5s","moves":[{}]{}}})",
            epoch, moves, more);
    };
    const std::string first = R"({"task_id":"1","group":"g","name":"one","from":"n2","to":"n1"})";
    const std::string second = R"({"task_id":"2","group":"g","name":"two","from":"n2","to":null})";
    NodeProgram program;
    program.center.answer(path, 200, page(first, R"(,"next":"1")"));
    program.center.answer(path + "&cursor=1", 200, page(second, ""));
    REQUIRE(program.run({"plan-failover", "--down", "demo/n2"}) == 0);
    CHECK(program.out ==
          "TASK        FROM  TO\n"
          "demo/g/one  n2    n1\n"
          "demo/g/two  n2    no node can take it\n"
          "\n"
          "NODE  TASKS  AFTER\n"
          "n2    2      down\n"
          "n1    5      6\n");
    CHECK(contains(program.err, "tasks that would move: 2, left without a node: 1; the others' fires go on within 6.5s"));
    REQUIRE(program.run({"plan-failover", "--down", "demo/n2", "-o", "json"}) == 0);
    const auto plan = json::parse(program.out);
    REQUIRE(plan);
    CHECK((*plan)["moves"].Size() == 2);
    CHECK_FALSE(plan->HasMember("next"));
    REQUIRE(program.run({"plan-failover", "--down", "demo/n2", "-q"}) == 0);
    CHECK(program.out == "demo/g/one\ndemo/g/two\n");
    CHECK(program.run({"plan-failover"}) == static_cast<int>(Exit::usage));
    program.center.answer(std::string("GET /api/v1/runtimes/demo/failover-plan?down=") + kId + "%2C" + kId + "&limit=10000", 200,
                          page(first, ""));
    CHECK(program.run({"plan-failover", "--down", "demo/n2", "--down", "demo/n2"}) == 0);

    NodeProgram changing;
    changing.center.answer(path, 200, page(first, R"(,"next":"1")"));
    changing.center.answer(path + "&cursor=1", 200, page(second, "", 8));
    CHECK(changing.run({"plan-failover", "--down", "demo/n2"}) == static_cast<int>(Exit::conflict));
}

}  // namespace cloudtask::cli::test
