// The node protocol and the routes of runs on the real server: join, catalog, commands by long poll, reports, logs and those who follow
// them.
#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>

#include <future>

#include <catch2/catch.hpp>

#include "api_fixture.h"
#include "center/catalog_store.h"
#include "cloudtask/core/hash.h"

using namespace cloudtask;
using namespace cloudtask::center;

namespace {

// One request on a connection of its own, from any thread; what comes until the server closes.
std::string request(std::uint16_t port, const std::string& method, const std::string& target, const std::string& token,
                    const std::string& body = {}) {
    const int fd = ::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
    const timeval limit{20, 0};
    ::setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
    sockaddr_in address{};
    address.sin_family = AF_INET;
    address.sin_port = htons(port);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    std::string received;
    if (::connect(fd, reinterpret_cast<sockaddr*>(&address), sizeof address) == 0) {
        const std::string text =
            fmt::format("{} {} HTTP/1.1\r\nHost: c\r\nConnection: close\r\nAuthorization: Bearer {}\r\nContent-Length: {}\r\n\r\n{}",
                        method, target, token, body.size(), body);
        if (::send(fd, text.data(), text.size(), MSG_NOSIGNAL) == static_cast<ssize_t>(text.size())) {
            char buffer[16384];
            for (ssize_t got = 0; (got = ::recv(fd, buffer, sizeof buffer, 0)) > 0;) received.append(buffer, static_cast<std::size_t>(got));
        }
    }
    ::close(fd);
    return received;
}

struct NodeWorld : ApiFixture {
    NodeWorld() { make_group(); }

    std::string join_token() {
        const auto made = post("/api/v1/join-tokens", R"({"runtime":"demo","description":"test","expires_in":"1h"})");
        INFO(made.body);
        REQUIRE(made.status == 201);
        return made.text("token");
    }
    Answer join(const std::string& token, const std::string& name, const std::string& more = {}) {
        return call("POST", "/api/v1/node/join",
                    R"({"token":")" + token + R"(","runtime":"demo","name":")" + name + R"(","version":"0.1.0")" + more + "}",
                    {{"Authorization", ""}});
    }
    // A node that has joined and is in the allocation.
    void have_node() {
        const auto joined = join(join_token(), "n1");
        INFO(joined.body);
        REQUIRE(joined.status == 200);
        node_id = joined.text("node_id");
        node_token = joined.text("node_token");
        set_cluster({ring::Member{.id = node_id, .incarnation = node_id + ".1", .name = "n1", .labels = {}}});
    }
    Answer as_node(const std::string& method, const std::string& target, const std::string& body = {}) {
        return call(method, target, body, {{"Authorization", "Bearer " + node_token}});
    }
    void report(const std::string& rest) {
        const auto taken = as_node("POST", "/api/v1/node/reports",
                                   fmt::format(R"({{"reports":[{{"incarnation":"{}.1","sequence":{},{}}}]}})", node_id, ++sequence, rest));
        INFO(taken.body);
        REQUIRE(taken.status == 200);
        REQUIRE(count("SELECT count(*) FROM dead_letters") == 0);
    }
    void report_log(const std::string& run_id, std::uint64_t offset, const std::string& data) {
        report(fmt::format(R"("kind":"log","run_id":"{}","stream":"stdout","offset":{},"data":"{}")", run_id, offset, to_base64(data)));
    }
    // The run as the center shows it, in another state.
    void report_run(const std::string& run_id, const std::string& state) {
        auto run = get("/api/v1/runs/" + run_id).json();
        run["state"].SetString(state.c_str(), run.GetAllocator());
        report(R"("kind":"run","run":)" + json::to_text(run));
    }

    std::string node_id, node_token;
    int sequence = 0;
};

}  // namespace

