// NodeStore: the catalog replica: the tasks as they are, and for a while the versions that they superseded.
//
// A version is in force in (begins, until]: from its own task::tenure_end() on, to the least of those of the versions after it, or to its
// task's deletion. `until` only shrinks, so that it stays right when versions between are let go.
#include <optional>
#include <span>
#include <unordered_set>

#include "cloudtask/core/log.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/networks.h"
#include "node/node_store.h"
#include "node/node_store_impl.h"

namespace cloudtask::node {

namespace {

// The largest definition has 64 KiB as its user wrote it; what the program adds is little.
constexpr json::Limits kTaskLimits{.max_bytes = 1 << 20, .max_depth = 32};

Result<task::Task> task_of(const std::string& document) {
    const auto value = json::parse(document, kTaskLimits);
    if (!value) return propagate(value);
    return task::read_task(*value);
}

Result<std::optional<std::string>> stored_document(Database& database, std::string_view id) {
    Query query(database, "SELECT document FROM tasks WHERE id = ?");
    query.bind(id);
    if (query.next()) return query.text(0);
    if (const auto read = query.finish(); !read) return propagate(read);
    return std::nullopt;
}

// One task's step from what the replica has of it to what the center says. Within the caller's transaction.
class TaskStep {
  public:
    TaskStep(Database& database, std::string_view id) : database_(database), id_(id) {}

    // `versions` as in CatalogChange::tasks; not empty.
    Result<> put(std::span<const task::Task> versions) {
        const task::Task& current = versions.back();
        const std::string document = task::to_json(current);
        const auto before = stored_document(database_, id_);
        if (!before) return propagate(before);
        const bool same = *before == document;
        if (same && versions.size() == 1) return {};
        if (!same) {
            if (*before) {
                if (const auto kept = supersede(**before); !kept) return kept;
            }
            Query write(database_, "INSERT INTO tasks (id, document) VALUES (?, ?) ON CONFLICT DO UPDATE SET document = excluded.document");
            if (const auto written = write.bind(id_).bind(document).run(); !written) return written;
        }
        for (const auto& version : versions.first(versions.size() - 1)) {
            if (const auto kept = supersede(version, task::to_json(version)); !kept) return kept;
        }
        // A center that was restored from a backup knows nothing of the versions that came after it.
        Query unknown(database_, "DELETE FROM superseded WHERE task_id = ? AND version >= ?");
        if (const auto gone = unknown.bind(id_).bind(current.version).run(); !gone) return gone;
        return end_by(task::tenure_end(current));
    }

    Result<> erase(Instant at) {
        const auto before = stored_document(database_, id_);
        if (!before) return propagate(before);
        if (*before) {
            if (const auto kept = supersede(**before); !kept) return kept;
            if (const auto gone = Query(database_, "DELETE FROM tasks WHERE id = ?").bind(id_).run(); !gone) return gone;
        }
        return end_by(at);
    }

  private:
    Result<> supersede(const std::string& document) {
        const auto version = task_of(document);
        if (version) return supersede(*version, document);
        log::warn("{}: a version of task {} cannot be read, and what it still owed is not accounted for: {}", database_.path(), id_,
                  version.error().message);
        return {};
    }

    Result<> supersede(const task::Task& version, const std::string& document) {
        return Query(database_,
                     "INSERT INTO superseded (task_id, version, begins, until, document) VALUES (?, ?, ?, ?, ?) "
                     "ON CONFLICT DO UPDATE SET begins = excluded.begins, document = excluded.document")
            .bind(id_)
            .bind(version.version)
            .bind(to_column(task::tenure_end(version)))
            .bind(to_column(Instant::max()))
            .bind(document)
            .run();
    }

    // Nothing that is superseded is in force beyond `end`, nor beyond the beginning of a later version. What never was is kept only if it
    // changed what is fired, or where: it says by which revision the task moved to where it is.
    Result<> end_by(Instant end) {
        Query bound(database_,
                    "UPDATE superseded SET until = min(until, ?1, (SELECT coalesce(min(later.begins), ?1) FROM superseded AS later WHERE "
                    "later.task_id = superseded.task_id AND later.version > superseded.version)) WHERE task_id = ?2");
        if (const auto bounded = bound.bind(to_column(end)).bind(id_).run(); !bounded) return bounded;
        return Query(database_,
                     "DELETE FROM superseded WHERE task_id = ? AND until <= begins AND (version <= 1 OR "
                     "json_extract(document, '$.effective_revision') IS NOT json_extract(document, '$.revision'))")
            .bind(id_)
            .run();
    }

