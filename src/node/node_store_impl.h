// What the files of NodeStore share: the connection and the counters that commit() keeps in memory. Not for others.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>

#include "node/node_store.h"
#include "node/node_store_database.h"

namespace cloudtask::node {

struct NodeStore::Impl {
    Database database;
    // As in the database; changed only after a commit.
    std::int64_t last_position = 0, delivered_position = 0;
    std::unordered_map<std::string, std::int64_t> sequences;  // the last of each incarnation that was used since the start
};

// Sets a counter of the database, within the caller's transaction.
Result<> set_counter(Database& database, std::string_view name, std::int64_t value);
Result<std::int64_t> read_counter(Database& database, std::string_view name);

inline std::int64_t to_column(Instant instant) { return instant.time_since_epoch().count(); }
inline Instant instant_of(std::int64_t column) { return Instant{Duration{column}}; }

}  // namespace cloudtask::node
