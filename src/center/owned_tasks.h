// OwnedTasks: how many enabled tasks each node owns. To count them is a look at every task of the runtime, so that it is done once for a
// ring and a revision of the catalog, and by one thread at a time.
//
// Any thread that holds a transaction of Store.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "center/cluster_view.h"

namespace soci {
class session;
}

namespace cloudtask::center {

class OwnedTasks {
  public:
    // The tasks of the node: 0 when it is not in the ring. While another thread counts, what was counted last by this ring; nothing if
    // there is no such count.
    std::optional<std::int64_t> of(soci::session& sql, const std::string& runtime, const std::string& node_id, const ClusterView& cluster);

  private:
    struct Counted {
        std::shared_ptr<const ring::Ring> ring;
        std::int64_t revision = -1;
        std::map<std::string, std::int64_t> by_node;
        std::int64_t of(const std::string& node_id) const;
    };
    std::mutex mutex_;
    std::map<std::string, Counted> counted_;  // by runtime; guarded by mutex_
    bool counting_ = false;                   // guarded by mutex_
};

}  // namespace cloudtask::center
