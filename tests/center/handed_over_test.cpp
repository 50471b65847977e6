// Attempts that a node gives up, and another one is to begin: what the center makes of the reports.
#include <catch2/catch.hpp>

#include "center/commands_store.h"
#include "center/task_store.h"
#include "cloudtask/task/codec.h"
#include "ingest_fixture.h"

using namespace cloudtask;
using namespace cloudtask::center;
using task::RunState;

namespace {

constexpr const char* kGivesUp = HistoryFixture::kNode;
constexpr const char* kTakesOver = HistoryFixture::kOther;

// A run that failed on node a, and the attempt that follows it.
struct GivenUp {
    HistoryFixture f;
    task::Run failed = f.run(1, RunState::failed), attempt = f.further_attempt(failed);

    void tell() { f.take({f.hand_over_report(attempt, 1), f.run_report(failed, 2)}); }
    std::vector<Command> commands(const char* node) {
        std::vector<Command> found;
        REQUIRE(f.store->read([&](soci::session& sql) -> Result<> {
            found = open_commands(sql, node, 10);
            return {};
        }));
        return found;
    }
};

}  // namespace

TEST_CASE("an attempt that is given up becomes the start of a run on another node, in one transaction", "[elsewhere]") {
    GivenUp g;
    g.f.set_online({kGivesUp, kTakesOver});
    g.tell();
    g.tell();  // as after an answer that was lost
    const auto run = g.f.stored(g.attempt.id).run;
    CHECK(run.state == RunState::pending);
    CHECK(run.node_id == kTakesOver);
    CHECK(run.node_name == "n2");
    CHECK(run.attempt == 2);
    CHECK(run.reason == "elsewhere: attempt 2 is on its way to node n2");
    CHECK(g.f.stored(g.failed.id).run.state == RunState::failed);
    CHECK_FALSE(g.f.failure_mail(g.failed.id));  // another attempt follows
    CHECK(g.f.woken == std::vector<std::string>{kTakesOver});
    const auto commands = g.commands(kTakesOver);
    REQUIRE(commands.size() == 1);
    CHECK(commands[0].kind == "start");
    CHECK(commands[0].run_id == g.attempt.id);
    const auto document = json::parse(commands[0].document);
    REQUIRE(document);
    const auto told = task::read_run((*document)["run"]);
    REQUIRE(told);
    CHECK(told->id == g.attempt.id);
    CHECK(told->node_id == kTakesOver);
    CHECK(told->fire_time == g.failed.fire_time);
    CHECK(told->reason == g.attempt.reason);
    CHECK(task::read_task((*document)["task"])->id == g.f.task.id);
    CHECK(std::string{(*document)["hand_over"]["after"].GetString()} == kGivesUp);
    CHECK((*document)["hand_over"]["made"].GetInt() == 1);
    CHECK(g.f.number("SELECT count(*) FROM commands") == 1);

    // From here on it is the other node's.
    auto waits = *told;
    g.f.take({g.f.run_report(waits, 1, HistoryFixture::kOtherIncarnation)}, kTakesOver);
    CHECK(g.f.stored(g.attempt.id).run.reason == g.attempt.reason);
    waits.state = RunState::succeeded;
    waits.started_at = waits.ended_at = *waits.fire_time + std::chrono::seconds{3};
    g.f.take({g.f.run_report(waits, 2, HistoryFixture::kOtherIncarnation)}, kTakesOver);
    CHECK(g.f.stored(g.attempt.id).run.state == RunState::succeeded);
    CHECK_FALSE(g.f.late_report(g.attempt.id));
}

TEST_CASE("without another node that could take it, an attempt goes back to its own", "[elsewhere]") {
    GivenUp g;
    SECTION("there is none") { g.f.set_online({kGivesUp}); }
    SECTION("ZooKeeper is out of reach") {
        g.f.set_online({kGivesUp, kTakesOver});
        auto view = std::make_shared<ClusterView>(*g.f.cluster.get());
        view->connected = false;
        g.f.cluster.set(view);
    }
    SECTION("the other is cordoned") {
        g.f.set_online({kGivesUp, kTakesOver});
        auto view = std::make_shared<ClusterView>(*g.f.cluster.get());
        view->runtimes["demo"].nodes[kTakesOver].leaving = true;
        g.f.cluster.set(view);
    }
    SECTION("the other is none of the task's targets") {
        g.f.set_online({kGivesUp, kTakesOver});
        REQUIRE(g.f.store->write([&](soci::session& sql) -> Result<> {
            auto bound = g.f.task;
            bound.targets = {"n1"};
            bound.version = 2;
            update_task_row(sql, bound, "01920000-0000-7000-8000-000000000002", {"admin"});
            return {};
        }));
        g.attempt.task_version = 2;
    }
    g.tell();
    CHECK(g.f.stored(g.attempt.id).run.node_id == kGivesUp);
    CHECK(g.commands(kGivesUp).size() == 1);
    CHECK(g.commands(kTakesOver).empty());
}

TEST_CASE("an attempt of a task that was disabled meanwhile is skipped, and its fire has failed", "[elsewhere]") {
    GivenUp g;
    g.f.set_online({kGivesUp, kTakesOver});
    REQUIRE(g.f.store->write([&](soci::session& sql) -> Result<> {
        auto disabled = g.f.task;
        disabled.enabled = false;
        disabled.version = 2;
        update_task_row(sql, disabled, "01920000-0000-7000-8000-000000000002", {"admin"});
        return {};
    }));
    g.tell();
    CHECK(g.f.stored(g.attempt.id).run.state == RunState::skipped);
    CHECK(g.f.stored(g.attempt.id).run.reason.starts_with("disabled:"));
    CHECK(g.f.number("SELECT count(*) FROM commands") == 0);
    CHECK(g.f.number("SELECT count(*) FROM mails") == 1);
}

TEST_CASE("only an attempt that is yet to begin, of the node itself, can be given up", "[elsewhere]") {
    GivenUp g;
    g.f.set_online({kGivesUp, kTakesOver});
    SECTION("one that runs") { g.attempt.state = RunState::running; }
    SECTION("one that follows nothing") { g.attempt.trigger = task::Trigger::schedule; }
    g.tell();
    CHECK(g.f.number("SELECT count(*) FROM dead_letters") == 1);
    CHECK(g.f.number("SELECT count(*) FROM commands") == 0);
}
