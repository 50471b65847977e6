// The parameters of a task put to use: see task_parameters.h. Pure; any thread.
#include "cloudtask/task/task_parameters.h"

#include <fmt/format.h>

#include <functional>
#include <optional>
#include <utility>

#include "task/call_templates.h"

namespace cloudtask::task {

namespace {

// What expressions of the task may name. Whether there is such a calendar is the center's to say, when it puts it beside the definition.
KnownNames names_of(const Task& task) {
    return {.is_parameter = [own = &task.parameters->own](std::string_view name) { return own->contains(std::string{name}); },
            .is_calendar = [](std::string_view) { return true; },
            .sharded = task.mode == Mode::shards};
}

void check_names(const Parameters& values, const KnownNames& known, const std::string& pointer, Faults& faults) {
    for (const auto& [name, value] : values) {
        if (!value) continue;
        if (const auto unknown = value->value.unknown(known)) {
            faults.add(pointer_to(pointer, name), unknown->sentence(), unknown->allowed);
        }
    }
}

std::string schedule_pointer(std::size_t index) { return pointer_to(pointer_to("/schedules", index), "parameters"); }

// All that may have expressions: values, inherited ones too, words of the command, the environment.
void visit_templates(const Task& task, const std::function<void(const Template& text, const std::string& pointer)>& visit) {
    const auto visit_values = [&visit](const Parameters& values, const std::string& pointer) {
        for (const auto& [name, value] : values) {
            if (value) visit(value->value, pointer_to(pointer, name));
        }
    };
    const auto visit_text = [&visit](const std::string& text, const std::string& pointer) {
        TemplateFault fault;
        if (const auto parsed = Template::parse(text, fault)) visit(*parsed, pointer);
    };
    const TaskParameters& all = *task.parameters;
    for (const Parameters* values : {&all.own, &all.group, &all.runtime}) visit_values(*values, "/parameters");
    for (std::size_t i = 0; i < task.schedules.size(); ++i) {
        if (const Parameters* given = task.schedules[i].parameters()) visit_values(*given, schedule_pointer(i));
    }
    for (std::size_t i = 0; i < task.command.size(); ++i) visit_text(task.command[i], pointer_to("/command", i));
    for (const auto& [name, value] : task.environment) visit_text(value, pointer_to("/environment", name));
    if (task.http) visit_call_texts(*task.http, visit_text);
}

ParameterLayers layers_of(const TaskParameters& all, const Parameters* schedule, const Parameters* manual) {
    return {.runtime = &all.runtime, .group = &all.group, .task = &all.own, .schedule = schedule, .manual = manual};
}

// The schedule of a fire; of two that fire at one instant the first. Null: none of them fires then.
const Schedule* schedule_of_fire(const Task& task, Instant fire_time) {
    if (task.schedules.size() == 1) return task.schedules.data();
    for (const Schedule& schedule : task.schedules) {
        if (schedule.enabled() && schedule.next(fire_time - Duration{1}) == fire_time) return &schedule;
    }
    return nullptr;
}

// The schedule by whose zone and working days the attempt goes. Null: it goes by none.
Result<const Schedule*> schedule_of(const Task& task, const Run& run) {
    if (!run.fire_time) return task.schedules.empty() ? nullptr : task.schedules.data();
    if (const Schedule* schedule = schedule_of_fire(task, *run.fire_time)) return schedule;
    return fail(Errc::invalid_argument, "no schedule of version {} of the task fires at {}", task.version, format_instant(*run.fire_time));
}

// What the attempt knows of itself.
Result<FireFacts> facts_of(const Task& task, const Run& run, const Schedule* schedule) {
    const auto as_of = run.parameters ? run.parameters->as_of : std::nullopt;
    if (!run.fire_time && !as_of) return fail(Errc::invalid_argument, "the start does not say what time it is for");
    FireFacts facts;
    facts.fire_time = run.fire_time ? *run.fire_time : *as_of;
    if (schedule != nullptr) {
        facts.zone = schedule->zone();
        facts.working_days = schedule->working_days();
    }
    facts.calendars = task.calendars;
    facts.attempt = run.attempt;
    facts.shard = run.shard;
    if (task.mode == Mode::shards) facts.shards = task.shards;
    facts.run_id = run.id;
    facts.trigger = to_string(run.trigger);
    facts.task = run.task_name;
    facts.group = run.group;
    facts.runtime = run.runtime;
    facts.node = run.node_name;
    return facts;
}

// Null: it has no value.
const std::string* parameter_of(const Run& run, const std::string& name) {
    if (!run.parameters) return nullptr;
    const auto found = run.parameters->values.find(name);
    return found == run.parameters->values.end() ? nullptr : &found->second.text;
}

Result<std::string> text_with_values(const std::string& text, const FireFacts& facts, const Run& run) {
    TemplateFault fault;
    const auto parsed = Template::parse(text, fault);
    if (!parsed) return fail(Errc::invalid_argument, "{}", fault.sentence());
    return parsed->evaluate(facts, [&run](const std::string& name) { return parameter_of(run, name); });
}

}  // namespace

void check_expressions(const Task& task, Faults& faults) {
    if (!task.parameters) {
        for (std::size_t i = 0; i < task.schedules.size(); ++i) {
            if (task.schedules[i].parameters() == nullptr) continue;
            faults.add(schedule_pointer(i), "stands in a task that declares none", "'parameters' of the task with these names");
        }
        return;
    }
    const KnownNames known = names_of(task);
    check_names(task.parameters->own, known, "/parameters", faults);
    for (std::size_t i = 0; i < task.schedules.size(); ++i) {
        const Parameters* given = task.schedules[i].parameters();
        if (given == nullptr) continue;
        for (const auto& [name, value] : *given) {
            if (known.is_parameter(name)) continue;
            faults.add(pointer_to(schedule_pointer(i), name), "is not a parameter of the task", "a name that 'parameters' of the task has");
        }
        check_names(*given, known, schedule_pointer(i), faults);
    }
    check_templates(task.command, task.environment, known, faults);
    if (task.http) check_call_templates(*task.http, known, task.secrets.get(), faults);
}

void inherit_parameters(Task& task, const Parameters* group, const Parameters* runtime) {
    TaskParameters all{task.parameters->own, {}, {}};
    const MergedParameters merged = merge_parameters({.runtime = runtime, .group = group, .task = &all.own});
    for (const auto& [name, parameter] : merged.parameters) {
        if (parameter.origin == ParameterOrigin::group) all.group.emplace(name, parameter.value);
        if (parameter.origin == ParameterOrigin::runtime) all.runtime.emplace(name, parameter.value);
    }
    task.parameters = std::make_shared<const TaskParameters>(std::move(all));
}

void check_values(const Task& task, Faults& faults) {
    std::size_t steps = 0;
    visit_templates(task, [&steps](const Template& text, const std::string&) { steps += text.working_day_steps(); });
    if (steps > kMostWorkingDaySteps) {
        faults.add("/parameters", fmt::format("and what names them have {} steps of working days", steps),
                   fmt::format("{} at the most in one definition", kMostWorkingDaySteps));
    }
    const KnownNames known = names_of(task);
    const std::size_t before = faults.list().size();
    check_parameters(merge_parameters(layers_of(*task.parameters, nullptr, nullptr)), known, "/parameters", faults);
    const bool sound = faults.list().size() == before;
    for (std::size_t i = 0; i < task.schedules.size(); ++i) {
        const Schedule& schedule = task.schedules[i];
        if (schedule.kind() == Schedule::Kind::manual) continue;
        const MergedParameters merged = merge_parameters(layers_of(*task.parameters, schedule.parameters(), nullptr));
        for (const std::string& name : merged.missing) {
            faults.add(pointer_to("/schedules", i), fmt::format("leaves the parameter {} without a value", name),
                       "a value of the schedule, the task, its group or its runtime");
        }
        if (sound && schedule.parameters() != nullptr) check_parameters(merged, known, schedule_pointer(i), faults);
    }
}

std::map<std::string, std::string> expression_calendars(const Task& task) {
    std::map<std::string, std::string> calendars;
    visit_templates(task, [&calendars](const Template& text, const std::string& pointer) {
        for (std::string& name : text.calendars()) calendars.emplace(std::move(name), pointer);
    });
    return calendars;
}

void check_start(const Task& task, const Parameters& given, Faults& faults) {
    const MergedParameters merged = merge_parameters(layers_of(*task.parameters, nullptr, &given));
    for (const std::string& name : merged.undeclared) {
        faults.add(pointer_to("/parameters", name), "is not a parameter of the task", "a name that 'parameters' of the task has");
    }
    for (const std::string& name : merged.missing) {
        faults.add(pointer_to("/parameters", name), "has no value", "a value given with the start: the task has none");
    }
}

Result<> work_out_parameters(const Task& task, Run& run) {
    Parameters manual;
    RunParameters out;
    if (const auto given = given_parameters(run)) {
        out.as_of = given->as_of;
        for (const auto& [name, value] : given->values) manual.emplace(name, ParameterValue{value.text, Template::literal(value.text)});
    }
    const auto schedule = schedule_of(task, run);
    if (!schedule) return propagate(schedule);
    const auto facts = facts_of(task, run, *schedule);
    if (!facts) return propagate(facts);
    // A manual start is none of the schedule's: its values do not count.
    const Parameters* scheduled = run.fire_time && *schedule != nullptr ? (*schedule)->parameters() : nullptr;
    const MergedParameters merged = merge_parameters(layers_of(*task.parameters, scheduled, &manual));
    if (!merged.undeclared.empty()) {
        return fail(Errc::invalid_argument, "{} is not a parameter of version {} of the task", merged.undeclared.front(), task.version);
    }
    auto values = resolve_parameters(merged, *facts);
    if (!values) return propagate(values);
    for (auto& [name, text] : *values) {
        out.values.emplace(name, RunParameters::Value{std::move(text), merged.parameters.at(name).origin});
    }
    run.parameters = std::make_shared<const RunParameters>(std::move(out));
    // So that nothing is left that could go wrong when it is due.
    if (const auto words = worked_out(task, run); !words) return propagate(words);
    if (!task.http) return {};
    // Secrets come when it is due, and have no part in this.
    std::map<std::string, std::string> no_secrets;
    if (task.secrets) {
        for (const auto& [name, use] : *task.secrets) no_secrets.emplace(name, "");
    }
    if (const auto call = worked_out_call(task, run, no_secrets); !call) return propagate(call);
    return {};
}

std::shared_ptr<const RunParameters> given_parameters(const Run& run) {
    if (!run.parameters) return nullptr;
    RunParameters given;
    given.as_of = run.parameters->as_of;
    for (const auto& [name, value] : run.parameters->values) {
        if (value.origin == ParameterOrigin::manual) given.values.emplace(name, value);
    }
    if (given.values.empty() && !given.as_of) return nullptr;
    return std::make_shared<const RunParameters>(std::move(given));
}

Result<WorkedOutTask> worked_out(const Task& task, const Run& run) {
    const auto schedule = schedule_of(task, run);
    if (!schedule) return propagate(schedule);
    const auto facts = facts_of(task, run, *schedule);
    if (!facts) return propagate(facts);
    WorkedOutTask out;
    for (std::size_t i = 0; i < task.command.size(); ++i) {
        auto word = text_with_values(task.command[i], *facts, run);
        if (!word) return fail(word.error().code, "word {} of the command: {}", i + 1, word.error().message);
        out.command.push_back(std::move(*word));
    }
    for (const auto& [name, text] : task.environment) {
        auto value = text_with_values(text, *facts, run);
        if (!value) return fail(value.error().code, "the variable {}: {}", name, value.error().message);
        out.environment.emplace(name, std::move(*value));
    }
    if (!run.parameters) return out;
    for (const auto& [name, value] : run.parameters->values) out.variables.emplace(parameter_variable(name), value.text);
    return out;
}

Result<WorkedOutCall> worked_out_call(const Task& task, const Run& run, const std::map<std::string, std::string>& secrets) {
    const auto schedule = schedule_of(task, run);
    if (!schedule) return propagate(schedule);
    const auto facts = facts_of(task, run, *schedule);
    if (!facts) return propagate(facts);
    const auto value_of = [&](const std::string& name) -> const std::string* {
        if (const std::string secret{secret_of_expression(name)}; !secret.empty()) {
            const auto given = secrets.find(secret);
            return given == secrets.end() ? nullptr : &given->second;
        }
        return parameter_of(run, name);
    };
    return call_with_values(*task.http, [&](const Template& expression) { return expression.evaluate(*facts, value_of); });
}

}  // namespace cloudtask::task