TEST_CASE("a node joins with a join token, and only so", "[node]") {
    NodeWorld w;
    const std::string token = w.join_token();
    CHECK(w.join("nonsense", "n1").status == 401);
    CHECK(w.join(token, "No Slug").status == 400);
    CHECK(w.call("POST", "/api/v1/node/join", R"({"token":")" + token + R"(","runtime":"other","name":"n1"})", {{"Authorization", ""}})
              .status == 403);
    const auto first = w.join(token, "n1", R"(,"labels":{"disk":"ssd"},"weight":2)");
    REQUIRE(first.status == 200);
    CHECK(first.json()["zookeeper"]["secret"].GetStringLength() > 20);
    w.node_token = first.text("node_token");
    CHECK(w.as_node("GET", "/api/v1/node/catalog?since=0").status == 200);
    CHECK(w.call("GET", "/api/v1/node/catalog?since=0").status == 401);  // a user is no node
    CHECK(w.as_node("GET", "/api/v1/tasks").status == 401);              // and a node no user

    SECTION("the answer was lost, the node asks again") {
        const auto second = w.join(token, "n1");
        CHECK(second.status == 200);
        CHECK(w.as_node("GET", "/api/v1/node/catalog?since=0").status == 401);
    }
    SECTION("a name that is in use is refused, its node may come back once it is offline") {
        w.set_cluster({ring::Member{.id = first.text("node_id"), .incarnation = "x", .name = "n1", .labels = {}}});
        CHECK(w.join(token, "n1").status == 409);
        const std::string itself = R"(,"node_id":")" + first.text("node_id") + "\"";
        CHECK(w.join(token, "n1", itself).status == 409);
        w.set_cluster({});
        const auto again = w.join(token, "n1", itself);
        REQUIRE(again.status == 200);
        CHECK(again.text("node_id") == first.text("node_id"));
        CHECK(w.as_node("GET", "/api/v1/node/catalog?since=0").status == 401);
    }
    SECTION("a node that was at work keeps its name while it is away") {
        w.clock.advance(std::chrono::minutes{1});
        CHECK(w.as_node("GET", "/api/v1/node/commands?wait=0s").status == 200);
        // That it was seen is written beside the answer.
        const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{20};
        while (w.count("SELECT count(*) FROM nodes WHERE last_seen_at > registered_at") == 0) {
            REQUIRE(std::chrono::steady_clock::now() < deadline);
            std::this_thread::yield();
        }
        CHECK(w.join(token, "n1").status == 409);
    }
}

TEST_CASE("the highest epoch that was in force is told, also after ZooKeeper has forgotten it", "[node]") {
    NodeWorld w;
    w.have_node();
    const auto past = [&w] { return w.as_node("GET", "/api/v1/node/catalog?since=0").json(); };
    const ring::Member member{.id = w.node_id, .incarnation = w.node_id + ".1", .name = "n1", .labels = {}};
    const auto set_epoch = [&](std::int64_t epoch) {
        auto view = std::make_shared<ClusterView>();
        view->connected = true;
        view->runtimes["demo"].epoch = epoch;
        w.cluster.set(view);
    };
    set_epoch(0);
    CHECK_FALSE(past().HasMember("past"));
    set_epoch(41);
    CHECK(past()["past"]["epoch"].GetInt64() == 41);
    const std::string seen = past()["past"]["at"].GetString();
    set_epoch(0);  // its data are lost
    w.clock.advance(std::chrono::hours{1});
    CHECK(past()["past"]["epoch"].GetInt64() == 41);
    CHECK(past()["past"]["at"].GetString() == seen);
    set_epoch(42);
    CHECK(past()["past"]["epoch"].GetInt64() == 42);
    CHECK(past()["past"]["at"].GetString() > seen);
}