    Database& database_;
    std::string_view id_;
};

Result<> put_tasks(Database& database, std::span<const task::Task> tasks) {
    while (!tasks.empty()) {
        std::size_t count = 1;
        while (count < tasks.size() && tasks[count].id == tasks.front().id) ++count;
        if (const auto put = TaskStep(database, tasks.front().id).put(tasks.first(count)); !put) return put;
        tasks = tasks.subspan(count);
    }
    return {};
}

// The ids in the replica that `change` does not name.
Result<std::vector<std::string>> unnamed(Database& database, const CatalogChange& change) {
    std::unordered_set<std::string_view> named;
    for (const auto& task : change.tasks) named.insert(task.id);
    for (const auto& deleted : change.deleted) named.insert(deleted.id);
    std::vector<std::string> gone;
    Query all(database, "SELECT id FROM tasks");
    while (all.next()) {
        if (auto id = all.text(0); !named.contains(id)) gone.push_back(std::move(id));
    }
    if (const auto read = all.finish(); !read) return propagate(read);
    return gone;
}

Result<std::shared_ptr<const task::NetworkRules>> load_networks(Database& database) {
    Query query(database, "SELECT networks FROM runtime");
    const bool found = query.next();
    const std::string text = found ? query.text(0) : std::string{};
    if (const auto read = query.finish(); !read) return propagate(read);
    if (!found) return std::shared_ptr<const task::NetworkRules>{};
    const auto document = json::parse(text);
    Faults faults;
    auto rules = document ? task::read_network_rules(*document, "", faults) : std::nullopt;
    if (!rules) return fail(Errc::corrupt, "{}: the networks of the runtime cannot be read: {}", database.path(), faults.summary());
    return std::make_shared<const task::NetworkRules>(std::move(*rules));
}

Result<> put_networks(Database& database, const task::NetworkRules* networks) {
    if (networks == nullptr) return Query(database, "DELETE FROM runtime").run();
    json::Writer out;
    task::write_network_rules(out, *networks);
    return Query(database, "INSERT OR REPLACE INTO runtime VALUES (1, ?)").bind(out.text()).run();
}

Result<> prune(Database& database, Instant newest) {
    if (newest == Instant{}) return {};
    return Query(database, "DELETE FROM superseded WHERE until < ?").bind(to_column(newest - task::kSupersededKept)).run();
}

}  // namespace

Instant newest_instant(const CatalogChange& change) {
    Instant newest{};
    for (const auto& task : change.tasks) newest = std::max(newest, task.updated_at);
    for (const auto& deleted : change.deleted) newest = std::max(newest, deleted.at);
    return newest;
}

Result<NodeStore::Catalog> NodeStore::load_catalog() {
    Database& database = impl_->database;
    Catalog catalog;
    const auto revision = read_counter(database, "catalog_revision");
    if (!revision) return propagate(revision);
    catalog.revision = *revision;
    auto networks = load_networks(database);
    if (!networks) return propagate(networks);
    catalog.networks = std::move(*networks);
    const auto read_all = [&](Query query) -> Result<> {
        while (query.next()) {
            auto task = task_of(query.text(1));
            if (task) {
                catalog.tasks.push_back(std::move(*task));
                continue;
            }
            // Most likely another version of this program wrote it. The center has it in a form for this one: revision 0 asks for all.
            log::error("{}: task {} of the catalog cannot be read and is left out until the center has sent it again: {}", database.path(),
                       query.text(0), task.error().message);
            catalog.revision = 0;
        }
        return query.finish();
    };
    if (const auto read = read_all({database, "SELECT task_id, document FROM superseded ORDER BY task_id, version"}); !read)
        return propagate(read);
    if (const auto read = read_all({database, "SELECT id, document FROM tasks"}); !read) return propagate(read);
    Query deleted(database,
                  "SELECT task_id, max(until) FROM superseded WHERE NOT EXISTS (SELECT 1 FROM tasks WHERE id = task_id) GROUP BY task_id");
    while (deleted.next()) catalog.deleted.push_back({deleted.text(0), instant_of(deleted.integer(1))});
    if (const auto read = deleted.finish(); !read) return propagate(read);
    return catalog;
}

Result<bool> NodeStore::catalog_empty() {
    Query query(impl_->database, "SELECT 1 FROM tasks LIMIT 1");
    const bool found = query.next();
    if (const auto read = query.finish(); !read) return propagate(read);
    return !found;
}

Result<> NodeStore::apply_catalog(const CatalogChange& change) {
    Database& database = impl_->database;
    return database.transaction([&]() -> Result<> {
        const Instant newest = newest_instant(change);
        if (change.full) {
            const auto gone = unnamed(database, change);
            if (!gone) return propagate(gone);
            // The center does not say when they went. As of its newest news they were not there.
            for (const auto& id : *gone) {
                if (const auto erased = TaskStep(database, id).erase(newest); !erased) return erased;
            }
        }
        if (const auto put = put_tasks(database, change.tasks); !put) return put;
        for (const auto& [id, at] : change.deleted) {
            if (const auto erased = TaskStep(database, id).erase(at); !erased) return erased;
        }
        if (const auto pruned = prune(database, newest); !pruned) return pruned;
        if (const auto kept = put_networks(database, change.networks.get()); !kept) return kept;
        return set_counter(database, "catalog_revision", change.revision);
    });
}

}  // namespace cloudtask::node
