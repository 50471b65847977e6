// The parameters of a task put to use: their JSON, what is refused when it is saved or started, what an attempt is started with.
#include "cloudtask/task/task_parameters.h"

#include <catch2/catch.hpp>

#include <fmt/format.h>

#include <chrono>
#include <map>
#include <string>
#include <vector>

#include "cloudtask/task/codec.h"

using namespace cloudtask;
using namespace cloudtask::task;

namespace {

using FaultTexts = std::vector<std::string>;
using TextMap = std::map<std::string, std::string>;

FaultTexts fault_texts(const Faults& faults) {
    FaultTexts list;
    for (const auto& fault : faults.list()) list.push_back(fault.pointer + ": " + fault.problem);
    return list;
}

json::Document parsed_text(const std::string& text) {
    auto parsed = json::parse(text);
    if (!parsed) FAIL(parsed.error().message << " in " << text);
    return std::move(*parsed);
}

std::string definition_with(const std::string& members) {
    return R"({"runtime": "demo", "group": "ops", "name": "report", "command": ["./report", "--day=${day}"], )" + members + "}";
}

FaultTexts faults_of_definition(const std::string& members) {
    Faults faults;
    read_task_input(parsed_text(definition_with(members)), faults);
    return fault_texts(faults);
}

Task saved_task(const std::string& members) {
    Faults faults;
    auto task = read_task_input(parsed_text(definition_with(members)), faults);
    if (!task) FAIL(faults.summary());
    task->id = "018f3c2e-1111-7222-8333-123456789abc";
    adopt_schedules(*task);
    return *task;
}

Parameters values_of(const std::string& object, ParameterOrigin origin) {
    const auto parsed = parsed_text(R"({"parameters": )" + object + "}");
    Faults faults;
    json::ObjectReader reader{parsed, "", faults};
    auto values = read_parameters(reader, "parameters", origin);
    if (!values || !faults.empty()) FAIL(faults.summary());
    return *values;
}

Run fire_of(const Task& task, const std::string& time) {
    Run run;
    run.id = task.id;
    run.task_id = task.id;
    run.runtime = task.runtime;
    run.group = task.group;
    run.task_name = task.name;
    run.node_name = "n1";
    run.fire_time = parse_instant(time).value();
    return run;
}

Run manual_start(const Task& task, const std::string& as_of, const TextMap& given) {
    Run run = fire_of(task, as_of);
    RunParameters parameters;
    parameters.as_of = run.fire_time;
    for (const auto& [name, value] : given) parameters.values[name] = {value, ParameterOrigin::manual};
    run.trigger = Trigger::manual;
    run.fire_time.reset();
    run.parameters = std::make_shared<const RunParameters>(std::move(parameters));
    return run;
}

// "value (origin)" by name, or the error.
TextMap started_with(const Task& task, Run& run) {
    if (const auto done = work_out_parameters(task, run); !done) return {{"error", done.error().message}};
    TextMap values;
    for (const auto& [name, value] : run.parameters->values) values[name] = value.text + " (" + std::string{to_string(value.origin)} + ")";
    return values;
}

}  // namespace

TEST_CASE("task parameters: members of a definition, written as they were read") {
    const Task task = saved_task(R"("parameters": {"day": "${fire_date}", "n": 7, "region": null},
        "schedules": [{"cron": "0 3 * * *", "parameters": {"region": "us"}}, {"cron": "0 4 * * *", "parameters": {}}])");
    const std::string text = to_json(task);
    CHECK(text.find(R"("parameters":{"day":"${fire_date}","n":"7","region":null})") != std::string::npos);
    CHECK(text.find(R"("parameters":{"region":"us"})") != std::string::npos);
    CHECK(task.schedules[1].parameters() == nullptr);
    CHECK(text.find("inherited_parameters") == std::string::npos);
    Faults faults;
    const auto again = read_task_input(parsed_text(text), faults);
    REQUIRE(again);
    CHECK(to_json(*again).find(R"("region":null)") != std::string::npos);
    // What a fire is given does not change when it is due.
    const Task other = saved_task(R"("parameters": {"day": "x"}, "schedules": [{"cron": "0 3 * * *"}])");
    CHECK((task.schedules[0] == other.schedules[0]));
}

