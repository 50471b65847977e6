// The children of this process: those that were spawned for runs, and the orphans of runs that came to it as a subreaper.
//
// Children belong to the process, not to an object, hence one registry a process: it keeps one Supervisor from reaping what another, or
// another part of the program, waits for. Any thread.
#pragma once

#include <sys/types.h>

#include <functional>
#include <optional>
#include <vector>

#include "cloudtask/core/result.h"

namespace cloudtask::node {

// How a process ended; see wait(2).
struct ExitStatus {
    bool signalled = false;
    int value = 0;  // the exit code, or the signal
};

// Runs `make`, which spawns, and registers the child. Until then nobody takes it for an orphan. Nobody else waits meanwhile.
Result<pid_t> spawn_registered(const std::function<Result<pid_t>()>& make);

// Registers a child of this process that is already there; false if `pid` is not its child.
bool register_if_child(pid_t pid);

// Reaps a registered child that has ended. Empty if it has not.
std::optional<ExitStatus> reap_registered(pid_t pid);

// Ends a registered child, with its group, and reaps it. Blocks until it is gone, which a KILL does not leave it long.
void end_registered(pid_t pid);

// The orphans of runs among the children: not registered, in another session than this process, and none that is just being spawned.
// Those that are dead are reaped, the others returned.
std::vector<pid_t> reap_orphans();

// Makes this process the one that orphans of its descendants come to; prctl(2), PR_SET_CHILD_SUBREAPER.
void become_subreaper();

}  // namespace cloudtask::node
