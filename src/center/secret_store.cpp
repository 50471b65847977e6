// The tables secrets and task_secrets.
#include "center/secret_store.h"

#include "center/sql.h"
#include "center/task_store.h"
#include "cloudtask/task/task_secrets.h"

namespace cloudtask::center {

namespace {

constexpr const char* kSecretColumns = "runtime, group_name, name, version, key_id, ciphertext, created_at, updated_at, updated_by";

struct SecretColumns {
    SecretRow row;
    long long version = 0, created_at = 0, updated_at = 0;

    void bind(soci::statement& statement) {
        statement.exchange(soci::into(row.place.runtime));
        statement.exchange(soci::into(row.place.group));
        statement.exchange(soci::into(row.place.name));
        statement.exchange(soci::into(version));
        statement.exchange(soci::into(row.encrypted.key_id));
        statement.exchange(soci::into(row.encrypted.text));
        statement.exchange(soci::into(created_at));
        statement.exchange(soci::into(updated_at));
        statement.exchange(soci::into(row.updated_by));
    }
    SecretRow take() const {
        SecretRow taken = row;
        taken.place.version = version;
        taken.created_at = from_db(created_at);
        taken.updated_at = from_db(updated_at);
        return taken;
    }
};

}  // namespace

const ListSpec kSecretList{.id_column = "group_name || '/' || name",
                           .sort = {{"name", "group_name || '/' || name"}},
                           .default_sort = "name",
                           .filters = {"group"}};

std::optional<SecretRow> find_secret(soci::session& sql, const std::string& runtime, const std::string& group, const std::string& name) {
    SecretColumns columns;
    soci::statement statement(sql);
    columns.bind(statement);
    statement.exchange(soci::use(runtime));
    statement.exchange(soci::use(group));
    statement.exchange(soci::use(name));
    statement.alloc();
    statement.prepare(std::string("SELECT ") + kSecretColumns +
                      " FROM secrets WHERE runtime = :runtime AND group_name = :group AND name = :name");
    statement.define_and_bind();
    if (!statement.execute(true)) return std::nullopt;
    return columns.take();
}

std::optional<std::int64_t> secret_version(soci::session& sql, const std::string& runtime, const std::string& group,
                                           const std::string& name) {
    long long version = 0;
    sql << "SELECT version FROM secrets WHERE runtime = :runtime AND group_name = :group AND name = :name", soci::use(runtime),
        soci::use(group), soci::use(name), soci::into(version);
    return sql.got_data() ? std::optional<std::int64_t>(version) : std::nullopt;
}

void put_secret_row(soci::session& sql, const SecretRow& row) {
    const long long version = row.place.version, created_at = to_db(row.created_at), updated_at = to_db(row.updated_at);
    sql << "INSERT OR REPLACE INTO secrets (runtime, group_name, name, version, key_id, ciphertext, created_at, updated_at, updated_by) "
           "VALUES (:runtime, :group, :name, :version, :key, :text, :created, :updated, :by)",
        soci::use(row.place.runtime), soci::use(row.place.group), soci::use(row.place.name), soci::use(version),
        soci::use(row.encrypted.key_id), soci::use(row.encrypted.text), soci::use(created_at), soci::use(updated_at),
        soci::use(row.updated_by);
}

void erase_secret(soci::session& sql, const SecretPlace& place) {
    sql << "DELETE FROM secrets WHERE runtime = :runtime AND group_name = :group AND name = :name", soci::use(place.runtime),
        soci::use(place.group), soci::use(place.name);
}

void erase_secrets_of(soci::session& sql, const std::string& runtime) {
    sql << "DELETE FROM secrets WHERE runtime = :runtime", soci::use(runtime);
}

void erase_secrets_of_group(soci::session& sql, const std::string& runtime, const std::string& group) {
    sql << "DELETE FROM secrets WHERE runtime = :runtime AND group_name = :group", soci::use(runtime), soci::use(group);
}

bool group_has_secrets(soci::session& sql, const std::string& runtime, const std::string& group) {
    int found = 0;
    sql << "SELECT EXISTS (SELECT 1 FROM secrets WHERE runtime = :runtime AND group_name = :group)", soci::use(runtime), soci::use(group),
        soci::into(found);
    return found != 0;
}

std::int64_t count_secrets(soci::session& sql, const std::string& runtime) {
    long long count = 0;
    sql << "SELECT count(*) FROM secrets WHERE runtime = :runtime", soci::use(runtime), soci::into(count);
    return count;
}

bool any_secret(soci::session& sql) {
    int found = 0;
    sql << "SELECT EXISTS (SELECT 1 FROM secrets)", soci::into(found);
    return found != 0;
}

std::string list_secrets(soci::session& sql, const std::string& runtime, const std::optional<std::string>& group, const ListQuery& query,
                         std::vector<SecretRow>& out) {
    PageQuery page("group_name, name, version, created_at, updated_at, updated_by", "secrets", query, kSecretList.id_column);
    page.where("runtime = :f_runtime", "f_runtime", runtime);
    if (group) page.where("group_name = :f_group", "f_group", *group);
    SecretRow row;
    row.place.runtime = runtime;
    long long version = 0, created_at = 0, updated_at = 0;
    return page.run(
        sql,
        [&](soci::statement& statement) {
            statement.exchange(soci::into(row.place.group));
            statement.exchange(soci::into(row.place.name));
            statement.exchange(soci::into(version));
            statement.exchange(soci::into(created_at));
            statement.exchange(soci::into(updated_at));
            statement.exchange(soci::into(row.updated_by));
        },
        [&] {
            row.place.version = version;
            row.created_at = from_db(created_at);
            row.updated_at = from_db(updated_at);
            out.push_back(row);
            const std::string key = row.place.group + "/" + row.place.name;
            return ListQuery::Position{key, key};
        });
}

bool secret_known(soci::session& sql, const std::string& runtime, const std::string& group, const std::string& name) {
    int found = 0;
    sql << "SELECT EXISTS (SELECT 1 FROM secrets WHERE runtime = :runtime AND group_name IN (:group, '') AND name = :name)",
        soci::use(runtime), soci::use(group), soci::use(name), soci::into(found);
    return found != 0;
}

void note_secrets(soci::session& sql, const task::Task& task) {
    forget_secrets(sql, task.id);
    for (const auto& [pointer, secret] : task::named_secrets(task)) {
        sql << "INSERT OR IGNORE INTO task_secrets (task_id, runtime, group_name, secret) VALUES (:id, :runtime, :group, :secret)",
            soci::use(task.id), soci::use(task.runtime), soci::use(task.group), soci::use(secret);
    }
}

void forget_secrets(soci::session& sql, const std::string& task_id) {
    sql << "DELETE FROM task_secrets WHERE task_id = :id", soci::use(task_id);
}

std::vector<std::string> tasks_given(soci::session& sql, const SecretPlace& place, int limit) {
    std::vector<std::string> names;
    std::string group, name;
    soci::statement statement =
        (sql.prepare << "SELECT t.group_name, t.name FROM task_secrets u JOIN tasks t ON t.id = u.task_id WHERE u.runtime = :runtime AND "
                        "u.secret = :name AND (u.group_name = :group1 OR (:group2 = '' AND NOT EXISTS (SELECT 1 FROM secrets s WHERE "
                        "s.runtime = u.runtime AND s.group_name = u.group_name AND s.name = u.secret))) ORDER BY u.task_id LIMIT :limit",
         soci::into(group), soci::into(name), soci::use(place.runtime), soci::use(place.name), soci::use(place.group),
         soci::use(place.group), soci::use(limit));
    statement.execute();
    while (statement.fetch()) names.push_back(group + "/" + name);
    return names;
}

void visit_secret_uses(
    soci::session& sql, const std::string& runtime,
    const std::function<void(const std::string& group, const std::string& name, const ring::Placement& placement)>& visit) {
    std::string group, name, placement;
    soci::statement statement =
        (sql.prepare << "SELECT DISTINCT u.group_name, u.secret, t.placement FROM task_secrets u JOIN tasks t ON t.id = u.task_id WHERE "
                        "u.runtime = :runtime",
         soci::into(group), soci::into(name), soci::into(placement), soci::use(runtime));
    statement.execute();
    while (statement.fetch()) visit(group, name, read_placement(placement).nodes);
}

std::int64_t secrets_revision(soci::session& sql, const std::string& runtime) {
    long long revision = 0;
    sql << "SELECT secrets_revision FROM runtimes WHERE name = :name", soci::use(runtime), soci::into(revision);
    return revision;
}

void set_secrets_revision(soci::session& sql, const std::string& runtime, std::int64_t revision) {
    const long long number = revision;
    sql << "UPDATE runtimes SET secrets_revision = :revision WHERE name = :name", soci::use(number), soci::use(runtime);
}

std::vector<SecretRow> secrets_by_other_keys(soci::session& sql, const std::string& key_id, int limit) {
    SecretColumns columns;
    soci::statement statement(sql);
    columns.bind(statement);
    statement.exchange(soci::use(key_id));
    statement.exchange(soci::use(limit));
    statement.alloc();
    statement.prepare(std::string("SELECT ") + kSecretColumns + " FROM secrets WHERE key_id <> :key LIMIT :limit");
    statement.define_and_bind();
    statement.execute();
    std::vector<SecretRow> rows;
    while (statement.fetch()) rows.push_back(columns.take());
    return rows;
}

std::map<std::string, std::int64_t> count_by_key(soci::session& sql) {
    std::map<std::string, std::int64_t> counts;
    std::string key;
    long long count = 0;
    soci::statement statement = (sql.prepare << "SELECT key_id, count(*) FROM secrets GROUP BY key_id", soci::into(key), soci::into(count));
    statement.execute();
    while (statement.fetch()) counts[key] = count;
    return counts;
}

}  // namespace cloudtask::center
