// A secret as a node keeps it: sealed for the node, under the version by which runs say that they were given it. Pure data.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cloudtask/core/clock.h"

namespace cloudtask::node {

struct KeptSecret {
    std::int64_t version = 0;
    std::string group, name;  // group: empty for a secret of the runtime
    std::string sealed;
    std::string key;                 // the public key that it was sealed for
    std::optional<Instant> gone_at;  // when the center did not name it any more: another version took its place, or no task here needs it
};

// One transaction.
struct SecretChange {
    std::vector<KeptSecret> put;
    std::vector<std::int64_t> drop;  // versions
    bool empty() const { return put.empty() && drop.empty(); }
};

}  // namespace cloudtask::node
