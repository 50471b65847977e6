// Pieces of the ledger: see ledger_pieces.h. Pure.
#include "center/ledger_pieces.h"

#include <algorithm>
#include <utility>

#include <fmt/format.h>

#include "cloudtask/core/ids.h"

namespace cloudtask::center {

namespace {

// Of what cannot be read nobody knows what was due.
template <class Has>
Definition with_fires_where(const Definition& definition, const Has& has) {
    Definition mine = definition;
    for (auto& version : mine.versions) {
        if (version.problem.empty() && !has(version)) version.schedules.clear();
    }
    return mine;
}

LedgerPiece piece_of_node(const Definition& definition, std::string id, const task::NodeName& node, const ring::Member* member) {
    LedgerPiece piece{.id = std::move(id), .shard = {}, .node = node, .definition = {}};
    piece.definition = with_fires_where(definition, [](const DefinitionVersion& version) { return version.mode == task::Mode::broadcast; });
    for (auto& version : piece.definition.versions) {
        version.effective_from = std::max(version.effective_from, uuid_time(node.id));
        version.unasked = member == nullptr || !ring::Placement{version.targets, version.labels}.accepts(*member);
    }
    return piece;
}

}  // namespace

bool is_broadcast(const Definition& definition) {
    return std::any_of(definition.versions.begin(), definition.versions.end(),
                       [](const DefinitionVersion& version) { return version.mode == task::Mode::broadcast; });
}

std::vector<LedgerPiece> ledger_pieces(Definition definition, const std::vector<ring::Member>& nodes) {
    const auto is_single = [](const DefinitionVersion& version) { return version.mode == task::Mode::single; };
    const auto& versions = definition.versions;
    std::vector<LedgerPiece> pieces;
    if (std::all_of(versions.begin(), versions.end(), is_single)) {
        pieces.push_back({.id = {}, .shard = {}, .node = {}, .definition = std::move(definition)});
        return pieces;
    }
    if (std::any_of(versions.begin(), versions.end(), is_single)) {
        pieces.push_back({.id = {}, .shard = {}, .node = {}, .definition = with_fires_where(definition, is_single)});
    }
    std::int64_t shards = 0;
    for (const auto& version : versions) {
        if (version.mode == task::Mode::shards) shards = std::max(shards, version.shards);
    }
    for (std::int64_t shard = 0; shard < shards; ++shard) {
        const auto has = [shard](const DefinitionVersion& version) { return version.mode == task::Mode::shards && shard < version.shards; };
        pieces.push_back(
            {.id = task::shard_id(definition.task_id, shard), .shard = shard, .node = {}, .definition = with_fires_where(definition, has)});
    }
    if (!is_broadcast(definition)) return pieces;
    for (const auto& node : nodes) {
        pieces.push_back(piece_of_node(definition, task::node_piece_id(definition.task_id, node.id), {node.id, node.name}, &node));
    }
    return pieces;
}

LedgerPiece unknown_piece(const Definition& definition, const std::string& id) { return piece_of_node(definition, id, {}, nullptr); }

std::string piece_name(const LedgerPiece& piece) {
    if (piece.id.empty()) return {};
    if (piece.shard) return fmt::format("shard {}", *piece.shard);
    return piece.node.name.empty() ? "a node that was deleted" : "node " + piece.node.name;
}

}  // namespace cloudtask::center
