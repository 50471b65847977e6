// Pieces of sharded and broadcast tasks: see pieces.h. Pure.
#include "cloudtask/task/pieces.h"

#include <fmt/format.h>

#include <algorithm>
#include <memory>
#include <utility>

#include "cloudtask/core/ids.h"

namespace cloudtask::task {

namespace {

// With the time of the task's own: ids of its pieces stand near it.
std::string piece_id(std::string_view task_id, const std::string& what) {
    return make_named_uuid(uuid_time(task_id), fmt::format("{}/{}", task_id, what));
}

}  // namespace

std::string shard_id(std::string_view task_id, std::int64_t shard) { return piece_id(task_id, fmt::format("shard/{}", shard)); }

std::string node_piece_id(std::string_view task_id, std::string_view node_id) { return piece_id(task_id, fmt::format("node/{}", node_id)); }

bool has_shard(const Task& definition, std::int64_t shard) { return definition.mode == Mode::shards && shard < definition.shards; }

bool has_node_piece(const Task& definition, const NodeName& node) {
    return definition.mode == Mode::broadcast && names_node(definition.targets, node.name);
}

bool names_node(const std::vector<std::string>& targets, const std::string& name) {
    return targets.empty() || std::find(targets.begin(), targets.end(), name) != targets.end();
}

Task shard_of(const Task& definition, std::int64_t shard) {
    Task task = definition;
    task.id = shard_id(definition.id, shard);
    task.piece = std::make_shared<const Piece>(Piece{definition.id, shard});
    return has_shard(definition, shard) ? task : without_fires(std::move(task));
}

Task piece_on(const Task& definition, const NodeName& node) {
    Task task = definition;
    task.id = node_piece_id(definition.id, node.id);
    task.piece = std::make_shared<const Piece>(Piece{definition.id, std::nullopt});
    task.targets = {kNodeIdMark + node.id};
    task.effective_from = std::max(task.effective_from, uuid_time(node.id));
    return has_node_piece(definition, node) ? task : without_fires(std::move(task));
}

Task without_fires(Task task) {
    task.schedules.clear();
    task.calendars.clear();
    return task;
}

std::string piece_text(const Run& run, std::int64_t shards) {
    if (run.piece.empty()) return {};
    if (!run.shard) return fmt::format(", on {}", run.node_name.empty() ? run.node_id : run.node_name);
    return shards > 0 ? fmt::format(", shard {} of {}", *run.shard, shards) : fmt::format(", shard {}", *run.shard);
}

}  // namespace cloudtask::task
