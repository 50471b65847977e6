// The rules of parameters that tasks take from their group and runtime. A change of these is one transaction with a new version of every
// task that uses what has changed, as with calendars (calendars.h). Worker threads, within a transaction.
#pragma once

#include <string>

#include "center/api_routes.h"
#include "cloudtask/task/types.h"

namespace cloudtask::center {

// Puts the values of its group and runtime that the task uses into it, in place of what is there. Adds the faults that show with them
// (task::check_values). Does nothing for a task without parameters. Error: the store's.
Result<> embed_parameters(soci::session& sql, task::Task& task, Faults& faults);

// Whose parameters have changed.
struct ParameterChange {
    std::string runtime;
    std::string group;  // empty: the runtime's
    std::string note;   // of the versions that it makes: "version 3 of the group reports"
};
// Gives them to the tasks that use them. Adds a fault where that would leave a task that cannot be started; the error then is
// Errc::unsupported.
Result<> give_parameters(WriteScope& scope, const ParameterChange& change, Faults& faults);

}  // namespace cloudtask::center
