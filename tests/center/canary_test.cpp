// Canaries: the first fires of a new version decide whether it stays, whatever is repeated.
#include "center/canary.h"

#include <soci/soci.h>
#include <catch2/catch.hpp>

#include <random>

#include "api_fixture.h"
#include "center/mail_store.h"
#include "center/runtime_store.h"
#include "center/tasks.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/task/attempts.h"
#include "cloudtask/task/pieces.h"
#include "ingest_fixture.h"

using namespace cloudtask;
using namespace cloudtask::center;
using task::RunState;

namespace {

// The task of the fixture gets versions, and runs of them are reported.
struct CanaryFixture : HistoryFixture {
    Principal user{.kind = Principal::Kind::user, .id = "u", .name = "root", .runtime = {}, .token_hash = {}};

    StoredTask change(const std::function<Result<StoredTask>(WriteScope&)>& body) {
        StoredTask after;
        REQUIRE(store->write([&](soci::session& sql) -> Result<> {
            WriteScope scope{sql, user, address, clock.now(), {}, {}, {}};
            auto outcome = body(scope);
            if (!outcome) return propagate(outcome);
            after = std::move(*outcome);
            return {};
        }));
        return after;
    }
    StoredTask update(const std::string& shell, std::int64_t canary) {
        return change([&](WriteScope& scope) {
            task::Task next = now().task;
            next.shell = shell;
            Faults faults;
            return update_task(scope, task.id, 0, next, canary, faults);
        });
    }
    StoredTask now() {
        StoredTask stored;
        REQUIRE(store->read([&](soci::session& sql) -> Result<> {
            auto found = need_task(sql, task.id);
            if (!found) return propagate(found);
            stored = std::move(*found);
            return {};
        }));
        return stored;
    }
    Canary canary() {
        const auto stored = now();
        REQUIRE(stored.canary);
        return *stored.canary;
    }
    task::Run run_of(int number, std::int64_t version, RunState state) {
        task::Run one = run(number, state);
        one.task_version = version;
        return one;
    }
    void report(const std::vector<task::Run>& runs) {
        std::vector<std::string> reports;
        for (const auto& one : runs) reports.push_back(run_report(one, ++sequence));
        take(reports);
    }

    std::string address = "127.0.0.1";
    std::int64_t sequence = 0;
};

}  // namespace

TEST_CASE("canary: a version whose first fire fails is rolled back at once, audited and mailed") {
    for (const RunState bad : {RunState::failed, RunState::timed_out}) {
        CanaryFixture f;
        REQUIRE(f.update("new", 3).canary->state == Canary::State::running);
        f.report({f.run_of(1, 1, RunState::failed)});  // of the version before: it says nothing of the new one
        CHECK(f.now().task.version == 2);
        f.report({f.run_of(2, 2, RunState::succeeded), f.run_of(3, 2, bad)});
        const auto stored = f.now();
        CHECK(stored.task.version == 3);
        CHECK(stored.task.shell == "date");
        CHECK((stored.canary->state == Canary::State::rolled_back));
        CHECK(stored.canary->succeeded == 1);
        CHECK(f.catalog_revision == stored.task.revision);
        CHECK(f.number("SELECT count(*) FROM audit WHERE action = 'task.canary-rollback' AND principal = 'center:canary'") == 1);
        CHECK(f.number("SELECT count(*) FROM task_versions WHERE version = 3 AND note LIKE 'rolled back to version 1: run %'") == 1);
        CHECK(f.number("SELECT count(*) FROM mails WHERE unique_key LIKE 'canary:%' AND recipients = 'ops@example.org'") == 1);
        // What comes of the bad version later changes nothing.
        f.report({f.run_of(4, 2, bad), f.run_of(5, 2, RunState::succeeded)});
        CHECK(f.now().task.version == 3);
    }
}

TEST_CASE("canary: after enough fires that succeed the version is confirmed, and a failure counts no more") {
    CanaryFixture f;
    f.update("new", 2);
    f.report({f.run_of(1, 2, RunState::succeeded)});
    CHECK(f.canary().succeeded == 1);
    CHECK((f.canary().state == Canary::State::running));
    // What is neither a success nor a failure of the program decides nothing; neither does a start by hand.
    task::Run manual = f.run_of(9, 2, RunState::failed);
    manual.id = "0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10";
    manual.trigger = task::Trigger::manual;
    manual.fire_time.reset();
    f.report({f.run_of(2, 2, RunState::skipped), f.run_of(3, 2, RunState::stopped), f.run_of(4, 2, RunState::lost), manual});
    CHECK((f.canary().state == Canary::State::running));
    f.report({f.run_of(5, 2, RunState::succeeded)});
    CHECK((f.canary().state == Canary::State::confirmed));
    CHECK(f.canary().succeeded == 2);
    f.report({f.run_of(6, 2, RunState::failed)});
    CHECK(f.now().task.version == 2);
    CHECK(f.number("SELECT count(*) FROM mails WHERE unique_key LIKE 'canary:%'") == 0);
}

