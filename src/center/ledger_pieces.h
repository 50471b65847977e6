// What a task's fires are accounted by: the task, or its shards, or the nodes that it is broadcast to. Each has a ledger of its own, by the
// versions of the task as they are for it (task/pieces.h has the rule). Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "center/ledger.h"
#include "cloudtask/ring/ring.h"
#include "cloudtask/task/pieces.h"

namespace cloudtask::center {

struct LedgerPiece {
    std::string id;                     // empty: the task itself
    std::optional<std::int64_t> shard;  // of a shard
    task::NodeName node;                // of a node's own piece; without a name if the node is not known any more
    Definition definition;              // `task_id` is the task's
};

// `nodes`: those of the runtime, with their labels. A single task has one piece.
std::vector<LedgerPiece> ledger_pieces(Definition definition, const std::vector<ring::Member>& nodes);

// Whether it may have a piece for each node.
bool is_broadcast(const Definition& definition);

// Of a piece that the history has and ledger_pieces() does not: of a node that was deleted, or one that no version had.
LedgerPiece unknown_piece(const Definition& definition, const std::string& id);

// "", "shard 3", "node node-1".
std::string piece_name(const LedgerPiece& piece);

}  // namespace cloudtask::center
