// SQL of task_versions: see version_store.h.
#include "center/version_store.h"

#include "center/sql.h"

namespace cloudtask::center {

// Of one task: its id breaks no tie, but makes the primary key the order of the list.
const ListSpec kVersionList{.id_column = "task_id", .sort = {{"version", "version", true}}, .default_sort = "-version", .filters = {}};

std::string list_versions(soci::session& sql, const std::string& task_id, const ListQuery& query, std::vector<VersionRow>& out) {
    PageQuery page("version, document, created_at, created_by, note", "task_versions", query, kVersionList.id_column);
    page.where("task_id = :f_task", "f_task", task_id);
    VersionRow row;
    long long version = 0, at = 0;
    return page.run(
        sql,
        [&](soci::statement& statement) {
            statement.exchange(soci::into(version));
            statement.exchange(soci::into(row.document));
            statement.exchange(soci::into(at));
            statement.exchange(soci::into(row.by));
            statement.exchange(soci::into(row.note));
        },
        [&] {
            row.version = version;
            row.at = from_db(at);
            out.push_back(row);
            return ListQuery::Position{std::to_string(version), task_id};
        });
}

std::optional<VersionRow> find_version(soci::session& sql, const std::string& task_id, std::int64_t version) {
    VersionRow row;
    const long long number = version;
    long long at = 0;
    sql << "SELECT document, created_at, created_by, note FROM task_versions WHERE task_id = :id AND version = :version",
        soci::use(task_id), soci::use(number), soci::into(row.document), soci::into(at), soci::into(row.by), soci::into(row.note);
    if (!sql.got_data()) return std::nullopt;
    row.version = version;
    row.at = from_db(at);
    return row;
}

}  // namespace cloudtask::center
