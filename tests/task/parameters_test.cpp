// Parameters: what may be written, which value counts, what it comes to, and where values may not be put.
#include "cloudtask/task/parameters.h"

#include <catch2/catch.hpp>

#include <fmt/format.h>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

using namespace cloudtask;
using namespace cloudtask::task;

namespace {

std::vector<std::string> told(const Faults& faults) {
    std::vector<std::string> list;
    for (const auto& fault : faults.list()) list.push_back(fault.pointer + ": " + fault.problem);
    return list;
}

struct ParametersRead {
    std::optional<Parameters> parameters;
    std::vector<std::string> faults;
};

ParametersRead read_from(const std::string& object, ParameterOrigin origin) {
    const auto document = json::parse(R"({"parameters": )" + object + "}");
    INFO(object);
    REQUIRE(document);
    Faults faults;
    json::ObjectReader reader{*document, "", faults};
    auto parameters = read_parameters(reader, "parameters", origin);
    reader.finish();
    return {std::move(parameters), told(faults)};
}

Parameters given(const std::string& object, ParameterOrigin origin = ParameterOrigin::task) {
    auto read = read_from(object, origin);
    INFO(object);
    REQUIRE(read.faults.empty());
    REQUIRE(read.parameters);
    return *read.parameters;
}

KnownNames nothing_known() {
    return {.is_parameter = [](std::string_view) { return false; }, .is_calendar = [](std::string_view) { return false; }};
}

std::vector<std::string> parameter_faults(const ParameterLayers& layers) {
    Faults faults;
    check_parameters(merge_parameters(layers), nothing_known(), "/parameters", faults);
    return told(faults);
}

std::map<std::string, std::string> outcome_of(const ParameterLayers& layers) {
    FireFacts facts;
    facts.fire_time = parse_instant("2026-11-23T02:00:00Z").value();
    const auto values = resolve_parameters(merge_parameters(layers), facts);
    if (!values) FAIL(values.error().message);
    return *values;
}

using Values = std::map<std::string, std::string>;
using Texts = std::vector<std::string>;

}  // namespace

