// A runtime of several nodes in one process under virtual time: each node is a Coordinator with its own ZooKeeper session over one
// MemoryTree, and a runner that is no more than a journal of what was started. Checks that every fire is started exactly once.
#pragma once

#include <catch2/catch.hpp>

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cloudtask/core/fake_loop.h"
#include "cloudtask/zk/faulty_keeper.h"
#include "cloudtask/zk/memory_keeper.h"
#include "cloudtask/zk/recipes.h"
#include "node/coordinator.h"

namespace cloudtask::node {

using FireKey = std::pair<std::string, Instant>;

// The folder in ZooKeeper of the runtime that all nodes of a model belong to.
inline constexpr const char* kRuntime = "/runtimes/demo";

// The loop of a machine whose wall clock is off by `skew`.
class SkewedLoop final : public Loop {
  public:
    explicit SkewedLoop(FakeLoop& loop) : loop_(loop), clock_(loop.clock()) {}

    const Clock& clock() const override { return clock_; }
    void post(Function function) override { loop_.post(std::move(function)); }
    [[nodiscard]] Timer after(Duration delay, Function function) override { return loop_.after(delay, std::move(function)); }
    bool on_loop() const override { return true; }
    void set_skew(Duration skew) { clock_.skew = skew; }

  private:
    class SkewedClock final : public Clock {
      public:
        explicit SkewedClock(const Clock& right) : right_(right) {}
        Instant now() const override { return right_.now() + skew; }
        SteadyInstant steady_now() const override { return right_.steady_now(); }
        Duration skew{};

      private:
        const Clock& right_;
    };

    FakeLoop& loop_;
    SkewedClock clock_;
};

class ClusterModel {
  public:
    class Node {
      public:
        Node(ClusterModel& cluster, std::string id, Duration skew = {});
        ~Node();

        const std::string& id() const { return id_; }
        Coordinator& coordinator() { return *coordinator_; }
        std::int64_t session() const { return client_.keeper() == nullptr ? 0 : client_.keeper()->session_id(); }
        void expire() { cluster_.tree.expire(session()); }
        void set_connected(bool connected) { cluster_.tree.set_connected(session(), connected); }
        void set_skew(Duration skew) { loop_.set_skew(skew); }
        // Whether the node pulls the catalog when a revision is published.
        void set_pulling(bool pulling);
        bool left() const { return left_; }
        void leave();
        // The latest start of a fire since the last call.
        Duration take_worst_lateness() { return std::exchange(worst_lateness_, Duration::zero()); }
        std::size_t started() const { return journal_.size(); }
        std::optional<Instant> last_started() const { return last_started_; }

      private:
        void pull();
        void run_due();

        ClusterModel& cluster_;
        std::string id_;
        SkewedLoop loop_;
        zk::Client client_;
        bool pulling_ = true;
        bool left_ = false;
        std::set<FireKey>& journal_;  // outlives the process
        Duration worst_lateness_{};
        std::optional<Instant> last_started_;
        Timer pull_timer_, run_timer_;
        std::unique_ptr<Coordinator> coordinator_;
    };

    explicit ClusterModel(std::uint64_t seed = 1, zk::FaultRates faults = {});
    ~ClusterModel();

    Node& start(const std::string& id, Duration skew = {});
    Node& node(const std::string& id) { return *nodes.at(id); }
    // The process is gone, and ZooKeeper has noticed.
    void kill(const std::string& id);
    // The node hands over, and is gone when it has.
    void leave(const std::string& id);

    // Adds a task to the catalog; publish() makes the nodes see it.
    std::string add_task(Duration interval, Duration offset = {}, std::map<std::string, std::string> labels = {});
    void publish();

    bool until(const std::function<bool()>& condition, Duration limit = std::chrono::seconds{30}) {
        return loop.advance_until(condition, limit);
    }
    // The allocation as it stands in ZooKeeper.
    ring::Allocation allocation();
    std::set<std::string> member_ids();
    // All of these nodes, and no others, are in the ring, and the transition is over.
    bool settled_with(const std::set<std::string>& ids);
    std::string read(const std::string& path);
    std::vector<std::string> list(const std::string& path);
    // Each znode of the runtime with its times of change.
    std::map<std::string, std::string> versions();

    void erase(const std::string& path);  // with all below it
    // ZooKeeper comes back without its data: no session, no znode is left.
    void wipe();

    // How many nodes own the task.
    std::size_t owners(const std::string& task_id);
    // What is wrong with the fires up to `end`; empty when each was started exactly once (`lossy`: or was reported as uncertain).
    std::string check_fires(Instant end, bool lossy = false) const;

    FakeLoop loop;
    SeededRandom random;
    zk::FaultRates rates;
    zk::MemoryTree tree{loop};
    std::unique_ptr<zk::Keeper> admin;
    std::vector<TaskPointer> catalog;
    std::int64_t revision = 0;
    std::map<FireKey, std::vector<std::string>> started;  // by whom
    std::set<FireKey> uncertain;
    OnZookeeperLoss on_loss = OnZookeeperLoss::pause;
    std::map<std::string, std::set<FireKey>> journals;  // the disks, by node id
    std::map<std::string, ring::Memory> memories;
    std::map<std::string, std::unique_ptr<Node>> nodes;
};

}  // namespace cloudtask::node
