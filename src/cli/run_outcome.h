// How a run ended: waiting for it, and saying it in a sentence. One thread; wait_for_end() blocks.
#pragma once

#include <string>

#include "cli/center.h"

namespace cloudtask::cli {

// Asks until the run has ended; returns it. The center may be away for a while in between.
Result<json::Document> wait_for_end(Center& center, const std::string& run_id);

// "run 0193... of demo/reports/daily FAILED: exit code 3 on node-1"
std::string describe_end(const json::Value& run);

}  // namespace cloudtask::cli
