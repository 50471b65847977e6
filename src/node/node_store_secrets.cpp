// NodeStore: the secrets of this node's tasks, sealed as they came.
#include "cloudtask/core/hash.h"
#include "node/node_store.h"
#include "node/node_store_impl.h"

namespace cloudtask::node {

Result<std::vector<KeptSecret>> NodeStore::load_secrets() {
    std::vector<KeptSecret> secrets;
    Query query(impl_->database, "SELECT version, group_name, name, sealed, key, gone_at FROM secrets");
    while (query.next()) {
        KeptSecret& secret = secrets.emplace_back();
        secret.version = query.integer(0);
        secret.group = query.text(1);
        secret.name = query.text(2);
        // What is no base64 opens as nothing, which is found out where it is needed.
        secret.sealed = from_base64(query.text(3)).value_or("");
        secret.key = from_base64(query.text(4)).value_or("");
        if (!query.is_null(5)) secret.gone_at = instant_of(query.integer(5));
    }
    if (const auto read = query.finish(); !read) return propagate(read);
    return secrets;
}

Result<> NodeStore::change_secrets(const SecretChange& change) {
    if (change.empty()) return {};
    Database& database = impl_->database;
    return database.transaction([&]() -> Result<> {
        for (const auto& secret : change.put) {
            Query put(database, "INSERT OR REPLACE INTO secrets VALUES (?, ?, ?, ?, ?, ?)");
            put.bind(secret.version).bind(secret.group).bind(secret.name).bind(to_base64(secret.sealed)).bind(to_base64(secret.key));
            if (secret.gone_at) {
                put.bind(to_column(*secret.gone_at));
            } else {
                put.bind_null();
            }
            if (const auto done = put.run(); !done) return done;
        }
        for (const std::int64_t version : change.drop) {
            if (const auto done = Query(database, "DELETE FROM secrets WHERE version = ?").bind(version).run(); !done) return done;
        }
        return {};
    });
}

}  // namespace cloudtask::node
