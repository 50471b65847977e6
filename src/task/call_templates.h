// The expressions of an HTTP call: in its address behind the host, in the values of its headers, and in its body. docs/parameters.md says
// what they may be. Each value is put in so that it stays what it is: it can neither change where the call goes nor become a part of what
// is around it. Private to src/task. Pure; any thread.
#pragma once

#include <functional>
#include <string>

#include "cloudtask/core/faults.h"
#include "cloudtask/core/result.h"
#include "cloudtask/task/http_call.h"
#include "cloudtask/task/secrets.h"
#include "cloudtask/task/task_parameters.h"
#include "cloudtask/task/template.h"

namespace cloudtask::task {

// The name of the secret that a name of an expression stands for, "secrets.TOKEN": as `secrets` of the task has it. Empty: it is none.
std::string_view secret_of_expression(std::string_view name);

// All texts of the call that may have expressions, with their pointers.
void visit_call_texts(const HttpCall& call, const std::function<void(const std::string& text, const std::string& pointer)>& visit);

// Adds the faults of its texts, and of what the task has under `secrets` (null: nothing). `known`: without the secrets.
void check_call_templates(const HttpCall& call, const KnownNames& known, const SecretUses* secrets, Faults& faults);

// The call with the values in place of its expressions. `value`: of one expression. Errors: that of a value; invalid_argument, too_large
// for what comes out and is no address, no header, or too long.
Result<WorkedOutCall> call_with_values(const HttpCall& call, const std::function<Result<std::string>(const Template& expression)>& value);

}  // namespace cloudtask::task
