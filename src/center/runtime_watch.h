// RuntimeWatch: what the center keeps in ZooKeeper of one runtime, and watches there: /runtimes/<r>/{nodes,election,horizons} are made,
// nodes and allocation are mirrored, the catalog revision is published. A part of ClusterWatch; lives on the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>

#include "center/cluster_view.h"
#include "cloudtask/core/loop.h"
#include "cloudtask/zk/client.h"

namespace cloudtask::center {

class RuntimeWatch {
  public:
    // `on_change` after each change of view(); `on_ahead` when a revision stands in ZooKeeper that is beyond what was given to publish().
    RuntimeWatch(Loop& loop, zk::Client& client, std::string runtime, std::function<void()> on_change,
                 std::function<void(std::int64_t published)> on_ahead);
    ~RuntimeWatch();

    // What is known; `complete` only when both mirrors have read everything in the present session.
    RuntimeView view() const;

    // Makes the runtime's nodes know of this revision. Older ones than known are ignored. One that stands in ZooKeeper is never taken back.
    void publish(std::int64_t revision);

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::center
