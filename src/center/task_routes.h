// How routes answer with a task.
#pragma once

#include "center/api_routes.h"
#include "center/task_store.h"

namespace cloudtask::center {

// The task with its version as the ETag, and where it is to be found if it is new (201).
http::Response task_response(const Call& call, int status, const StoredTask& stored);

}  // namespace cloudtask::center
