// ClusterWatch and LostWatch over ZooKeeper in memory, in virtual time.
#include <catch2/catch.hpp>

#include "center/cluster_watch.h"
#include "center/commands_store.h"
#include "center/lost.h"
#include "center/node_store.h"
#include "center/runs.h"
#include "cloudtask/core/fake_loop.h"
#include "cloudtask/core/worker.h"
#include "cloudtask/ring/allocation.h"
#include "cloudtask/zk/memory_keeper.h"
#include "cloudtask/zk/recipes.h"
#include "ingest_fixture.h"

using namespace cloudtask;
using namespace cloudtask::center;
using std::chrono::milliseconds;
using std::chrono::seconds;
using task::RunState;

namespace {

constexpr const char* kA = HistoryFixture::kNode;
constexpr const char* kB = HistoryFixture::kOther;

ring::Registration registration(const std::string& id, const std::string& suffix = "1") {
    return {.member = {.id = id, .incarnation = id + "." + suffix, .name = id == kA ? "n1" : "n2", .labels = {}},
            .version = "0.1.0",
            .address = "host",
            .leaving = false};
}

struct World {
    explicit World(Duration grace = seconds{10})
        : client(loop, random, [this] { return keep(tree.connect()); }),
          other(tree.connect()),
          lost(loop, worker,
               LostParts{.store = *history.store,
                         .logs = history.logs,
                         .cluster = history.cluster,
                         .random = random,
                         .metrics = history.run_metrics,
                         .mail = {{}, "cloudtask@example.org", ""},
                         .grace = grace,
                         .runs_changed = [this](const std::set<std::string>& ids) { changed.insert(ids.begin(), ids.end()); },
                         .mail_waiting = [this] { ++mails; },
                         .commands_waiting = [this](const std::string& node) { woken.insert(node); }}),
          watch(loop, client, history.cluster, {"c1", "http://c1"},
                {.on_view = [this](const ClusterView& view) { lost.on_view(view); },
                 .on_leading =
                     [this](bool leads) {
                         leading = leads;
                         lost.set_leading(leads);
                     },
                 .on_ahead = [this](std::int64_t published) { ahead = published; }}) {
        watch.set_runtimes({{"demo", 5}});
        client.start();
        loop.settle();
    }
    ~World() {
        client.stop([] {});
        loop.settle();
    }

    std::unique_ptr<zk::Keeper> keep(std::unique_ptr<zk::Keeper> keeper) {
        current = keeper.get();
        return keeper;
    }
    std::shared_ptr<const ClusterView> view() const { return history.cluster.get(); }

    // A node's registration, in a session of the nodes.
    void join(const std::string& id, const std::string& suffix = "1") {
        other->create("/runtimes/demo/nodes/" + id, ring::write_registration(registration(id, suffix)), zk::CreateMode::ephemeral,
                      [](const Result<zk::Created>& made) { REQUIRE(made); });
        loop.settle();
    }
    void say_leaving(const std::string& id) {
        ring::Registration said = registration(id);
        said.leaving = true;
        other->set("/runtimes/demo/nodes/" + id, ring::write_registration(said), zk::kAnyVersion,
                   [](const Result<zk::Stat>& set) { REQUIRE(set); });
        loop.advance(std::chrono::seconds{1});
    }
    void leave(const std::string& id) {
        other->erase("/runtimes/demo/nodes/" + id, zk::kAnyVersion, [](const Result<>& gone) { REQUIRE(gone); });
        loop.settle();
    }
    void allocate(std::int64_t epoch, const std::vector<std::string>& ids) {
        ring::Allocation allocation;
        allocation.epoch = epoch;
        for (const auto& id : ids) allocation.nodes.push_back(registration(id).member);
        const std::string text = ring::write_allocation(allocation);
        other->create("/runtimes/demo/allocation", text, zk::CreateMode::persistent, [&](const Result<zk::Created>& made) {
            if (!made) other->set("/runtimes/demo/allocation", text, zk::kAnyVersion, [](const Result<zk::Stat>& set) { REQUIRE(set); });
        });
        loop.settle();
        loop.advance(seconds{1});
    }
    std::string data(const std::string& path) {
        std::string found = "absent";
        other->get(path, {}, [&](const Result<zk::Znode>& znode) {
            if (znode) found = znode->data;
        });
        loop.settle();
        return found;
    }

    FakeLoop loop;
    SeededRandom random{3};
    LoopWorker worker{loop};
    zk::MemoryTree tree{loop};
    HistoryFixture history;
    zk::Keeper* current = nullptr;  // the center's
    zk::Client client;
    std::unique_ptr<zk::Keeper> other;
    bool leading = false;
    std::int64_t ahead = 0;
    int mails = 0;
    std::set<std::string> changed, woken;
    LostWatch lost;
    ClusterWatch watch;
};

}  // namespace

