// FailoverPlan: what would happen to the tasks of a runtime if some of its nodes went away: which would go where, and what each node would
// own then. By the same ring that nodes and allocator use, so that it is what happens.
//
// The plan is pure; the route reads the catalog and the allocation of this moment.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <vector>

#include "center/api_routes.h"
#include "center/task_store.h"
#include "cloudtask/ring/ring.h"

namespace cloudtask::center {

struct Move {
    std::string task_id, group, name;
    std::string from, to;  // node names; `to` is empty when no node could take it
    std::optional<std::int64_t> shard = {};
};

class FailoverPlan {
  public:
    // `down`: node ids. Moves of tasks with ids up to `beyond` are counted and not listed; of the rest, at most `limit` are, and a few more
    // where that would part the shards of a task.
    FailoverPlan(const ring::Ring& now, std::set<std::string> down, std::string beyond, std::size_t limit);

    // Each enabled task once, in order of id.
    void add(const PlacedTask& task);

    struct Load {
        std::int64_t now = 0, then = 0;  // tasks, and pieces of tasks
    };
    const std::map<std::string, Load>& loads() const { return loads_; }  // by id, of every node of the ring
    const std::vector<Move>& moves() const { return moves_; }
    bool more() const { return more_; }  // moves behind the last one that is listed
    std::int64_t moved() const { return moved_; }
    std::int64_t without_node() const { return without_node_; }  // of those that move, and of those that nobody owns now

  private:
    const ring::Ring& now_;
    const std::set<std::string> down_;
    const std::string beyond_;
    const std::size_t limit_;
    const ring::Ring then_;
    std::map<std::string, Load> loads_;
    std::vector<Move> moves_;
    bool more_ = false;
    std::int64_t moved_ = 0, without_node_ = 0;
};

// GET /api/v1/runtimes/{name}/failover-plan
Result<http::Response> get_failover_plan(Call& call);

}  // namespace cloudtask::center
