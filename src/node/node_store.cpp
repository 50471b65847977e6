// NodeStore: opening, identity and catalog. The journal is in node_store_journal.cpp, the outbox in node_store_outbox.cpp.
#include "node/node_store.h"

#include <unordered_set>

#include "cloudtask/core/log.h"
#include "cloudtask/task/codec.h"
#include "node/node_store_impl.h"
#include "node/node_store_schema.h"

namespace cloudtask::node {

namespace {

// The largest definition has 64 KiB as its user wrote it; what the program adds is little.
constexpr json::Limits kTaskLimits{.max_bytes = 1 << 20, .max_depth = 32};

std::string document_of(const task::Task& task) {
    json::Writer out;
    task::write(out, task);
    return out.text();
}

Result<task::Task> task_of(const std::string& document) {
    const auto value = json::parse(document, kTaskLimits);
    if (!value) return propagate(value);
    return task::read_task(*value);
}

Result<> put_tasks(Database& database, const std::vector<task::Task>& tasks) {
    // A task that is as it was is not written again: a full answer costs what differs.
    Query put(database,
              "INSERT INTO tasks (id, document) VALUES (?, ?) ON CONFLICT (id) DO UPDATE SET document = excluded.document "
              "WHERE document IS NOT excluded.document");
    for (const auto& task : tasks) {
        if (const auto done = put.bind(task.id).bind(document_of(task)).run(); !done) return done;
    }
    return {};
}

Result<> erase_tasks(Database& database, const std::vector<std::string>& ids) {
    Query erase(database, "DELETE FROM tasks WHERE id = ?");
    for (const auto& id : ids) {
        if (const auto done = erase.bind(id).run(); !done) return done;
    }
    return {};
}

// The ids in the replica that `change` does not name.
Result<std::vector<std::string>> unnamed(Database& database, const CatalogChange& change) {
    std::unordered_set<std::string_view> named;
    for (const auto& task : change.tasks) named.insert(task.id);
    std::vector<std::string> gone;
    Query all(database, "SELECT id FROM tasks");
    while (all.next()) {
        if (auto id = all.text(0); !named.contains(id)) gone.push_back(std::move(id));
    }
    if (const auto read = all.finish(); !read) return propagate(read);
    return gone;
}

}  // namespace

Result<> set_counter(Database& database, std::string_view name, std::int64_t value) {
    return Query(database, "UPDATE counters SET value = ? WHERE name = ?").bind(value).bind(name).run();
}

Result<std::int64_t> read_counter(Database& database, std::string_view name) {
    Query query(database, "SELECT value FROM counters WHERE name = ?");
    query.bind(name);
    if (query.next()) return query.integer(0);
    if (const auto read = query.finish(); !read) return propagate(read);
    return fail(Errc::corrupt, "{} has no counter '{}'", database.path(), name);
}

NodeStore::NodeStore(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

NodeStore::~NodeStore() = default;

Result<std::unique_ptr<NodeStore>> NodeStore::open(const std::string& path) {
    auto impl = std::make_unique<Impl>();
    if (const auto opened = impl->database.open(path); !opened) return propagate(opened);
    if (const auto migrated = migrate(impl->database); !migrated) return propagate(migrated);
    const auto last = read_counter(impl->database, "last_position");
    if (!last) return propagate(last);
    const auto delivered = read_counter(impl->database, "delivered_position");
    if (!delivered) return propagate(delivered);
    impl->last_position = *last;
    impl->delivered_position = *delivered;
    return std::unique_ptr<NodeStore>(new NodeStore(std::move(impl)));
}

Result<std::optional<Identity>> NodeStore::load_identity() {
    Query query(impl_->database,
                "SELECT node_id, node_token, runtime, name, center_url, zookeeper_servers, zookeeper_chroot, zookeeper_secret, "
                "session_timeout FROM identity");
    if (query.next()) {
        return Identity{.node_id = query.text(0),
                        .node_token = query.text(1),
                        .runtime = query.text(2),
                        .name = query.text(3),
                        .center_url = query.text(4),
                        .zookeeper_servers = query.text(5),
                        .zookeeper_chroot = query.text(6),
                        .zookeeper_secret = query.text(7),
                        .zookeeper_session_timeout = Duration{query.integer(8)}};
    }
    if (const auto read = query.finish(); !read) return propagate(read);
    return std::nullopt;
}

Result<> NodeStore::save_identity(const Identity& identity) {
    return Query(impl_->database, "INSERT OR REPLACE INTO identity VALUES (1, ?, ?, ?, ?, ?, ?, ?, ?, ?)")
        .bind(identity.node_id)
        .bind(identity.node_token)
        .bind(identity.runtime)
        .bind(identity.name)
        .bind(identity.center_url)
        .bind(identity.zookeeper_servers)
        .bind(identity.zookeeper_chroot)
        .bind(identity.zookeeper_secret)
        .bind(static_cast<std::int64_t>(identity.zookeeper_session_timeout.count()))
        .run();
}

Result<bool> NodeStore::load_cordoned() {
    const auto cordoned = read_counter(impl_->database, "cordoned");
    if (!cordoned) return propagate(cordoned);
    return *cordoned != 0;
}

Result<NodeStore::Catalog> NodeStore::load_catalog() {
    Catalog catalog;
    const auto revision = read_counter(impl_->database, "catalog_revision");
    if (!revision) return propagate(revision);
    catalog.revision = *revision;
    Query query(impl_->database, "SELECT id, document FROM tasks");
    while (query.next()) {
        auto task = task_of(query.text(1));
        if (task) {
            catalog.tasks.push_back(std::move(*task));
            continue;
        }
        // Most likely another version of this program wrote it. The center has it in a form for this one: revision 0 asks for all of them.
        log::error("{}: task {} of the catalog cannot be read and is left out until the center has sent it again: {}",
                   impl_->database.path(), query.text(0), task.error().message);
        catalog.revision = 0;
    }
    if (const auto read = query.finish(); !read) return propagate(read);
    return catalog;
}

Result<bool> NodeStore::catalog_empty() {
    Query query(impl_->database, "SELECT 1 FROM tasks LIMIT 1");
    const bool found = query.next();
    if (const auto read = query.finish(); !read) return propagate(read);
    return !found;
}

Result<ring::Memory> NodeStore::load_memory() {
    ring::Memory memory;
    Query query(impl_->database, "SELECT epoch, at FROM past");
    if (query.next()) memory = {query.integer(0), instant_of(query.integer(1))};
    if (const auto read = query.finish(); !read) return propagate(read);
    return memory;
}

Result<> NodeStore::remember(const ring::Memory& memory) {
    return Query(impl_->database,
                 "INSERT INTO past VALUES (1, ?, ?) ON CONFLICT DO UPDATE SET epoch = excluded.epoch, at = excluded.at "
                 "WHERE excluded.epoch >= epoch")
        .bind(memory.epoch)
        .bind(to_column(memory.at))
        .run();
}

Result<> NodeStore::apply_catalog(const CatalogChange& change) {
    Database& database = impl_->database;
    return database.transaction([&]() -> Result<> {
        if (change.full) {
            const auto gone = unnamed(database, change);
            if (!gone) return propagate(gone);
            if (const auto erased = erase_tasks(database, *gone); !erased) return erased;
        }
        if (const auto put = put_tasks(database, change.tasks); !put) return put;
        if (const auto erased = erase_tasks(database, change.deleted); !erased) return erased;
        return set_counter(database, "catalog_revision", change.revision);
    });
}

}  // namespace cloudtask::node
