// The terminal: asking for a line without showing it. One thread; blocks.
#pragma once

#include <string>

#include "cloudtask/core/result.h"

namespace cloudtask::cli {

// Prints `prompt` to the terminal and reads a line with echo off; echo is on again afterwards, also after Ctrl-C.
Result<std::string> ask_secret(const std::string& prompt);

}  // namespace cloudtask::cli
