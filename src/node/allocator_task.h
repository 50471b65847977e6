// AllocatorTask: what the leading node of a runtime does: turns membership into the next allocation record (ring::next_allocation) and
// writes it, fenced by its own election znode and by the records that the decision rests on.
//
// Lives on the loop, for one ZooKeeper session. It holds no state that the next leader would need.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "cloudtask/core/loop.h"
#include "cloudtask/ring/allocation.h"
#include "cloudtask/zk/client.h"
#include "cloudtask/zk/recipes.h"

namespace cloudtask::node {

struct AllocatorOptions {
    std::string runtime_path;  // "/runtimes/<r>"
    Duration join_debounce = std::chrono::milliseconds{500};
    Duration longest_claim = std::chrono::seconds{12};  // no claim reaches further beyond this machine's clock
};

// The revision that stands in the znode of a runtime's catalog; 0 if nobody has published one.
std::int64_t published_revision(const std::optional<zk::Znode>& znode);

class AllocatorTask {
  public:
    // `allocation` and `revision` are the mirrors that all nodes keep; the task refreshes the former after its own writes.
    AllocatorTask(Loop& loop, zk::Client& client, const zk::Election& election, zk::Mirror& allocation, const zk::Mirror& revision,
                  AllocatorOptions options);
    ~AllocatorTask();

    // Something that the decision rests on has changed: membership, the allocation, the catalog's revision, who leads.
    void consider();

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::node
