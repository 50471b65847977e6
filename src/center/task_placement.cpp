// Owners of tasks and their pieces: see task_placement.h. Pure.
#include "center/task_placement.h"

#include <charconv>

#include "cloudtask/ring/placement.h"
#include "cloudtask/task/pieces.h"

namespace cloudtask::center {

TaskPlacement placement_of(const task::Task& task) { return {ring::placement_of(task), task.mode, task.shards}; }

void visit_owners(const ring::Ring& ring, std::string_view task_id, const TaskPlacement& placement,
                  const std::function<void(const PlacedPiece& piece)>& visit) {
    switch (placement.mode) {
        case task::Mode::single:
            return visit({task_id, std::nullopt, ring.owner(task_id, placement.nodes)});
        case task::Mode::shards:
            for (std::int64_t shard = 0; shard < placement.shards; ++shard) {
                const std::string id = task::shard_id(task_id, shard);
                visit({id, shard, ring.owner(id, placement.nodes)});
            }
            return;
        case task::Mode::broadcast:
            for (const auto& member : ring.members()) {
                if (!placement.nodes.accepts(member)) continue;
                const std::string id = task::node_piece_id(task_id, member.id);
                visit({id, std::nullopt, &member});
            }
            return;
    }
}

std::optional<std::int64_t> read_shard(std::string_view text) {
    std::int64_t shard = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), shard);
    const bool is_number = error == std::errc{} && end == text.data() + text.size();
    return is_number && shard >= 0 && shard < task::kMostShards ? std::optional(shard) : std::nullopt;
}

}  // namespace cloudtask::center
