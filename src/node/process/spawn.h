// spawn(): one child process by posix_spawn(3), with an environment, a working folder and descriptors of its own.
//
// Only posix_spawn: fork(2) copies page tables and falls to 155/s when the node has grown. Blocks until the child has begun its program
// (well under a millisecond), so that a program that cannot be started is an error here. Any thread.
//
// The child leads a session and a process group of its own, has no signal blocked or ignored, and holds no descriptor but 0, 1 and 2.
#pragma once

#include <sys/types.h>

#include <map>
#include <string>
#include <vector>

#include "cloudtask/core/result.h"

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

// The child's pid. Errors: see Supervisor::start().
Result<pid_t> spawn(const SpawnRequest& request);

}  // namespace cloudtask::node
