// The rules of tasks. Every change is one transaction: the row, its version, the catalog revision, the audit entry; the nodes are told
// after the commit. Worker threads, within a transaction; rows are in task_store.h.
#pragma once

#include <string>

#include "center/api_routes.h"
#include "center/task_store.h"

namespace cloudtask::center {

// Reads what a user may write; what task_json() adds to a task is ignored, so that what was read can be sent back.
std::optional<task::Task> read_task_definition(json::Document& document, Faults& faults);

// Faults that only the database shows (unknown group or package) are added to `faults`; the error then is Errc::unsupported.
Result<StoredTask> create_task(const Context& context, WriteScope& scope, task::Task input, Faults& faults);
// A definition that says what is there already changes nothing. A task stays in its runtime.
Result<StoredTask> update_task(const Context& context, WriteScope& scope, const std::string& id, std::int64_t expected, task::Task input,
                               Faults& faults);
Result<StoredTask> set_task_enabled(const Context& context, WriteScope& scope, const std::string& id, std::int64_t expected, bool enabled);
// A copy in the same group, disabled, so that nothing fires twice before somebody has looked at it.
Result<StoredTask> clone_task(const Context& context, WriteScope& scope, const std::string& id, const std::string& name, Faults& faults);
Result<> delete_task(const Context& context, WriteScope& scope, const std::string& id, std::int64_t expected);

Result<StoredTask> need_task(soci::session& sql, const std::string& id);

}  // namespace cloudtask::center
