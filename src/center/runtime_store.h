// The tables runtimes and task_groups, as documents. Functions that take a session throw SOCI's errors, which Store maps.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "center/listing.h"
#include "cloudtask/task/types.h"

namespace soci {
class session;
}

namespace cloudtask::center {

// Error: corrupt, when what is stored cannot be read.
Result<std::optional<task::Runtime>> find_runtime(soci::session& sql, const std::string& name);
bool runtime_exists(soci::session& sql, const std::string& name);
std::vector<std::string> runtime_names(soci::session& sql);
void insert_runtime(soci::session& sql, const task::Runtime& runtime);
void update_runtime_row(soci::session& sql, const task::Runtime& runtime);
// The catalog's revision by which its networks changed last.
void set_networks_revision(soci::session& sql, const std::string& name, std::int64_t revision);
// Also the nodes that had joined it.
void erase_runtime(soci::session& sql, const std::string& name);
bool runtime_has_groups(soci::session& sql, const std::string& name);

Result<std::optional<task::Group>> find_group(soci::session& sql, const std::string& id);
Result<std::optional<task::Group>> find_group_by_name(soci::session& sql, const std::string& runtime, const std::string& name);
void insert_group(soci::session& sql, const task::Group& group);
void update_group_row(soci::session& sql, const task::Group& group);
void erase_group(soci::session& sql, const std::string& id);
bool group_has_tasks(soci::session& sql, const std::string& id);

extern const ListSpec kRuntimeList;
extern const ListSpec kGroupList;
// Fill `out` with documents; return the cursor of the next page, or "".
std::string list_runtimes(soci::session& sql, const ListQuery& query, std::vector<std::string>& out);
std::string list_groups(soci::session& sql, const ListQuery& query, std::vector<std::string>& out);

}  // namespace cloudtask::center