TEST_CASE("the catalog comes in order, in pages, with what is deleted", "[node]") {
    NodeWorld w;
    w.have_node();
    std::vector<std::string> ids;
    for (const auto* name : {"a", "b", "c", "d", "e"}) ids.push_back(w.make_task(name));
    const auto all = w.as_node("GET", "/api/v1/node/catalog?since=0").json();
    CHECK(all["full"].GetBool());
    CHECK(all["tasks"].Size() == 5);
    CHECK_FALSE(all["more"].GetBool());
    const auto revision = all["revision"].GetInt64();
    CHECK(w.as_node("GET", fmt::format("/api/v1/node/catalog?since={}", revision)).json()["tasks"].Empty());
    CHECK(w.as_node("GET", fmt::format("/api/v1/node/catalog?since={}", revision + 100)).json()["full"].GetBool());
    REQUIRE(w.erase("/api/v1/tasks/" + ids[1]).status == 204);
    const auto changes = w.as_node("GET", fmt::format("/api/v1/node/catalog?since={}", revision)).json();
    CHECK_FALSE(changes["full"].GetBool());
    REQUIRE(changes["deleted"].Size() == 1);
    CHECK(changes["deleted"][0]["id"].GetString() == ids[1]);
    CHECK(changes["deleted"][0]["at"].GetString() == format_instant(w.clock.now()));
    CHECK(changes["revision"].GetInt64() == revision + 1);
    CHECK(w.as_node("GET", "/api/v1/node/catalog?since=x").status == 400);

    std::size_t tasks = 0, deleted = 0, pages = 0;
    CatalogPage page;
    do {
        REQUIRE(w.store->read([&](soci::session& sql) -> Result<> {
            page = read_catalog(sql, "demo", page.revision, w.clock.now(), 2);
            return {};
        }));
        CHECK(page.full == (pages == 0));
        tasks += page.tasks.size();
        deleted += page.deleted.size();
        ++pages;
    } while (page.more);
    CHECK(tasks == 4);
    CHECK(deleted == 1);
    CHECK(pages == 3);
    CHECK(page.revision == revision + 1);

    CHECK_FALSE(all.HasMember("http"));
    REQUIRE(w.put("/api/v1/runtimes/demo", "1", R"({"name": "demo", "http": {"deny": ["2600::/16"]}})").status == 200);
    const auto with_networks = w.as_node("GET", fmt::format("/api/v1/node/catalog?since={}", changes["revision"].GetInt64())).json();
    CHECK(std::string(with_networks["http"]["deny"][0].GetString()) == "2600::/16");
    CHECK(with_networks["revision"].GetInt64() == revision + 2);
}

TEST_CASE("a node fetches the packages of its runtime's tasks and of its runs, with their file names, and no others", "[node]") {
    NodeWorld w;
    w.have_node();
    const auto upload = [&](const std::string& filename, const std::string& text) {
        const auto made = w.post("/api/v1/packages?filename=" + filename, text);
        INFO(made.body);
        REQUIRE(made.status == 201);
        return made.text("sha256");
    };
    const auto program = [](const std::string& sha256) { return R"(,"package":")" + sha256 + "\""; };
    const std::string script = "#!/bin/sh\necho mine\n";
    const auto mine = upload("my%20tool%25%C3%BC.sh", script);
    const auto others = upload("other.sh", "#!/bin/sh\necho other\n");
    const auto task_id = w.make_task("daily", program(mine));
    REQUIRE(w.post("/api/v1/runtimes", R"({"name":"elsewhere"})").status == 201);
    REQUIRE(w.post("/api/v1/groups", R"({"runtime":"elsewhere","name":"reports"})").status == 201);
    auto there = json::parse(task_definition("daily", program(others)));
    REQUIRE(there);
    (*there)["runtime"].SetString("elsewhere");
    REQUIRE(w.post("/api/v1/tasks", json::to_text(*there)).status == 201);

    const auto fetch = [&](const std::string& sha256) { return w.as_node("GET", "/api/v1/node/packages/" + sha256); };
    const auto fetched = fetch(mine);
    CHECK(fetched.status == 200);
    CHECK(fetched.body == script);
    CHECK(fetched.headers.at("x-package-filename") == "my%20tool%25%C3%BC.sh");
    CHECK(fetch(others).status == 404);
    CHECK(fetch("..%2F..%2Fcenter.db").status == 400);

    // A start keeps the definition that it was ordered with.
    REQUIRE(w.post("/api/v1/tasks/" + task_id + "/start").status == 202);
    REQUIRE(w.put("/api/v1/tasks/" + task_id, "1", task_definition("daily")).status == 200);
    CHECK(fetch(mine).status == 200);
    REQUIRE(w.as_node("GET", "/api/v1/node/commands?wait=0s").status == 200);
    w.report_run(w.get("/api/v1/runs").json()["items"][0]["id"].GetString(), "SUCCEEDED");
    CHECK(fetch(mine).status == 404);
}