TEST_CASE("the center lays out its runtimes, registers, leads, and publishes revisions", "[cluster]") {
    World w;
    REQUIRE(w.loop.advance_until([&] { return w.leading && w.view()->connected && w.view()->runtimes.at("demo").complete; }, seconds{10}));
    w.loop.advance(seconds{1});
    CHECK(w.data("/runtimes/demo/nodes") == "");
    CHECK(w.data("/runtimes/demo/election") == "");
    CHECK(w.data("/runtimes/demo/horizons") == "");
    CHECK(w.data("/centers/c1").find("http://c1") != std::string::npos);
    CHECK(w.data("/runtimes/demo/revision") == "5");

    for (std::int64_t revision = 6; revision <= 100; ++revision) w.watch.publish_revision("demo", revision);
    w.watch.publish_revision("demo", 50);
    w.loop.advance(seconds{1});
    CHECK(w.data("/runtimes/demo/revision") == "100");
    zk::Stat stat;
    w.other->exists("/runtimes/demo/revision", {}, [&](const Result<zk::Stat>& found) { stat = *found; });
    w.loop.settle();
    CHECK(stat.version <= 3);
}

TEST_CASE("a revision of the time without contact is published as soon as contact is back", "[cluster]") {
    World w;
    w.loop.advance(seconds{1});
    REQUIRE(w.data("/runtimes/demo/revision") == "5");
    w.tree.set_connected(w.current->session_id(), false);
    w.watch.publish_revision("demo", 77);
    w.loop.advance(seconds{120});  // the waits between attempts have grown
    CHECK(w.data("/runtimes/demo/revision") == "5");
    w.tree.set_connected(w.current->session_id(), true);
    w.loop.advance(milliseconds{100});
    CHECK(w.data("/runtimes/demo/revision") == "77");
}

TEST_CASE("a revision in ZooKeeper that the database does not know is told of, and not taken back", "[cluster]") {
    World w;
    w.loop.advance(seconds{1});
    w.other->set("/runtimes/demo/revision", "9", zk::kAnyVersion, [](const Result<zk::Stat>& set) { REQUIRE(set); });
    w.watch.publish_revision("demo", 6);
    w.loop.advance(seconds{1});
    CHECK(w.ahead == 9);
    CHECK(w.data("/runtimes/demo/revision") == "9");
    w.watch.publish_revision("demo", 10);
    w.loop.advance(seconds{1});
    CHECK(w.data("/runtimes/demo/revision") == "10");
}

TEST_CASE("members and allocation become the snapshot", "[cluster]") {
    World w;
    w.loop.advance(seconds{1});
    w.join(kA);
    w.join(kB);
    w.allocate(3, {kA});
    const auto view = w.view();
    CHECK(view->online("demo", kA));
    CHECK(view->online("demo", kB));
    CHECK(view->runtimes.at("demo").epoch == 3);
    REQUIRE(view->owner(w.history.task) != nullptr);
    CHECK(view->owner(w.history.task)->id == kA);
    CHECK(view->in_ring("demo", kA));
    CHECK_FALSE(view->in_ring("demo", kB));
    CHECK(view->settled("demo"));
    CHECK_FALSE(view->runtimes.at("demo").nodes.at(kB).leaving);
    w.say_leaving(kB);
    CHECK(w.view()->runtimes.at("demo").nodes.at(kB).leaving);
    CHECK(w.view()->online("demo", kB));
    w.leave(kB);
    w.loop.advance(seconds{1});
    CHECK_FALSE(w.view()->online("demo", kB));
    CHECK(view->online("demo", kB));  // a snapshot does not change

    w.tree.set_connected(w.current->session_id(), false);
    w.loop.advance(seconds{1});
    CHECK_FALSE(w.view()->connected);
    CHECK_FALSE(w.view()->settled("demo"));
    CHECK(w.view()->online("demo", kA));
}

TEST_CASE("a runtime that comes later is watched, one that goes is left", "[cluster]") {
    World w;
    w.loop.advance(seconds{1});
    w.watch.set_runtimes({{"demo", 5}, {"late", 9}});
    w.loop.advance(seconds{1});
    CHECK(w.data("/runtimes/late/revision") == "9");
    CHECK(w.view()->runtimes.contains("late"));
    w.watch.set_runtimes({{"late", 9}});
    w.loop.advance(seconds{1});
    CHECK_FALSE(w.view()->runtimes.contains("demo"));
}

