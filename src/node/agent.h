// Agent: owns the parts of a node, in the order in which they depend on each other, and carries it from its first start to its stop.
//
//   data folder ─ store ─ identity (join) ─ catalog replica ─ runner ─ coordinator ─ center link ─ status page
//
// Lives on the loop. It decides nothing that the parts could.
#pragma once

#include <functional>
#include <memory>

#include "cloudtask/core/asio_loop.h"
#include "node/config.h"

namespace cloudtask::node {

class Agent {
  public:
    // Opens the data folder and the store. Errors: in use, disk, unreadable, bad configuration.
    static Result<std::unique_ptr<Agent>> make(AsioLoop& loop, NodeOptions options);
    ~Agent();

    // Joins (if this node never has), then takes part. A center or ZooKeeper that is away is waited for. `on_failure` if the center refuses
    // the node.
    void start(std::function<void(Error)> on_failure);

    // Leaves the ring, waits for runs to end and reports to leave as long as the drain time-out allows (for the hand-over of its tasks ten
    // seconds at least); then `done`.
    void stop(std::function<void()> done);

  private:
    struct Impl;
    explicit Agent(std::shared_ptr<Impl> impl);
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::node
