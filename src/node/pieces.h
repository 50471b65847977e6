// Pieces: what the sharded and broadcast tasks of the catalog replica are for this node: tasks of their own, which all the rest of the node
// goes by (docs/shards.md). Of a broadcast a node has its own piece only.
//
// Lives on the loop. No I/O. Of single tasks it holds nothing.
#pragma once

#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "cloudtask/task/pieces.h"
#include "node/task_index.h"

namespace cloudtask::node {

class Pieces {
  public:
    explicit Pieces(task::NodeName node) : node_(std::move(node)) {}

    // True if put() is to be asked: it is no single task, or was none before.
    bool concerns(const task::Task& definition) const { return definition.mode != task::Mode::single || knows(definition.id); }

    // The next version of a task: versions of its pieces, for each in their order. A piece that the version before had not comes with that
    // version of itself first, without fires: so it is a task whose schedules changed, for which the claims have rules, and none that is
    // new. `single`: the task as it is known here as a single one; null: it is not.
    std::vector<task::Task> put(const task::Task& definition, const TaskPointer* single);
    // The ids that the task has, or had, here; none: it is not known as one of pieces.
    std::vector<std::string> erase(const std::string& id);

    bool knows(std::string_view id) const { return tasks_.contains(std::string{id}); }
    // The newest version that was put; null if none was.
    const task::Task* find(const std::string& id) const;

  private:
    struct Known {
        task::Task definition;
        bool single = false;  // it was one
        bool own = false;     // it had this node's piece
        std::int64_t shards = 0;
    };

    task::NodeName node_;
    std::unordered_map<std::string, Known> tasks_;
};

}  // namespace cloudtask::node
