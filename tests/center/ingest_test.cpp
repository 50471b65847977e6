// Ingest: what reports make of the history, in whatever pieces and however often they come.
#include <catch2/catch.hpp>

#include "center/commands_store.h"
#include "center/runs.h"
#include "cloudtask/task/parameters.h"
#include "cloudtask/task/template.h"
#include "ingest_fixture.h"

using namespace cloudtask;
using namespace cloudtask::center;
using task::RunState;

TEST_CASE("a run, its log and its end make a history", "[ingest]") {
    HistoryFixture f;
    const auto run = f.run(1, RunState::running);
    auto ended = f.run(1, RunState::failed);
    f.take({f.run_report(run, 1), f.log_report(run, "stdout", 0, "hello ", 2)});
    CHECK(f.stored(run.id).run.state == RunState::running);
    CHECK(f.number("SELECT running FROM tasks") == 1);
    f.take({f.log_report(run, "stdout", 6, "world\n", 3), f.log_report(run, "stderr", 0, "no such file\n", 4), f.run_report(ended, 5)});

    const auto stored = f.stored(run.id);
    CHECK(stored.run.state == RunState::failed);
    CHECK(stored.run.exit_code == 3);
    CHECK(stored.run.fire_time == run.fire_time);
    CHECK(stored.log_note.empty());
    CHECK(*f.logs.read(run.id, LogStream::standard_output, 0, 100) == "hello world\n");
    CHECK(*f.logs.read(run.id, LogStream::standard_output, 6, 5) == "world");
    CHECK(f.number("SELECT running FROM tasks") == 0);
    CHECK(f.text("SELECT last_run_state FROM tasks") == "FAILED");
    CHECK(f.changed.contains(run.id));
    const auto mail = f.failure_mail(run.id);
    REQUIRE(mail);
    CHECK(mail->recipients == std::vector<std::string>{"ops@example.org"});
    CHECK(mail->body.find("no such file") != std::string::npos);
    CHECK(mail->body.find("http://center.example/#run=" + run.id) != std::string::npos);
    CHECK(f.number("SELECT count(*) FROM dead_letters") == 0);
}

TEST_CASE("batches that come again, in any pieces, change nothing", "[ingest]") {
    const auto seed = static_cast<std::uint64_t>(GENERATE(1, 2, 3, 4, 5, 6));
    INFO("seed " << seed);
    HistoryFixture f;
    SeededRandom random(seed);
    std::vector<std::string> reports;
    std::vector<task::Run> last;
    const auto add = [&](auto make) { reports.push_back(make(static_cast<std::int64_t>(reports.size()) + 1)); };
    for (int n = 0; n < 8; ++n) {
        const auto running = f.run(n, RunState::running);
        const auto ended = f.run(n, random.below(2) == 0 ? RunState::succeeded : RunState::failed);
        add([&](std::int64_t s) { return f.run_report(running, s); });
        add([&](std::int64_t s) { return f.log_report(running, "stdout", 0, "one\n", s); });
        add([&](std::int64_t s) { return f.log_report(running, "stdout", 4, "two\n", s); });
        add([&](std::int64_t s) { return f.run_report(ended, s); });
        last.push_back(ended);
    }
    // A node that is never sure of its answers: every batch begins somewhere in what was sent already.
    std::size_t sent = 0;
    while (sent < reports.size()) {
        const std::size_t begin = random.below(sent + 1);
        const std::size_t end = std::min<std::size_t>(reports.size(), sent + 1 + random.below(6));
        f.take({reports.begin() + static_cast<std::ptrdiff_t>(begin), reports.begin() + static_cast<std::ptrdiff_t>(end)});
        sent = std::max(sent, end);
    }
    long long failures = 0;
    for (const auto& run : last) {
        CHECK(f.stored(run.id).run.state == run.state);
        CHECK_FALSE(f.late_report(run.id));
        CHECK(*f.logs.read(run.id, LogStream::standard_output, 0, 100) == "one\ntwo\n");
        if (run.state == RunState::failed) ++failures;
    }
    CHECK(f.number("SELECT count(*) FROM runs") == 8);
    CHECK(f.number("SELECT count(*) FROM mails") == failures);
    CHECK(f.number("SELECT count(*) FROM dead_letters") == 0);
    CHECK(f.number("SELECT running FROM tasks") == 0);
    CHECK(f.number("SELECT sequence FROM ingest_cursors") == static_cast<long long>(reports.size()));
}

