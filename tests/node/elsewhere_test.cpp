// Attempts that go to another node (`retry.node: other`): given up by the node whose attempt failed, and taken over by the other, by the
// runner in virtual time, with kills in between. The machine here is node a; b's part is played.
#include "cloudtask/task/attempts.h"
#include "node/runner.h"
#include "tests/node/runner_machine.h"

namespace cloudtask::node::test {
namespace {

std::shared_ptr<task::Task> tried_elsewhere(const RunnerMachine& m, Duration interval = 1min) {
    auto made = m.make_task(interval);
    task::Retry retry;
    retry.attempts = 3;
    retry.delay = 2s;
    retry.lost = retry.elsewhere = true;
    made->retry = std::make_shared<const task::Retry>(retry);
    made->overlap = task::Overlap::allow;
    return made;
}

// What the reports give up, by run.
std::map<std::string, task::HandOver> given_up(RunnerMachine& m) {
    std::map<std::string, task::HandOver> found;
    for (const auto& report : m.reports()) {
        if (report.kind != Report::Kind::run) continue;
        const auto body = json::parse(report.body);
        Faults faults;
        json::ObjectReader reader(*body, "", faults);
        const auto hand_over = task::read_hand_over(reader);
        if (hand_over) CHECK(found.emplace(report.run_id, *hand_over).second);
    }
    return found;
}

// The command by which the center has this node begin the second attempt of a fire whose first one failed on node b.
Command second_attempt(const TaskPointer& task, Instant fire, Instant due) {
    task::Run first;
    first.id = task::run_id(task->id, fire, 1);
    first.task_id = task->id;
    first.task_version = task->version;
    first.runtime = task->runtime;
    first.group = task->group;
    first.task_name = task->name;
    first.fire_time = fire;
    first.state = RunState::failed;
    first.exit_code = 1;
    first.ended_at = due - 2s;
    first.node_id = first.node_name = "b";
    first.incarnation = "b.1";
    auto next = task::next_attempt(*task, first, 1, "");
    REQUIRE(next.run);
    REQUIRE(next.elsewhere);
    Command command;
    command.id = id_of(801);
    command.run_id = next.run->id;
    command.task = *task;
    command.run = std::move(*next.run);
    command.hand_over = task::HandOver{next.due, 1, "b"};
    return command;
}

TEST_CASE("a failed attempt gives the next one up, in the transaction of its end, and the node begins it no more") {
    RunnerMachine m;
    const auto task = m.give(tried_elsewhere(m));
    const Instant due = m.go_to(1min, 0s);
    const std::string first = id_of_fire(task, due), second = task::retry_id(first, due);
    m.loop.advance(1s);
    m.process->supervisor.end(first, 3);
    m.loop.advance(20ms);
    CHECK(m.runs().at(first).state == RunState::failed);
    CHECK_THAT(m.runs().at(first).reason, Contains("attempt 2 of 3 follows at") && Contains(", on another node if one can take it"));
    const auto given = given_up(m);
    REQUIRE(given.size() == 1);
    CHECK(given.at(second).made == 1);
    CHECK(given.at(second).after == "a");
    CHECK(given.at(second).due - *m.runs().at(first).ended_at == 2s);
    CHECK(m.runs().at(second).state == RunState::pending);
    CHECK(m.process->store->load_unfinished()->empty());
    // Told in this order: who hears of the end knows that an attempt follows.
    std::vector<std::string> order;
    for (const auto& report : m.reports()) order.push_back(report.run_id);
    CHECK(order.back() == first);
    CHECK(order.at(order.size() - 2) == second);
    m.loop.advance(30s);
    CHECK(m.processes.started.size() == 1);
}

TEST_CASE("an attempt that another node gave up is begun when its time has come, once however often it is told, and given up in turn") {
    RunnerMachine m;
    const auto task = m.give(tried_elsewhere(m, 1h));
    const Instant fire = m.loop.clock().now() - 10s;
    const Command command = second_attempt(task, fire, m.loop.clock().now() + 2s);
    m.process->runner.handle(command);
    m.process->runner.handle(command);
    Command again = command;
    again.id = id_of(802);  // of the same attempt
    m.process->runner.handle(again);
    m.loop.advance(20ms);
    CHECK(m.command_reports().size() == 2);
    CHECK(m.runs().at(command.run_id).state == RunState::pending);
    CHECK(m.runs().at(command.run_id).node_id == "a");
    CHECK_THAT(m.runs().at(command.run_id).reason, Catch::StartsWith("retry: attempt 2 of 3"));
    m.loop.advance(1900ms);
    CHECK(m.processes.started.empty());
    m.loop.advance(150ms);
    CHECK(m.only_started() == command.run_id);
    CHECK(m.processes.started[0].run_environment.at("CLOUDTASK_ATTEMPT") == "2");
    m.process->supervisor.end(command.run_id, 1);
    m.loop.advance(20ms);
    const auto given = given_up(m);
    REQUIRE(given.size() == 1);
    CHECK(given.begin()->first == task::retry_id(command.run_id, fire));
    CHECK(given.begin()->second.made == 2);
    // The third is the last.
    Command third = command;
    third.id = id_of(803);
    third.run_id = given.begin()->first;
    third.run = m.runs().at(third.run_id);
    third.hand_over = given.begin()->second;
    m.process->runner.handle(third);
    m.loop.advance(5s);
    REQUIRE(m.processes.started.size() == 2);
    m.process->supervisor.end(third.run_id, 1);
    m.loop.advance(20ms);
    CHECK(given_up(m).size() == 1);
    CHECK_THAT(m.runs().at(third.run_id).reason, Contains("it was the last of 3 attempts"));
}

TEST_CASE("what is taken over goes by the task as it is: disabled, stopped") {
    RunnerMachine m;
    const auto task = m.give(tried_elsewhere(m, 1h));
    const Command command = second_attempt(task, m.loop.clock().now() - 10s, m.loop.clock().now() + 2s);
    auto disabled = std::make_shared<task::Task>(*task);
    disabled->enabled = false;
    SECTION("disabled before it comes") {
        m.put(disabled);
        m.process->runner.handle(command);
        m.loop.advance(20ms);
        CHECK(m.runs().at(command.run_id).state == RunState::skipped);
    }
    SECTION("disabled while it waits") {
        m.process->runner.handle(command);
        m.loop.advance(20ms);
        m.put(disabled);
        m.loop.advance(20ms);
        CHECK(m.runs().at(command.run_id).state == RunState::skipped);
    }
    SECTION("stopped while it waits") {
        m.process->runner.handle(command);
        m.loop.advance(20ms);
        m.process->runner.handle({id_of(802), Command::Kind::stop, command.run_id, "", {}});
        m.loop.advance(20ms);
        CHECK(m.runs().at(command.run_id).state == RunState::stopped);
    }
    m.loop.advance(10s);
    CHECK(m.processes.started.empty());
    CHECK(m.command_reports().size() >= 1);
    CHECK(m.process->store->load_unfinished()->empty());
}

TEST_CASE("a kill as the attempt ends either gives the next one up or loses what ended, and never both, nor twice") {
    for (int step = 0; step < 12; ++step) {
        INFO(step);
        RunnerMachine m;
        const auto task = m.give(tried_elsewhere(m));
        const Instant due = m.go_to(1min, 0s);
        const std::string first = id_of_fire(task, due);
        m.loop.advance(1s);
        m.process->supervisor.end(first, 1);
        m.loop.advance(step * 2ms);
        m.kill();
        m.boot();
        m.put(task);
        m.take_part();
        m.loop.advance(20s);
        // Of a loss, too, the next attempt is for another node: the task says so.
        const auto given = given_up(m);
        REQUIRE(given.size() == 1);
        CHECK(given.begin()->first == task::retry_id(first, due));
        CHECK(m.processes.started.size() == 1);
        CHECK(m.process->store->load_unfinished()->empty());
    }
}

TEST_CASE("a kill after an attempt was taken over, at any moment, loses it not and has it begun once") {
    for (int step = 0; step < 24; ++step) {
        const Duration until = step < 12 ? Duration{step * 1ms} : 1990ms + (step - 12) * 2ms;
        INFO(until.count());
        RunnerMachine m;
        const auto task = m.give(tried_elsewhere(m, 1h));
        const Command command = second_attempt(task, m.loop.clock().now() - 10s, m.loop.clock().now() + 2s);
        m.process->runner.handle(command);
        m.loop.advance(until);
        m.kill();
        m.processes.alive.clear();
        m.boot();
        m.put(task);
        m.take_part();
        m.process->runner.handle(command);  // as the center does until it is told
        m.loop.advance(20s);
        std::set<std::string> begun;
        for (const auto& spec : m.processes.started) CHECK(begun.insert(spec.run_id).second);
        const auto run = m.runs().at(command.run_id);
        const bool lost = run.state == RunState::lost;
        CHECK((begun.contains(command.run_id) || lost));
        CHECK(given_up(m).size() == (lost ? 1 : 0));
        CHECK(m.command_reports().size() == 1);
    }
}

}  // namespace
}  // namespace cloudtask::node::test
