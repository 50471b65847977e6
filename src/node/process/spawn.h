// spawn(): one child process, with an environment, a working folder and descriptors of its own.
//
// As posix_spawn(3) does it, by a clone(2) that shares the memory and waits: fork(2) copies page tables and falls to 155/s when the node has
// grown. But with a stack that is kept (to map and unmap one for each start makes all processors of a threaded program forget their page
// tables), and with the pidfd from the same call. Blocks until the child has begun its program (well under a millisecond), so that a
// program that cannot be started is an error here. Any thread.
//
// The child leads a session and a process group of its own, has no signal blocked or ignored, and holds no descriptor but 0, 1 and 2.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "cloudtask/core/result.h"
#include "node/process/pidfd.h"

namespace cloudtask::node {

using Environment = std::map<std::string, std::string>;

// What every child gets of the node's own environment: PATH and HOME (with defaults), LANG and TZ if set. Nothing else: the node's secrets
// stay with the node.
Environment base_environment();

struct SpawnRequest {
    // Exactly one is set. command[0] with a '/' that is relative is looked up in the working folder; without a '/' in the PATH of
    // `environment`.
    std::vector<std::string> command;
    std::string shell;  // run by `/bin/sh -c`

    Environment environment;     // all of it
    std::string working_folder;  // absolute
    int standard_input = -1, standard_output = -1, standard_error = -1;
};

struct Child {
    pid_t pid = 0;
    Pidfd pidfd;
};

// Errors: see Supervisor::start().
Result<Child> spawn(const SpawnRequest& request);

}  // namespace cloudtask::node
