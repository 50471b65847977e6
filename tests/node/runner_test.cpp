// The runner: what becomes of a fire and of a command.
#include "tests/node/runner_machine.h"

namespace cloudtask::node::test {
namespace {

TEST_CASE("a fire is in the journal before it is due, starts at its instant, and every step is reported") {
    RunnerMachine m;
    const auto task = m.give(m.make_task());
    const Instant due = m.go_to(10s, 100ms);
    const auto entries = *m.process->store->load_unfinished();
    REQUIRE(entries.size() == 1);
    CHECK(entries[0].run.id == id_of_fire(task, due));
    CHECK(entries[0].phase == Phase::intent);
    CHECK(m.processes.started.empty());
    CHECK(m.process->runner.earliest_unstarted() == due);

    m.loop.advance(100ms);
    CHECK(m.only_started() == id_of_fire(task, due));
    CHECK(m.process->store->load_unfinished()->at(0).phase == Phase::intent);
    m.loop.advance(100ms);  // it might have been over by now
    CHECK(m.processes.started[0].run_environment.at("CLOUDTASK_FIRE_TIME") == format_instant(due));
    CHECK(m.process->runner.earliest_unstarted() == std::nullopt);
    CHECK(m.process->store->load_unfinished()->at(0).phase == Phase::started);
    CHECK(m.runs().at(id_of_fire(task, due)).state == RunState::running);
    CHECK(m.runs().at(id_of_fire(task, due)).lateness == 0s);

    m.loop.advance(2s);
    m.process->supervisor.end(m.only_started(), 3);
    CHECK_FALSE(m.process->runner.idle());  // its end is not on disk yet
    m.loop.advance(20ms);
    CHECK(m.process->runner.idle());
    const task::Run run = m.runs().at(id_of_fire(task, due));
    CHECK(run.state == RunState::failed);
    CHECK(run.reason == "it exited with 3");
    CHECK(m.told_of(run.id) == std::vector<std::string>{"RUNNING", "FAILED"});
    CHECK(m.process->store->load_unfinished()->empty());
}

TEST_CASE("a fire that meets the run before it is skipped, and the next one after its end is not") {
    RunnerMachine m;
    const auto task = m.give(m.make_task());
    const Instant due = m.go_to(10s, 0s) + 10s;
    m.loop.advance(10s + 20ms);
    const std::string first = id_of_fire(task, due - 10s), second = id_of_fire(task, due);
    REQUIRE(m.runs().contains(second));
    CHECK(m.runs().at(second).state == RunState::skipped);
    CHECK_THAT(m.runs().at(second).reason, Contains("overlap"));
    m.process->supervisor.end(first);
    m.loop.advance(10s + 100ms);
    CHECK(m.runs().at(first).state == RunState::succeeded);
    CHECK(m.runs().at(id_of_fire(task, due + 10s)).state == RunState::running);
}

TEST_CASE("a run that is over at once is written down once, by its end") {
    RunnerMachine m;
    const auto task = m.give(m.make_task());
    const std::string id = id_of_fire(task, m.go_to(10s, 0s));
    REQUIRE(m.only_started() == id);
    const auto end_at_once = [&](std::uint64_t bytes) {
        m.process->supervisor.written[id] = bytes;
        m.process->supervisor.end(id);
        m.loop.advance(20ms);
        CHECK(m.process->store->load_unfinished()->empty());
        CHECK(m.runs().at(id).started_at);
        CHECK(m.runs().at(id).lateness == 0s);
        CHECK(m.process->runner.idle());
    };
    SECTION("and told once") {
        end_at_once(0);
        CHECK(m.told_of(id) == std::vector<std::string>{"SUCCEEDED"});
    }
    SECTION("but a log is of a run that the center knows") {
        end_at_once(5);
        CHECK(m.told_of(id) == std::vector<std::string>{"RUNNING", "log", "SUCCEEDED"});
    }
    SECTION("unless it is stopped before: then the next process has to know of it") {
        m.process->runner.handle({id_of(777), Command::Kind::stop, id, {}, {}});
        m.loop.advance(20ms);
        const auto entries = *m.process->store->load_unfinished();
        REQUIRE(entries.size() == 1);
        CHECK(entries[0].phase == Phase::started);
        CHECK(entries[0].stop_asked);
        CHECK(entries[0].process->process.pid == 100);
    }
}

TEST_CASE("a command that cannot be started ends as FAILED and says why") {
    RunnerMachine m;
    const auto task = m.give(m.make_task());
    m.processes.refusal = Error{Errc::not_found, "no program /bin/tru"};
    const Instant due = m.go_to(10s, 100ms);
    m.loop.advance(200ms);
    const task::Run run = m.runs().at(id_of_fire(task, due));
    CHECK(run.state == RunState::failed);
    CHECK_THAT(run.reason, Contains("no program /bin/tru"));
    CHECK(m.process->runner.prepared() == 0);
    CHECK(m.process->store->load_unfinished()->empty());
}

TEST_CASE("a start takes its time") {
    RunnerMachine m;
    const auto task = m.give(m.make_task());
    m.processes.slow = true;
    const Instant due = m.go_to(10s, 0s);
    m.loop.advance(20ms);
    const std::string id = id_of_fire(task, due);
    auto& supervisor = m.process->supervisor;
    REQUIRE(supervisor.on_their_way.size() == 1);
    CHECK(m.process->runner.earliest_unstarted() == due);
    CHECK_FALSE(m.process->runner.idle());
    CHECK(m.process->store->load_unfinished()->at(0).phase == Phase::intent);
    const auto end = [&] {
        supervisor.end(id);
        m.loop.advance(20ms);
        return m.runs().at(id).state;
    };

    SECTION("and is over when the process is there") {
        supervisor.let_through();
        m.loop.advance(100ms);
        CHECK(m.process->runner.earliest_unstarted() == std::nullopt);
        CHECK(m.runs().at(id).state == RunState::running);
        CHECK(m.runs().at(id).lateness == 20ms);
        CHECK(end() == RunState::succeeded);
        CHECK(m.process->runner.idle());
    }
    SECTION("and is no place for another run of the task") {
        m.loop.advance(10s);
        CHECK(supervisor.on_their_way.size() == 1);
        CHECK(m.runs().at(id_of_fire(task, due + 10s)).state == RunState::skipped);
        CHECK_THAT(m.runs().at(id_of_fire(task, due + 10s)).reason, Contains("overlap"));
    }
    SECTION("and may fail: the next fire is not in its way") {
        m.processes.refusal = Error{Errc::not_found, "no program /bin/tru"};
        supervisor.let_through();
        m.loop.advance(20ms);
        CHECK(m.runs().at(id).state == RunState::failed);
        CHECK_THAT(m.runs().at(id).reason, Contains("no program /bin/tru"));
        CHECK(m.process->runner.earliest_unstarted() == std::nullopt);
        CHECK(m.process->runner.idle());
        m.processes.refusal.reset();
        m.processes.slow = false;
        m.loop.advance(10s);
        CHECK(m.only_started() == id_of_fire(task, due + 10s));
    }
    SECTION("and a stop that comes meanwhile is not forgotten") {
        m.process->runner.handle({id_of(777), Command::Kind::stop, id, {}, {}});
        m.loop.advance(20ms);
        CHECK(supervisor.stopped.contains(id));
        CHECK_THAT(m.command_reports().at(0), Contains("done"));
        CHECK(m.process->store->load_unfinished()->at(0).stop_asked);
        supervisor.let_through();
        m.loop.advance(20ms);
        CHECK(end() == RunState::stopped);
    }
    SECTION("and a stop that comes meanwhile is not forgotten by the next process either") {
        m.process->runner.handle({id_of(777), Command::Kind::stop, id, {}, {}});
        m.loop.advance(20ms);
        m.processes.alive.insert(id);
        m.kill();  // nobody has heard of the process yet
        m.boot();
        CHECK(m.process->supervisor.stopped.contains(id));
        m.process->supervisor.end(id);
        m.loop.advance(20ms);
        CHECK(m.runs().at(id).state == RunState::stopped);
    }
    SECTION("and is found by the next process, if it came to pass") {
        m.processes.alive.insert(id);
        m.kill_boot_and_end(id);
    }
    SECTION("and is LOST for the next process, if it did not") {
        m.kill();
        m.boot();
        m.loop.advance(20ms);
        CHECK(m.runs().at(id).state == RunState::lost);
        CHECK(m.processes.started.empty());
    }
}

TEST_CASE("of many fires at once some are on their way, the others can still be stopped") {
    RunnerMachine m;
    auto made = m.make_task();
    made->overlap = task::Overlap::allow;
    made->max_parallel = 64;
    const auto task = m.give(made);
    m.processes.slow = true;
    for (int i = 0; i < 40; ++i) m.process->runner.handle({id_of(500 + i), Command::Kind::start, id_of(600 + i), "alice", *task});
    m.loop.advance(20ms);
    CHECK(m.process->supervisor.on_their_way.size() == 16);
    m.process->runner.handle({id_of(777), Command::Kind::stop, id_of(639), {}, {}});
    for (int i = 0; i < 3; ++i) {
        m.process->supervisor.let_through();
        m.loop.advance(20ms);
    }
    CHECK(m.process->supervisor.on_their_way.empty());
    CHECK(m.processes.started.size() == 39);
    CHECK(m.runs().at(id_of(639)).state == RunState::stopped);
}

TEST_CASE("a fire whose intent the disk has not taken is not started; how late it may be the task says") {
    RunnerMachine m;
    auto made = m.make_task();
    made->misfire_tolerance = 5s;
    SECTION("within its tolerance it runs") {
        const auto task = m.give(made);
        const Instant due = m.go_to(10s, 2s);
        m.disk_worker.held = true;
        m.loop.advance(5s);
        CHECK(m.processes.started.empty());
        CHECK(m.process->runner.earliest_unstarted() == due);
        m.disk_worker.release();
        m.loop.settle();
        CHECK(m.only_started() == id_of_fire(task, due));
        m.loop.advance(100ms);
        CHECK(m.runs().at(id_of_fire(task, due)).lateness == 3s);
    }
    SECTION("beyond it the policy decides: skip") {
        const auto task = m.give(made);
        const Instant due = m.go_to(10s, 2s);
        m.disk_worker.held = true;
        m.loop.advance(8s);
        m.disk_worker.release();
        m.loop.advance(20ms);
        CHECK(m.processes.started.empty());
        CHECK(m.runs().at(id_of_fire(task, due)).state == RunState::skipped);
        CHECK_THAT(m.runs().at(id_of_fire(task, due)).reason, Contains("misfire: 6s late"));
    }
    SECTION("beyond it the policy decides: once, the latest for all") {
        made->misfire = task::Misfire::once;
        const auto task = m.give(made);
        const Instant due = m.go_to(10s, 2s);
        m.disk_worker.held = true;
        m.loop.advance(28s);
        m.disk_worker.release();
        m.loop.settle();
        CHECK(m.only_started() == id_of_fire(task, due + 20s));
        m.loop.advance(20ms);
        CHECK(m.states()[RunState::skipped] == 2);
    }
}

TEST_CASE("a late fire is a misfire when it is taken: skip, once, all") {
    RunnerMachine m;
    auto made = m.make_task();
    made->effective_from = m.loop.clock().now() - 41s;
    made->misfire_tolerance = 5s;
    made->overlap = task::Overlap::allow;
    made->max_parallel = 10;
    std::size_t ran = 0;
    SECTION("skip") { made->misfire = task::Misfire::skip; }
    SECTION("once") {
        made->misfire = task::Misfire::once;
        ran = 1;
    }
    SECTION("all") {
        made->misfire = task::Misfire::all;
        ran = 4;
    }
    m.give(made);
    const auto missed = m.states();
    const auto skipped = missed.find(RunState::skipped);
    CHECK((skipped == missed.end() ? 0 : skipped->second) >= static_cast<int>(4 - ran));
    CHECK(m.processes.started.size() >= ran);
    CHECK(m.processes.started.size() <= ran + 1);  // a fire that fell due in between
}

TEST_CASE("while the journal cannot be written no fire is taken, and nothing overtakes what waits") {
    RunnerMachine m;
    auto made = m.make_task();
    made->misfire_tolerance = 3s;
    const auto task = m.give(made);
    const Instant due = m.go_to(10s, 0s);
    m.loop.advance(100ms);  // its beginning is on disk
    const std::string first = m.only_started();
    {
        // The note of its end is refused first; what the disk takes later must not come to stand over it.
        const FullDisk full;
        m.process->supervisor.write(first, 100);
        m.loop.advance(200ms);
        m.process->supervisor.end(first);
        m.loop.advance(35s);
        CHECK(m.process->runner.prepared() == 0);
        CHECK_FALSE(m.process->runner.idle());
        CHECK(m.process->store->load_unfinished()->at(0).phase == Phase::started);
    }
    m.loop.advance(3s);
    CHECK(m.runs().at(first).state == RunState::succeeded);
    const auto unfinished = m.process->store->load_unfinished();
    for (const auto& entry : *unfinished) CHECK(entry.run.id != first);
    // What fell due meanwhile is a misfire of the task, and recorded.
    for (const auto missed : {10s, 20s, 30s}) {
        INFO(missed.count());
        CHECK(m.runs().at(id_of_fire(task, due + missed)).state == RunState::skipped);
    }
}

TEST_CASE("what is not on disk as skipped is not told to ZooKeeper as done") {
    RunnerMachine m;
    auto made = m.make_task();
    made->effective_from = m.loop.clock().now() - 41s;
    made->misfire_tolerance = 5s;
    m.tasks.push_back(made);
    m.put(made);
    m.process->coordinator->set_catalog_revision(1);
    m.disk_worker.held = true;
    m.loop.advance(3s);
    REQUIRE(m.process->runner.earliest_unstarted().has_value());
    CHECK(*m.process->runner.earliest_unstarted() < m.loop.clock().now() - 30s);
    m.disk_worker.release();
    m.loop.advance(1s);
    CHECK(m.process->runner.earliest_unstarted().value_or(Instant::max()) > m.loop.clock().now());
}

TEST_CASE("log reports follow each other without a gap, and the rest comes before the end") {
    RunnerMachine m;
    m.give(m.make_task());
    m.go_to(10s, 0s);
    m.loop.settle();
    const std::string id = m.only_started();
    for (const std::uint64_t bytes : {10, 25, 70}) {
        m.process->supervisor.write(id, bytes);
        m.loop.advance(150ms);
    }
    m.process->supervisor.written[id] = 100;
    m.process->supervisor.end(id);
    m.loop.advance(20ms);
    std::uint64_t at = 0;
    bool over = false;
    for (const auto& report : m.reports()) {
        if (report.kind == Report::Kind::log) {
            CHECK_FALSE(over);
            CHECK(report.from == at);
            at = report.until;
        } else {
            over = over || report.body.find("SUCCEEDED") != std::string::npos;
        }
    }
    CHECK(over);
    CHECK(at == 100);
}

TEST_CASE("a package is unpacked before the start") {
    RunnerMachine m;
    const std::string script = "#!/bin/sh\necho it ran\n";
    auto made = m.make_task();
    made->package = sha256_hex(script);
    const auto deliver = [&](const std::string&, const std::string& path, const auto& fetched) {
        write_file(path, script);
        fetched(std::string{"run.sh"});
    };
    SECTION("it is there in time") {
        m.process->fetch = deliver;
        m.give(made);
        m.go_to(10s, 0s);
        m.loop.settle();
        REQUIRE(m.only_started().size() == 36);
        CHECK(read_file(m.processes.started[0].folder + "/work/run.sh") == script);
        m.process->supervisor.end(m.only_started());
        m.loop.advance(20ms);
        CHECK_FALSE(fs::exists(m.processes.started[0].folder + "/work/run.sh"));
    }
    SECTION("a center that is away is asked again") {
        m.process->fetch = [](const std::string&, const std::string&, const auto& fetched) {
            fetched(fail(Errc::unavailable, "the center is away"));
        };
        m.give(made);
        m.go_to(10s, 0s);
        m.loop.advance(1s);
        CHECK(m.processes.started.empty());
        CHECK(m.process->runner.prepared() == 1);
        m.process->fetch = deliver;
        m.loop.advance(3s);
        CHECK(m.processes.started.size() == 1);
    }
    SECTION("what is not the package fails the run") {
        m.process->fetch = [](const std::string&, const std::string& path, const auto& fetched) {
            write_file(path, "something else");
            fetched(std::string{"run.sh"});
        };
        const auto task = m.give(made);
        const Instant due = m.go_to(10s, 0s);
        m.loop.advance(1s);
        CHECK(m.processes.started.empty());
        CHECK(m.runs().at(id_of_fire(task, due)).state == RunState::failed);
        CHECK_THAT(m.runs().at(id_of_fire(task, due)).reason, Contains("its package cannot be had"));
    }
}

TEST_CASE("a task that is disabled or deleted does not start what was prepared") {
    RunnerMachine m;
    const auto task = m.give(m.make_task());
    const Instant due = m.go_to(10s, 100ms);
    REQUIRE(m.process->runner.prepared() == 1);
    std::string why;
    SECTION("disabled") {
        auto disabled = std::make_shared<task::Task>(*task);
        disabled->enabled = false;
        m.put(disabled);
        why = "disabled";
    }
    SECTION("deleted") {
        m.process->coordinator->erase_task(task->id, m.loop.clock().now());
        m.process->runner.erase_task(task->id);
        why = "deleted";
    }
    m.loop.advance(15s);
    CHECK(m.processes.started.empty());
    CHECK(m.runs().at(id_of_fire(task, due)).state == RunState::skipped);
    CHECK_THAT(m.runs().at(id_of_fire(task, due)).reason, Contains(why));
}

TEST_CASE("a command is carried out once, whatever happens") {
    RunnerMachine m;
    const auto task = m.give(m.make_task(1h));
    Command start{id_of(501), Command::Kind::start, id_of(601), "alice", *task};
    m.process->runner.handle(start);
    m.process->runner.handle(start);
    m.loop.advance(100ms);
    REQUIRE(m.only_started() == start.run_id);
    CHECK(m.runs().at(start.run_id).trigger == task::Trigger::manual);
    CHECK(m.runs().at(start.run_id).started_by == "alice");
    REQUIRE(m.command_reports().size() == 1);
    CHECK_THAT(m.command_reports()[0], Contains("done"));

    SECTION("again after the node was killed") {
        m.kill();
        m.boot();
        m.process->runner.handle(start);
        m.loop.advance(20ms);
        CHECK(m.processes.started.size() == 1);
        CHECK(m.process->runner.running() == 1);
        CHECK(m.command_reports().size() == 1);
    }
    SECTION("a stop ends the run, and only once") {
        Command stop{id_of(502), Command::Kind::stop, start.run_id, "", {}};
        m.process->runner.handle(stop);
        m.process->runner.handle(stop);
        m.process->supervisor.end(start.run_id, 143);
        m.loop.advance(20ms);
        CHECK(m.runs().at(start.run_id).state == RunState::stopped);
        REQUIRE(m.command_reports().size() == 2);
        stop.id = id_of(503);
        m.process->runner.handle(stop);
        m.loop.advance(20ms);
        REQUIRE(m.command_reports().size() == 3);
        CHECK_THAT(m.command_reports()[2], Contains("refused"));
    }
    SECTION("what cannot be read is refused") {
        m.process->runner.handle({id_of(504), Command::Kind::start, id_of(604), "alice", {}});
        m.process->runner.handle({id_of(505), Command::Kind::start, "x", "alice", *task});
        m.process->runner.handle({id_of(506), Command::Kind::start, "../../etc", "alice", *task});
        m.loop.advance(20ms);
        REQUIRE(m.command_reports().size() == 4);
        for (std::size_t i = 1; i < 4; ++i) CHECK_THAT(m.command_reports()[i], Contains("refused"));
        CHECK(m.processes.started.size() == 1);
    }
}

}  // namespace
}  // namespace cloudtask::node::test
