// The table task_versions as people ask for it: every version that a task ever had, also of tasks that are gone. SQL only; the ledger and
// the catalog read it for themselves.
//
// Any thread that holds a transaction of Store. Functions throw SOCI's errors, which Store maps.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "center/listing.h"
#include "cloudtask/core/clock.h"

namespace soci {
class session;
}

namespace cloudtask::center {

struct VersionRow {
    std::int64_t version = 0;
    std::string document;  // the task's JSON as it was then
    Instant at{};
    std::string by, note;
};

extern const ListSpec kVersionList;
// Returns the cursor of the next page, or "".
std::string list_versions(soci::session& sql, const std::string& task_id, const ListQuery& query, std::vector<VersionRow>& out);

std::optional<VersionRow> find_version(soci::session& sql, const std::string& task_id, std::int64_t version);

}  // namespace cloudtask::center