TEST_CASE("task parameters: inherited values come and go with the version") {
    Task task = saved_task(R"("parameters": {"day": "1", "path": null, "region": null})");
    const Parameters group = values_of(R"({"path": "s3://${bucket}/x", "unused": "1"})", ParameterOrigin::group);
    const Parameters runtime = values_of(R"({"bucket": "b1", "region": "eu", "day": "2"})", ParameterOrigin::runtime);
    inherit_parameters(task, &group, &runtime);
    const std::string text = to_json(task);
    CHECK(text.find(R"("inherited_parameters":{"group":{"path":"s3://${bucket}/x"},"runtime":{"bucket":"b1","region":"eu"}})") !=
          std::string::npos);
    auto stored = task;
    stored.created_at = stored.updated_at = stored.effective_from = Instant{};
    const auto again = read_task(parsed_text(to_json(stored)));
    if (!again) FAIL(again.error().message);
    CHECK(to_json(*again) == to_json(stored));
    Run run = fire_of(*again, "2026-11-23T02:00:00Z");
    run.fire_time.reset();
    run.trigger = Trigger::manual;
    RunParameters asked;
    asked.as_of = Instant{};
    run.parameters = std::make_shared<const RunParameters>(asked);
    CHECK(started_with(*again, run) ==
          TextMap{{"bucket", "b1 (runtime)"}, {"day", "1 (task)"}, {"path", "s3://b1/x (group)"}, {"region", "eu (runtime)"}});
    inherit_parameters(task, nullptr, nullptr);
    CHECK(to_json(task).find("inherited_parameters") == std::string::npos);
    // Who sends back what was answered is not refused.
    Faults faults;
    CHECK(read_task_input(parsed_text(text), faults));
}

TEST_CASE("task parameters: of runtimes and groups") {
    Faults faults;
    const auto runtime = read_runtime_input(parsed_text(R"({"name": "demo", "parameters": {"b": true, "a": "${fire_date}"}})"), faults);
    REQUIRE(runtime);
    CHECK(to_json(*runtime).find(R"("parameters":{"a":"${fire_date}","b":"true"})") != std::string::npos);
    const auto group = read_group_input(parsed_text(R"({"runtime": "demo", "name": "ops", "parameters": {}})"), faults);
    REQUIRE(group);
    CHECK(group->parameters == nullptr);
    CHECK_FALSE(
        read_group_input(parsed_text(R"({"runtime": "demo", "name": "ops", "parameters": {"a": "${fire_date - 1 dya}"}})"), faults));
    CHECK(fault_texts(faults) == FaultTexts{"/parameters/a: character 17: this is not a unit"});
}

TEST_CASE("task parameters: what a definition names has to be declared") {
    CHECK(faults_of_definition(R"("parameters": {"day": "x"})").empty());
    CHECK(faults_of_definition(R"("parameters": {"dya": "x"})") ==
          FaultTexts{"/command/1: character 9: 'day' is not a name that the task has"});
    CHECK(faults_of_definition(R"("parameters": {"day": "${fire_dat}"})") ==
          FaultTexts{"/parameters/day: character 3: 'fire_dat' is not a name that the task has"});
    CHECK(faults_of_definition(R"("parameters": {"day": "x"}, "environment": {"A": "a ${b}"})") ==
          FaultTexts{"/environment/A: character 5: 'b' is not a name that the task has"});
    CHECK(
        faults_of_definition(R"("parameters": {"day": "x"}, "schedules": [{"cron": "@daily", "parameters": {"b": "1", "day": "${c}"}}])") ==
        FaultTexts{"/schedules/0/parameters/b: is not a parameter of the task",
                   "/schedules/0/parameters/day: character 3: 'c' is not a name that the task has"});
    CHECK(faults_of_definition(R"("parameters": {"day": "x"}, "schedules": [{"manual": true, "parameters": {"day": "1"}}])") ==
          FaultTexts{"/schedules/0/parameters: stands beside 'manual', which never fires"});
    CHECK(faults_of_definition(R"("parameters": {"day": "${shard}"})") ==
          FaultTexts{"/parameters/day: character 3: the task has no shards"});
    CHECK(faults_of_definition(R"("parameters": {"day": "${shard}/${shards}"}, "mode": "shards", "shards": 4)").empty());
    // Without parameters nothing is an expression, and nobody is given any.
    CHECK(faults_of_definition(R"("enabled": true)").empty());
    CHECK(faults_of_definition(R"("schedules": [{"cron": "@daily", "parameters": {"day": "1"}}])") ==
          FaultTexts{"/schedules/0/parameters: stands in a task that declares none"});
    CHECK(faults_of_definition(R"("parameters": {"day": ")" + std::string(4000, 'x') + R"(", "b": ")" + std::string(4000, 'x') +
                               R"(", "c": ")" + std::string(4000, 'x') + R"(", "d": ")" + std::string(4000, 'x') + R"(", "e": ")" +
                               std::string(400, 'x') + R"("})") == FaultTexts{"/parameters: have 16407 bytes in all"});
}

TEST_CASE("task parameters: schedules that leave one without a value are refused") {
    Task task = saved_task(R"("parameters": {"day": "x", "region": null},
        "schedules": [{"cron": "@daily", "parameters": {"region": "${day}"}}, {"cron": "@hourly"}, {"manual": true}])");
    Faults faults;
    check_values(task, faults);
    CHECK(fault_texts(faults) == FaultTexts{"/schedules/1: leaves the parameter region without a value"});
    const Parameters group = values_of(R"({"region": "${bucket}"})", ParameterOrigin::group);
    inherit_parameters(task, &group, nullptr);
    Faults unknown;
    check_values(task, unknown);
    CHECK(fault_texts(unknown) == FaultTexts{"/parameters/region: character 3: 'bucket' is not a name that the task has (of the group)"});
    const Parameters sound = values_of(R"({"region": "eu"})", ParameterOrigin::group);
    inherit_parameters(task, &sound, nullptr);
    Faults none;
    check_values(task, none);
    CHECK(none.empty());
    std::string many = R"("parameters": {"day": "x")";
    for (int i = 0; i < 32; ++i) many += fmt::format(R"(, "p{}": "${{fire_date - 1 working day}} ${{fire_date + 2 working days}}")", i);
    for (const bool too_many : {false, true}) {
        const Task costly = saved_task(many + R"(}, "environment": {"A": ")" + (too_many ? "${fire_date + 1 working day}" : "") + "\"}");
        Faults costs;
        check_values(costly, costs);
        CHECK(fault_texts(costs) ==
              (too_many ? FaultTexts{"/parameters: and what names them have 65 steps of working days"} : FaultTexts{}));
    }
    Task circle =
        saved_task(R"("parameters": {"day": "x", "a": "${day}"}, "schedules": [{"cron": "@daily", "parameters": {"day": "${a}"}}])");
    Faults circles;
    check_values(circle, circles);
    CHECK(circles.list().size() == 2);
    CHECK(circles.list().front().pointer == "/schedules/0/parameters/a");
}

