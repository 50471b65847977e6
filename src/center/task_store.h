// The tables tasks, task_versions and deleted_tasks, and the catalog revision. Functions that take a session throw SOCI's errors, which
// Store maps. What a task's row remembers of its runs is kept by runs_store.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "center/canary_store.h"
#include "center/listing.h"
#include "center/task_placement.h"
#include "cloudtask/task/types.h"

namespace soci {
class session;
}

namespace cloudtask::center {

struct LastRun {
    std::string id, state;
    std::optional<Instant> at;
};

struct StoredTask {
    std::string document;  // JSON as task::write() makes it
    task::Task task;       // the same, read
    std::optional<LastRun> last_run;
    std::int64_t running = 0;           // runs that are RUNNING now
    std::optional<Canary> canary = {};  // the newest one
};

// Adds one to the catalog revision and returns it.
std::int64_t next_revision(soci::session& sql);
// The same for `count` changes, each of which takes its own; returns the first.
std::int64_t take_revisions(soci::session& sql, std::int64_t count);
// As it is now.
std::int64_t catalog_revision(soci::session& sql);

// As the column `placement` has it.
TaskPlacement read_placement(const std::string& text);

// Error: corrupt, when what is stored cannot be read.
Result<std::optional<StoredTask>> find_task(soci::session& sql, const std::string& id);
bool task_name_taken(soci::session& sql, const std::string& runtime, const std::string& group, const std::string& name,
                     const std::string& but_id);

// Who makes a version, and what its list says of it beside what differs; may be empty.
struct VersionStamp {
    std::string by, note = {};
};
// The row and its version.
void insert_task(soci::session& sql, const task::Task& task, const std::string& group_id, const VersionStamp& stamp);
void update_task_row(soci::session& sql, const task::Task& task, const std::string& group_id, const VersionStamp& stamp);
// Next versions of many tasks, which differ from what is there in no more than what is put into them of their calendars, group and runtime.
void update_documents(soci::session& sql, const std::vector<task::Task>& tasks, const VersionStamp& stamp);
struct TaskDocument {
    std::string id, document;
};
// Up to `limit` tasks with parameters of the runtime (and of the group, unless it is empty), in the order of their ids, from the one after
// `after` on.
std::vector<TaskDocument> tasks_with_parameters(soci::session& sql, const std::string& runtime, const std::string& group, int limit,
                                                const std::string& after);
// Ids of the group's tasks, at most `limit`.
std::vector<std::string> tasks_of_group(soci::session& sql, const std::string& group_id, std::size_t limit);
// A task under the same mutex that is placed otherwise: it has other targets or labels. As "group/name".
std::optional<std::string> task_placed_apart(soci::session& sql, const task::Task& task);
// Erases the row and remembers the deletion, for nodes that ask for changes and for the ledger. The versions stay.
void erase_task(soci::session& sql, const task::Task& task, std::int64_t revision, const std::string& by, Instant now);

// What a query asks of a task's tags: "team=payroll,nightly" is every task with that tag, and with some tag of the key nightly.
// A fault if there are more than 8, or one has no key.
void check_tag_filter(const ListQuery& query, Faults& faults);

extern const ListSpec kTaskList;
// Returns the cursor of the next page, or "". `enabled` is a filter that the caller has read.
Result<std::string> list_tasks(soci::session& sql, const ListQuery& query, std::optional<bool> enabled, std::vector<StoredTask>& out);

// The ids of those that the query's filters select, by name and id: at most query.limit of them, and whether there are more.
struct SelectedTasks {
    std::vector<std::string> ids;
    bool more = false;
};
SelectedTasks select_tasks(soci::session& sql, const ListQuery& query, std::optional<bool> enabled);

// Calls `visit` with id and placement of every enabled task of a runtime.
void visit_enabled_tasks(soci::session& sql, const std::string& runtime,
                         const std::function<void(const std::string& id, const TaskPlacement& placement)>& visit);

struct PlacedTask {
    std::string id, group, name;
    TaskPlacement placement;
};
// The same with the tasks' names, in order of id.
void visit_placed_tasks(soci::session& sql, const std::string& runtime, const std::function<void(const PlacedTask& task)>& visit);

struct DefinitionRow {
    std::string id, runtime, group, name, document;
    std::int64_t version = 0;
};
// Calls `visit` with up to `limit` enabled tasks of a runtime (empty: of all), in order of id, from the one after `after` on. Returns how
// many there were.
int visit_definitions(soci::session& sql, const std::string& runtime, const std::string& after, int limit,
                      const std::function<void(const DefinitionRow& row)>& visit);

}  // namespace cloudtask::center
