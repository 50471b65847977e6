// Which processes belong to a run, and signals to them.
//
// A process belongs to a run if it is in the session or the process group of the run's first process; or is an orphan that was found to be
// the run's (setsid(2) in a daemon); or was started with the run's CLOUDTASK_RUN_ID and the run is not a child of this process; or
// descends from one of these. What changes session, clears its environment and is orphaned before anybody looks cannot be told from a
// stranger and is left alone.
#pragma once

#include <sys/types.h>

#include <set>
#include <string>
#include <vector>

#include "node/process/proc_table.h"

namespace cloudtask::node {

// What is known of a run's tree.
struct TreeRoots {
    pid_t first = 0;  // the run's first process; its number is also that of its session and group
    std::uint64_t first_start_time = 0;
    bool first_reaped = false;  // then its number may be another process's
    std::set<pid_t> orphans;    // children of this process that are known to be the run's
    std::string search_run_id;  // if not empty: also look into the environments, of processes that are not older than the first
};

// Those of `processes` that belong to the run and are not dead.
std::vector<ProcessStat> members_of(const TreeRoots& roots, const std::vector<ProcessStat>& processes);

// Sends `signal` to exactly this process: a later one with its number is spared. False if it is gone or may not be signalled.
bool signal_process(const ProcessStat& process, int signal);

}  // namespace cloudtask::node
