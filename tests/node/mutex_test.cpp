// Mutexes: runs of several tasks that must not overlap, by the runner in virtual time, with kills in between; and the line that they wait
// in.
#include "cloudtask/task/attempts.h"
#include "node/run_keys.h"
#include "node/waiting_line.h"
#include "tests/node/runner_machine.h"

namespace cloudtask::node::test {
namespace {

std::shared_ptr<task::Task> under_database(RunnerMachine& m, Duration interval = 10s) {
    auto made = m.make_task(interval);
    made->mutex = std::make_shared<const std::string>("database");
    return made;
}

void end_run(RunnerMachine& m, const std::string& run_id, std::int64_t exit_code = 0) {
    m.process->supervisor.end(run_id, exit_code);
    m.loop.advance(50ms);
}

}  // namespace

TEST_CASE("a fire that meets a run of another task of its mutex is skipped, or waits, as its own task says") {
    RunnerMachine m;
    const auto first = m.give(under_database(m));
    const auto skips = m.give(under_database(m));
    auto queues = under_database(m);
    queues->overlap = task::Overlap::queue;
    const auto waits = m.give(queues);
    const auto apart = m.give(m.make_task());
    const Instant due = m.go_to(10s, 0s);
    m.loop.advance(50ms);
    // All of them are due at one instant: the first by their ids has it.
    REQUIRE(m.processes.started.size() == 2);
    std::set<std::string> started;
    for (const auto& spec : m.processes.started) started.insert(spec.run_id);
    CHECK(started.contains(id_of_fire(apart, due)));
    const auto holder = started.contains(id_of_fire(first, due)) ? first : started.contains(id_of_fire(skips, due)) ? skips : waits;
    const std::string held = id_of_fire(holder, due);
    REQUIRE(started.contains(held));
    for (const auto& task : {first, skips}) {
        if (task == holder) continue;
        CHECK(m.runs().at(id_of_fire(task, due)).state == RunState::skipped);
        CHECK(m.runs().at(id_of_fire(task, due)).reason ==
              fmt::format("overlap: the run {} of {}/{} holds the mutex database", held, holder->group, holder->name));
    }
    if (holder != waits) {
        CHECK(m.runs().at(id_of_fire(waits, due)).state == RunState::pending);
        CHECK(m.runs().at(id_of_fire(waits, due)).reason ==
              fmt::format("overlap: it waits for the run {} of {}/{}, which holds the mutex database", held, holder->group, holder->name));
        end_run(m, held);
        REQUIRE(m.processes.started.size() == 3);
        CHECK(m.processes.started[2].run_id == id_of_fire(waits, due));
    }
}

TEST_CASE("a mutex is held across a kill of the node's process") {
    RunnerMachine m;
    const auto first = m.give(under_database(m, 1min));
    const Instant due = m.go_to(1min, 0s);
    m.loop.advance(1s);
    REQUIRE(m.processes.started.size() == 1);
    const auto second = m.give(under_database(m, 10s));
    m.kill();
    m.boot();
    m.put(first);
    m.put(second);
    m.take_part();
    m.loop.advance(25s);
    CHECK(m.processes.started.size() == 1);
    CHECK_THAT(m.runs().at(id_of_fire(second, due + 20s)).reason, Contains("holds the mutex database"));
    end_run(m, id_of_fire(first, due));
    m.loop.advance(10s);
    CHECK(m.processes.started.size() == 2);
}

TEST_CASE("a mutex is free while a further attempt waits for its time; then the attempt goes first") {
    RunnerMachine m;
    auto tries = under_database(m, 1min);
    task::Retry retry;
    retry.attempts = 2;
    retry.delay = 15s;
    tries->retry = std::make_shared<const task::Retry>(retry);
    const auto first = m.give(tries);
    const Instant due = m.go_to(1min, 0s);
    m.loop.advance(1s);
    const std::string begun = id_of_fire(first, due), again = task::retry_id(begun, due);
    end_run(m, begun, 1);
    CHECK(m.runs().at(again).state == RunState::pending);
    const auto second = m.give(under_database(m, 10s));
    m.loop.advance(10s);
    REQUIRE(m.processes.started.size() == 2);
    CHECK(m.processes.started[1].run_environment.at("CLOUDTASK_TASK_ID") == second->id);
    const std::string between = m.processes.started[1].run_id;
    m.loop.advance(8s);
    CHECK(m.processes.started.size() == 2);  // the attempt is due, and waits
    end_run(m, between);
    REQUIRE(m.processes.started.size() == 3);
    CHECK(m.processes.started[2].run_id == again);
}

TEST_CASE("a run counts by its task, and by the mutex that it was begun under") {
    RunCounts counts;
    std::vector<std::string> changed;
    const auto note = [&changed](const std::string& key) { changed.push_back(key); };
    const RunKeys plain{"t", ""}, held{"t", "mutex:m"}, other{"u", "mutex:m"};
    counts.add(plain, note);
    counts.add(held, note);
    counts.add(other, note);
    CHECK(changed == std::vector<std::string>{"t", "t mutex:m", "u", "u mutex:m"});
    CHECK(counts.beside(plain) == 2);
    CHECK(counts.beside(held) == 3);
    CHECK(counts.beside(other) == 2);
    CHECK(counts.of("mutex:m") == 2);
    changed.clear();
    counts.remove(held, note);
    CHECK(changed == std::vector<std::string>{"t mutex:m"});
    CHECK(counts.beside({"t", "mutex:m"}) == 2);
    counts.remove(other, note);
    counts.remove(plain, note);
    CHECK(counts.of("mutex:m") == 0);
    CHECK(counts.of("t") == 0);
    CHECK((take_apart("t mutex:m") == std::pair<std::string, std::string>{"t", "mutex:m"}));
    CHECK((take_apart("t") == std::pair<std::string, std::string>{"t", ""}));
}

TEST_CASE("a line of several tasks keeps one order, and lets each task queue as many as it may") {
    WaitingLine line;
    task::Task queues;
    queues.overlap = task::Overlap::queue;
    queues.queue_limit = 1;
    const std::string a = "a", b = "b", t = "t", u = "u", rests = "r";
    const Instant at{1000s};
    CHECK(line.ask(queues, {a, t, at}, 1) == Admission::queue);
    line.queue({a, t, at});
    CHECK(line.ask(queues, {b, t, at + 1s}, 1) == Admission::full);
    CHECK(line.ask(queues, {b, u, at + 1s}, 1) == Admission::queue);
    CHECK(line.ask(queues, {b, u, at + 1s}, 0) == Admission::queue);  // not before the other
    CHECK(line.ask(queues, {a, t, at}, 0) == Admission::begin);
    CHECK(line.is_next(a));
    line.leave({a, t, at});
    CHECK(line.empty());
    // What rests is in the way of its own task alone.
    line.rest({rests, t, at, task::Trigger::retry});
    CHECK(line.before({a, t, at + 2s}) == 1);
    CHECK(line.before({b, u, at + 2s}) == 0);
    line.hold({rests, t, at, task::Trigger::retry});
    CHECK(line.before({b, u, at + 2s}) == 1);
    CHECK(line.first() == std::vector<std::string>{rests});
    line.leave({rests, t, at, task::Trigger::retry});
    CHECK(line.empty());
}

}  // namespace cloudtask::node::test
