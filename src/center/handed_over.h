// Attempts that go from one node to another (`retry.node: other`). The node that had the attempt before gives the next one up in the
// transaction in which that ended, and reports it; here it becomes the start of a run on a node that is chosen, as a start by hand does:
// a command that is delivered until the node has it on disk. So it has one owner at a time: the one node, the history, the other node.
//
// One transaction, one thread. Who is to be told of the command after the commit is returned.
#pragma once

#include <string>
#include <string_view>

#include "center/cluster_view.h"
#include "center/commands_store.h"
#include "center/run_recorder.h"
#include "cloudtask/task/hand_over.h"

namespace soci {
class session;
}

namespace cloudtask::center {

// Takes in the attempt `run`, as `reporter` has given it up, and has the node chosen begin it: another one than `hand_over.after` that is a
// member of the ring, may run it and neither leaves nor is cordoned; if there is none, or ZooKeeper is out of reach, `hand_over.after`
// itself. Of a task that is disabled or gone it is SKIPPED. Returns the id of the node that has a command now; empty: none has. Told again
// it changes nothing. Error: invalid_argument: it can never be recorded.
Result<std::string> take_hand_over(soci::session& sql, RunRecorder& recorder, const ClusterView& cluster, const task::Run& run,
                                   const task::HandOver& hand_over, std::string_view reporter, Instant now);

// Of a PENDING attempt whose node is gone: what became of it, and who has a command now.
struct Kept {
    bool kept = false;  // else it is lost: its node was handed the command, and was removed
    std::string node_id = {};
};
// One that was never delivered goes to another node, if there is one; else it waits for its node, which may have it on disk.
Kept keep_hand_over(soci::session& sql, const ClusterView& cluster, const task::Run& run, const Command& command,
                    const std::string& command_id, Instant now);

}  // namespace cloudtask::center
