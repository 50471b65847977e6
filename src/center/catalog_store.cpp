// SQL of the catalog: see catalog_store.h.
#include "center/catalog_store.h"

#include <algorithm>
#include <unordered_map>

#include "center/sql.h"
#include "cloudtask/core/json.h"
#include "cloudtask/task/types.h"

namespace cloudtask::center {

namespace {

// A version takes effect at most so long after it was saved, with much to spare (kMoveAhead in tasks.cpp).
constexpr Duration kLongestAhead = std::chrono::minutes{1};

struct Span {
    long long after, until;  // revisions: (after, until]
};

// A task, or its deletion, and what is told with it.
struct Item {
    long long revision = 0;
    std::vector<std::string> documents;
    std::optional<CatalogPage::Deleted> deleted;
};

using Versions = std::unordered_map<std::string, std::vector<std::string>>;  // documents by task id, oldest first

// The catalog's newest revision; one counter for all runtimes.
std::int64_t newest_revision(soci::session& sql) {
    long long newest = 0;
    sql << "SELECT CAST(value AS INTEGER) FROM meta WHERE key = 'revision'", soci::into(newest);
    return sql.got_data() ? newest : 0;
}

bool is_lost(soci::session& sql, long long revision) {
    int lost = 0;
    sql << "SELECT EXISTS (SELECT 1 FROM lost_revisions WHERE after < :r1 AND until >= :r2)", soci::use(revision), soci::use(revision),
        soci::into(lost);
    return lost != 0;
}

// What bears on when a version is in force. Nothing if the document is none of a task's.
struct Beginning {
    Instant at{};
    bool is_change = false;  // of what is fired, or where
};
std::optional<Beginning> beginning_of(const std::string& document) {
    const auto parsed = json::parse(document);
    if (!parsed) return std::nullopt;
    task::Task version;
    Faults faults;
    json::ObjectReader reader(*parsed, "", faults);
    const bool read = reader.read("enabled", version.enabled) && reader.read_instant("updated_at", version.updated_at) &&
                      reader.read_instant("effective_from", version.effective_from) && reader.read("revision", version.revision) &&
                      reader.read("version", version.version);
    if (!read) return std::nullopt;
    reader.read("effective_revision", version.effective_revision);
    return Beginning{task::tenure_end(version), version.version > 1 && version.effective_revision == version.revision};
}

// Of the versions of a task, those that were in force after `from`, if the task went on by something else at `end`. Also changes that never
// were, as another came before their time: they say by which revision the task moved to where it is.
std::vector<std::string> in_force_after(Instant from, std::vector<std::string> documents, Instant end) {
    std::vector<std::string> told;
    for (auto document = documents.rbegin(); document != documents.rend() && told.size() < kVersionsTold; ++document) {
        const auto begins = beginning_of(*document);
        if (!begins || (end <= begins->at && !begins->is_change)) continue;
        if (end < from) break;
        told.push_back(std::move(*document));
        end = std::min(end, begins->at);
    }
    std::reverse(told.begin(), told.end());
    return told;
}

// One statement for all: the versions of the tasks that `statement` selects.
void read_versions(soci::statement& statement, const std::string& id, const std::string& document, Versions& out) {
    statement.execute();
    while (statement.fetch()) out[id].push_back(document);
}

// The superseded versions that may have been in force since `recent`: those that were saved since, and the one before. The same of tasks
// that were deleted since.
Versions recent_versions(soci::session& sql, const std::string& runtime, const Span& span, Instant recent) {
    Versions versions;
    std::string id, document;
    const long long since = to_db(recent);
    soci::statement superseded =
        (sql.prepare << "SELECT t.id, v.document FROM tasks AS t JOIN task_versions AS v ON v.task_id = t.id WHERE t.runtime = :runtime "
                        "AND t.revision > :after AND t.revision <= :until AND t.version > 1 AND t.updated_at >= :since1 AND v.version < "
                        "t.version AND v.version >= coalesce((SELECT o.version FROM task_versions AS o WHERE o.task_id = t.id AND "
                        "o.created_at < :since2 ORDER BY o.version DESC LIMIT 1), 0) ORDER BY t.revision, v.version",
         soci::into(id), soci::into(document), soci::use(runtime), soci::use(span.after), soci::use(span.until), soci::use(since),
         soci::use(since));
    read_versions(superseded, id, document, versions);
    soci::statement deleted =
        (sql.prepare << "SELECT d.task_id, v.document FROM deleted_tasks AS d JOIN task_versions AS v ON v.task_id = d.task_id WHERE "
                        "d.runtime = :runtime AND d.revision > :after AND d.revision <= :until AND d.deleted_at >= :since1 AND v.version "
                        ">= coalesce((SELECT o.version FROM task_versions AS o WHERE o.task_id = d.task_id AND o.created_at < :since2 "
                        "ORDER BY o.version DESC LIMIT 1), 0) ORDER BY d.revision, v.version",
         soci::into(id), soci::into(document), soci::use(runtime), soci::use(span.after), soci::use(span.until), soci::use(since),
         soci::use(since));
    read_versions(deleted, id, document, versions);
    return versions;
}

// The changes of `span`, in order of revision.
std::vector<Item> read_items(soci::session& sql, const std::string& runtime, const Span& span, Instant now) {
    const Instant from = now - task::kSupersededKept;
    Versions versions = recent_versions(sql, runtime, span, from - kLongestAhead);
    const auto take = [&](const std::string& id, std::optional<Instant> end) {
        const auto found = end ? versions.find(id) : versions.end();
        return found == versions.end() ? std::vector<std::string>{} : in_force_after(from, std::move(found->second), *end);
    };
    std::vector<Item> items;
    std::string id, document;
    long long revision = 0, deleted_at = 0;
    soci::statement tasks =
        (sql.prepare << "SELECT id, revision, document FROM tasks WHERE runtime = :runtime AND revision > :after AND "
                        "revision <= :until ORDER BY revision",
         soci::into(id), soci::into(revision), soci::into(document), soci::use(runtime), soci::use(span.after), soci::use(span.until));
    tasks.execute();
    while (tasks.fetch()) {
        Item item{revision, {}, {}};
        if (versions.contains(id)) {
            const auto begins = beginning_of(document);
            item.documents = take(id, begins ? std::optional(begins->at) : std::nullopt);
        }
        item.documents.push_back(document);
        items.push_back(std::move(item));
    }
    soci::statement deleted =
        (sql.prepare << "SELECT task_id, revision, deleted_at FROM deleted_tasks WHERE runtime = :runtime AND "
                        "revision > :after AND revision <= :until ORDER BY revision",
         soci::into(id), soci::into(revision), soci::into(deleted_at), soci::use(runtime), soci::use(span.after), soci::use(span.until));
    deleted.execute();
    while (deleted.fetch()) {
        items.push_back({revision, take(id, from_db(deleted_at)), CatalogPage::Deleted{id, from_db(deleted_at)}});
    }
    std::stable_sort(items.begin(), items.end(), [](const Item& a, const Item& b) { return a.revision < b.revision; });
    return items;
}

}  // namespace

CatalogPage read_catalog(soci::session& sql, std::string_view runtime_name, std::int64_t since, Instant now, int page) {
    const std::string runtime(runtime_name);
    const long long newest = newest_revision(sql);
    CatalogPage answer;
    answer.full = since <= 0 || since > newest || is_lost(sql, since);
    const long long from = answer.full ? 0 : since;

    // Where the page ends: at the end of a revision, so that the next page can begin after it.
    long long last = 0;
    const int offset = page - 1;
    sql << "SELECT revision FROM (SELECT revision FROM tasks WHERE runtime = :r1 AND revision > :s1 UNION ALL SELECT revision FROM "
           "deleted_tasks WHERE runtime = :r2 AND revision > :s2) ORDER BY revision LIMIT 1 OFFSET :offset",
        soci::use(runtime), soci::use(from), soci::use(runtime), soci::use(from), soci::use(offset), soci::into(last);
    bool bounded = sql.got_data();
    if (!bounded) last = newest;

    std::size_t bytes = 0;
    long long taken = 0;
    for (auto& item : read_items(sql, runtime, {from, last}, now)) {
        if (bytes > kCatalogPageBytes && item.revision > taken) {
            bounded = true;
            last = taken;
            break;
        }
        taken = item.revision;
        for (auto& document : item.documents) {
            bytes += document.size();
            answer.tasks.push_back(std::move(document));
        }
        if (item.deleted) answer.deleted.push_back(std::move(*item.deleted));
    }

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
                        "max(revision) FROM deleted_tasks WHERE runtime = name), 0), networks_revision, secrets_revision, "
                        "coalesce((SELECT max(until) + 1 FROM lost_revisions), 0)) FROM runtimes ORDER BY name",
         soci::into(row.runtime), soci::into(revision));
    statement.execute();
    while (statement.fetch()) {
        row.revision = revision;
        list.push_back(row);
    }
    return list;
}

bool pass_lost_revisions(soci::session& sql, std::int64_t published) {
    const long long newest = newest_revision(sql), until = published + kUnpublished, next = until + 1;
    if (published <= newest) return false;
    sql << "INSERT INTO lost_revisions (after, until) VALUES (:after, :until)", soci::use(newest), soci::use(until);
    sql << "INSERT INTO meta (key, value) VALUES ('revision', :next1) ON CONFLICT (key) DO UPDATE SET value = :next2", soci::use(next),
        soci::use(next);
    return true;
}

}  // namespace cloudtask::center