TEST_CASE("a node says how many reports it still has, with its reports and when it asks for commands", "[node]") {
    NodeWorld w;
    w.have_node();
    const auto pending = [&] { return w.count("SELECT sum(pending_reports) FROM nodes"); };
    CHECK(pending() == 0);
    CHECK(w.as_node("POST", "/api/v1/node/reports", R"({"reports":[],"pending":12})").status == 200);
    CHECK(pending() == 12);
    CHECK(w.as_node("POST", "/api/v1/node/reports", R"({"reports":[]})").status == 200);
    CHECK(pending() == 12);  // it has not said otherwise
    CHECK(w.as_node("GET", "/api/v1/node/commands?pending=3&wait=50ms").status == 200);
    CHECK(pending() == 3);
    CHECK(w.as_node("POST", "/api/v1/node/reports", R"({"reports":[],"pending":0})").status == 200);
    CHECK(pending() == 0);
    CHECK(w.as_node("POST", "/api/v1/node/reports", R"({"reports":[],"pending":-1})").status == 400);
    CHECK(w.as_node("GET", "/api/v1/node/commands?pending=many").status == 400);
    CHECK(w.as_node("GET", "/api/v1/node/commands?pending=3&zebra=1").status == 400);
}

TEST_CASE("a start reaches the node that waits for it; its run comes back", "[node][runs]") {
    NodeWorld w;
    w.have_node();
    const auto task_id = w.make_task("daily");
    auto poll = std::async(std::launch::async, [&] { return request(w.port(), "GET", "/api/v1/node/commands?wait=20s", w.node_token); });
    const auto started = w.post("/api/v1/tasks/" + task_id + "/start");
    INFO(started.body);
    REQUIRE(started.status == 202);
    const std::string run_id = started.text("id");
    CHECK(started.text("state") == "PENDING");
    const std::string answer = poll.get();
    INFO(answer);
    const auto body = json::parse(answer.substr(answer.find("\r\n\r\n") + 4));
    REQUIRE(body);
    const auto& command = (*body)["commands"][0];
    CHECK(command["kind"].GetString() == std::string("start"));
    CHECK(command["run_id"].GetString() == run_id);
    CHECK(command["task"]["id"].GetString() == task_id);
    CHECK(command["started_by"].GetString() == std::string("root"));

    // It is not handed out again at once, though the node has not reported it yet.
    CHECK(w.as_node("GET", "/api/v1/node/commands?wait=50ms").json()["commands"].Empty());
    w.report(fmt::format(R"("kind":"command","command_id":"{}","outcome":"done","detail":"")", command["id"].GetString()));
    w.report_run(run_id, "RUNNING");
    CHECK(w.get("/api/v1/runs?state=RUNNING").json()["items"].Size() == 1);
    CHECK(w.get("/api/v1/runs?state=RUNNING&task=" + task_id).json()["items"].Size() == 1);
    CHECK(w.get("/api/v1/runs?state=NONSENSE").status == 400);
    CHECK(w.get("/api/v1/runs?since=2031-01-01T00:00:00Z").json()["items"].Empty());

    REQUIRE(w.post("/api/v1/runs/" + run_id + "/stop").status == 202);
    REQUIRE(w.post("/api/v1/runs/" + run_id + "/stop").status == 202);
    const auto stops = w.as_node("GET", "/api/v1/node/commands?wait=20s").json();
    REQUIRE(stops["commands"].Size() == 1);
    CHECK(stops["commands"][0]["kind"].GetString() == std::string("stop"));
    w.report_run(run_id, "STOPPED");
    CHECK(w.get("/api/v1/runs/" + run_id).text("state") == "STOPPED");
    CHECK(w.post("/api/v1/runs/" + run_id + "/stop").status == 409);
    CHECK(w.count("SELECT count(*) FROM commands WHERE state = 'open'") == 0);
}

