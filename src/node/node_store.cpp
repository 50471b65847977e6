// NodeStore: opening, identity, and what is known of the past. The catalog is in node_store_catalog.cpp, the journal in
// node_store_journal.cpp, the outbox in node_store_outbox.cpp.
#include "node/node_store.h"

#include "node/node_store_impl.h"
#include "node/node_store_schema.h"

namespace cloudtask::node {

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

}  // namespace cloudtask::node
