// SQL of the catalog: see catalog_store.h.
#include "center/catalog_store.h"

#include "center/sql.h"

namespace cloudtask::center {

namespace {

// The catalog's newest revision; one counter for all runtimes.
std::int64_t newest_revision(soci::session& sql) {
    long long newest = 0;
    sql << "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'revision'", soci::into(newest);
    return sql.got_data() ? newest : 0;
}

}  // namespace

CatalogPage read_catalog(soci::session& sql, std::string_view runtime_name, std::int64_t since, int page) {
    const std::string runtime(runtime_name);
    const long long newest = newest_revision(sql);
    CatalogPage answer;
    answer.full = since <= 0 || since > newest;
    const long long from = answer.full ? 0 : since;

    // Where the page ends: at the end of a revision, so that the next page can begin after it.
    long long last = 0;
    const int offset = page - 1;
    sql << "SELECT revision FROM (SELECT revision FROM tasks WHERE runtime = :r1 AND revision > :s1 UNION ALL SELECT revision FROM "
           "deleted_tasks WHERE runtime = :r2 AND revision > :s2) ORDER BY revision LIMIT 1 OFFSET :offset",
        soci::use(runtime), soci::use(from), soci::use(runtime), soci::use(from), soci::use(offset), soci::into(last);
    const bool bounded = sql.got_data();
    if (!bounded) last = newest;

    std::string text;
    soci::statement tasks =
        (sql.prepare << "SELECT document FROM tasks WHERE runtime = :runtime AND revision > :since AND revision <= :last ORDER BY revision",
         soci::into(text), soci::use(runtime), soci::use(from), soci::use(last));
    tasks.execute();
    while (tasks.fetch()) answer.tasks.push_back(text);
    soci::statement deleted = (sql.prepare << "SELECT task_id FROM deleted_tasks WHERE runtime = :runtime AND revision > :since AND "
                                              "revision <= :last ORDER BY revision",
                               soci::into(text), soci::use(runtime), soci::use(from), soci::use(last));
    deleted.execute();
    while (deleted.fetch()) answer.deleted.push_back(text);

    if (bounded) {
        int beyond = 0;
        sql << "SELECT EXISTS (SELECT 1 FROM tasks WHERE runtime = :r1 AND revision > :l1) OR EXISTS (SELECT 1 FROM deleted_tasks WHERE "
               "runtime = :r2 AND revision > :l2)",
            soci::use(runtime), soci::use(last), soci::use(runtime), soci::use(last), soci::into(beyond);
        answer.more = beyond != 0;
    }
    answer.revision = answer.more ? last : newest;
    return answer;
}

ring::Memory read_past(soci::session& sql, std::string_view runtime_name) {
    const std::string runtime(runtime_name);
    long long epoch = 0, at = 0;
    sql << "SELECT epoch, epoch_seen_at FROM runtimes WHERE name = :name", soci::use(runtime), soci::into(epoch), soci::into(at);
    return {epoch, Instant{Duration{at}}};
}

void note_epoch(soci::session& sql, std::string_view runtime_name, const ring::Memory& seen) {
    const std::string runtime(runtime_name);
    const long long epoch = seen.epoch, at = seen.at.time_since_epoch().count();
    sql << "UPDATE runtimes SET epoch = :epoch, epoch_seen_at = :at WHERE name = :name AND epoch <= :epoch2", soci::use(epoch),
        soci::use(at), soci::use(runtime), soci::use(epoch);
}

std::vector<RuntimeRevision> runtime_revisions(soci::session& sql) {
    std::vector<RuntimeRevision> list;
    RuntimeRevision row;
    long long revision = 0;
    soci::statement statement =
        (sql.prepare << "SELECT name, max(coalesce((SELECT max(revision) FROM tasks WHERE runtime = name), 0), coalesce((SELECT "
                        "max(revision) FROM deleted_tasks WHERE runtime = name), 0)) FROM runtimes ORDER BY name",
         soci::into(row.runtime), soci::into(revision));
    statement.execute();
    while (statement.fetch()) {
        row.revision = revision;
        list.push_back(row);
    }
    return list;
}

}  // namespace cloudtask::center
