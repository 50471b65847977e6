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
    // `on_change` after each change of view().
    RuntimeWatch(Loop& loop, zk::Client& client, std::string runtime, std::function<void()> on_change);
    ~RuntimeWatch();

    // What is known; `complete` only when both mirrors have read everything in the present session.
    RuntimeView view() const;

    void publish(std::int64_t revision);

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::center
