// The program: its commands, and running one of them. main.cpp gives it the real surroundings, tests give it others.
//
// One thread.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"
#include "cli/context.h"

namespace cloudtask::cli {

// All commands, in the order in which help lists them.
const std::vector<Command>& all_commands();

// Runs the command line `words` (without the program's name). Returns the exit code; errors are printed to context.err.
int run_program(Context& context, const std::vector<std::string>& words);

}  // namespace cloudtask::cli
