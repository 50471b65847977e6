// Parameters: named values of a runtime, a group, a task, a schedule and a manual start; which of them counts, whether all of them can be
// worked out, and what they come to for one attempt. docs/parameters.md says what they mean. Pure; any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/faults.h"
#include "cloudtask/core/json.h"
#include "cloudtask/task/template.h"

namespace cloudtask::task {

inline constexpr std::size_t kMostParameters = 64;            // of one object
inline constexpr std::size_t kLongestParameter = 4 * 1024;    // bytes as written
inline constexpr std::size_t kDeepestParameter = 8;           // parameters that name parameters
inline constexpr std::size_t kLargestParameters = 16 * 1024;  // bytes of all names and values: of one object, and of what comes out

// Steps of working days in all expressions of one definition. Each may ask a calendar for some thousand days, and a node has other things
// to do.
inline constexpr std::size_t kMostWorkingDaySteps = 64;

// Who gives a value; what comes later counts more.
enum class ParameterOrigin { runtime, group, task, schedule, manual };
std::string_view to_string(ParameterOrigin origin);

struct ParameterValue {
    std::string text;  // as written
    Template value;
};

// What one of them gives. Null: declared, without a value of its own (of a task only).
using Parameters = std::map<std::string, std::optional<ParameterValue>>;

// Those of a task, with the values that it uses of its group's and its runtime's, as they were when the version was saved: a version of a
// task is complete in itself, wherever it is read. Only the center writes these.
struct TaskParameters {
    Parameters own, group, runtime;
};

// What a run is started with. Of a manual start, until that is worked out: what was given.
struct RunParameters {
    struct Value {
        std::string text;
        ParameterOrigin origin;
    };
    std::map<std::string, Value> values;
    std::optional<Instant> as_of;  // of a manual start: what stands for the fire time in expressions
};

// A letter of a-z, then a-z, 0-9 and '_', 63 at the most; and not a name that CloudTask gives a value.
bool is_parameter_name(std::string_view name);

// The member `name` of an object: {"region": "eu", "day": "${fire_date - 1 working day}", "bucket": null}. Values are texts; numbers and
// true and false are taken as their texts. In those of a manual start nothing is an expression: $ is a character like any other. Each fault
// has its pointer, and in its sentence the character.
// Nothing if the object is absent: then nothing in the definition is a template.
std::optional<Parameters> read_parameters(json::ObjectReader& reader, std::string_view name, ParameterOrigin origin);
void write_parameters(json::Writer& out, std::string_view name, const Parameters& parameters);

// The members "parameters" ({"day": {"value": "2026-11-20", "from": "task"}}) and "as_of" of a run; null if it has neither.
std::shared_ptr<const RunParameters> read_run_parameters(json::ObjectReader& reader);
void write_run_parameters(json::Writer& out, const RunParameters& parameters);

// What is given, from the least to the most. Null: nothing.
struct ParameterLayers {
    const Parameters* runtime = nullptr;
    const Parameters* group = nullptr;
    const Parameters* task = nullptr;
    const Parameters* schedule = nullptr;
    const Parameters* manual = nullptr;
};

// The parameters of one kind of fire: those that the task declares and, from its group and runtime, those that these name.
struct MergedParameters {
    struct Parameter {
        ParameterValue value;
        ParameterOrigin origin;
    };
    std::map<std::string, Parameter> parameters;
    std::vector<std::string> missing;     // without a value: a manual start has to give it
    std::vector<std::string> undeclared;  // given by a schedule or a manual start, and not the task's
};
MergedParameters merge_parameters(const ParameterLayers& layers);

// Adds a fault for what cannot be worked out: an unknown name or calendar, parameters that name each other in a circle or too deep.
// `pointer`: of the task's `parameters`.
void check_parameters(const MergedParameters& merged, const KnownNames& surroundings, std::string_view pointer, Faults& faults);

// What they come to: by name. Errors: those of Template::evaluate, with the parameter's name; invalid_argument if one is missing;
// too_large.
Result<std::map<std::string, std::string>> resolve_parameters(const MergedParameters& merged, const FireFacts& facts);

// "CLOUDTASK_PARAM_REGION": the variable in which the process finds a parameter.
std::string parameter_variable(std::string_view name);

// The word of a command that a shell would run as a script (["sh", "-c", SCRIPT]): no value may be put into it, as the shell would read it
// as commands. Wrappers such as env and timeout are seen through.
std::optional<std::size_t> script_word(const std::vector<std::string>& command);

// The faults of a command and an environment as templates: wrong in themselves, unknown names, an expression in the first word or in a
// script. Pointers: "/command/1", "/environment/NAME".
void check_templates(const std::vector<std::string>& command, const std::map<std::string, std::string>& environment,
                     const KnownNames& known, Faults& faults);

}  // namespace cloudtask::task
