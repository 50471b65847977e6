// LedgerWatch: keeps the gauges of the ledger: cloudtask_fires_unexplained, of the fires whose misfire tolerance and grace ended within
// the last hour, a week back at most. A pass over all tasks is done in small steps on a worker of its own, so that neither the API nor the
// loop waits for it; the gauge changes when a pass is done.
//
// Lives on the loop; steps run on the worker. Gauges are read from any thread.
#pragma once

#include <memory>

#include "center/cluster_view.h"
#include "center/ledger.h"
#include "center/metrics.h"
#include "center/store.h"
#include "cloudtask/core/loop.h"
#include "cloudtask/core/worker.h"

namespace cloudtask::center {

struct LedgerWatchParts {
    Store& store;
    const ClusterSnapshot& cluster;
    LedgerRules rules;
    Duration window = std::chrono::hours{1};
    Duration pause = std::chrono::seconds{15};  // between passes
    Duration step_every = std::chrono::milliseconds{200};
    int step_tasks = 100;
};

class LedgerWatch {
  public:
    // The worker's jobs may outlive the watch; what is in `parts` must outlive them. The gauges live as long as `metrics`.
    LedgerWatch(Loop& loop, Worker& worker, Metrics& metrics, LedgerWatchParts parts);
    ~LedgerWatch();

    void start();

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::center