TEST_CASE("a session that expires is followed by another that does it all again", "[cluster]") {
    World w;
    w.loop.advance(seconds{1});
    const auto first = w.current->session_id();
    w.tree.expire(first);
    w.watch.publish_revision("demo", 8);
    REQUIRE(w.loop.advance_until([&] { return w.client.connected() && w.current->session_id() != first && w.leading; }, seconds{60}));
    w.loop.advance(seconds{30});
    CHECK(w.data("/centers/c1") != "absent");
    CHECK(w.data("/runtimes/demo/revision") == "8");
}

TEST_CASE("runs of a node that is gone become LOST after the grace, with mail", "[lost]") {
    World w;
    w.loop.advance(seconds{1});
    w.join(kA);
    w.join(kB);
    w.allocate(1, {kA, kB});
    auto& h = w.history;
    const auto run = h.run(1, RunState::running);
    const auto safe = h.run(2, RunState::running, kB);
    h.take({h.run_report(run, 1)});
    h.take({h.run_report(safe, 1, HistoryFixture::kOtherIncarnation)}, kB);
    w.loop.advance(seconds{30});
    CHECK(h.stored(run.id).run.state == RunState::running);

    w.leave(kA);
    w.loop.advance(seconds{8});
    CHECK(h.stored(run.id).run.state == RunState::running);
    w.loop.advance(seconds{6});
    const auto stored = h.stored(run.id);
    CHECK(stored.run.state == RunState::lost);
    CHECK(stored.run.reason.find("node n1 lost at 20") != std::string::npos);
    CHECK(h.stored(safe.id).run.state == RunState::running);
    CHECK(h.number("SELECT running FROM tasks") == 1);
    CHECK(h.failure_mail(run.id));
    CHECK(w.mails == 1);
    CHECK(w.changed == std::set<std::string>{run.id});

    // Its word, when it comes after all.
    h.take({h.run_report(h.run(1, RunState::succeeded), 2)});
    CHECK(h.stored(run.id).run.state == RunState::lost);
    CHECK(h.late_report(run.id));
}

TEST_CASE("what only waits on a node that is gone is left to it until the node is removed", "[lost]") {
    World w;
    w.loop.advance(seconds{1});
    auto& h = w.history;
    REQUIRE(h.store->write([&](soci::session& sql) -> Result<> {
        insert_node(sql, {.id = kA, .runtime = "demo", .name = "n1", .token_hash = "n1", .document = "{}"});
        return {};
    }));
    w.join(kA);
    w.allocate(1, {kA});
    auto queued = h.run(1, RunState::pending), further = h.run(2, RunState::pending), begun = h.run(3, RunState::running);
    queued.reason = "overlap: it waits for the run before it";
    further.reason = "retry: attempt 2 of 3, at 12:00";
    std::int64_t sequence = 0;
    for (const auto& run : {queued, further, begun}) h.take({h.run_report(run, ++sequence)});

    w.leave(kA);
    w.loop.advance(seconds{600});
    CHECK(h.stored(begun.id).run.state == RunState::lost);
    CHECK(h.stored(queued.id).run.state == RunState::pending);
    CHECK(h.stored(further.id).run.state == RunState::pending);
    CHECK(w.mails == 1);
    // Nobody else knows better.
    auto lost = h.run(1, RunState::lost);
    lost.reason = "its node went away";
    h.take({h.run_report(lost, 1, HistoryFixture::kOtherIncarnation)}, kB);
    CHECK(h.stored(queued.id).run.state == RunState::pending);

    SECTION("it comes back and begins it") {
        w.join(kA, "2");
        h.take({h.run_report(h.run(1, RunState::running), ++sequence)});
        CHECK(h.stored(queued.id).run.state == RunState::running);
        CHECK_FALSE(h.late_report(queued.id));
    }
    SECTION("it is removed") {
        REQUIRE(h.store->write([&](soci::session& sql) -> Result<> {
            erase_node(sql, kA);
            return {};
        }));
        w.loop.advance(seconds{15});
        CHECK(h.stored(queued.id).run.state == RunState::lost);
        CHECK(h.stored(queued.id).run.reason == "it waited on node n1, which was removed");
        CHECK(h.stored(further.id).run.state == RunState::lost);
        CHECK(w.mails == 2);  // both at once
    }
}

TEST_CASE("a node that comes back within the grace, also as a new incarnation, keeps its runs", "[lost]") {
    World w;
    w.loop.advance(seconds{1});
    w.join(kA);
    auto& h = w.history;
    const auto run = h.run(1, RunState::running);
    h.take({h.run_report(run, 1)});
    for (int n = 0; n < 5; ++n) {
        w.leave(kA);
        w.loop.advance(seconds{7});
        w.join(kA, std::to_string(n + 2));
        w.loop.advance(seconds{1});
    }
    w.loop.advance(seconds{60});
    CHECK(h.stored(run.id).run.state == RunState::running);
}

