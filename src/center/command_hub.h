// CommandHub: holds the long polls by which nodes wait for commands, without a thread for each.
//
// Lives on the loop; the database is asked on the worker. A command is handed out again after a while, until its node reports that it is
// done or refused; that a node gets one twice is normal, and nodes do each id once.
#pragma once

#include <functional>
#include <map>
#include <memory>
#include <string>

#include "center/store.h"
#include "cloudtask/core/loop.h"
#include "cloudtask/core/worker.h"
#include "cloudtask/http/server.h"

namespace cloudtask::center {

struct CommandHubOptions {
    Duration deliver_again = std::chrono::seconds{5};  // a command whose node has not reported it
    std::size_t max_commands = 100;                    // in one answer
};

class CommandHub {
  public:
    // The worker's jobs may outlive the hub; the store must outlive them.
    CommandHub(Loop& loop, Worker& worker, Store& store, CommandHubOptions options = {});
    ~CommandHub();

    // Answers when there is a command for the node, or after `wait` with none. A node has one poll: an older one is answered now.
    void poll(std::shared_ptr<http::Exchange> exchange, std::string node_id, Duration wait);

    // A command was committed for the node. Any thread.
    void notify(const std::string& node_id);

    // Answers all polls now, and those to come at once (the center stops).
    void close();

    std::size_t waiting() const;

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::center
