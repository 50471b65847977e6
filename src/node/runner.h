// Runner: turns fires and commands into runs. It takes fires ahead of time, writes their intents, has them started when they are due, and
// puts every change with its report on disk in one transaction.
//
//   coordinator ─ take ─► prepared (intent on disk, package unpacked) ─ due ─► LiveRuns: running ─ end ─► reports
//                └ too late, overlapping, uncertain ─► SKIPPED or LOST, recorded as well
//
// Nothing on the way from "due" to the spawn waits for a disk or for ZooKeeper, unless the fire came in too late for its intent to be
// written before.
//
// Lives on the loop.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cloudtask/core/loop.h"
#include "node/center_link.h"
#include "node/coordinator.h"
#include "node/disk.h"
#include "node/live_runs.h"
#include "node/node_secrets.h"
#include "node/packages/package_store.h"
#include "node/process/supervisor.h"

namespace cloudtask::node {

struct RunnerOptions {
    std::string runs_folder;  // <data>/runs
    std::string node_id, node_name;
    std::shared_ptr<NodeSecrets> secrets = std::make_shared<NodeSecrets>();
};

class Runner {
  public:
    // `coordinator` may be set after construction, before the first call of duties_changed().
    Runner(Loop& loop, Worker& scratch, Disk& disk, Supervisor& supervisor, PackageCache& packages, RunnerOptions options);
    ~Runner();

    void set_coordinator(Coordinator& coordinator);

    // At start, before anything else: what an earlier process of this node left. Running processes are taken over; what was begun and is
    // gone is LOST.
    void recover(std::vector<JournalEntry> unfinished, const std::vector<KnownRun>& known_runs,
                 const std::vector<std::string>& known_command_ids);

    // See LiveRuns.
    void set_networks(std::shared_ptr<const task::NetworkRules> networks);

    // A task of the catalog is new or changed (its package is fetched ahead of time if this node may come to run it), or is gone.
    void put_task(TaskPointer task);
    void erase_task(const std::string& task_id);

    // The coordinator has more to give, or took something away.
    void duties_changed();
    // The time of the earliest fire that was taken and is not accounted for yet: neither started, nor on disk as not to be started.
    std::optional<Instant> earliest_unstarted() const;

    // A command of the center.
    void handle(Command command);

    // Nothing runs, nothing is going to, and all of it is on disk.
    bool idle() const;
    std::size_t running() const;
    std::size_t prepared() const;
    const RunCounters& counters() const;
    std::string run_folder(const std::string& run_id) const;
    NodeSecrets& secrets();
    // What the journal has forgotten. The folders of the runs go, too.
    void forget(const NodeStore::Forgotten& forgotten);

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::node
