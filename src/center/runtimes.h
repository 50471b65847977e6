// The rules of runtimes and groups. Worker threads, within a transaction; rows are in runtime_store.h.
#pragma once

#include <string>

#include "center/api_routes.h"
#include "cloudtask/task/types.h"

namespace cloudtask::center {

Result<task::Runtime> create_runtime(const Context& context, WriteScope& scope, task::Runtime input);
// Its name is its identity, and stays. What its parameters are now goes to the tasks that use them (parameters.h): adds a fault where that
// cannot be; the error then is Errc::unsupported.
Result<task::Runtime> update_runtime(WriteScope& scope, const std::string& name, std::int64_t expected, task::Runtime input,
                                     Faults& faults);
// Refused while it has groups, or nodes that are online.
Result<> delete_runtime(const Context& context, WriteScope& scope, const std::string& name, std::int64_t expected);

// Adds a fault when the runtime does not exist; the error then is Errc::unsupported.
Result<task::Group> create_group(const Context& context, WriteScope& scope, task::Group input, Faults& faults);
// A group stays in its runtime; it is renamed only while it has no tasks, as these carry its name. Parameters as with a runtime.
Result<task::Group> update_group(WriteScope& scope, const std::string& id, std::int64_t expected, task::Group input, Faults& faults);
Result<> delete_group(WriteScope& scope, const std::string& id, std::int64_t expected);

std::string runtime_json(const task::Runtime& runtime);
std::string group_json(const task::Group& group);

}  // namespace cloudtask::center
