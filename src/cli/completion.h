// Shell completion scripts, made from the commands' descriptions. They complete commands, options, choices and file names, and never
// ask the center. Pure.
#pragma once

#include <string>
#include <vector>

#include "cli/command.h"

namespace cloudtask::cli {

std::string bash_completion(const std::vector<Command>& commands);
std::string zsh_completion(const std::vector<Command>& commands);
std::string fish_completion(const std::vector<Command>& commands);

}  // namespace cloudtask::cli
