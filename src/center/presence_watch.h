// PresenceWatch: remembers in the database which nodes were away, and when the center had no contact with ZooKeeper, for the ledger.
//
// Lives on the loop; the database is used on the worker. A row is written when something changes, and all of it is compared every half
// minute, so that what the store refused, or what was learnt while the center was away, comes right.
#pragma once

#include <memory>

#include "center/cluster_view.h"
#include "center/store.h"
#include "cloudtask/core/loop.h"
#include "cloudtask/core/worker.h"

namespace cloudtask::center {

class PresenceWatch {
  public:
    // The worker's jobs may outlive the watch; the store must outlive them.
    PresenceWatch(Loop& loop, Worker& worker, Store& store);
    ~PresenceWatch();

    // After each change of the snapshot.
    void on_view(const ClusterView& view);

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::center
