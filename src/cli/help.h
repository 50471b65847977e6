// Help: what --help prints, and the reference part of docs/cli.md, both from the commands' descriptions. Pure.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cli/command.h"

namespace cloudtask::cli {

// All commands, one line each; with `family` ("task") only those that begin with that word.
std::string overview(const std::vector<Command>& commands, std::string_view family = {});

std::string help(const Command& command);

// "cloudtask task start [options] TASK"
std::string usage_line(const Command& command);

// Markdown: a section per command, then the global options.
std::string reference(const std::vector<Command>& commands);

}  // namespace cloudtask::cli
