// Joining, the catalog, commands and packages against a scripted center.
#include "node/center_link.h"

#include <atomic>

#include "node/package_fetch.h"
#include "tests/node/link_support.h"

namespace cloudtask::node::test {
namespace {

using Catch::Matchers::Contains;

std::string page(std::int64_t revision, bool full, const std::vector<int>& tasks, const std::vector<std::string>& deleted, bool more) {
    json::Writer out;
    out.begin_object().member("revision", revision).member("full", full).key("tasks").begin_array();
    for (const int number : tasks) task::write(out, task_named(number, revision));
    out.end_array().key("deleted").begin_array();
    for (const auto& id : deleted) out.begin_object().member("id", id).member("at", kNoon).end_object();
    out.end_array().member("more", more).end_object();
    return out.text();
}

struct CatalogNode : Node {
    std::vector<std::string> events;
    std::unique_ptr<CatalogSync> sync;

    void begin(std::int64_t revision) {
        sync = std::make_unique<CatalogSync>(
            loop, random, client, disk, revision,
            CatalogSync::Hooks{.changed =
                                   [this](const CatalogChange& change) {
                                       // On disk first.
                                       CHECK(store->load_catalog()->revision == change.revision);
                                       events.push_back(fmt::format("{}{} +{} -{}", change.full ? "full " : "", change.revision,
                                                                    change.tasks.size(), change.deleted.size()));
                                   },
                               .caught_up = [this](std::int64_t at) { events.push_back(fmt::format("at {}", at)); }});
        sync->start();
    }
    void answer(std::string body) { center.once("GET", FakeCenter::json(200, std::move(body))); }
    bool events_are(std::size_t count) {
        return until([this, count] { return events.size() >= count; });
    }
};

TEST_CASE("a node joins and learns who it is") {
    Node node;
    node.center.once("POST", FakeCenter::json(200, R"({"node_id": "id", "node_token": "token", "runtime": "demo", "new": 1,
        "zookeeper": {"servers": "127.0.0.1:2181", "chroot": "/c", "session_timeout": "4s", "secret": "s"}})"));
    node.center.once("POST", FakeCenter::problem(409, "the name n1 belongs to another node"));
    node.center.once("POST", FakeCenter::problem(503, "not yet"));
    node.center.once("POST", FakeCenter::json(200, "{}"));
    const auto join_once = [&] {
        std::optional<Result<Identity>> result;
        const JoinRequest request{
            .join_token = "join", .runtime = "demo", .node_id = {}, .name = "n1", .labels = {{"disk", "ssd"}}, .weight = 3};
        join(node.client, "http://center", request, [&](Result<Identity> identity) { result = std::move(identity); });
        REQUIRE(node.until([&] { return result.has_value(); }));
        return *result;
    };
    const auto identity = join_once();
    REQUIRE(identity);
    CHECK(identity->node_id == "id");
    CHECK(identity->node_token == "token");
    CHECK(identity->name == "n1");
    CHECK(identity->center_url == "http://center");
    CHECK(identity->zookeeper_servers == "127.0.0.1:2181");
    CHECK(identity->zookeeper_chroot == "/c");
    CHECK(identity->zookeeper_secret == "s");
    CHECK(identity->zookeeper_session_timeout == std::chrono::seconds{4});
    CHECK_THAT(node.center.bodies().at(0), Contains(R"("token":"join")") && Contains(R"("labels":{"disk":"ssd"})") &&
                                               Contains(R"("weight":3)") && !Contains("node_id"));
    const auto taken = join_once();
    CHECK(taken.error().is(Errc::conflict));
    CHECK_THAT(taken.error().message, Contains("belongs to another node"));
    CHECK(join_once().error().is(Errc::unavailable));
    CHECK(join_once().error().is(Errc::unavailable));
}

TEST_CASE("a new node takes the catalog page by page") {
    CatalogNode node;
    node.answer(page(5, true, {1, 2}, {}, true));
    node.center.once("GET", FakeCenter::problem(503, "the store fails"));
    node.answer(page(9, false, {3}, {}, false));
    node.begin(0);
    REQUIRE(node.events_are(3));
    CHECK(node.events == std::vector<std::string>{"full 5 +2 -0", "9 +1 -0", "at 9"});
    const auto asked = node.center.asked();
    CHECK(asked[0] == "GET /api/v1/node/catalog?since=0");
    CHECK(asked[2] == "GET /api/v1/node/catalog?since=5");
    CHECK(node.store->load_catalog()->tasks.size() == 3);
}

TEST_CASE("changes, deletions, and answers without news") {
    CatalogNode node;
    REQUIRE(node.store->apply_catalog({.revision = 5, .full = false, .tasks = {task_named(1), task_named(2)}, .deleted = {}}));
    node.answer(page(7, false, {2, 3}, {id_of(1)}, false));
    node.answer(page(7, false, {}, {}, false));
    node.answer(page(8, false, {}, {}, false));
    node.begin(5);
    REQUIRE(node.events_are(2));
    CHECK(node.events == std::vector<std::string>{"7 +2 -1", "at 7"});
    REQUIRE(node.until([&] { return node.events.size() == 4; }, std::chrono::seconds{1}));  // the node asks by itself, too
    CHECK(node.events[2] == "at 7");
    CHECK(node.events[3] == "at 8");
    CHECK(node.store->load_catalog()->revision == 8);
    CHECK(node.center.asked()[2] == "GET /api/v1/node/catalog?since=7");
}

TEST_CASE("a full answer of several pages drops only what none of them names") {
    CatalogNode node;
    REQUIRE(
        node.store->apply_catalog({.revision = 50, .full = false, .tasks = {task_named(1), task_named(2), task_named(3)}, .deleted = {}}));
    node.answer(page(4, true, {1}, {}, true));
    node.center.once("GET", FakeCenter::problem(500, "broken off"));  // begins anew
    node.answer(page(4, true, {1}, {}, true));
    node.answer(page(6, false, {3, 4}, {}, false));
    node.begin(50);
    REQUIRE(node.events_are(2));
    CHECK(node.events == std::vector<std::string>{"full 6 +3 -0", "at 6"});
    CHECK(node.center.asked()[2] == "GET /api/v1/node/catalog?since=50");
    CHECK(node.store->load_catalog()->tasks.size() == 3);
}

TEST_CASE("a revision that is named while a pull runs is pulled after it, once") {
    CatalogNode node;
    std::atomic<bool> asked = false;
    std::shared_ptr<http::Exchange> held;
    node.center.once("GET", [&](const auto& exchange) {
        held = exchange;
        asked = true;
    });
    node.answer(page(6, false, {2}, {}, false));
    node.begin(1);
    REQUIRE(node.until([&] { return asked.load(); }));
    node.sync->announced(1);  // known
    node.sync->announced(7);
    held->reply(http::Response::json(200, page(5, false, {1}, {}, false)));
    REQUIRE(node.events_are(4));
    CHECK(node.events == std::vector<std::string>{"5 +1 -0", "at 5", "6 +1 -0", "at 6"});
    CHECK(node.center.asked().size() == 2);
    node.answer(page(8, false, {3}, {}, false));
    node.sync->announced(8);
    REQUIRE(node.events_are(6));
    CHECK(node.events.back() == "at 8");
}

TEST_CASE("a task that this node cannot read is dropped, and the others are taken") {
    CatalogNode node;
    REQUIRE(node.store->apply_catalog({.revision = 5, .full = false, .tasks = {task_named(1)}, .deleted = {}}));
    std::string body = page(6, false, {1, 2}, {}, false);
    body.replace(body.find("\"runtime\""), 9, "\"r_ntime\"");
    node.answer(body);
    node.begin(5);
    REQUIRE(node.events_are(2));
    CHECK(node.events[0] == "6 +1 -1");
    CHECK(node.store->load_catalog()->tasks.at(0).name == "task-2");
}

TEST_CASE("commands are handed over, also again, and the poll goes on") {
    Node node;
    const auto document = [](int number, const std::string& kind) {
        json::Writer out;
        out.begin_object()
            .member("id", id_of(number))
            .member("kind", kind)
            .member("run_id", id_of(100 + number))
            .member("started_by", "ann");
        if (kind == "start") {
            out.key("task");
            task::write(out, task_named(number));
        }
        out.end_object();
        return out.text();
    };
    const std::string both = "{\"commands\":[" + document(1, "start") + "," + document(2, "stop") +
                             R"(,{"id":"x","kind":"dance","run_id":"y"},{"id":"z","kind":"stop"}]})";
    node.center.once("GET", FakeCenter::json(200, R"({"commands":[{"id":"c1","kind":"cordon"},{"id":"c2","kind":"uncordon"}]})"));
    node.center.once("GET", FakeCenter::problem(401, "no such token"));
    node.center.once("GET", FakeCenter::json(200, both));
    node.center.once("GET", FakeCenter::json(200, both));
    node.center.always("GET", FakeCenter::json(200, R"({"commands":[]})"));
    std::vector<Command> commands;
    std::optional<std::int64_t> pending;
    CommandPoll poll(
        node.loop, node.random, node.client,
        [&](Command command) {
            commands.push_back(std::move(command));
            pending = 17;
        },
        [&pending] { return pending; });
    poll.start();
    REQUIRE(node.until([&] { return commands.size() == 6 && node.center.asked().size() >= 6; }));
    CHECK(commands[0].kind == Command::Kind::cordon);
    CHECK(commands[0].id == "c1");
    CHECK(commands[1].kind == Command::Kind::uncordon);
    commands.erase(commands.begin(), commands.begin() + 2);
    CHECK(commands[0].kind == Command::Kind::start);
    CHECK(commands[0].id == id_of(1));
    CHECK(commands[0].run_id == id_of(101));
    CHECK(commands[0].started_by == "ann");
    REQUIRE(commands[0].task);
    CHECK(commands[0].task->name == "task-1");
    CHECK(commands[1].kind == Command::Kind::stop);
    CHECK_FALSE(commands[1].task);
    CHECK(commands[2].id == id_of(1));
    CHECK(node.center.asked()[0] == "GET /api/v1/node/commands?wait=25s");
    CHECK(node.center.asked().back().find("pending=17") != std::string::npos);
}

TEST_CASE("a package is saved with its name") {
    Node node;
    const std::string sha256(64, 'a');
    const auto fetch = [&] {
        std::optional<Result<std::string>> result;
        fetch_package(node.client, sha256, node.folder / "package", [&](Result<std::string> name) { result = std::move(name); });
        REQUIRE(node.until([&] { return result.has_value(); }));
        return *result;
    };
    node.center.once("GET", [](const auto& exchange) {
        http::Response response = http::Response::text(200, "bytes", "application/octet-stream");
        response.headers.set("X-Package-Filename", "my%20tool.sh");
        exchange->reply(response);
    });
    const auto name = fetch();
    REQUIRE(name);
    CHECK(*name == "my tool.sh");
    CHECK(read_file(node.folder / "package") == "bytes");
    CHECK(node.center.asked()[0] == "GET /api/v1/node/packages/" + sha256);
    node.center.once("GET", FakeCenter::problem(404, "there is no package"));
    const auto none = fetch();
    REQUIRE_FALSE(none);
    CHECK(none.error().is(Errc::not_found));
    CHECK_THAT(none.error().message, Contains("there is no package"));
}

TEST_CASE("names of packages in headers") {
    const auto name_in = [](const std::string& header, const std::string& value) {
        http::Headers headers;
        headers.set(header, value);
        return package_filename(headers);
    };
    CHECK(package_filename({}).empty());
    CHECK(name_in("X-Package-Filename", "a%C3%BC.zip") == "a\xC3\xBC.zip");
    CHECK(name_in("X-Package-Filename", "100%.sh") == "100%.sh");
    CHECK(name_in("Content-Disposition", "attachment; filename=a.zip") == "a.zip");
    CHECK(name_in("Content-Disposition", R"(attachment; filename="a;\"b.zip")") == "a;\"b.zip");
    CHECK(name_in("Content-Disposition", R"(attachment; FileName="x"; filename*=UTF-8''a%20b.zip)") == "a b.zip");
    CHECK(name_in("Content-Disposition", "attachment").empty());
}

}  // namespace
}  // namespace cloudtask::node::test
