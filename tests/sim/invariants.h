// Invariants: looks at everything that happens in a world, as it happens: each start of a process, each record that ZooKeeper takes; and,
// at the end, at the history. Shares no code with the scheduler but the ring, which says who owns what.
//
// I1 to I6 are those of the design; docs/simulation.md says how each is checked.
#pragma once

#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <vector>

#include "cloudtask/ring/allocation.h"
#include "tests/sim/fake_processes.h"
#include "tests/sim/oracle.h"
#include "tests/sim/sim_center.h"

namespace cloudtask::sim {

struct Violation {
    std::string kind, detail;
};

class Invariants {
  public:
    explicit Invariants(const SimCenter& center) : center_(center) {}

    // --- while it goes on; each returns what is violated
    std::optional<Violation> started(const std::string& node_id, const Start& start, Instant world_now);
    std::optional<Violation> horizon_written(const std::string& node_id, const std::string& data);
    std::optional<Violation> allocation_written(const std::string& data, Instant world_now);
    // ZooKeeper is empty again.
    void forget_allocation() {
        allocation_ = {};
        ring_ = std::make_shared<ring::Ring>();
    }

    // --- at the end
    // Every fire up to `until` has its verdict. `calm_from`: nothing has died or failed, so that from there on each was started, at most
    // `bound` late.
    std::optional<Violation> settled(Instant until, std::optional<Instant> calm_from, Duration bound) const;

    const ring::Allocation& allocation() const { return allocation_; }
    // By the allocation as it is now, and this version of the task.
    bool owns(const std::string& node_id, const task::Task& task) const;
    std::uint64_t starts() const { return starts_.size(); }
    std::uint64_t fires() const { return fires_; }

  private:
    struct Begun {
        std::string node_id, task_id;
        std::optional<Instant> fire_time;
        int attempt = 1;
        Instant at{};
    };
    std::vector<Rule> rules_of(const std::string& task_id) const;
    bool ever_owned(const std::string& node_id, const std::string& task_id) const;
    bool had_owner(const task::Task& task, Instant from, Instant until) const;
    bool had_owner_throughout(const task::Task& task, Instant from, Instant until) const;
    bool has_verdict(const std::string& task_id, Instant time) const;
    // Why a fire without a verdict needs none; empty if it does.
    std::string_view excuse(const std::vector<Version>& versions, const std::vector<Rule>& rules, const Expected& expected,
                            Instant until) const;

    const SimCenter& center_;
    std::map<std::string, Begun> starts_;      // by run id
    std::map<std::string, Instant> horizons_;  // by node: the highest that any of its incarnations had written
    ring::Allocation allocation_;
    std::shared_ptr<const ring::Ring> ring_ = std::make_shared<ring::Ring>();  // of its nodes
    struct Epoch {
        Instant since{};
        std::shared_ptr<const ring::Ring> ring;
    };
    std::vector<Epoch> epochs_;  // all of them
    mutable std::uint64_t fires_ = 0;
};

}  // namespace cloudtask::sim
