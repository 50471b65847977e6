// LostWatch: ends the runs of nodes that are gone. A node whose registration is absent for longer than the grace has its RUNNING runs, and
// those whose start it was handed, marked LOST; starts that were never handed out go to the node that owns the task now. What only waits
// there, for its turn or as a further attempt, stays PENDING as long as the node is one of the runtime's: it begins that when it is back.
// So does an attempt that another node gave up to it (handed_over.h), and that it was handed.
//
// Lives on the loop; the database is used on the worker. It acts only while this center leads, and only on what ZooKeeper says in a session
// whose mirrors are complete: no contact is never taken for no nodes. A node that is back under a new incarnation reports for itself.
#pragma once

#include <functional>
#include <memory>
#include <set>
#include <string>

#include "center/cluster_view.h"
#include "center/log_files.h"
#include "center/run_recorder.h"
#include "center/store.h"
#include "cloudtask/core/loop.h"
#include "cloudtask/core/random.h"
#include "cloudtask/core/worker.h"

namespace cloudtask::center {

class RunMetrics;

struct LostParts {
    Store& store;
    const LogFiles& logs;
    const ClusterSnapshot& cluster;
    Random& random;  // any thread
    RunMetrics& metrics;
    MailSettings mail;
    Duration grace;
    // After a commit, on the worker's thread.
    std::function<void(const std::set<std::string>& run_ids)> runs_changed;
    std::function<void()> mail_waiting;
    std::function<void(const std::string& node_id)> commands_waiting;
};

class LostWatch {
  public:
    // The worker's jobs may outlive the watch; what is in `parts` must outlive them.
    LostWatch(Loop& loop, Worker& worker, LostParts parts);
    ~LostWatch();

    void set_leading(bool leading);
    // After each change of the snapshot.
    void on_view(const ClusterView& view);

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::center
