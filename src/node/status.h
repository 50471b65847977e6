// The node's page for monitors, on loopback: /healthz, /readyz, /status (JSON) and /metrics (Prometheus). Reads, never changes anything.
//
// Lives on the loop.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cloudtask/core/asio_loop.h"
#include "node/coordinator.h"
#include "node/runner.h"

namespace cloudtask::node {

// What the page shows, gathered when it is asked for.
struct StatusSource {
    std::string node_id, name, runtime;
    const Coordinator* coordinator = nullptr;
    const Runner* runner = nullptr;
    std::function<std::int64_t()> catalog_revision;
    std::function<std::int64_t()> delivered_reports;
};

class StatusServer {
  public:
    StatusServer(AsioLoop& loop, std::uint16_t port, StatusSource source);
    ~StatusServer();

    // Returns the port. Errors: in use.
    Result<std::uint16_t> start();
    void stop(std::function<void()> done);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace cloudtask::node
