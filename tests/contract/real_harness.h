// RealHarness: the contract suite's harness on a real ZooKeeper server and a real loop, which the test thread runs while it waits.
//
// One server serves the whole test program; each harness has a chroot of its own. Tests that stop or freeze a server start their own.
#pragma once

#include <memory>

#include "cloudtask/core/asio_loop.h"
#include "cloudtask/zk/client.h"
#include "tests/support/keeper_contract.h"
#include "tests/support/zookeeper_server.h"
#include "zk/session.h"

namespace cloudtask::test {

class RealHarness final : public KeeperHarness {
  public:
    RealHarness();  // on the server that all share
    explicit RealHarness(std::string servers);
    ~RealHarness() override;

    Loop& loop() override { return *loop_; }
    std::unique_ptr<zk::Keeper> connect() override { return open(options_); }
    void expire(zk::Keeper& keeper) override;
    bool pump_until(const std::function<bool()>& condition) override;

    const zk::SessionOptions& options() const { return options_; }
    std::unique_ptr<zk::Session> open(const zk::SessionOptions& options);

  private:
    // The worker's jobs post to the loop: it goes first.
    std::unique_ptr<AsioLoop> loop_;
    std::shared_ptr<Worker> worker_;
    zk::SessionOptions options_;
};

}  // namespace cloudtask::test
