// Parameters by the runner in virtual time: what a process is started with, attempts, kills, manual starts, values that do not come out.
#include <memory>

#include "cloudtask/task/attempts.h"
#include "cloudtask/task/parameters.h"
#include "node/runner.h"
#include "tests/node/runner_machine.h"

namespace cloudtask::node::test {
namespace {

using TextMap = std::map<std::string, std::string>;

// Its parameters from JSON, and that of a schedule.
std::shared_ptr<const task::TaskParameters> declared(const std::string& own, const std::string& runtime = "{}") {
    const auto read = [](const std::string& text, task::ParameterOrigin origin) {
        const auto document = json::parse(R"({"p": )" + text + "}");
        Faults faults;
        json::ObjectReader reader{*document, "", faults};
        auto values = task::read_parameters(reader, "p", origin);
        REQUIRE(faults.empty());
        return *values;
    };
    return std::make_shared<const task::TaskParameters>(
        task::TaskParameters{read(own, task::ParameterOrigin::task), {}, read(runtime, task::ParameterOrigin::runtime)});
}

std::shared_ptr<const task::RunParameters> given(const TextMap& values, Instant as_of) {
    task::RunParameters parameters;
    for (const auto& [name, value] : values) parameters.values[name] = {value, task::ParameterOrigin::manual};
    parameters.as_of = as_of;
    return std::make_shared<const task::RunParameters>(std::move(parameters));
}

// "value (origin)" by name.
TextMap values_of(const task::Run& run) {
    TextMap values;
    if (!run.parameters) return values;
    for (const auto& [name, value] : run.parameters->values)
        values[name] = value.text + " (" + std::string{task::to_string(value.origin)} + ")";
    return values;
}

std::shared_ptr<const task::Retry> once_more() {
    task::Retry retry;
    retry.attempts = 2;
    retry.delay = 2s;
    return std::make_shared<const task::Retry>(retry);
}

TEST_CASE("a process gets its task's parameters, in words, variables and environment, and so does its next attempt") {
    RunnerMachine m;
    auto made = m.make_task(1min);
    made->parameters = declared(R"({"time": "${fire_time}", "try": "${attempt} on ${node}", "region": null})", R"({"region": "eu"})");
    made->command = {"./report", "--try=${try}", "$${region}"};
    made->environment = {{"REGION", "<${region}>"}};
    made->retry = once_more();
    const auto task = m.give(made);
    const Instant due = m.go_to(1min, 100ms);
    const std::string first = id_of_fire(task, due), second = task::retry_id(first, due);
    // It is on disk with the intent.
    CHECK(values_of(m.process->store->load_unfinished()->at(0).run).at("region") == "eu (runtime)");
    m.loop.advance(1s);
    const TextMap values{{"time", format_instant(due) + " (task)"}, {"try", "1 on node-a (task)"}, {"region", "eu (runtime)"}};
    REQUIRE(m.processes.started.size() == 1);
    CHECK(m.processes.started[0].command == std::vector<std::string>{"./report", "--try=1 on node-a", "${region}"});
    CHECK(m.processes.started[0].environment.at("REGION") == "<eu>");
    CHECK(m.processes.started[0].run_environment.at("CLOUDTASK_PARAM_TIME") == format_instant(due));
    CHECK(m.processes.started[0].run_environment.at("CLOUDTASK_PARAM_REGION") == "eu");
    CHECK(values_of(m.runs().at(first)) == values);
    m.process->supervisor.end(first, 1);
    m.loop.advance(2100ms);
    REQUIRE(m.processes.started.size() == 2);
    CHECK(m.processes.started[1].run_environment.at("CLOUDTASK_PARAM_TRY") == "2 on node-a");
    CHECK(m.processes.started[1].run_environment.at("CLOUDTASK_PARAM_TIME") == format_instant(due));
    CHECK(values_of(m.runs().at(second)).at("try") == "2 on node-a (task)");
}

TEST_CASE("a definition without parameters has no expressions") {
    RunnerMachine m;
    auto made = m.make_task();
    made->command = {"./report", "${day} $$"};
    m.give(made);
    m.go_to(10s, 0s);
    m.loop.advance(1s);
    REQUIRE_FALSE(m.processes.started.empty());
    CHECK(m.processes.started[0].command[1] == "${day} $$");
    CHECK(m.runs().at(m.processes.started[0].run_id).parameters == nullptr);
}

TEST_CASE("what is given at a manual start outlives kills, and its next attempts go by it") {
    RunnerMachine m;
    auto made = m.make_task(24h);
    made->parameters = declared(R"({"day": "${fire_date}", "try": "${attempt}", "bucket": null})");
    made->shell = "./report";
    made->command.clear();
    made->retry = once_more();
    const auto task = m.give(made);
    const Instant as_of = parse_instant("2026-11-20T03:00:00Z").value();
    Command start{id_of(501), Command::Kind::start, id_of(601), "alice", *task};
    start.parameters = given({{"bucket", "${day}"}}, as_of);
    m.process->runner.handle(start);
    m.loop.advance(20ms);
    REQUIRE(m.processes.started.size() == 1);
    CHECK(m.processes.started[0].shell == "./report");
    CHECK(m.processes.started[0].run_environment.at("CLOUDTASK_PARAM_BUCKET") == "${day}");
    CHECK(m.processes.started[0].run_environment.at("CLOUDTASK_PARAM_DAY") == "2026-11-20");
    CHECK_FALSE(m.processes.started[0].run_environment.contains("CLOUDTASK_FIRE_TIME"));
    m.process->supervisor.end(id_of(601), 1);
    m.loop.advance(20ms);
    CHECK(values_of(m.runs().at(id_of(601))) == TextMap{{"bucket", "${day} (manual)"}, {"day", "2026-11-20 (task)"}, {"try", "1 (task)"}});
    m.kill();
    m.boot();
    m.put(task);
    m.take_part();
    m.loop.advance(3s);
    REQUIRE(m.processes.started.size() == 2);
    CHECK(m.processes.started[1].run_environment.at("CLOUDTASK_PARAM_BUCKET") == "${day}");
    CHECK(m.processes.started[1].run_environment.at("CLOUDTASK_PARAM_DAY") == "2026-11-20");
    CHECK(m.processes.started[1].run_environment.at("CLOUDTASK_PARAM_TRY") == "2");
}

TEST_CASE("a value that cannot be worked out fails the run with a reason, and nothing else") {
    RunnerMachine m;
    auto made = m.make_task();
    // What an earlier build may have saved.
    made->parameters = declared(R"({"bucket": null})");
    const auto task = m.give(made);
    auto sound = m.make_task();
    m.give(sound);
    const Instant due = m.go_to(10s, 0s);
    m.loop.advance(1s);
    const auto failed = m.runs().at(id_of_fire(task, due));
    CHECK(failed.state == RunState::failed);
    CHECK(failed.reason == "its parameters cannot be worked out: the parameter bucket has no value");
    CHECK_FALSE(failed.started_at);
    REQUIRE(m.processes.started.size() == 1);
    m.process->supervisor.end(m.only_started());
    m.loop.advance(20ms);
    CHECK(m.process->store->load_unfinished()->empty());
    CHECK_FALSE(m.process->runner.earliest_unstarted());
    // The next fire is taken as usual, and so is a start by hand.
    m.loop.advance(10s);
    CHECK(m.runs().at(id_of_fire(task, due + 10s)).state == RunState::failed);
    Command start{id_of(501), Command::Kind::start, id_of(601), "alice", *task};
    start.parameters = given({{"gone", "1"}}, due);
    m.process->runner.handle(start);
    m.loop.advance(20ms);
    CHECK(m.runs().at(id_of(601)).reason ==
          "its parameters cannot be worked out: gone is not a parameter of version " + std::to_string(task->version) + " of the task");
}

}  // namespace
}  // namespace cloudtask::node::test
