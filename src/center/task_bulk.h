// One change of many tasks: enable, disable, delete or move what a selection names, in one transaction. A task that cannot be changed is
// refused by itself, with the reason; the others are changed.
//
// Worker threads, within a write transaction. How a change is written is in task_changes.h.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "center/api_routes.h"
#include "center/listing.h"

namespace cloudtask::center {

// So many tasks are changed at once at the most, since nobody else can write meanwhile.
inline constexpr int kMostBulkTasks = 10'000;

enum class BulkAction { enable, disable, erase, move };

struct BulkRequest {
    std::vector<std::string> ids;  // these,
    ListQuery filters;             // or, if there are none, what these select
    std::optional<bool> enabled;   // the same
    BulkAction action = BulkAction::enable;
    std::string group;  // of `move`: in the task's own runtime
    bool dry_run = false;
};

// {"select": {"ids": [...]} or {"runtime", "group", "name", "tag", "enabled"}, "action", "group", "dry_run"}. A selection of everything is
// a fault: something must be named.
BulkRequest read_bulk_request(const json::Value& document, Faults& faults);

struct BulkOutcome {
    struct Changed {
        std::string id, runtime, group, name;
        std::int64_t version = 0;  // the new one; that of the task when it is deleted
    };
    struct Refused {
        std::string id, name;  // "demo/reports/daily"; empty if there is no such task
        std::string reason;
    };
    std::vector<Changed> changed;
    std::vector<Refused> refused;
    std::size_t unchanged = 0;  // were so already
};

// Errors: unsupported, when more than kMostBulkTasks are selected; the store's.
Result<BulkOutcome> change_tasks(WriteScope& scope, const BulkRequest& request);

std::string bulk_json(const BulkRequest& request, const BulkOutcome& outcome);

}  // namespace cloudtask::center
