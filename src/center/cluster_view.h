// ClusterView: what ZooKeeper says of the runtimes, as an immutable snapshot that request handlers read: who is there, and which
// allocation is in force. Published by the loop (cluster_watch.cpp), read from any thread.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "cloudtask/ring/ring.h"
#include "cloudtask/task/types.h"

namespace cloudtask::center {

struct NodeView {
    ring::Member member;
    std::string version, address;
    bool leaving = false;  // it wants no place in the ring: it is cordoned, or stops
};

struct RuntimeView {
    std::map<std::string, NodeView> nodes;   // by node id: those with a live registration
    bool complete = false;                   // all of it was read in the present session; else it may be old
    std::int64_t epoch = 0;                  // of the allocation; 0: none yet
    std::string allocation;                  // the record as it stands in ZooKeeper (JSON)
    bool settled = false;                    // nothing is on its way from one node to another
    std::shared_ptr<const ring::Ring> ring;  // of the allocation's nodes
};

struct ClusterView {
    bool connected = false;  // to ZooKeeper
    std::map<std::string, RuntimeView> runtimes;

    // The node that owns the task now; null when none can take it.
    const ring::Member* owner(const task::Task& task) const;
    bool online(const std::string& runtime, const std::string& node_id) const;
    // Whether the allocation in force names the node.
    bool in_ring(const std::string& runtime, const std::string& node_id) const;
    // ZooKeeper says, and says now, that nothing is on its way from one node to another.
    bool settled(const std::string& runtime) const;
    // ZooKeeper says, and says now, that the node is not there. Not the opposite of online(): without contact nobody knows.
    bool gone(const std::string& runtime, const std::string& node_id) const;
};

// The latest snapshot, for any thread.
class ClusterSnapshot {
  public:
    std::shared_ptr<const ClusterView> get() const {
        std::lock_guard lock(mutex_);
        return view_;
    }
    void set(std::shared_ptr<const ClusterView> view) {
        std::lock_guard lock(mutex_);
        view_ = std::move(view);
    }

  private:
    mutable std::mutex mutex_;
    std::shared_ptr<const ClusterView> view_ = std::make_shared<ClusterView>();
};

}  // namespace cloudtask::center
