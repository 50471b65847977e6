// Neighbours: what the other nodes of the runtime have said in their horizon records, as long as it is of use to this node. A settled ring
// costs no reads at all.
//
// Lives on the loop, for one ZooKeeper session.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cloudtask/core/loop.h"
#include "cloudtask/zk/client.h"
#include "node/claims.h"

namespace cloudtask::node {

class Neighbours {
  public:
    using OnRecords = std::function<void(Claims::Horizons)>;

    // `on_records` with all records, by incarnation, after each change while they are watched. Records that cannot be read are left out.
    Neighbours(Loop& loop, zk::Client& client, std::string runtime_path, std::string incarnation, OnRecords on_records);
    ~Neighbours();

    // Whether the bounds in the records matter. They are watched on after that while a run of another node's holds up a task.
    void watch(bool bounds_matter);

    // The name of a node that has a run of the task, or under the mutex, which is still going; empty if there is none, or nothing is
    // watched.
    std::string running(const std::string& name) const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::node
