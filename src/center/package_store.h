// The table packages. Functions that take a session throw SOCI's errors, which Store maps.
#pragma once

#include <optional>
#include <set>
#include <string>
#include <vector>

#include "center/listing.h"
#include "cloudtask/task/types.h"

namespace soci {
class session;
}

namespace cloudtask::center {

std::optional<task::Package> find_package(soci::session& sql, const std::string& sha256);
void insert_package(soci::session& sql, const task::Package& package);
void erase_package(soci::session& sql, const std::string& sha256);
// The name of a task that uses it, or goes back to a version that does if its trial fails; empty if none does.
std::string task_that_uses(soci::session& sql, const std::string& sha256);
// Whether a task of the node's runtime uses it, or a run that the node has or is to start. Others' programs are not a node's business.
bool may_fetch_package(soci::session& sql, const std::string& sha256, const std::string& runtime, const std::string& node_id);
std::set<std::string> package_names(soci::session& sql);

extern const ListSpec kPackageList;
std::string list_packages(soci::session& sql, const ListQuery& query, std::vector<task::Package>& out);

}  // namespace cloudtask::center
