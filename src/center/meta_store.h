// The table meta: single values under a key. SQL only. Any thread that holds a transaction of Store; functions throw SOCI's errors, which
// Store maps.
#pragma once

#include <optional>
#include <string>

namespace soci {
class session;
}

namespace cloudtask::center {

std::optional<std::string> find_meta(soci::session& sql, const std::string& key);
void put_meta(soci::session& sql, const std::string& key, const std::string& value);

}  // namespace cloudtask::center
