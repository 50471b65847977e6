// The table meta: see meta_store.h.
#include "center/meta_store.h"

#include "center/sql.h"

namespace cloudtask::center {

std::optional<std::string> find_meta(soci::session& sql, const std::string& key) {
    std::string value;
    sql << "SELECT value FROM meta WHERE key = :key", soci::use(key), soci::into(value);
    return sql.got_data() ? std::optional{value} : std::nullopt;
}

void put_meta(soci::session& sql, const std::string& key, const std::string& value) {
    sql << "INSERT INTO meta (key, value) VALUES (:key, :value) ON CONFLICT (key) DO UPDATE SET value = excluded.value", soci::use(key),
        soci::use(value);
}

}  // namespace cloudtask::center