TEST_CASE("task parameters: calendars that expressions name") {
    Task task = saved_task(R"("parameters": {"day": "${fire_date - 1 working day of uk}", "x": null},
        "environment": {"A": "${fire_date + 2 working days of us}"},
        "schedules": [{"cron": "@daily", "parameters": {"x": "${fire_date - 1 working day of de}"}}])");
    const Parameters group = values_of(R"({"x": "${fire_date - 1 working day of fr}"})", ParameterOrigin::group);
    inherit_parameters(task, &group, nullptr);
    CHECK(expression_calendars(task) ==
          TextMap{{"uk", "/parameters/day"}, {"us", "/environment/A"}, {"de", "/schedules/0/parameters/x"}, {"fr", "/parameters/x"}});
}

TEST_CASE("task parameters: a fire goes by its schedule's values, zone and working days") {
    const Task task = saved_task(R"("parameters": {"day": "${fire_date - 1 working day}", "region": "eu", "at": "${fire_time}"},
        "schedules": [{"cron": "0 3 * * *", "zone": "Europe/Berlin"},
                      {"cron": "0 22 * * *", "zone": "America/New_York", "parameters": {"region": "us"}}])");
    Run berlin = fire_of(task, "2026-11-23T02:00:00Z");
    CHECK(started_with(task, berlin) ==
          TextMap{{"at", "2026-11-23T03:00:00+01:00 (task)"}, {"day", "2026-11-20 (task)"}, {"region", "eu (task)"}});
    Run new_york = fire_of(task, "2026-11-24T03:00:00Z");
    CHECK(started_with(task, new_york) ==
          TextMap{{"at", "2026-11-23T22:00:00-05:00 (task)"}, {"day", "2026-11-20 (task)"}, {"region", "us (schedule)"}});
    Run nobody = fire_of(task, "2026-11-24T03:00:01Z");
    CHECK(started_with(task, nobody).count("error") == 1);
    // Doing it again changes nothing.
    const auto first = started_with(task, berlin);
    CHECK(started_with(task, berlin) == first);
    const auto words = worked_out(task, berlin);
    REQUIRE(words);
    CHECK(words->command == std::vector<std::string>{"./report", "--day=2026-11-20"});
    CHECK(words->variables.at("CLOUDTASK_PARAM_AT") == "2026-11-23T03:00:00+01:00");
}

