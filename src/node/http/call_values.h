// What a call is made with beside its definition: the key that signs it, and the values of its parameters and secrets. Lives on the loop,
// as NodeSecrets does.
#pragma once

#include "cloudtask/core/result.h"
#include "cloudtask/task/types.h"
#include "node/node_secrets.h"
#include "node/process/supervisor.h"

namespace cloudtask::node {

// Of a task with a call: puts them into the spec of a run that is being started. Error: what the run cannot have, or a value that makes no
// header or address; then nothing may be sent.
Result<> put_call_values(LaunchSpec& spec, const task::Task& task, const task::Run& run, const NodeSecrets& secrets);

}  // namespace cloudtask::node
