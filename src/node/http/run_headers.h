// What a call says of its run, by which its receiver knows a repetition and an owner of before. What each header means is in
// docs/url-tasks.md. Pure; any thread.
#pragma once

#include <map>
#include <string>

#include "cloudtask/task/types.h"

namespace cloudtask::node {

// All attempts of a fire, or of a manual start, have the same Idempotency-Key. That of a fire follows from task and time alone, so that it
// is the same also where another node makes them.
std::map<std::string, std::string> run_headers(const task::Run& run);

}  // namespace cloudtask::node
