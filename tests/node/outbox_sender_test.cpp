// Reports against a center that fails in scripted ways: every one arrives, in order, and one that is refused does not block the others.
#include <atomic>

#include "cloudtask/core/hash.h"
#include "node/backoff.h"
#include "node/report_batch.h"
#include "tests/node/link_support.h"

namespace cloudtask::node::test {
namespace {

struct Received {
    std::int64_t sequence = 0;
    std::string kind, text;
    std::uint64_t offset = 0;
};

std::vector<Received> read_batch(const std::string& body) {
    const auto document = json::parse(body, {.max_bytes = 4 << 20, .max_depth = 32});
    REQUIRE(document);
    std::vector<Received> list;
    for (const auto& report : (*document)["reports"].GetArray()) {
        Received received{.sequence = report["sequence"].GetInt64(), .kind = report["kind"].GetString(), .text = {}, .offset = 0};
        CHECK(std::string(report["incarnation"].GetString()) == "n.1");
        if (received.kind == "run") received.text = report["run"]["reason"].GetString();
        if (received.kind == "command") received.text = report["command_id"].GetString();
        if (received.kind == "log") {
            received.text = *from_base64(report["data"].GetString());
            received.offset = report["offset"].GetUint64();
        }
        list.push_back(received);
    }
    return list;
}

Report run_with_reason(const std::string& reason) {
    task::Run run = run_at(kNoon);
    run.reason = reason;
    return run_report("n.1", run);
}

struct SendingNode : Node {
    OutboxSender sender{loop, random, worker, client, disk, [this](const std::string& run_id) { return folder / run_id; }};