TEST_CASE("canary: a fire that is tried again has not failed yet, and has once no attempt follows") {
    const auto retry_of = [](task::Run ended, RunState state) {
        ended.id = task::retry_id(ended.id, *ended.fire_time);
        ended.trigger = task::Trigger::retry;
        ++ended.attempt;
        ended.state = state;
        if (state == RunState::pending) ended.ended_at.reset();
        return ended;
    };
    for (const RunState last : {RunState::succeeded, RunState::failed, RunState::skipped}) {
        CanaryFixture f;
        f.update("new", 1);
        const task::Run first = f.run_of(1, 2, RunState::failed);
        f.report({retry_of(first, RunState::pending), first});
        CHECK((f.canary().state == Canary::State::running));
        CHECK(f.number("SELECT count(*) FROM mails") == 0);
        f.report({retry_of(first, last)});
        CHECK((f.canary().state == (last == RunState::succeeded ? Canary::State::confirmed : Canary::State::rolled_back)));
        CHECK(f.number("SELECT count(*) FROM mails WHERE unique_key LIKE 'run-failed:%'") == (last == RunState::succeeded ? 0 : 1));
    }
}

TEST_CASE("canary: a fire of a task with pieces has succeeded once all of it has") {
    const auto piece_of = [](task::Run run, std::int64_t piece, bool sharded) {
        run.piece = sharded ? task::shard_id(run.task_id, piece) : task::node_piece_id(run.task_id, fmt::format("n{}", piece));
        if (sharded) run.shard = piece;
        run.id = task::run_id(run.piece, *run.fire_time, run.attempt);
        return run;
    };
    for (const auto& [sharded, fails] : {std::pair{true, false}, std::pair{true, true}, std::pair{false, false}, std::pair{false, true}}) {
        INFO((sharded ? "shards" : "broadcast"));
        CanaryFixture f;
        f.change([&f, pieces = sharded](WriteScope& scope) {
            task::Task next = f.now().task;
            next.mode = pieces ? task::Mode::shards : task::Mode::broadcast;
            next.shards = pieces ? 3 : 0;
            Faults faults;
            return update_task(scope, f.task.id, 0, next, 2, faults);
        });
        const auto end = [&, pieces = sharded](int fire, std::int64_t piece, RunState state) {
            f.report({piece_of(f.run_of(fire, 2, state), piece, pieces)});
        };
        end(1, 0, RunState::running);
        end(1, 1, RunState::succeeded);
        CHECK(f.canary().succeeded == 0);
        end(1, 0, RunState::succeeded);
        CHECK(f.canary().succeeded == (sharded ? 0 : 1));
        end(1, 2, RunState::succeeded);
        CHECK(f.canary().succeeded == 1);
        for (const std::int64_t piece : {2, 0, 1}) {
            CHECK((f.canary().state == Canary::State::running));
            end(2, piece, piece == 2 ? RunState::running : RunState::succeeded);
        }
        CHECK((f.canary().state == Canary::State::running));
        end(2, 2, fails ? RunState::failed : RunState::succeeded);
        CHECK((f.canary().state == (fails ? Canary::State::rolled_back : Canary::State::confirmed)));
    }
}

TEST_CASE("canary: it survives being enabled and disabled, and ends with any other change") {
    CanaryFixture f;
    f.update("new", 3);
    f.change([&](WriteScope& scope) { return set_task_enabled(scope, f.task.id, 0, false); });
    f.change([&](WriteScope& scope) { return set_task_enabled(scope, f.task.id, 0, true); });
    CHECK((f.canary().state == Canary::State::running));
    CHECK(f.canary().last == 4);

    SECTION("a failure of a later version that says the same counts, and enabled stays as it is") {
        f.change([&](WriteScope& scope) { return set_task_enabled(scope, f.task.id, 0, false); });
        f.report({f.run_of(1, 4, RunState::failed)});
        CHECK((f.canary().state == Canary::State::rolled_back));
        CHECK(f.now().task.shell == "date");
        CHECK_FALSE(f.now().task.enabled);
    }
    SECTION("a change that enables or disables as well") {
        f.change([&](WriteScope& scope) {
            task::Task edited = f.now().task;
            edited.enabled = false;
            edited.shell = "newer";
            Faults faults;
            return update_task(scope, f.task.id, 0, std::move(edited), 0, faults);
        });
        CHECK((f.canary().state == Canary::State::superseded));
    }
    SECTION("another change") {
        f.update("newer", 0);
        CHECK((f.canary().state == Canary::State::superseded));
        f.report({f.run_of(1, 4, RunState::failed)});
        CHECK(f.now().task.shell == "newer");
    }
    SECTION("another canary") {
        f.update("newer", 1);
        CHECK(f.canary().version == 5);
        f.report({f.run_of(1, 4, RunState::failed)});
        CHECK((f.canary().state == Canary::State::running));
        f.report({f.run_of(2, 5, RunState::failed)});
        CHECK(f.now().task.shell == "date");  // and not the version whose trial was not over
    }
    SECTION("the task is deleted") {
        f.change([&](WriteScope& scope) -> Result<StoredTask> {
            auto gone = need_task(scope.sql, f.task.id);
            if (auto deleted = delete_task(scope, f.task.id, 0); !deleted) return propagate(deleted);
            return gone;
        });
        f.report({f.run_of(1, 4, RunState::failed)});
        CHECK(f.number("SELECT count(*) FROM task_canaries") == 0);
        CHECK(f.number("SELECT count(*) FROM mails WHERE unique_key LIKE 'canary:%'") == 0);
    }
}