TEST_CASE("a terminal state is kept; what comes later stands beside it", "[ingest]") {
    HistoryFixture f;
    const auto run = f.run(1, RunState::lost);
    f.take({f.run_report(run, 1)});
    f.take({f.run_report(f.run(1, RunState::succeeded), 2)});
    CHECK(f.stored(run.id).run.state == RunState::lost);
    REQUIRE(f.late_report(run.id));
    CHECK(f.late_report(run.id)->find("SUCCEEDED") != std::string::npos);
    CHECK(f.number("SELECT count(*) FROM mails") == 1);
}

TEST_CASE("what an entry covers is kept, also where its own run is known better", "[ingest]") {
    HistoryFixture f;
    f.take({f.run_report(f.run(1, RunState::succeeded), 1)});
    auto lost = f.run(1, RunState::lost);
    lost.reason = "its node went away";
    lost.covers_until = *lost.fire_time + std::chrono::minutes{5};
    f.take({f.run_report(lost, 1, HistoryFixture::kOtherIncarnation)}, HistoryFixture::kOther);
    CHECK(f.stored(lost.id).run.state == RunState::succeeded);
    CHECK(f.stored(lost.id).run.covers_until == lost.covers_until);
    CHECK(f.text("SELECT covers_state || ', ' || covers_reason FROM runs") == "LOST, its node went away");

    auto skipped = f.run(2, RunState::skipped);
    skipped.covers_until = *skipped.fire_time + std::chrono::minutes{5};
    f.take({f.run_report(skipped, 2)});
    CHECK(f.stored(skipped.id).run.covers_until == skipped.covers_until);
    // It never shrinks.
    auto less = skipped;
    less.covers_until = *skipped.fire_time;
    f.take({f.run_report(less, 3)});
    CHECK(f.stored(skipped.id).run.covers_until == skipped.covers_until);
    CHECK(f.number("SELECT count(*) FROM runs WHERE covers_until IS NULL") == 0);
}

TEST_CASE("a late report of the first attempt is shown with it, and is not taken for the second", "[ingest]") {
    HistoryFixture f;
    const auto first = f.run(1, RunState::lost);
    auto second = f.run(1, RunState::running, HistoryFixture::kOther);
    second.attempt = 2;
    second.trigger = task::Trigger::rerun;
    second.id = task::run_id(second.task_id, *second.fire_time, 2);
    second.incarnation = HistoryFixture::kOtherIncarnation;
    f.take({f.run_report(first, 1, HistoryFixture::kOtherIncarnation), f.run_report(second, 2, HistoryFixture::kOtherIncarnation)},
           HistoryFixture::kOther);
    // The old incarnation comes back, and tells how it went.
    auto late = f.run(1, RunState::failed);
    late.exit_code = 3;
    f.take({f.run_report(late, 1)});

    const auto shown = json::parse(run_json(f.stored(first.id)));
    REQUIRE(shown);
    CHECK((*shown)["state"] == "LOST");
    CHECK_FALSE(shown->HasMember("exit_code"));
    REQUIRE(shown->HasMember("late_report"));
    CHECK((*shown)["late_report"]["state"] == "FAILED");
    CHECK((*shown)["late_report"]["exit_code"].GetInt64() == 3);
    CHECK((*shown)["late_report"]["incarnation"] == HistoryFixture::kIncarnation);

    CHECK(f.stored(second.id).run.state == RunState::running);
    CHECK(f.stored(second.id).late_report.empty());
    CHECK(f.number("SELECT count(*) FROM mails") == 1);  // of the loss
    second.state = RunState::succeeded;
    f.take({f.run_report(second, 3, HistoryFixture::kOtherIncarnation)}, HistoryFixture::kOther);
    CHECK(f.stored(second.id).run.state == RunState::succeeded);
    CHECK(f.stored(first.id).run.state == RunState::lost);
    // The log of the first does not become that of the second.
    f.take({f.log_report(first, "stdout", 0, "late words", 2)});
    CHECK(*f.logs.size(second.id, LogStream::standard_output) == 0);
}

