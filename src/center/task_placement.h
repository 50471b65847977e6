// Where a task is placed: its targets, labels and mode, and the owner of it, or of each of its pieces, by a ring. Pure.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <string_view>

#include "cloudtask/ring/ring.h"
#include "cloudtask/task/types.h"

namespace cloudtask::center {

struct TaskPlacement {
    ring::Placement nodes;
    task::Mode mode = task::Mode::single;
    std::int64_t shards = 1;
};

TaskPlacement placement_of(const task::Task& task);

struct PlacedPiece {
    std::string_view id;                  // of the piece; a single task's own
    std::optional<std::int64_t> shard;    // of a sharded task
    const ring::Member* owner = nullptr;  // null: no member may take it
};

// Calls `visit` for a single task once, for a sharded one for each shard, for a broadcast for each member that it is for.
void visit_owners(const ring::Ring& ring, std::string_view task_id, const TaskPlacement& placement,
                  const std::function<void(const PlacedPiece& piece)>& visit);

// The number of a shard, as it stands in a query.
std::optional<std::int64_t> read_shard(std::string_view text);

}  // namespace cloudtask::center
