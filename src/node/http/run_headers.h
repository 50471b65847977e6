// What a call says of its run, by which its receiver knows a repetition and an owner of before. What each header means is in
// docs/url-tasks.md. Pure; any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "cloudtask/task/types.h"

namespace cloudtask::node {

// `first_run`: the id of the first attempt of the run's fire or manual start. All attempts of a fire have the same Idempotency-Key, also
// where another node makes them: it follows from task and fire time alone.
std::map<std::string, std::string> run_headers(const task::Run& run, std::string_view first_run);

}  // namespace cloudtask::node
