// The one way in which tasks come, change and go: what a definition refers to is looked up, and row, version, catalog revision and audit
// entry are written together. Who may ask for which change, and what it is, is the callers' (tasks.h, task_bulk.h).
//
// Worker threads, within a write transaction. Throw SOCI's errors, which Store maps.
#pragma once

#include <string>
#include <string_view>

#include "center/api_routes.h"
#include "center/task_store.h"
#include "cloudtask/core/random.h"

namespace cloudtask::center {

// What the audit calls the change, and what the list of versions says of it beside what differs; may be empty.
struct ChangeName {
    std::string_view action;
    std::string note = {};
};

// What a definition refers to must be there; its calendars, and the parameters of its group and runtime, are put into it (without adopting
// its schedules). Returns the id of its group. Faults are added; the error then is Errc::unsupported.
Result<std::string> resolve_references(soci::session& sql, task::Task& task, Faults& faults);

// Writes `input` as a new task, whose id and stamps are set. Error: already_exists.
Result<StoredTask> store_new_task(WriteScope& scope, Random& random, task::Task input, const std::string& group_id, const ChangeName& name);

// Writes what a user may write of `input` as the next version of `before`. One that says what is there already changes nothing. Errors:
// those of resolve_references(); already_exists.
Result<StoredTask> store_task_definition(WriteScope& scope, const StoredTask& before, task::Task input, const ChangeName& name,
                                         Faults& faults);

// Erases the task; its versions stay.
void store_task_end(WriteScope& scope, const StoredTask& before);

}  // namespace cloudtask::center
