// CallSupervisor: the Supervisor of a node whose runs are programs and HTTP calls. Programs are another Supervisor's; what has an address
// in its LaunchSpec is called by HttpCalls, and told of as if it were a process that ends.
//
// The first bytes of an answer's body become the run's standard output. A call has no process: its identity is {}, nobody finds it again,
// and what the journal knows of it after a restart is that it may have been made.
//
// Lives on the loop, as a Supervisor does.
#pragma once

#include <memory>

#include "cloudtask/core/loop.h"
#include "node/http/calls.h"
#include "node/process/supervisor.h"

namespace cloudtask::node {

std::unique_ptr<Supervisor> make_call_supervisor(Loop& loop, std::unique_ptr<Supervisor> programs, std::unique_ptr<HttpCalls> calls);

}  // namespace cloudtask::node
