// The parameters of a task put to use: what its definition may name, what it takes from its group and runtime, and what one attempt is
// started with. docs/parameters.md says what they mean. Pure; any thread. Nothing here is to be called for a task without parameters but
// check_expressions().
#pragma once

#include <map>
#include <memory>
#include <string>
#include <vector>

#include "cloudtask/core/faults.h"
#include "cloudtask/core/result.h"
#include "cloudtask/task/http_call.h"
#include "cloudtask/task/parameters.h"
#include "cloudtask/task/types.h"

namespace cloudtask::task {

// --- when it is saved

// Adds the faults of what the definition says by itself: expressions with names that the task does not declare, values of schedules for
// such names, expressions where no value may be put.
void check_expressions(const Task& task, Faults& faults);

// Takes over the values of its group and runtime that it uses (null: there are none), in place of those that it has.
void inherit_parameters(Task& task, const Parameters* group, const Parameters* runtime);

// Adds the faults that show with the values of group and runtime: a schedule that leaves a parameter without a value, names that nobody
// declares, values that name each other in a circle.
void check_values(const Task& task, Faults& faults);

// The calendars that its expressions name, and for each the pointer of the first place that does.
std::map<std::string, std::string> expression_calendars(const Task& task);

// --- when it is started

// Adds a fault ("/parameters/NAME") for what a manual start gives and the task does not declare, and for what it has to give and does not.
void check_start(const Task& task, const Parameters& given, Faults& faults);

// Works out what the attempt is started with, from the task's version, the run, and what was given at a manual start; and puts it into the
// run. Does the same however often it is called. Errors: what docs/parameters.md calls a value that cannot be worked out; the sentence is
// for a reason.
Result<> work_out_parameters(const Task& task, Run& run);

// Of what the run was started with: what its next attempt goes by. Null: nothing.
std::shared_ptr<const RunParameters> given_parameters(const Run& run);

// What the process gets.
struct WorkedOutTask {
    std::vector<std::string> command;
    std::map<std::string, std::string> environment;
    std::map<std::string, std::string> variables;  // CLOUDTASK_PARAM_...
};
// Of a run whose parameters are worked out. Errors: as there.
Result<WorkedOutTask> worked_out(const Task& task, const Run& run);

// What is called.
struct WorkedOutCall {
    HttpCall call;
    bool private_body = false;  // its body has a secret
};
// Of a run whose parameters are worked out, and of a task with parameters and a call. `secrets`: the values of those that the task has, by
// the names under `secrets`. Errors: as there; a value that makes a wrong header or address.
Result<WorkedOutCall> worked_out_call(const Task& task, const Run& run, const std::map<std::string, std::string>& secrets);

}  // namespace cloudtask::task