TEST_CASE("canary: what cannot be rolled back stays, and somebody is told") {
    CanaryFixture f;
    f.update("new", 3);
    REQUIRE(f.store->write([](soci::session& sql) -> Result<> {
        sql << "UPDATE task_versions SET document = 'x' WHERE version = 1";
        return {};
    }));
    f.report({f.run_of(1, 2, RunState::failed)});
    CHECK((f.canary().state == Canary::State::stuck));
    CHECK(f.canary().detail.find("version 1 cannot be put back") != std::string::npos);
    CHECK(f.now().task.version == 2);
    CHECK(f.number("SELECT count(*) FROM mails WHERE unique_key LIKE 'canary:%'") == 1);
}

TEST_CASE("canary: however reports are batched and repeated, the decision follows from the ends alone") {
    const auto seed = Catch::rngSeed();
    CAPTURE(seed);
    std::mt19937_64 random{seed};
    for (int round = 0; round < 15; ++round) {
        CanaryFixture f;
        const auto fires = static_cast<std::int64_t>(1 + random() % 4);
        f.update("new", fires);
        std::int64_t successes = 0;
        std::optional<Canary::State> expected;
        for (int number = 1; number <= 6; ++number) {
            const bool fails = random() % 4 == 0;
            const auto ended = f.run_of(number, 2, fails ? RunState::failed : RunState::succeeded);
            std::vector<task::Run> batch{f.run_of(number, 2, RunState::running), ended};
            if (random() % 2 == 0) batch.push_back(ended);
            f.report(batch);  // judged by what is in the database alone, as after a restart
            if (!expected && fails) expected = Canary::State::rolled_back;
            if (!expected && ++successes == fires) expected = Canary::State::confirmed;
            REQUIRE((f.canary().state == expected.value_or(Canary::State::running)));
            REQUIRE(f.now().task.shell == (expected == Canary::State::rolled_back ? "date" : "new"));
        }
    }
}

TEST_CASE("canary: asked for with an update, shown with the task, and not without something new") {
    ApiFixture api;
    api.make_group();
    const auto path = "/api/v1/tasks/" + api.make_task("daily");
    const auto new_one = task_definition("daily", R"(,"description":"new")");
    CHECK(api.put(path + "?canary=0", "1", new_one).status == 400);
    CHECK(api.put(path + "?canary=1001", "1", new_one).status == 400);
    CHECK(api.put(path + "?canary=3", "1", task_definition("daily")).status == 422);
    CHECK(api.put(path + "?canary=3&dry_run=true", "1", new_one).status == 200);
    CHECK_FALSE(api.get(path).json().HasMember("canary"));
    const auto begun = api.put(path + "?canary=3", "1", new_one);
    INFO(begun.body);
    REQUIRE(begun.status == 200);
    CHECK(begun.json()["canary"]["state"] == "running");
    const auto shown = api.get(path).json();
    CHECK(shown["canary"]["fires"].GetInt() == 3);
    CHECK(shown["canary"]["previous"].GetInt() == 1);
    CHECK(api.get("/api/v1/tasks").json()["items"][0]["canary"]["version"].GetInt() == 2);
    CHECK(api.count("SELECT count(*) FROM audit WHERE action = 'task.canary'") == 1);
    // What was read can be sent back.
    CHECK(api.put(path, "2", api.get(path).body).text("version") == "2");

    api.set_cluster(
        {{.id = "n1", .incarnation = "i1", .name = "one", .labels = {}}, {.id = "n2", .incarnation = "i2", .name = "two", .labels = {}}});
    const auto told = api.get(path + "/guarantee");
    INFO(told.body);
    REQUIRE(told.status == 200);
    CHECK(told.text("owner") == api.get(path + "/owner").text("node_name"));
    CHECK(told.text("taken_over_within") == "6s500ms");
    CHECK(told.body.find("Version 2 is on trial: 0 of 3 fires have succeeded.") != std::string::npos);
    CHECK(told.body.find("It has no schedule that fires") != std::string::npos);
    CHECK(api.get("/api/v1/tasks/00000000-0000-7000-8000-000000000000/guarantee").status == 404);
}
