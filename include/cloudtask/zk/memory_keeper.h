// MemoryTree and MemoryKeeper: ZooKeeper's semantics in memory: sessions, ephemerals, versions, sequences, one-shot watches, multi, the
// size rule. A shipped type: the coordinator of standalone mode, and what most tests run on.
//
// Lives on one loop: all keepers of a tree share it.
#pragma once

#include <memory>

#include "cloudtask/core/loop.h"
#include "cloudtask/zk/keeper.h"

namespace cloudtask::zk {

class MemoryTree {
  public:
    explicit MemoryTree(Loop& loop);
    ~MemoryTree();

    // A new session that is connected in the next turn of the loop.
    std::unique_ptr<Keeper> connect();

    // What a test does to a session: it expires (its ephemerals vanish now; the keeper is told when it is in contact).
    void expire(std::int64_t session_id);
    // Cuts or restores contact: while cut, calls fail with connection_loss and the keeper says connecting.
    void set_connected(std::int64_t session_id, bool connected);

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::zk
