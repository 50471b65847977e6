// One answer to `GET /node/catalog` (docs/wire.md), read. Pure; any thread.
#pragma once

#include <string_view>

#include "node/node_store.h"

namespace cloudtask::node {

struct CatalogPage {
    CatalogChange change;
    std::int64_t secrets = 0;  // revision of the runtime's secrets; 0: it never had any
    bool more = false;
};

// A task that this program cannot read is left out, said in the log, and counted as deleted when it was changed: an older version of it must
// not go on. A superseded version that cannot be read is left out. Errors: Errc::unavailable, not an answer of a center.
Result<CatalogPage> read_catalog_page(std::string_view body);

}  // namespace cloudtask::node