TEST_CASE("task parameters: a manual start gives text, and its next attempt goes by it") {
    const Task task = saved_task(R"("parameters": {"day": "${fire_date}", "bucket": null, "try": "${attempt}"},
        "environment": {"A": "${bucket}"},
        "schedules": [{"manual": true, "zone": "Asia/Tokyo"}])");
    Faults faults;
    check_start(task, values_of(R"({"bukket": "b1"})", ParameterOrigin::manual), faults);
    CHECK(fault_texts(faults) == FaultTexts{"/parameters/bukket: is not a parameter of the task", "/parameters/bucket: has no value"});
    Run run = manual_start(task, "2026-11-23T20:00:00Z", {{"bucket", "${day}"}});
    CHECK(started_with(task, run) == TextMap{{"bucket", "${day} (manual)"}, {"day", "2026-11-24 (task)"}, {"try", "1 (task)"}});
    CHECK(worked_out(task, run)->environment.at("A") == "${day}");
    Run retry = run;
    retry.trigger = Trigger::retry;
    retry.attempt = 2;
    retry.parameters = given_parameters(run);
    REQUIRE(retry.parameters);
    CHECK(retry.parameters->values.size() == 1);
    CHECK(started_with(task, retry) == TextMap{{"bucket", "${day} (manual)"}, {"day", "2026-11-24 (task)"}, {"try", "2 (task)"}});
    Run missing = manual_start(task, "2026-11-23T20:00:00Z", {});
    CHECK(started_with(task, missing).count("error") == 1);
    Run other = manual_start(task, "2026-11-23T20:00:00Z", {{"bucket", "b"}, {"gone", "1"}});
    CHECK(started_with(task, other) == TextMap{{"error", "gone is not a parameter of version 1 of the task"}});
    Run timeless = run;
    timeless.parameters.reset();
    CHECK(started_with(task, timeless).count("error") == 1);
}

TEST_CASE("task parameters: what cannot be worked out says why") {
    const Task early = saved_task(R"("parameters": {"day": "${fire_date - 9999 days}"}, "schedules": [{"every": "1h"}])");
    Run run = fire_of(early, "1971-01-01T00:00:00Z");
    CHECK(started_with(early, run).at("error") == "the parameter day: a date of an expression is outside the years 1970 to 9999");
    const Task word =
        saved_task(R"("parameters": {"day": "x"}, "environment": {"A": "${fire_date - 9999 days}"}, "schedules": [{"every": "1h"}])");
    Run other = fire_of(word, "1971-01-01T00:00:00Z");
    CHECK(started_with(word, other).at("error") == "the variable A: a date of an expression is outside the years 1970 to 9999");
}

TEST_CASE("task parameters: a run's parameters are written as they were read") {
    const Task task = saved_task(R"("parameters": {"day": "x"})");
    Run run = manual_start(task, "2026-11-23T20:00:00Z", {{"day", "line\n\"\\ä"}});
    run.task_id = task.id;
    const std::string text = to_json(run);
    CHECK(text.find(R"("from":"manual")") != std::string::npos);
    CHECK(text.find(R"("as_of":"2026-11-23T20:00:00Z")") != std::string::npos);
    const auto again = read_run(parsed_text(text));
    if (!again) FAIL(again.error().message);
    CHECK(to_json(*again) == text);
    run.parameters.reset();
    CHECK(to_json(run).find("parameters") == std::string::npos);
    CHECK(read_run(parsed_text(to_json(run)))->parameters == nullptr);
    auto wrong = text;
    wrong.replace(wrong.find("manual\"}"), 6, "nobody");
    CHECK_FALSE(read_run(parsed_text(wrong)));
}
