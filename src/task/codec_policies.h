// JSON of a task's policies: limits, misfire, overlap, guarantee, retry, success. Pure; any thread.
#pragma once

#include "cloudtask/core/json.h"
#include "cloudtask/task/types.h"

namespace cloudtask::task {

// Reads those of the policies that the object has; the others stay as they are. Each fault goes to the reader's.
void read_policies(json::ObjectReader& reader, Task& task);

// Members of the object that is being written. What a task does not make use of is left out, but for the policies that every task has.
void write_policies(json::Writer& out, const Task& task);

}  // namespace cloudtask::task
