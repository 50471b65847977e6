// ClusterWatch: the center's side of ZooKeeper. It registers this center, takes part in the election of the leading one, lays out the tree
// of each runtime, watches its members and its allocation, publishes what it sees as ClusterSnapshot, and publishes catalog revisions.
//
// Lives on the loop. It never writes what belongs to nodes (allocation, horizons). When contact is lost the snapshot keeps what was known,
// with connected = false.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "center/catalog_store.h"
#include "center/cluster_view.h"
#include "cloudtask/core/loop.h"
#include "cloudtask/zk/client.h"

namespace cloudtask::center {

struct ClusterWatchOptions {
    std::string center_id;  // of this process
    std::string address;    // of its API, for people
};

class ClusterWatch {
  public:
    struct Observer {
        std::function<void(const ClusterView&)> on_view;  // after each change of the snapshot
        std::function<void(bool leading)> on_leading;
        // A revision stands in ZooKeeper that is beyond those that the watch was told of: the database was restored from a backup.
        std::function<void(std::int64_t published)> on_ahead;
    };

    // `client` is started and stopped by its owner, and outlives the watch.
    ClusterWatch(Loop& loop, zk::Client& client, ClusterSnapshot& snapshot, ClusterWatchOptions options, Observer observer);
    ~ClusterWatch();

    // The runtimes that there are, each with its newest revision: those that are new are laid out and watched, those that are gone are
    // left.
    void set_runtimes(const std::vector<RuntimeRevision>& runtimes);

    // A revision of the runtime's catalog is committed. Older ones than known are ignored; many at once become few writes.
    void publish_revision(const std::string& runtime, std::int64_t revision);

    bool leading() const;

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::center
