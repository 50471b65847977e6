// The cluster secret: what center and nodes show ZooKeeper (digest ACL). Made at the center's first start, kept in the table meta, handed
// to nodes when they join.
//
// Any thread but the loop.
#pragma once

#include <string>

#include "center/store.h"
#include "cloudtask/core/random.h"

namespace cloudtask::center {

// The secret; makes one if there is none. Errors: the store's.
Result<std::string> cluster_secret(Store& store, Random& random);

}  // namespace cloudtask::center
