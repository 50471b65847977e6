// Cordon: carries out the center's wish that this node stay out of the ring, or come back, and keeps it on disk, so that a node that starts
// again is what it was, also while the center is away.
//
// A wish holds at once, even when the disk is full. The center is told that a node is cordoned once it has handed everything over: by then
// the reports of all fires that it has begun stand before that one in the outbox. Until then the center delivers the command again; that of
// an older wish it has withdrawn.
//
// Lives on the loop. What being cordoned means for the ring is the coordinator's part.
#pragma once

#include <memory>

#include "cloudtask/core/loop.h"
#include "node/center_link.h"
#include "node/coordinator.h"
#include "node/disk.h"

namespace cloudtask::node {

class Cordon {
  public:
    // The disk and the coordinator must outlive it.
    Cordon(Loop& loop, Disk& disk, Coordinator& coordinator);
    ~Cordon();

    // Of kind cordon or uncordon; may come several times. The latest counts.
    void handle(const Command& command);

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::node
