// NodeCore: what makes a node a node, without its outside: the coordinator, the runner, the catalog replica in memory, the packages that
// are fetched ahead, what is read from disk at start and what is forgotten later. The agent gives it a real outside (ZooKeeper, processes,
// disk threads, the center), the simulation one that is played.
//
// Lives on the loop. It talks to no center: its owner hands the catalog in, and carries the reports away.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>

#include "cloudtask/core/loop.h"
#include "cloudtask/core/random.h"
#include "cloudtask/core/worker.h"
#include "cloudtask/zk/client.h"
#include "node/center_link.h"
#include "node/coordinator.h"
#include "node/disk.h"
#include "node/packages/package_store.h"
#include "node/process/supervisor.h"
#include "node/runner.h"

namespace cloudtask::node {

// The outside; all of it outlives the NodeCore.
struct NodeParts {
    Loop& loop;
    Random& random;
    Worker& scratch;
    Disk& disk;
    Supervisor& supervisor;
    PackageCache& packages;
    zk::Client& keeper;
};

class NodeCore {
  public:
    // `revision_published`: the catalog revision that the centers have published, as the coordinator sees it.
    NodeCore(NodeParts parts, CoordinatorOptions claims, RunnerOptions runs, std::function<void(std::int64_t)> revision_published);
    ~NodeCore();

    // Reads what is on disk, before anything comes in from outside: takes over what runs, and puts the tasks of the replica. Then `done`;
    // errors: the disk.
    void load(std::function<void(Result<>)> done);
    // From now on, every few seconds: packages that are missing are fetched, runs that are over and delivered are forgotten.
    void keep_house();
    // Before a stop: what load() still reads is dropped (its `done` is not called), and housekeeping ends.
    void halt();

    // --- the catalog, once it is on disk
    void apply(CatalogChange change);
    // Where the runtime's calls may connect to; null: where they may by default.
    void set_networks(std::shared_ptr<const task::NetworkRules> networks);
    // What the center knows of the runtime's past.
    void recall(const ring::Memory& past);
    // The replica is as new as the center's answer said.
    void caught_up(std::int64_t revision);
    std::int64_t catalog_revision() const;

    // A command of the center.
    void carry_out(Command command);

    Coordinator& coordinator();
    Runner& runner();

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::node