TEST_CASE("RUNNING does not go back to PENDING", "[ingest]") {
    HistoryFixture f;
    f.take({f.run_report(f.run(1, RunState::running), 1), f.run_report(f.run(1, RunState::pending), 2)});
    CHECK(f.stored(f.run(1, RunState::running).id).run.state == RunState::running);
    CHECK(f.number("SELECT running FROM tasks") == 1);
}

TEST_CASE("a next owner's LOST holds only for what nobody knows better", "[ingest]") {
    HistoryFixture f;
    auto lost = f.run(1, RunState::lost, HistoryFixture::kNode);
    SECTION("the run is over") {
        f.take({f.run_report(f.run(1, RunState::succeeded), 1)});
        f.take({f.run_report(lost, 1, HistoryFixture::kOtherIncarnation)}, HistoryFixture::kOther);
        CHECK(f.stored(lost.id).run.state == RunState::succeeded);
        CHECK_FALSE(f.late_report(lost.id));
    }
    SECTION("its node is there") {
        f.set_online({HistoryFixture::kNode, HistoryFixture::kOther});
        f.take({f.run_report(f.run(1, RunState::running), 1)});
        f.take({f.run_report(lost, 1, HistoryFixture::kOtherIncarnation)}, HistoryFixture::kOther);
        CHECK(f.stored(lost.id).run.state == RunState::running);
        CHECK(f.late_report(lost.id));
    }
    SECTION("nobody knows whether its node is there") {
        f.take({f.run_report(f.run(1, RunState::running), 1)});
        f.take({f.run_report(lost, 1, HistoryFixture::kOtherIncarnation)}, HistoryFixture::kOther);
        CHECK(f.stored(lost.id).run.state == RunState::running);
        CHECK(f.late_report(lost.id));
    }
    SECTION("its node is gone") {
        f.set_online({HistoryFixture::kOther});
        f.take({f.run_report(f.run(1, RunState::running), 1)});
        f.take({f.run_report(lost, 1, HistoryFixture::kOtherIncarnation)}, HistoryFixture::kOther);
        const auto stored = f.stored(lost.id);
        CHECK(stored.run.state == RunState::lost);
        CHECK(stored.run.node_id == HistoryFixture::kNode);
        CHECK(f.number("SELECT running FROM tasks") == 0);
        CHECK(f.failure_mail(lost.id));
    }
    SECTION("nobody ever heard of it") {
        f.take({f.run_report(lost, 1, HistoryFixture::kOtherIncarnation)}, HistoryFixture::kOther);
        CHECK(f.stored(lost.id).run.state == RunState::lost);
        CHECK(f.failure_mail(lost.id));
    }
}

