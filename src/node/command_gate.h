// CommandGate: the center's commands in their order, but for starts that wait for their task's secrets. What comes for the same run
// meanwhile (a stop, the start once more) waits behind its start, and nothing else does.
//
// Lives on the loop. What waits is not carried out when the gate is destroyed: the center tells of it again.
#pragma once

#include <functional>
#include <memory>

#include "node/center_link.h"

namespace cloudtask::node {

class CommandGate {
  public:
    // Calls `then` once, when the task may be started; at once, if nothing is to be waited for: see SecretSync::need().
    using Need = std::function<void(const task::Task& task, std::function<void()> then)>;
    CommandGate(Need need, std::function<void(Command)> carry_out);
    ~CommandGate();

    void take(Command command);

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::node