TEST_CASE("no contact with ZooKeeper is not taken for no nodes", "[lost]") {
    World w;
    w.loop.advance(seconds{1});
    w.join(kA);
    auto& h = w.history;
    const auto run = h.run(1, RunState::running);
    h.take({h.run_report(run, 1)});
    w.loop.advance(seconds{1});
    w.tree.set_connected(w.current->session_id(), false);
    w.leave(kA);
    w.loop.advance(seconds{300});
    CHECK(h.stored(run.id).run.state == RunState::running);
    w.tree.set_connected(w.current->session_id(), true);
    w.loop.advance(seconds{6});
    CHECK(h.stored(run.id).run.state == RunState::running);  // the grace begins anew
    REQUIRE(w.loop.advance_until([&] { return h.stored(run.id).run.state == RunState::lost; }, std::chrono::minutes{10}));
}

TEST_CASE("an attempt that was handed over goes on from a node that is gone, if that never had it; else it waits there", "[lost]") {
    World w;
    w.loop.advance(seconds{1});
    auto& h = w.history;
    REQUIRE(h.store->write([&](soci::session& sql) -> Result<> {
        insert_node(sql, {.id = kB, .runtime = "demo", .name = "n2", .token_hash = "n2", .document = "{}"});
        return {};
    }));
    w.join(kA);
    w.join(kB);
    w.allocate(2, {kA, kB});
    const auto failed = h.run(1, RunState::failed);
    const auto attempt = h.further_attempt(failed);
    h.take({h.hand_over_report(attempt, 1), h.run_report(failed, 2)});
    REQUIRE(h.stored(attempt.id).run.node_id == kB);
    const std::string open = "SELECT node_id FROM commands WHERE state = 'open'";
    const auto b_is_gone = [&] {
        w.leave(kB);
        w.allocate(3, {kA});
        w.loop.advance(seconds{60});
    };
    SECTION("it never had it") {
        b_is_gone();
        CHECK(h.stored(attempt.id).run.state == RunState::pending);
        CHECK(h.stored(attempt.id).run.node_id == kA);  // the only one that is left
        CHECK(h.text(open) == kA);
        CHECK(h.number("SELECT count(*) FROM commands WHERE state = 'withdrawn'") == 1);
        CHECK(w.woken == std::set<std::string>{kA});
        CHECK(h.text("SELECT document FROM commands WHERE state = 'open'").find("\"hand_over\":{\"due\"") != std::string::npos);
    }
    SECTION("it may have it") {
        REQUIRE(h.store->write([&](soci::session& sql) -> Result<> {
            mark_delivered(sql, {open_command(sql, attempt.id, "start")->id}, h.clock.now());
            return {};
        }));
        b_is_gone();
        CHECK(h.stored(attempt.id).run.state == RunState::pending);
        CHECK(h.stored(attempt.id).run.node_id == kB);
        CHECK(h.text(open) == kB);
        REQUIRE(h.store->write([&](soci::session& sql) -> Result<> {
            erase_node(sql, kB);
            return {};
        }));
        w.loop.advance(seconds{15});
        CHECK(h.stored(attempt.id).run.state == RunState::lost);
        CHECK(h.number("SELECT count(*) FROM commands WHERE state = 'open'") == 0);
    }
}

TEST_CASE("a start that was never handed out goes to the next owner; one that was is lost", "[lost]") {
    World w;
    w.loop.advance(seconds{1});
    w.join(kB);
    w.allocate(2, {kB});
    auto& h = w.history;
    auto waiting = h.run(1, RunState::pending);
    auto handed = h.run(2, RunState::pending);
    waiting.trigger = handed.trigger = task::Trigger::manual;
    REQUIRE(h.store->write([&](soci::session& sql) -> Result<> {
        RunWriter runs(sql);
        runs.insert(waiting);
        runs.insert(handed);
        insert_command(sql, Command{"c-waiting", kA, "start", waiting.id, "{}", "open", {}}, h.clock.now());
        insert_command(sql, Command{"c-handed", kA, "start", handed.id, "{}", "open", {}}, h.clock.now());
        mark_delivered(sql, {"c-handed"}, h.clock.now());
        return {};
    }));
    w.loop.advance(seconds{15});
    CHECK(h.stored(handed.id).run.state == RunState::lost);
    const auto moved = h.stored(waiting.id).run;
    CHECK(moved.state == RunState::pending);
    CHECK(moved.node_id == kB);
    CHECK(w.woken == std::set<std::string>{kB});
    CHECK(h.text("SELECT state FROM commands WHERE id = 'c-waiting'") == "withdrawn");
    CHECK(h.text("SELECT node_id FROM commands WHERE state = 'open'") == kB);
    CHECK(h.text("SELECT document FROM commands WHERE state = 'open'").find("\"task\":{") != std::string::npos);
}
