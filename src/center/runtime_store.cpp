// The tables runtimes and task_groups.
#include "center/runtime_store.h"

#include "center/calendar_store.h"
#include "center/secret_store.h"
#include "center/sql.h"
#include "cloudtask/core/json.h"
#include "cloudtask/task/codec.h"

namespace cloudtask::center {

namespace {

// Fields of the server are not read by read_*_input(), which is for what users write.
template <class T>
void read_stamps(const json::Value& document, T& out) {
    Faults faults;
    json::ObjectReader reader{document, "", faults};
    reader.read("version", out.version);
    reader.read_instant("created_at", out.created_at);
    reader.read_instant("updated_at", out.updated_at);
}

Result<std::optional<task::Runtime>> read_runtime(const std::string& text) {
    Faults faults;
    auto document = json::parse(text);
    std::optional<task::Runtime> runtime;
    if (document) runtime = task::read_runtime_input(*document, faults);
    if (!runtime) return fail(Errc::corrupt, "a stored runtime cannot be read: {}", faults.summary());
    read_stamps(*document, *runtime);
    return runtime;
}

Result<std::optional<task::Group>> read_group(const std::string& id, const std::string& text) {
    Faults faults;
    auto document = json::parse(text);
    std::optional<task::Group> group;
    if (document) group = task::read_group_input(*document, faults);
    if (!group) return fail(Errc::corrupt, "the stored group {} cannot be read: {}", id, faults.summary());
    group->id = id;
    read_stamps(*document, *group);
    return group;
}

}  // namespace

const ListSpec kRuntimeList{.id_column = "name", .sort = {{"name", "name"}}, .default_sort = "name", .filters = {"name"}};
const ListSpec kGroupList{
    .id_column = "id", .sort = {{"name", "name"}, {"created_at", "id"}}, .default_sort = "name", .filters = {"runtime", "name"}};

Result<std::optional<task::Runtime>> find_runtime(soci::session& sql, const std::string& name) {
    std::string document;
    sql << "SELECT document FROM runtimes WHERE name = :name", soci::use(name), soci::into(document);
    if (!sql.got_data()) return std::optional<task::Runtime>{};
    return read_runtime(document);
}

bool runtime_exists(soci::session& sql, const std::string& name) {
    int found = 0;
    sql << "SELECT 1 FROM runtimes WHERE name = :name", soci::use(name), soci::into(found);
    return sql.got_data();
}

std::vector<std::string> runtime_names(soci::session& sql) {
    std::vector<std::string> names;
    const soci::rowset<std::string> rows = (sql.prepare << "SELECT name FROM runtimes ORDER BY name");
    for (const auto& name : rows) names.push_back(name);
    return names;
}

void insert_runtime(soci::session& sql, const task::Runtime& runtime) {
    const std::string document = task::to_json(runtime);
    const long long version = runtime.version, created_at = to_db(runtime.created_at), updated_at = to_db(runtime.updated_at);
    sql << "INSERT INTO runtimes (name, document, version, created_at, updated_at) VALUES (:name, :document, :version, :created, :updated)",
        soci::use(runtime.name), soci::use(document), soci::use(version), soci::use(created_at), soci::use(updated_at);
}

void update_runtime_row(soci::session& sql, const task::Runtime& runtime) {
    const std::string document = task::to_json(runtime);
    const long long version = runtime.version, updated_at = to_db(runtime.updated_at);
    sql << "UPDATE runtimes SET document = :document, version = :version, updated_at = :updated WHERE name = :name", soci::use(document),
        soci::use(version), soci::use(updated_at), soci::use(runtime.name);
}

void set_networks_revision(soci::session& sql, const std::string& name, std::int64_t revision) {
    const long long value = revision;
    sql << "UPDATE runtimes SET networks_revision = :revision WHERE name = :name", soci::use(value), soci::use(name);
}

void erase_runtime(soci::session& sql, const std::string& name) {
    sql << "DELETE FROM nodes WHERE runtime = :name", soci::use(name);
    erase_calendars_of(sql, name);
    erase_secrets_of(sql, name);
    sql << "DELETE FROM runtimes WHERE name = :name", soci::use(name);
}

bool runtime_has_groups(soci::session& sql, const std::string& name) {
    int found = 0;
    sql << "SELECT 1 FROM task_groups WHERE runtime = :name LIMIT 1", soci::use(name), soci::into(found);
    return sql.got_data();
}

Result<std::optional<task::Group>> find_group(soci::session& sql, const std::string& id) {
    std::string document;
    sql << "SELECT document FROM task_groups WHERE id = :id", soci::use(id), soci::into(document);
    if (!sql.got_data()) return std::optional<task::Group>{};
    return read_group(id, document);
}

Result<std::optional<task::Group>> find_group_by_name(soci::session& sql, const std::string& runtime, const std::string& name) {
    std::string id, document;
    sql << "SELECT id, document FROM task_groups WHERE runtime = :runtime AND name = :name", soci::use(runtime), soci::use(name),
        soci::into(id), soci::into(document);
    if (!sql.got_data()) return std::optional<task::Group>{};
    return read_group(id, document);
}

void insert_group(soci::session& sql, const task::Group& group) {
    const std::string document = task::to_json(group);
    const long long version = group.version, created_at = to_db(group.created_at), updated_at = to_db(group.updated_at);
    sql << "INSERT INTO task_groups (id, runtime, name, document, version, created_at, updated_at) "
           "VALUES (:id, :runtime, :name, :document, :version, :created, :updated)",
        soci::use(group.id), soci::use(group.runtime), soci::use(group.name), soci::use(document), soci::use(version),
        soci::use(created_at), soci::use(updated_at);
}

void update_group_row(soci::session& sql, const task::Group& group) {
    const std::string document = task::to_json(group);
    const long long version = group.version, updated_at = to_db(group.updated_at);
    sql << "UPDATE task_groups SET name = :name, document = :document, version = :version, updated_at = :updated WHERE id = :id",
        soci::use(group.name), soci::use(document), soci::use(version), soci::use(updated_at), soci::use(group.id);
}

void erase_group(soci::session& sql, const std::string& id) { sql << "DELETE FROM task_groups WHERE id = :id", soci::use(id); }

bool group_has_tasks(soci::session& sql, const std::string& id) {
    int found = 0;
    sql << "SELECT 1 FROM tasks WHERE group_id = :id LIMIT 1", soci::use(id), soci::into(found);
    return sql.got_data();
}

std::string list_runtimes(soci::session& sql, const ListQuery& query, std::vector<std::string>& out) {
    PageQuery page("name, document", "runtimes", query, kRuntimeList.id_column);
    if (const auto* name = query.filter("name")) page.where("name = :f_name", "f_name", *name);
    std::string name, document;
    return page.run(
        sql,
        [&](soci::statement& statement) {
            statement.exchange(soci::into(name));
            statement.exchange(soci::into(document));
        },
        [&] {
            out.push_back(document);
            return ListQuery::Position{"", name};
        });
}

std::string list_groups(soci::session& sql, const ListQuery& query, std::vector<std::string>& out) {
    return list_named(sql, "task_groups", query, kGroupList.id_column, out);
}

}  // namespace cloudtask::center
