// Logging through spdlog: one line an event, to standard error, UTC with microseconds. Any thread.
//
// Secrets never go into a log: pass ids, not tokens.
#pragma once

#include <string_view>

#include <spdlog/spdlog.h>

#include "cloudtask/core/result.h"

namespace cloudtask::log {

using spdlog::debug;
using spdlog::error;
using spdlog::info;
using spdlog::warn;

// `level`: debug, info, warn or error. `process` stands in each line.
Result<> init(std::string_view process, std::string_view level);

}  // namespace cloudtask::log
