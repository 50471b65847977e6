// The schema of a node's database, and how an older one becomes the newest. Worker thread, at start.
#pragma once

#include "cloudtask/core/result.h"
#include "node/node_store_database.h"

namespace cloudtask::node {

// Brings the schema to the newest version, each step in its own transaction. Errc::unsupported: a newer program made the database.
Result<> migrate(Database& database);

}  // namespace cloudtask::node
