// SecretSync: has the center tell this node the secrets of the tasks that it may run (docs/wire.md), sealed for its key, and keeps them on
// disk. One conversation at a time; a center that is away, or does not know secrets, is asked again with backoff.
//
// Lives on the loop.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>

#include "cloudtask/core/loop.h"
#include "cloudtask/core/random.h"
#include "cloudtask/http/client.h"
#include "node/disk.h"
#include "node/node_secrets.h"

namespace cloudtask::node {

class SecretSync {
  public:
    // All outlive it. `labels`: this node's.
    SecretSync(Loop& loop, Random& random, http::Client& client, Disk& disk, NodeSecrets& secrets,
               std::map<std::string, std::string> labels);
    ~SecretSync();

    // The center's secrets are at `revision` (0: the runtime never had any). Asks if that is news, or if `anew`; then calls `then`, at
    // once if there is nothing to ask, and also when the center does not answer: what is missing comes later.
    void follow(std::int64_t revision, bool anew, std::function<void()> then);
    // The task is about to be started: calls `then` when its secrets are there, or the center does not have them.
    void need(const task::Task& task, std::function<void()> then);

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::node
