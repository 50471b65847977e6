// The rules of tasks: what each request may change. Worker threads, within a transaction; how a change is written is in task_changes.h.
#pragma once

#include <string>

#include "center/api_routes.h"
#include "center/task_store.h"

namespace cloudtask::center {

// Whether a schedule that has no fire left is taken. Nobody means to save one anew, but an export has those that came to their end.
enum class Ended { refused, allowed };
// Faults that only the database shows (unknown group or package) are added to `faults`; the error then is Errc::unsupported.
Result<StoredTask> create_task(const Context& context, WriteScope& scope, task::Task input, Faults& faults, Ended ended = Ended::refused);
// A definition that says what is there already changes nothing. A task stays in its runtime. `canary`: for so many fires it is on trial
// (canary.h); 0: it is not.
Result<StoredTask> update_task(WriteScope& scope, const std::string& id, std::int64_t expected, task::Task input, std::int64_t canary,
                               Faults& faults, Ended ended = Ended::refused);
Result<StoredTask> set_task_enabled(WriteScope& scope, const std::string& id, std::int64_t expected, bool enabled);
// The definition of an earlier version becomes the next one. Whether the task is enabled stays as it is: that is no matter of what it does.
Result<StoredTask> roll_back_task(WriteScope& scope, const std::string& id, std::int64_t expected, std::int64_t version, Faults& faults);
struct CloneRequest {
    std::string name;
    std::string group = {}, runtime = {};  // empty: those of the original
    bool enabled = false;                  // so that nothing fires twice before somebody has looked at it
};
Result<StoredTask> clone_task(const Context& context, WriteScope& scope, const std::string& id, const CloneRequest& wanted, Faults& faults);
Result<> delete_task(WriteScope& scope, const std::string& id, std::int64_t expected);

Result<StoredTask> need_task(soci::session& sql, const std::string& id);
// The same, as it was when the caller saw it (see check_version()).
Result<StoredTask> need_task_at(soci::session& sql, const std::string& id, std::int64_t expected);

}  // namespace cloudtask::center
