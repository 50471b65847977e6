// The table packages.
#include "center/package_store.h"

#include "center/sql.h"

namespace cloudtask::center {

namespace {

constexpr const char* kPackageColumns = "sha256, filename, format, size, uploaded_by, created_at";

struct PackageColumns {
    task::Package package;
    long long size = 0, created_at = 0;

    void bind(soci::statement& statement) {
        statement.exchange(soci::into(package.sha256));
        statement.exchange(soci::into(package.filename));
        statement.exchange(soci::into(package.format));
        statement.exchange(soci::into(size));
        statement.exchange(soci::into(package.uploaded_by));
        statement.exchange(soci::into(created_at));
    }
    task::Package take() const {
        task::Package taken = package;
        taken.size = static_cast<std::uint64_t>(size);
        taken.created_at = from_db(created_at);
        return taken;
    }
};

}  // namespace

const ListSpec kPackageList{.id_column = "sha256",
                            .sort = {{"created_at", "created_at", true}, {"sha256", "sha256"}},
                            .default_sort = "-created_at",
                            .filters = {"filename", "format"}};

std::optional<task::Package> find_package(soci::session& sql, const std::string& sha256) {
    PackageColumns row;
    soci::statement statement(sql);
    row.bind(statement);
    statement.exchange(soci::use(sha256));
    statement.alloc();
    statement.prepare(std::string("SELECT ") + kPackageColumns + " FROM packages WHERE sha256 = :sha256");
    statement.define_and_bind();
    if (!statement.execute(true)) return std::nullopt;
    return row.take();
}

void insert_package(soci::session& sql, const task::Package& package) {
    const long long size = static_cast<long long>(package.size), created_at = to_db(package.created_at);
    sql << "INSERT INTO packages (sha256, filename, format, size, uploaded_by, created_at) "
           "VALUES (:sha256, :filename, :format, :size, :by, :created)",
        soci::use(package.sha256), soci::use(package.filename), soci::use(package.format), soci::use(size), soci::use(package.uploaded_by),
        soci::use(created_at);
}

void erase_package(soci::session& sql, const std::string& sha256) {
    sql << "DELETE FROM packages WHERE sha256 = :sha256", soci::use(sha256);
}

std::string task_that_uses(soci::session& sql, const std::string& sha256) {
    std::string runtime, group, name;
    // The second condition lets SQLite use the partial index.
    sql << "SELECT runtime, group_name, name FROM tasks WHERE package = :sha256 AND package <> '' LIMIT 1", soci::use(sha256),
        soci::into(runtime), soci::into(group), soci::into(name);
    if (!sql.got_data()) {
        sql << "SELECT tasks.runtime, tasks.group_name, tasks.name FROM task_canaries "
               "JOIN task_versions ON task_versions.task_id = task_canaries.task_id AND task_versions.version = task_canaries.previous "
               "JOIN tasks ON tasks.id = task_canaries.task_id "
               "WHERE task_canaries.state = 'running' "
               "AND iif(json_valid(task_versions.document), json_extract(task_versions.document, '$.package'), '') = :sha256 LIMIT 1",
            soci::use(sha256), soci::into(runtime), soci::into(group), soci::into(name);
    }
    if (!sql.got_data()) return {};
    return runtime + "/" + group + "/" + name;
}

bool may_fetch_package(soci::session& sql, const std::string& sha256, const std::string& runtime, const std::string& node_id) {
    int found = 0;
    sql << "SELECT EXISTS (SELECT 1 FROM tasks WHERE package = :sha256 AND package <> '' AND runtime = :runtime) "
           "OR EXISTS (SELECT 1 FROM runs WHERE node_id = :node AND state IN ('PENDING', 'RUNNING') AND package = :sha256_too)",
        soci::use(sha256, "sha256"), soci::use(runtime, "runtime"), soci::use(node_id, "node"), soci::use(sha256, "sha256_too"),
        soci::into(found);
    return found != 0;
}

std::set<std::string> package_names(soci::session& sql) {
    std::set<std::string> names;
    const soci::rowset<std::string> rows = (sql.prepare << "SELECT sha256 FROM packages");
    for (const auto& name : rows) names.insert(name);
    return names;
}

std::string list_packages(soci::session& sql, const ListQuery& query, std::vector<task::Package>& out) {
    PageQuery page(kPackageColumns, "packages", query, kPackageList.id_column);
    if (const auto* filename = query.filter("filename")) page.where("filename = :f_filename", "f_filename", *filename);
    if (const auto* format = query.filter("format")) page.where("format = :f_format", "f_format", *format);
    PackageColumns row;
    return page.run(
        sql, [&](soci::statement& statement) { row.bind(statement); },
        [&] {
            out.push_back(row.take());
            return ListQuery::Position{query.sort.integer ? std::to_string(row.created_at) : "", row.package.sha256};
        });
}

}  // namespace cloudtask::center