TEST_CASE("parameters: what may be written") {
    CHECK(
        read_from(R"({"a": "x", "b_2": 7, "c": true, "d": 1.5, "e": null, "f": "${fire_date}\n"})", ParameterOrigin::task).faults.empty());
    CHECK(read_from(R"({"Day": "x", "1a": "x", "_a": "x", "a-b": "x", "": "x"})", ParameterOrigin::task).faults.size() == 5);
    CHECK(read_from(R"({"fire_time": "x"})", ParameterOrigin::task).faults ==
          Texts{"/parameters/fire_time: is not the name of a parameter"});
    CHECK(read_from(R"({"a": []})", ParameterOrigin::task).faults == Texts{"/parameters/a: is not a value"});
    CHECK(read_from(R"({"a": null})", ParameterOrigin::group).faults == Texts{"/parameters/a: is not a value"});
    CHECK(read_from(R"({"a": null})", ParameterOrigin::manual).faults == Texts{"/parameters/a: is not a value"});
    CHECK(read_from(R"({"a": "x\u0000"})", ParameterOrigin::manual).faults == Texts{"/parameters/a: has a control character"});
    CHECK(read_from(R"({"a": "ab ${fire_date"})", ParameterOrigin::task).faults ==
          Texts{"/parameters/a: character 4: the expression has no end"});
    CHECK(read_from(R"({"a": ")" + std::string(kLongestParameter, 'x') + R"("})", ParameterOrigin::task).faults.empty());
    CHECK(read_from(R"({"a": ")" + std::string(kLongestParameter + 1, 'x') + R"("})", ParameterOrigin::task).faults ==
          Texts{"/parameters/a: is too long"});
    CHECK(read_from("7", ParameterOrigin::task).faults.size() == 1);
    std::string many = "{";
    for (std::size_t i = 0; i <= kMostParameters; ++i) many += fmt::format("{}\"p{}\": 1", i == 0 ? "" : ", ", i);
    CHECK(read_from(many + "}", ParameterOrigin::task).faults == Texts{"/parameters: has too many parameters"});
    CHECK(is_parameter_name("a" + std::string(62, 'b')));
    CHECK_FALSE(is_parameter_name("a" + std::string(63, 'b')));
}

TEST_CASE("parameters: none are not the same as an empty object") {
    const auto document = json::parse("{}");
    Faults faults;
    json::ObjectReader reader{*document, "", faults};
    CHECK_FALSE(read_parameters(reader, "parameters", ParameterOrigin::task));
    CHECK(given("{}").empty());
}

TEST_CASE("parameters: written as they were read") {
    const std::string text = R"({"a":"${fire_date}$$","b":null,"c":"7"})";
    json::Writer out;
    out.begin_object();
    write_parameters(out, "parameters", given(text));
    out.end_object();
    CHECK(out.text() == R"({"parameters":)" + text + "}");
}

TEST_CASE("parameters: the nearest value counts") {
    const Parameters runtime = given(R"({"a": "runtime", "b": "runtime", "c": "runtime", "d": "runtime", "e": "runtime", "other": "x"})",
                                     ParameterOrigin::runtime);
    const Parameters group = given(R"({"b": "group", "c": "group", "d": "group", "e": "group"})", ParameterOrigin::group);
    const Parameters task = given(R"({"a": null, "b": null, "c": "task", "d": "task", "e": "task"})");
    const Parameters schedule = given(R"({"d": "schedule", "e": "schedule"})", ParameterOrigin::schedule);
    const Parameters manual = given(R"({"e": "manual"})", ParameterOrigin::manual);
    const ParameterLayers layers{&runtime, &group, &task, &schedule, &manual};
    // `other` is not the task's.
    CHECK(outcome_of(layers) == Values{{"a", "runtime"}, {"b", "group"}, {"c", "task"}, {"d", "schedule"}, {"e", "manual"}});
    const auto merged = merge_parameters(layers);
    for (const auto& [name, parameter] : merged.parameters) CHECK(to_string(parameter.origin) == parameter.value.text);
    CHECK(merge_parameters({&runtime, &group, nullptr, nullptr, nullptr}).parameters.empty());
}

TEST_CASE("parameters: what has no value is missing, what is not declared is told") {
    const Parameters task = given(R"({"a": null, "b": "${a}"})");
    const Parameters schedule = given(R"({"z": "1"})", ParameterOrigin::schedule);
    const Parameters manual = given(R"({"a": "1", "z": "1", "y": "2"})", ParameterOrigin::manual);
    const auto without = merge_parameters({.task = &task, .schedule = &schedule});
    CHECK(without.missing == Texts{"a"});
    CHECK(without.undeclared == Texts{"z"});
    CHECK(parameter_faults({.task = &task}).empty());
    CHECK_FALSE(resolve_parameters(without, {}));
    const auto with = merge_parameters({.task = &task, .schedule = &schedule, .manual = &manual});
    CHECK(with.missing.empty());
    CHECK(with.undeclared == Texts{"z", "y"});
}

TEST_CASE("parameters: a value is worked out with the values that count in the end") {
    const Parameters task = given(R"({"day": "${fire_date - 1 working day}", "file": "${folder}/${day}.csv", "folder": "in"})");
    CHECK(outcome_of({.task = &task}) == Values{{"day", "2026-11-20"}, {"file", "in/2026-11-20.csv"}, {"folder", "in"}});
    const Parameters manual = given(R"({"day": "2026-01-02"})", ParameterOrigin::manual);
    CHECK(outcome_of({.task = &task, .manual = &manual}).at("file") == "in/2026-01-02.csv");
}

TEST_CASE("parameters: what is given at a start is text") {
    const Parameters task = given(R"({"a": null, "b": "secret"})");
    const Parameters manual = given(R"({"a": "${b}$$ ${"})", ParameterOrigin::manual);
    CHECK(outcome_of({.task = &task, .manual = &manual}).at("a") == "${b}$$ ${");
}

TEST_CASE("parameters: an inherited value brings what it names, a task's does not") {
    const Parameters runtime = given(R"({"bucket": "b1"})", ParameterOrigin::runtime);
    const Parameters group = given(R"({"path": "s3://${bucket}/x"})", ParameterOrigin::group);
    const Parameters inherits = given(R"({"path": null})");
    CHECK(outcome_of({.runtime = &runtime, .group = &group, .task = &inherits}) == Values{{"bucket", "b1"}, {"path", "s3://b1/x"}});
    const Parameters names = given(R"({"path": "s3://${bucket}"})");
    CHECK(parameter_faults({.runtime = &runtime, .group = &group, .task = &names}) ==
          Texts{"/parameters/path: character 8: 'bucket' is not a name that the task has"});
    CHECK(parameter_faults({.group = &group, .task = &inherits}) ==
          Texts{"/parameters/path: character 8: 'bucket' is not a name that the task has (of the group)"});
}

TEST_CASE("parameters: circles and depth are refused when saved and when worked out") {
    for (const char* circle :
         {R"({"a": "${a}"})", R"({"a": "${b}", "b": "${c}", "c": "x${a}"})", R"({"z": "${a}", "a": "${b}", "b": "${a}"})"}) {
        CAPTURE(circle);
        const Parameters task = given(circle);
        CHECK_FALSE(parameter_faults({.task = &task}).empty());
        CHECK_FALSE(resolve_parameters(merge_parameters({.task = &task}), {}));
    }
    for (const std::size_t depth : {kDeepestParameter, kDeepestParameter + 1}) {
        std::string chain = R"({"p0": "x")";
        for (std::size_t i = 1; i < depth; ++i) chain += fmt::format(R"(, "p{}": "${{p{}}}")", i, i - 1);
        const Parameters task = given(chain + "}");
        CHECK(parameter_faults({.task = &task}).empty() == (depth == kDeepestParameter));
        CHECK(resolve_parameters(merge_parameters({.task = &task}), {}).has_value() == (depth == kDeepestParameter));
    }
}

TEST_CASE("parameters: values that double are bounded") {
    std::string bomb = R"({"p0": ")" + std::string(1000, 'x') + '"';
    for (int i = 1; i < 8; ++i) {
        bomb += fmt::format(R"(, "p{}": ")", i);
        for (int k = 0; k < 30; ++k) bomb += fmt::format("${{p{}}}", i - 1);
        bomb += '"';
    }
    const Parameters task = given(bomb + "}");
    const auto values = resolve_parameters(merge_parameters({.task = &task}), {});
    REQUIRE_FALSE(values);
    CHECK(values.error().is(Errc::too_large));
    std::string broad = R"({"p": ")" + std::string(4000, 'x') + '"';
    for (int i = 1; i < 5; ++i) broad += fmt::format(R"(, "p{}": "${{p}}")", i);
    const Parameters large = given(broad + "}");
    CHECK_FALSE(resolve_parameters(merge_parameters({.task = &large}), {}));
}

TEST_CASE("parameters: random sets are either refused when saved or can be worked out, and precedence holds") {
    std::mt19937 random{5};
    constexpr std::string_view kNames[] = {"a", "b", "c", "d", "e"};
    const auto some = [&](ParameterOrigin origin) {
        std::string object = "{";
        for (const std::string_view name : kNames) {
            if (random() % 2 == 0) continue;
            const std::string_view other = kNames[random() % std::size(kNames)];
            const std::string value = random() % 3 == 0 ? fmt::format("\"<${{{}}}>\"", other) : fmt::format("\"{}\"", random() % 10);
            object += fmt::format("{}\"{}\": {}", object.size() == 1 ? "" : ", ", name,
                                  origin == ParameterOrigin::task && random() % 4 == 0 ? "null" : value);
        }
        return given(object + "}", origin);
    };
    int worked_out = 0;
    int refused = 0;
    for (int round = 0; round < 3'000; ++round) {
        const Parameters runtime = some(ParameterOrigin::runtime), group = some(ParameterOrigin::group), task = some(ParameterOrigin::task);
        const Parameters schedule = some(ParameterOrigin::schedule), manual = some(ParameterOrigin::manual);
        const ParameterLayers layers{&runtime, &group, &task, &schedule, &manual};
        const auto merged = merge_parameters(layers);
        const auto values = resolve_parameters(merged, {});
        CHECK(values.has_value() == (merged.missing.empty() && parameter_faults(layers).empty()));
        (values ? worked_out : refused) += 1;
        for (const auto& [name, declared] : task) {
            const Parameters* nearest = nullptr;
            for (const Parameters* layer : {&runtime, &group, &task, &schedule, &manual}) {
                const auto found = layer->find(name);
                if (found != layer->end() && found->second) nearest = layer;
            }
            const auto merged_one = merged.parameters.find(name);
            REQUIRE((merged_one != merged.parameters.end()) == (nearest != nullptr));
            if (nearest != nullptr) CHECK(merged_one->second.value.text == nearest->at(name)->text);
            // A manual value comes out as it was given.
            if (values && manual.contains(name)) CHECK(values->at(name) == manual.at(name)->text);
        }
    }
    CHECK(worked_out > 200);
    CHECK(refused > 200);
}

TEST_CASE("parameters: names of variables") { CHECK(parameter_variable("day_2") == "CLOUDTASK_PARAM_DAY_2"); }

TEST_CASE("parameters: scripts of shells are found") {
    using Command = std::vector<std::string>;
    for (const Command& command : {Command{"sh", "-c", "S"},
                                   {"/bin/bash", "-ec", "S"},
                                   {"/usr/bin/env", "-i", "X=1", "zsh", "-x", "-c", "S", "arg"},
                                   {"timeout", "5", "busybox", "sh", "-c", "S"},
                                   {"sh", "-c", "-e", "S"},
                                   {"dash", "+xc", "S"},
                                   {"fish", "--command", "S"},
                                   {"bash", "-c", "-o", "pipefail", "S"},
                                   {"bash", "-euoc", "pipefail", "S"},
                                   {"bash", "-euo", "pipefail", "-c", "--", "S"},
                                   {"su", "report", "-c", "S"}}) {
        CAPTURE(command);
        const auto script = script_word(command);
        REQUIRE(script);
        CHECK(command[*script] == "S");
    }
    for (const Command& command :
         {Command{"./report", "-c", "x"}, {"sh", "script.sh", "x"}, {"sh"}, {"sh", "-c"}, {"bash", "--check", "x"}, {}}) {
        CAPTURE(command);
        CHECK_FALSE(script_word(command));
    }
}

TEST_CASE("parameters: no value is put into a program's name or into a script") {
    KnownNames known = nothing_known();
    known.is_parameter = [](std::string_view name) { return name == "day"; };
    const auto faults_with = [&](const std::vector<std::string>& command, const std::map<std::string, std::string>& environment) {
        Faults faults;
        check_templates(command, environment, known, faults);
        return told(faults);
    };
    CHECK(faults_with({"./report", "--day=${day}"}, {{"D", "${day}"}}).empty());
    CHECK(faults_with({"sh", "-c", "echo $$1 \"$CLOUDTASK_PARAM_DAY\"", "x", "${day}"}, {}).empty());
    CHECK(faults_with({"${day}"}, {}) == Texts{"/command/0: is the program, and has an expression: what is run is fixed"});
    CHECK(faults_with({"sh", "-c", "echo ${day}"}, {}) ==
          Texts{"/command/2: is a script for a shell, and has an expression: its value would be read as commands"});
    CHECK(faults_with({"./report", "${dya}"}, {{"D", "x${"}}) == Texts{"/command/1: character 3: 'dya' is not a name that the task has",
                                                                       "/environment/D: character 2: the expression has no end"});
}
