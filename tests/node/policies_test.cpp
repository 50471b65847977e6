// Retry, queue, replace, start deadline, soft limit and the rule of success, by the runner in virtual time, with kills in between.
#include "cloudtask/task/attempts.h"
#include "node/runner.h"
#include "tests/node/runner_machine.h"

namespace cloudtask::node::test {
namespace {

// Three attempts, 2 s and 4 s after each other.
std::shared_ptr<const task::Retry> thrice(bool lost = false) {
    task::Retry retry;
    retry.attempts = 3;
    retry.delay = 2s;
    retry.lost = lost;
    return std::make_shared<const task::Retry>(retry);
}

std::string retry_of(const std::string& run_id, Instant fire) { return task::retry_id(run_id, fire); }

// Ends the run that was started last.
void end_last(RunnerMachine& m, std::int64_t exit_code) {
    m.process->supervisor.end(m.processes.started.back().run_id, exit_code);
    m.loop.advance(20ms);
}

TEST_CASE("a run that fails is tried again after its delay, and each attempt is told") {
    RunnerMachine m;
    auto made = m.make_task(1min);
    made->retry = thrice();
    const auto task = m.give(made);
    const Instant due = m.go_to(1min, 0s);
    const std::string first = id_of_fire(task, due), second = retry_of(first, due), third = retry_of(second, due);
    m.loop.advance(1s);
    end_last(m, 3);
    CHECK(m.runs().at(first).state == RunState::failed);
    CHECK_THAT(m.runs().at(first).reason, Contains("it exited with 3; attempt 2 of 3 follows at"));
    CHECK(m.runs().at(second).state == RunState::pending);
    CHECK(m.runs().at(second).attempt == 2);
    CHECK(m.process->store->load_unfinished()->at(0).phase == Phase::waiting);
    CHECK(m.process->runner.idle());  // the next process may have it

    m.loop.advance(1900ms);
    CHECK(m.processes.started.size() == 1);
    m.loop.advance(150ms);
    REQUIRE(m.processes.started.size() == 2);
    CHECK(m.processes.started[1].run_id == second);
    CHECK(m.processes.started[1].run_environment.at("CLOUDTASK_ATTEMPT") == "2");
    CHECK(m.runs().at(second).trigger == task::Trigger::retry);
    CHECK_FALSE(m.runs().at(second).lateness.has_value());
    end_last(m, 1);
    m.loop.advance(4050ms);
    REQUIRE(m.processes.started.size() == 3);
    end_last(m, 1);
    CHECK_THAT(m.runs().at(third).reason, Contains("it was the last of 3 attempts"));
    m.loop.advance(10s);
    CHECK(m.processes.started.size() == 3);
    CHECK(m.process->store->load_unfinished()->empty());
}

TEST_CASE("what is not to be tried again is not") {
    RunnerMachine m;
    auto made = m.make_task(1min);
    auto retry = *thrice();
    retry.exit_codes = task::ExitCodes({{75, 78}});
    made->retry = std::make_shared<const task::Retry>(retry);
    const auto task = m.give(made);
    const std::string first = id_of_fire(task, m.go_to(1min, 0s));
    m.loop.advance(1s);
    std::string reason;
    SECTION("another exit code") { m.process->supervisor.end(first, 1); }
    SECTION("a success") { m.process->supervisor.end(first, 0); }
    SECTION("a stop") {
        m.process->runner.handle({id_of(502), Command::Kind::stop, first, "", {}});
        m.process->supervisor.end(first, 76);
    }
    SECTION("a task that was disabled") {
        auto disabled = std::make_shared<task::Task>(*task);
        disabled->enabled = false;
        m.put(disabled);
        m.process->supervisor.end(first, 76);
        reason = "no further attempt, as the task was disabled";
    }
    SECTION("a task that is disabled while the next attempt waits") {
        m.process->supervisor.end(first, 76);
        m.loop.advance(20ms);
        auto disabled = std::make_shared<task::Task>(*task);
        disabled->enabled = false;
        m.put(disabled);
        m.loop.advance(20ms);
        const std::string second = retry_of(first, *m.runs().at(first).fire_time);
        CHECK(m.runs().at(second).state == RunState::skipped);
        CHECK_THAT(m.runs().at(second).reason, Contains("disabled"));
    }
    m.loop.advance(10s);
    CHECK(m.processes.started.size() == 1);
    CHECK_THAT(m.runs().at(first).reason, Contains(reason));
}

TEST_CASE("a manual start is tried again, too, and its next attempt can be stopped before it begins") {
    RunnerMachine m;
    auto made = m.make_task(1h);
    made->retry = thrice();
    const auto task = m.give(made);
    m.process->runner.handle({id_of(501), Command::Kind::start, id_of(601), "alice", *task});
    m.loop.advance(20ms);
    end_last(m, 1);
    m.loop.advance(2100ms);
    REQUIRE(m.processes.started.size() == 2);
    const std::string second = m.processes.started[1].run_id;
    CHECK(m.runs().at(second).started_by == "alice");
    CHECK(m.runs().at(second).attempt == 2);
    end_last(m, 1);
    for (const auto& [id, run] : m.runs()) {
        if (run.state == RunState::pending) m.process->runner.handle({id_of(502), Command::Kind::stop, id, "", {}});
    }
    m.loop.advance(10s);
    CHECK(m.processes.started.size() == 2);
    CHECK(m.states()[RunState::stopped] == 1);
}

TEST_CASE("what could not be started is tried again") {
    RunnerMachine m;
    auto made = m.make_task(1min);
    made->retry = thrice();
    const auto task = m.give(made);
    m.processes.refusal = Error{Errc::not_found, "there is no such program"};
    const Instant due = m.go_to(1min, 0s);
    m.loop.advance(20ms);
    CHECK_THAT(m.runs().at(id_of_fire(task, due)).reason, Contains("no such program; attempt 2 of 3 follows"));
    m.processes.refusal.reset();
    m.loop.advance(2100ms);
    REQUIRE(m.processes.started.size() == 1);
    CHECK(m.processes.started[0].run_id == retry_of(id_of_fire(task, due), due));
}

TEST_CASE("a kill at any moment loses no attempt, and has none begun twice") {
    // From just before the first attempt's end to beyond the second one's start, which is due 2 s later.
    for (int step = 0; step < 18; ++step) {
        const Duration until = step < 6 ? Duration{step * 2ms} : 1996ms + (step - 6) * 1ms;
        INFO(until.count());
        RunnerMachine m;
        auto made = m.make_task(1min);
        made->retry = thrice(true);
        const auto task = m.give(made);
        const Instant due = m.go_to(1min, 0s);
        const std::string first = id_of_fire(task, due);
        m.loop.advance(1s);
        m.process->supervisor.end(first, 1);
        m.loop.advance(until);
        m.kill();
        m.processes.alive.clear();
        m.boot();
        m.put(task);
        m.take_part();
        m.loop.advance(20s);
        std::set<std::string> begun;
        for (const auto& spec : m.processes.started) CHECK(begun.insert(spec.run_id).second);
        // Attempt 2 was begun; or it may have been, and then it is lost and attempt 3 was.
        const auto runs = m.runs();
        const auto second = runs.find(retry_of(first, due));
        REQUIRE(second != runs.end());
        const bool lost = second->second.state == RunState::lost;
        const std::string third = retry_of(second->first, due);
        CHECK((begun.contains(second->first) || lost));
        if (lost) CHECK(begun.contains(third));
        CHECK(m.processes.alive.size() == 1);
    }
}

TEST_CASE("a clock that is set changes nothing about how long an attempt waits") {
    RunnerMachine m;
    auto made = m.make_task(1h);
    made->retry = thrice();
    const auto task = m.give(made);
    m.go_to(1h, 0s);
    m.loop.advance(1s);
    const auto fails_while_ahead = [&] {
        m.loop.step_wall_clock(10min);
        end_last(m, 1);
        m.loop.advance(500ms);
    };
    SECTION("ahead") {
        end_last(m, 1);
        m.loop.step_wall_clock(10min);
        m.loop.advance(1900ms);
        CHECK(m.processes.started.size() == 1);
        m.loop.advance(150ms);
    }
    SECTION("and back") {
        fails_while_ahead();
        m.loop.step_wall_clock(-10min);
        m.loop.advance(1400ms);
        CHECK(m.processes.started.size() == 1);
        m.loop.advance(150ms);
    }
    SECTION("and back, while no process was there") {
        fails_while_ahead();
        m.kill();
        m.loop.step_wall_clock(-10min);
        m.boot();
        m.put(task);
        m.take_part();
        m.loop.advance(2s);
    }
    CHECK(m.processes.started.size() == 2);
}

TEST_CASE("a fire that is tried again goes on, and the next ones meet it") {
    RunnerMachine m;
    auto made = m.make_task();
    auto retry = *thrice();
    retry.delay = 15s;
    made->retry = std::make_shared<const task::Retry>(retry);
    const auto task = m.give(made);
    const Instant due = m.go_to(10s, 0s);
    m.loop.advance(1s);
    end_last(m, 1);
    m.loop.advance(10s);
    CHECK(m.runs().at(id_of_fire(task, due + 10s)).state == RunState::skipped);
    CHECK(m.runs().at(id_of_fire(task, due + 10s)).reason == "overlap: an attempt of the fire before it is still to come");
    m.loop.advance(6s);
    REQUIRE(m.processes.started.size() == 2);
    end_last(m, 0);
    m.loop.advance(5s);
    CHECK(m.processes.started.size() == 3);
}

TEST_CASE("other nodes do not hear that nothing goes on while one attempt follows the other") {
    RunnerMachine m;
    auto made = m.make_task(1h);
    made->retry = thrice();
    made->targets = {"node-b"};  // so this node's record names its runs
    const auto record = [&m] { return kRuntime + ("/horizons/" + m.process->coordinator->incarnation()); };
    const auto start = [&m](const TaskPointer& task) {
        m.process->runner.handle({id_of(501), Command::Kind::start, id_of(601), "alice", *task});
    };
    const auto named = [&](const TaskPointer& task) {
        const auto read = ring::read_horizon(m.cluster.read(record()));
        return read && read->running == std::vector<std::string>{task->id};
    };
    SECTION("one that could not be started") {
        const auto task = m.give(made);
        m.processes.slow = true;
        start(task);
        m.loop.advance(1s);
        REQUIRE(named(task));
        const auto before = m.cluster.versions()[record()];
        m.processes.refusal = Error{Errc::not_found, "there is no such program"};
        m.process->supervisor.let_through();
        m.loop.advance(1s);
        CHECK(m.states()[RunState::failed] == 1);
        CHECK(m.states()[RunState::pending] == 1);
        CHECK(m.cluster.versions()[record()] == before);
    }
    SECTION("one that ended while it waited") {
        made->package = std::string(64, 'a');
        m.process->fetch = [](const std::string&, const std::string&, const auto& fetched) {
            fetched(fail(Errc::not_found, "it is gone"));
        };
        const auto task = m.give(made);
        start(task);
        m.loop.advance(1s);
        CHECK(m.states()[RunState::failed] == 1);
        REQUIRE(named(task));
        const auto before = m.cluster.versions()[record()];
        m.loop.advance(2s);
        CHECK(m.states()[RunState::failed] == 2);
        CHECK(m.states()[RunState::pending] == 1);
        CHECK(m.cluster.versions()[record()] == before);
    }
}

TEST_CASE("a queue keeps the order, is bounded, and is there after a kill") {
    RunnerMachine m;
    auto made = m.make_task();
    made->overlap = task::Overlap::queue;
    made->queue_limit = 2;
    const auto task = m.give(made);
    const Instant due = m.go_to(10s, 0s);
    const auto fire = [&](int n) { return id_of_fire(task, due + n * 10s); };
    m.loop.advance(35s);
    REQUIRE(m.processes.started.size() == 1);
    CHECK(m.runs().at(fire(1)).state == RunState::pending);
    CHECK(m.runs().at(fire(1)).reason == "overlap: it waits for the run before it");
    CHECK(m.runs().at(fire(2)).state == RunState::pending);
    CHECK(m.runs().at(fire(3)).state == RunState::skipped);
    CHECK(m.runs().at(fire(3)).reason == "overlap: the queue is full, as 2 fires wait in it");
    CHECK(m.process->runner.earliest_unstarted() == std::nullopt);
    SECTION("one after the other") {}
    SECTION("also by the next process, once that takes part") {
        m.kill();
        m.boot();
        m.put(task);
        m.process->supervisor.end(fire(0), 1);
        m.loop.advance(2s);
        CHECK(m.processes.started.size() == 1);
        m.take_part();
        m.loop.advance(1s);
        CHECK(m.processes.started.size() == 2);
        return;
    }
    m.process->supervisor.end(fire(0), 1);
    m.loop.advance(50ms);
    REQUIRE(m.processes.started.size() == 2);
    CHECK(m.processes.started[1].run_id == fire(1));
    CHECK(m.runs().at(fire(1)).lateness.value() > 20s);
    m.loop.advance(1s);
    CHECK(m.processes.started.size() == 2);
    end_last(m, 0);
    m.loop.advance(50ms);
    REQUIRE(m.processes.started.size() == 3);
    CHECK(m.processes.started[2].run_id == fire(2));
}

TEST_CASE("the newest fire replaces the run before it once that is gone") {
    RunnerMachine m;
    auto made = m.make_task();
    made->overlap = task::Overlap::replace;
    const auto task = m.give(made);
    const Instant due = m.go_to(10s, 0s);
    const auto fire = [&](int n) { return id_of_fire(task, due + n * 10s); };
    m.loop.advance(10s + 100ms);
    CHECK(m.process->supervisor.stopped.contains(fire(0)));
    CHECK(m.processes.started.size() == 1);
    CHECK(m.runs().at(fire(1)).state == RunState::pending);
    SECTION("it begins") {
        m.process->supervisor.end(fire(0), 143);
        m.loop.advance(50ms);
        CHECK(m.runs().at(fire(0)).state == RunState::stopped);
        CHECK_THAT(m.runs().at(fire(0)).reason, Contains("it was stopped; replaced by the run " + fire(1)));
        REQUIRE(m.processes.started.size() == 2);
        CHECK(m.processes.started[1].run_id == fire(1));
    }
    SECTION("a later one comes first") {
        m.loop.advance(10s);
        CHECK(m.runs().at(fire(1)).state == RunState::skipped);
        CHECK_THAT(m.runs().at(fire(1)).reason, Contains("overlap: replaced by the run " + fire(2)));
        m.process->supervisor.end(fire(0), 143);
        m.loop.advance(50ms);
        REQUIRE(m.processes.started.size() == 2);
        CHECK(m.processes.started[1].run_id == fire(2));
    }
    SECTION("after a kill as well") {
        m.kill();
        m.boot();
        m.put(task);
        m.take_part();
        CHECK(m.process->supervisor.stopped.contains(fire(0)));
        m.process->supervisor.end(fire(0), 143);
        m.loop.advance(50ms);
        CHECK_THAT(m.runs().at(fire(0)).reason, Contains("replaced by the run " + fire(1)));
        REQUIRE(m.processes.started.size() == 2);
        CHECK(m.processes.started[1].run_id == fire(1));
    }
}

TEST_CASE("a run of a deleted task is not tried again, however long it took") {
    RunnerMachine m;
    auto made = m.make_task(1h);
    made->retry = thrice();
    const auto task = m.give(made);
    const Instant due = m.go_to(1h, 0s);
    m.loop.advance(1min);
    m.process->runner.erase_task(task->id);
    for (int hour = 0; hour < 2; ++hour) {
        m.loop.advance(50min);
        m.process->runner.erase_task(task_named(50 + hour).id);
    }
    end_last(m, 1);
    m.loop.advance(1min);
    CHECK(m.processes.started.size() == 1);
    CHECK_THAT(m.runs().at(id_of_fire(task, due)).reason, Contains("the task was deleted"));
}

TEST_CASE("why a run was replaced is said with its end: what goes on with a reason takes long") {
    RunnerMachine m;
    auto made = m.make_task();
    made->overlap = task::Overlap::replace;
    const auto task = m.give(made);
    m.processes.slow = true;
    const Instant due = m.go_to(10s, 0s);
    m.loop.advance(10s + 100ms);
    REQUIRE(m.process->supervisor.stopped.contains(id_of_fire(task, due)));
    m.process->supervisor.let_through();
    m.loop.advance(100ms);
    CHECK(m.runs().at(id_of_fire(task, due)).state == RunState::running);
    CHECK(m.runs().at(id_of_fire(task, due)).reason.empty());
    m.process->supervisor.end(id_of_fire(task, due), 143);
    m.loop.advance(100ms);
    CHECK(m.runs().at(id_of_fire(task, due)).state == RunState::stopped);
    CHECK_THAT(m.runs().at(id_of_fire(task, due)).reason, Contains("replaced by the run"));
}

TEST_CASE("what has not begun by its start deadline is skipped") {
    RunnerMachine m;
    auto made = m.make_task();
    made->start_deadline = 3s;
    made->overlap = task::Overlap::queue;
    SECTION("waiting for its turn") {
        const auto task = m.give(made);
        const Instant due = m.go_to(10s, 0s);
        m.loop.advance(12s);
        CHECK(m.runs().at(id_of_fire(task, due + 10s)).state == RunState::pending);
        m.loop.advance(1100ms);
        CHECK(m.runs().at(id_of_fire(task, due + 10s)).state == RunState::skipped);
        CHECK(m.runs().at(id_of_fire(task, due + 10s)).reason == "deadline: it had not begun 3s after it was due");
    }
    SECTION("a further attempt is not planned beyond it") {
        made->retry = thrice();
        const auto task = m.give(made);
        const Instant due = m.go_to(10s, 0s);
        m.loop.advance(2s);
        end_last(m, 1);
        CHECK_THAT(m.runs().at(id_of_fire(task, due)).reason,
                   Contains("no further attempt, as it would begin after the start deadline of 3s"));
    }
    SECTION("late by its misfire policy") {
        made->effective_from = m.loop.clock().now() - 41s;
        made->misfire_tolerance = 1s;
        made->misfire = task::Misfire::all;
        m.give(made);
        int late = 0;
        for (const auto& [id, run] : m.runs()) late += run.reason.starts_with("deadline") ? 1 : 0;
        CHECK(late >= 3);
    }
}

TEST_CASE("a run beyond its soft limit says so once, while it goes on and at its end") {
    RunnerMachine m;
    auto made = m.make_task(1min);
    made->soft_limit = 2s;
    const auto task = m.give(made);
    const std::string id = id_of_fire(task, m.go_to(1min, 0s));
    m.loop.advance(1900ms);
    CHECK(m.runs().at(id).reason.empty());
    SECTION("in one process") {}
    SECTION("and in the next") {
        m.kill();
        m.boot();
        m.put(task);
    }
    m.loop.advance(200ms);
    CHECK(m.runs().at(id).state == RunState::running);
    CHECK(m.runs().at(id).reason == "its soft limit of 2s has passed");
    m.loop.advance(10s);
    CHECK(m.told_of(id).size() == 2);
    m.process->supervisor.end(id, 0);
    m.loop.advance(20ms);
    CHECK(m.runs().at(id).state == RunState::succeeded);
    CHECK(m.runs().at(id).reason == "its soft limit of 2s has passed");
}

TEST_CASE("a run succeeds by its task's rule") {
    RunnerMachine m;
    auto made = m.make_task(1min);
    task::SuccessRule rule;
    rule.exit_codes = task::ExitCodes({{0, 0}, {3, 5}});
    rule.output = task::OutputRule{false, "^done: \\d+$", true};
    made->success = std::make_shared<const task::SuccessRule>(rule);
    const auto task = m.give(made);
    const std::string id = id_of_fire(task, m.go_to(1min, 0s));
    m.loop.advance(1s);
    const auto end = [&](std::string_view output, std::int64_t code, bool timed_out = false) {
        const std::string folder = m.processes.started.back().folder;
        fs::create_directories(folder);
        write_file(folder + "/stdout", std::string(output));
        m.process->supervisor.written[id] = output.size();
        m.process->supervisor.end(id, code, timed_out);
        m.loop.advance(20ms);
        return m.runs().at(id);
    };
    SECTION("code and output") { CHECK(end("working\ndone: 12\nbye\n", 4).state == RunState::succeeded); }
    SECTION("another code") {
        const auto run = end("done: 12\n", 1);
        CHECK(run.state == RunState::failed);
        CHECK(run.reason == "it exited with 1");
    }
    SECTION("another output") {
        const auto run = end("done: many\n", 0);
        CHECK(run.state == RunState::failed);
        CHECK(run.reason == "the end of its stdout does not match '^done: \\d+$'");
    }
    SECTION("a line of which only the end is looked at is no line") {
        const std::string looked_at = "done: 12\n" + std::string(task::kOutputLookedAt - 10, '.') + "\n";
        CHECK(end("almost " + looked_at, 0).state == RunState::failed);
    }
    SECTION("a line of its own is one, wherever the end begins") {
        CHECK(end(std::string(task::kOutputLookedAt, '.') + "\ndone: 12\n", 0).state == RunState::succeeded);
    }
    SECTION("a time-out is no success") { CHECK(end("done: 12\n", 0, true).state == RunState::timed_out); }
}

}  // namespace
}  // namespace cloudtask::node::test