TEST_CASE("reports that can never be applied are put aside, and those behind them are taken", "[ingest]") {
    HistoryFixture f;
    auto stranger = f.run(1, RunState::running);
    stranger.task_id = "01920000-0000-7000-8000-0000000000ff";
    auto elsewhere = f.run(2, RunState::running);
    elsewhere.runtime = "other";
    const auto good = f.run(3, RunState::succeeded);
    // More than the center would read of its own database again.
    auto swollen = f.run(6, RunState::succeeded);
    task::RunParameters parameters;
    for (int i = 0; i < 80; ++i) {
        parameters.values[fmt::format("p{}", i)] = {std::string(task::kLongestTemplateValue, 'x'), task::ParameterOrigin::task};
    }
    swollen.parameters = std::make_shared<const task::RunParameters>(std::move(parameters));
    const std::string foreign = f.run_report(f.run(4, RunState::running), 9, HistoryFixture::kOtherIncarnation);
    f.take({f.run_report(stranger, 1), f.run_report(elsewhere, 2), R"({"kind":"run"})", R"({"incarnation":5})", "7", foreign,
            f.log_report(f.run(5, RunState::running), "stdout", 0, "x", 3),
            f.command_report("01920000-0000-7000-8000-0000000000aa", "done", 4), f.run_report(good, 5),
            f.log_report(good, "stdout", 7, "gap", 6), f.log_report(good, "stdout", 3u << 20, "big", 7), f.run_report(swollen, 8)});
    CHECK(f.stored(good.id).run.state == RunState::succeeded);
    CHECK(f.number("SELECT count(*) FROM runs") == 1);
    CHECK(f.number("SELECT count(*) FROM dead_letters") == 11);
    CHECK(f.number("SELECT sequence FROM ingest_cursors") == 8);
    CHECK(f.number("SELECT count(*) FROM ingest_cursors") == 1);
}

TEST_CASE("what is not a batch changes nothing", "[ingest]") {
    HistoryFixture f;
    for (const std::string body : {"", "[]", "{}", R"({"reports":1})", R"({"reports":[],"more":1})", R"({"reports":[)"}) {
        const auto taken = f.ingest.apply(HistoryFixture::kNode, "demo", body);
        REQUIRE_FALSE(taken);
        CHECK(taken.error().is(Errc::invalid_argument));
    }
    CHECK_FALSE(f.send(std::vector<std::string>(501, "{}")));
    CHECK(f.number("SELECT count(*) FROM dead_letters") == 0);
}

TEST_CASE("a disk that takes no logs does not cost states", "[ingest]") {
    HistoryFixture f;
    const auto run = f.run(1, RunState::running);
    f.take({f.run_report(run, 1)});
    const auto path = f.logs.path(run.id, LogStream::standard_output);
    std::filesystem::create_directories(path.parent_path());
    std::filesystem::create_symlink("/dev/full", path);
    f.take({f.log_report(run, "stdout", 0, "dropped", 2), f.log_report(run, "stdout", 7, "too", 3),
            f.run_report(f.run(1, RunState::failed), 4)});
    const auto stored = f.stored(run.id);
    CHECK(stored.run.state == RunState::failed);
    CHECK(stored.log_note.find("stdout is incomplete from byte 0 on") != std::string::npos);
    CHECK(f.number("SELECT count(*) FROM dead_letters") == 0);
    CHECK(f.metrics.text().find("cloudtask_log_dropped_bytes_total 10") != std::string::npos);
    REQUIRE(f.failure_mail(run.id));
    CHECK(f.failure_mail(run.id)->body.find("incomplete") != std::string::npos);
}

TEST_CASE("a start that is refused ends the run", "[ingest]") {
    HistoryFixture f;
    auto run = f.run(1, RunState::pending);
    run.trigger = task::Trigger::manual;
    const std::string command_id = "01920000-0000-7000-8000-0000000000aa";
    REQUIRE(f.store->write([&](soci::session& sql) -> Result<> {
        RunWriter(sql).insert(run);
        insert_command(sql, Command{command_id, HistoryFixture::kNode, "start", run.id, "{}", "open", {}}, f.clock.now());
        return {};
    }));
    f.take({f.command_report(command_id, "refused", 1)});
    CHECK(f.stored(run.id).run.state == RunState::failed);
    CHECK(f.stored(run.id).run.reason.find("why") != std::string::npos);
    CHECK(f.text("SELECT state FROM commands") == "refused");
}

TEST_CASE("skipped runs are history, but neither a last run nor a mail", "[ingest]") {
    HistoryFixture f;
    f.take({f.run_report(f.run(1, RunState::succeeded), 1), f.run_report(f.run(2, RunState::skipped), 2)});
    CHECK(f.text("SELECT last_run_state FROM tasks") == "SUCCEEDED");
    CHECK(f.number("SELECT count(*) FROM mails") == 0);
    CHECK(f.number("SELECT count(*) FROM runs") == 2);
}
