// Pieces: what a task of Mode::shards or Mode::broadcast is for the nodes: a task of its own for each shard, or for each node, with an id
// that follows from the task's. Everything that places, claims, starts and counts goes by pieces; people know the task. Pure; any thread.
//
// A piece has the versions of its task, one for each. Where a version has not this piece (it has fewer shards, or another mode, or does not
// name the node), the piece's version is without schedules: see without_fires(). So what a change of the mode leaves owed, and to whom, is
// what a change of a task's schedules does.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cloudtask/task/types.h"

namespace cloudtask::task {

struct Piece {
    std::string task_id;                // of the definition
    std::optional<std::int64_t> shard;  // from 0 on; none: a node's own
};

// A target with this in front is not the name of a node but its id. No user can write it.
inline constexpr char kNodeIdMark = '@';

struct NodeName {
    std::string id, name;
};

// The task as its users know it.
inline const std::string& definition_id(const Task& task) { return task.piece ? task.piece->task_id : task.id; }
// What the run was placed, and is counted, by: the piece's id, or that of a task which is a single one.
inline const std::string& placed_id(const Run& run) { return run.piece.empty() ? run.task_id : run.piece; }

std::string shard_id(std::string_view task_id, std::int64_t shard);
std::string node_piece_id(std::string_view task_id, std::string_view node_id);

// Does the version have that shard, or a piece of that node (as far as its targets say; labels are the ring's)?
bool has_shard(const Task& definition, std::int64_t shard);
bool has_node_piece(const Task& definition, const NodeName& node);
bool names_node(const std::vector<std::string>& targets, const std::string& name);

// The piece's version for this version of its task. The schedules' times are the task's: its pieces fire together.
Task shard_of(const Task& definition, std::int64_t shard);
// It goes to no other node, and has no fire of before the node was (by the node's id).
Task piece_on(const Task& definition, const NodeName& node);
// A version of a single task, or of a piece, that has no fires.
Task without_fires(Task task);

// "", ", shard 3 of 8", or ", on node-1": behind the task's name in texts for people. `shards`: 0 if that is not known.
std::string piece_text(const Run& run, std::int64_t shards = 0);

}  // namespace cloudtask::task
