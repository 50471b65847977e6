// JSON of the secrets that a task names and of those that a run was given. Pure; any thread.
#pragma once

#include "cloudtask/core/json.h"
#include "cloudtask/task/types.h"

namespace cloudtask::task {

// Reads what stands under "secrets", if anything. The task's environment is read before: no variable is in both.
void read_secrets(json::ObjectReader& reader, Task& task);
void read_secret_versions(json::ObjectReader& reader, Run& run);

// Members of the object that is being written; nothing if there are none.
void write_secrets(json::Writer& out, const Task& task);
void write_secret_versions(json::Writer& out, const Run& run);

}  // namespace cloudtask::task
