// What a run is started with, and the sentences that say how it ended. Pure.
#pragma once

#include <string>

#include "cloudtask/task/types.h"
#include "node/node_store.h"
#include "node/process/supervisor.h"

namespace cloudtask::node {

// How the run of the task is started in `folder`; its CLOUDTASK_* variables are in docs/configuration.md. Error: the run's parameters are
// not such as work_out_parameters() leaves them.
Result<LaunchSpec> launch_spec(const task::Task& task, const task::Run& run, std::string folder);

// Why the run did not simply succeed; empty if it did.
std::string end_reason(const Ended& end, Duration time_limit);

// Why nobody knows how the run ended: its process is gone, as the journal has it.
std::string loss_reason(const JournalEntry& entry);

// What keeps a run from being begun: `here` runs of its task, or under its mutex, are going on on this node, and one on `elsewhere` if that
// names a node; `waiting` more are still to be begun before it.
struct InTheWay {
    std::int64_t here = 0;
    std::string elsewhere = {};
    std::int64_t waiting = 0;
    std::string mutex = {};   // see RunKeys
    std::string holder = {};  // the run of another task under it that goes on here
};
// Why it was not begun.
std::string overlap_reason(const InTheWay& way);
// Why it waits for its turn.
std::string waits_reason(const InTheWay& way);
// Why it may not even wait: so many do.
std::string full_reason(std::int64_t queued);
// Why it is not begun any more.
std::string deadline_reason(Duration start_deadline);

// The reason within the length that the codec takes, cut between characters of UTF-8. Reasons quote errors of others, which may be of any
// length.
std::string bounded_reason(std::string reason);

}  // namespace cloudtask::node