TEST_CASE("a run that never left the center is stopped at once", "[runs]") {
    NodeWorld w;
    const auto task_id = w.make_task("daily");
    CHECK(w.post("/api/v1/tasks/" + task_id + "/start").status == 409);  // no node
    w.have_node();
    const std::string run_id = w.post("/api/v1/tasks/" + task_id + "/start").text("id");
    const auto stopped = w.post("/api/v1/runs/" + run_id + "/stop");
    CHECK(stopped.status == 202);
    CHECK(stopped.text("state") == "STOPPED");
    CHECK(w.as_node("GET", "/api/v1/node/commands?wait=0s").json()["commands"].Empty());
    CHECK(w.get("/api/v1/runs/01920000-0000-7000-8000-0000000000ff").status == 404);
}

TEST_CASE("a log is read from anywhere, and followed to its end", "[log]") {
    NodeWorld w;
    w.have_node();
    const std::string run_id = w.post("/api/v1/tasks/" + w.make_task("daily") + "/start").text("id");
    w.report_run(run_id, "RUNNING");
    w.report_log(run_id, 0, "one gr\xC3");
    const std::string log = "/api/v1/runs/" + run_id + "/log";
    auto follower = std::async(std::launch::async, [&] { return request(w.port(), "GET", log + "?follow=true", w.admin_token); });
    auto part = w.get(log + "?from=4");
    CHECK(part.status == 200);
    CHECK(part.body == "gr\xC3");
    CHECK(part.headers["x-log-size"] == "7");
    CHECK(part.headers["x-log-next"] == "7");
    CHECK(part.headers["x-log-complete"] == "false");
    CHECK(part.headers.count("x-log-note") == 0);
    // Ahead of what is there: nothing yet, and the size stays what it is.
    part = w.get(log + "?from=1000");
    CHECK(part.status == 200);
    CHECK(part.body.empty());
    CHECK(part.headers["x-log-size"] == "7");
    CHECK(part.headers["x-log-next"] == "1000");
    w.report_log(run_id, 7,
                 "\xBC\xC3\x9F"
                 "e\n");
    const std::string long_part(60000, 'x');
    w.report_log(run_id, 12, long_part);
    w.report_log(run_id, 60012, long_part + "\xFF\n");
    w.report_run(run_id, "SUCCEEDED");

    const std::string events = follower.get();
    std::string text, end;
    std::uint64_t expected = 0;
    for (std::size_t at = 0; (at = events.find("data: ", at)) != std::string::npos; ++at) {
        const auto data = json::parse(events.substr(at + 6, events.find('\n', at) - at - 6));
        REQUIRE(data);
        if (data->HasMember("state")) {
            end = (*data)["state"].GetString();
            continue;
        }
        CHECK((*data)["offset"].GetUint64() == expected);
        const std::string piece((*data)["text"].GetString(), (*data)["text"].GetStringLength());
        text += piece;
        // Every character of this log but the replaced one is as long as its bytes.
        expected += piece.size() - (piece.find("\xEF\xBF\xBD") != std::string::npos ? 2 : 0);
    }
    CHECK(text ==
          "one gr\xC3\xBC\xC3\x9F"
          "e\n" +
              long_part + long_part + "\xEF\xBF\xBD\n");
    CHECK(end == "SUCCEEDED");
    CHECK(events.find("id: 120014\n") != std::string::npos);
    const auto rest = w.call("GET", log + "?follow=true", "", {{"Last-Event-ID", "120012"}});
    CHECK(rest.body.find("\"offset\":120012") != std::string::npos);
    part = w.get(log);
    CHECK(part.headers["x-log-complete"] == "true");
    CHECK(part.body.size() == 120014);
    CHECK(w.get(log + "?stream=stderr").body.empty());
    CHECK(w.get(log + "?stream=nonsense").status == 400);
    CHECK(w.get(log + "?from=-1").status == 400);
    CHECK(w.get("/api/v1/runs/01920000-0000-7000-8000-0000000000ff/log").status == 404);
}