    SendingNode() {
        disk.on_reports([this] { sender.wake(); });
        center.always("POST", FakeCenter::json(200, R"({"accepted": 1})"));
    }
    void add(std::vector<Report> reports) {
        disk.commit({.entries = {}, .reports = std::move(reports), .commands = {}}, [](Result<> done) { CHECK(done); });
    }
    bool drained() {
        return until([this] { return *store->outbox_depth() == 0; });
    }
};

TEST_CASE("reports arrive in order, whatever happens to the requests") {
    SendingNode f;
    std::vector<Report> reports;
    for (int i = 1; i <= 1125; ++i) reports.push_back(run_with_reason(std::to_string(i)));
    // The center fails, cuts the answer off after it has taken the batch (so it comes twice), is too busy, does not know the token.
    f.center.once("POST", FakeCenter::problem(503, "the store fails"));
    f.center.once("POST", [](const auto& exchange) { exchange->reply(http::Response::problem(500, "taken, but nobody knows")); });
    f.center.once("POST", FakeCenter::problem(429, "too busy"));
    f.center.once("POST", FakeCenter::problem(401, "no such token"));
    f.center.once("POST", FakeCenter::problem(404, "a proxy without a center"));
    int told = 0;
    f.sender.on_delivered([&] { ++told; });
    f.add(reports);
    CHECK_FALSE(f.sender.pending());  // nobody has looked yet
    f.sender.start();
    REQUIRE(f.drained());
    REQUIRE(f.until([&] { return f.sender.delivered() == 1125; }));
    CHECK(told == 3);

    const auto bodies = f.center.bodies();
    REQUIRE(bodies.size() == 8);
    for (std::size_t i = 1; i <= 5; ++i) CHECK(bodies[i] == bodies[0]);  // the same batch until it is taken
    std::int64_t last = 0;
    for (std::size_t i = 5; i < bodies.size(); ++i) {
        const auto batch = read_batch(bodies[i]);
        CHECK(batch.size() <= kMaxBatchReports);
        // It says what is left behind it.
        CHECK((*json::parse(bodies[i]))["pending"].GetInt64() == 1125 - last - static_cast<std::int64_t>(batch.size()));
        for (const auto& report : batch) {
            CHECK(report.sequence == ++last);
            CHECK(report.text == std::to_string(last));
        }
    }
    CHECK(last == 1125);
    CHECK(f.sender.pending() == 0);
}

TEST_CASE("what comes later is sent when it comes") {
    SendingNode f;
    f.sender.start();
    for (int i = 1; i <= 3; ++i) {
        f.add({run_with_reason(std::to_string(i))});
        REQUIRE(f.until([&] { return f.sender.delivered() == i; }));
    }
    CHECK(f.center.bodies().size() == 3);
}

TEST_CASE("after a restart what was not acknowledged comes again, with the same sequences") {
    TempFolder kept;
    const std::string path = kept / "node.db";
    {
        const auto store = open_store(path);
        Batch batch;
        for (int i = 1; i <= 3; ++i) batch.reports.push_back(run_with_reason(std::to_string(i)));
        REQUIRE(store->commit(batch));
        REQUIRE(store->delivered_until(1));
    }
    const auto store = open_store(path);
    Node node;
    node.center.always("POST", FakeCenter::json(200, R"({"accepted": 2})"));
    Disk disk(node.loop, node.worker, *store);
    OutboxSender sender(node.loop, node.random, node.worker, node.client, disk, [](const std::string& id) { return id; });
    sender.start();
    REQUIRE(node.until([&] { return sender.delivered() == 2; }));
    const auto batch = read_batch(node.center.bodies().at(0));
    REQUIRE(batch.size() == 2);
    CHECK(batch[0].sequence == 2);
    CHECK(batch[1].sequence == 3);
}

TEST_CASE("one report that the center refuses does not block the others") {
    SendingNode f;
    std::vector<Report> reports;
    for (int i = 1; i <= 5; ++i) reports.push_back(run_with_reason(i == 3 ? "poison" : std::to_string(i)));
    std::mutex mutex;
    std::vector<std::string> taken;
    f.center.always("POST", [&](const auto& exchange) {
        const auto document = json::parse(exchange->request().body);
        std::vector<std::string> batch;
        for (const auto& report : (*document)["reports"].GetArray()) batch.emplace_back(report["run"]["reason"].GetString());
        if (std::find(batch.begin(), batch.end(), "poison") != batch.end())
            return exchange->reply(http::Response::problem(400, "cannot be read"));
        const std::lock_guard lock(mutex);
        taken.insert(taken.end(), batch.begin(), batch.end());
        exchange->reply(http::Response::json(200, R"({"accepted": 1})"));
    });
    f.add(reports);
    f.sender.start();
    REQUIRE(f.drained());
    REQUIRE(f.until([&] { return f.sender.delivered() == 4; }));
    {
        const std::lock_guard lock(mutex);
        CHECK(taken == std::vector<std::string>{"1", "2", "4", "5"});
    }
    f.add({run_with_reason("6"), run_with_reason("7")});
    REQUIRE(f.until([&] { return f.sender.delivered() == 6; }));
    CHECK(read_batch(f.center.bodies().back()).size() == 2);  // together again
}

TEST_CASE("what is to be starred in the output of a run is asked for once a batch") {
    Node f;
    std::map<std::string, int> asked;
    OutboxSender sender{f.loop,
                        f.random,
                        f.worker,
                        f.client,
                        f.disk,
                        [&f](const std::string& run_id) { return f.folder / run_id; },
                        [&asked](const std::string& run_id) {
                            ++asked[run_id];
                            return std::make_shared<const RunMask>(RunMask{{"correct-horse"}});
                        }};
    f.center.always("POST", FakeCenter::json(200, R"({"accepted": 1})"));
    const std::string one = id_of(1), other = id_of(2);
    const std::string text = "it is correct-horse\n";
    std::vector<Report> reports;
    for (const auto& run : {one, other, one}) {
        std::filesystem::create_directory(f.folder / run);
        write_file(f.folder / run + "/stdout", text);
        reports.push_back(log_report("n.1", run, Stream::out, 0, text.size(), {.limit = 1 << 20, .written = text.size(), .final = true}));
    }
    f.disk.commit({.entries = {}, .reports = std::move(reports), .commands = {}}, [](Result<> done) { CHECK(done); });
    REQUIRE(f.until([&] { return *f.store->outbox_depth() == 3; }));
    sender.start();
    REQUIRE(f.until([&] { return *f.store->outbox_depth() == 0; }));
    CHECK(asked == std::map<std::string, int>{{one, 1}, {other, 1}});
    REQUIRE(f.center.bodies().size() == 1);
    for (const auto& report : read_batch(f.center.bodies()[0])) CHECK(report.text == "it is *************\n");
}

TEST_CASE("logs are read when they are sent, in batches of a mebibyte at most") {
    SendingNode f;
    const std::string run = run_at(kNoon).id;
    std::filesystem::create_directory(f.folder / run);
    std::string text;
    for (int i = 0; text.size() < 3'000'000; ++i) text += "line " + std::to_string(i) + "\n";
    write_file(f.folder / run + "/stdout", text);
    const LogShape shape{.limit = 16 << 20, .written = text.size(), .final = true};
    f.add({log_report("n.1", run, Stream::out, 0, text.size(), shape), log_report("n.1", run, Stream::err, 0, 100, shape),
           command_report("n.1", "c1", true)});
    f.sender.start();
    REQUIRE(f.drained());
    std::string arrived;
    std::vector<Received> all;
    for (const auto& body : f.center.bodies()) {
        CHECK(body.size() <= kMaxBatchBytes);
        for (const auto& report : read_batch(body)) all.push_back(report);
    }
    for (std::size_t i = 0; i + 2 < all.size(); ++i) {
        CHECK(all[i].offset == arrived.size());
        arrived += all[i].text;
    }
    CHECK(arrived == text);
    CHECK(all[all.size() - 2].text.empty());  // its file is lost; the report still keeps its place
    CHECK(all.back().kind == "command");
    CHECK(all.back().text == "c1");
}

TEST_CASE("a sender that is destroyed in the middle is quiet") {
    Node node;
    std::atomic<bool> asked = false;
    std::shared_ptr<http::Exchange> held;
    node.center.once("POST", [&](const auto& exchange) {
        held = exchange;
        asked = true;
    });
    REQUIRE(node.store->commit({.entries = {}, .reports = {run_with_reason("1")}, .commands = {}}));
    auto sender = std::make_unique<OutboxSender>(node.loop, node.random, node.worker, node.client, node.disk,
                                                 [](const std::string& id) { return id; });
    bool told = false;
    sender->on_delivered([&] { told = true; });
    sender->start();
    REQUIRE(node.until([&] { return asked.load(); }));
    sender.reset();
    held->reply(http::Response::json(200, R"({"accepted": 1})"));
    bool answered = false;  // the node's next request comes back after that
    node.center.once("GET", FakeCenter::json(200, "{}"));
    http::ClientRequest request;
    request.target = "/api/v1/node/catalog";
    node.client.send(std::move(request), [&](const Result<http::Response>&) { answered = true; });
    REQUIRE(node.until([&] { return answered; }));
    CHECK_FALSE(told);
    CHECK(*node.store->outbox_depth() == 1);
}

}  // namespace
}  // namespace cloudtask::node::test
