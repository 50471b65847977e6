// Pieces: see pieces.h.
#include "node/pieces.h"

#include <algorithm>
#include <utility>

namespace cloudtask::node {

std::vector<task::Task> Pieces::put(const task::Task& definition, const TaskPointer* single) {
    const auto [entry, is_new] = tasks_.try_emplace(definition.id);
    Known& known = entry->second;
    const task::Task* before = is_new ? nullptr : &known.definition;
    if (is_new && single != nullptr) {
        before = single->get();
        known.single = true;
    }
    std::vector<task::Task> pieces;
    const auto put_piece = [&](bool had, const auto& make) {
        if (!had && before != nullptr) pieces.push_back(make(*before));
        pieces.push_back(make(definition));
    };
    if (known.single || definition.mode == task::Mode::single) {
        put_piece(known.single,
                  [](const task::Task& version) { return version.mode == task::Mode::single ? version : task::without_fires(version); });
        known.single = true;
    }
    if (known.own || task::has_node_piece(definition, node_)) {
        put_piece(known.own, [this](const task::Task& version) { return task::piece_on(version, node_); });
        known.own = true;
    }
    const std::int64_t shards = definition.mode == task::Mode::shards ? definition.shards : 0;
    for (std::int64_t shard = 0; shard < std::max(shards, known.shards); ++shard) {
        put_piece(shard < known.shards, [shard](const task::Task& version) { return task::shard_of(version, shard); });
    }
    known.shards = std::max(shards, known.shards);
    known.definition = definition;
    return pieces;
}

std::vector<std::string> Pieces::erase(const std::string& id) {
    std::vector<std::string> ids;
    const auto entry = tasks_.extract(id);
    if (entry.empty()) return ids;
    const Known& known = entry.mapped();
    if (known.single) ids.push_back(id);
    if (known.own) ids.push_back(task::node_piece_id(id, node_.id));
    for (std::int64_t shard = 0; shard < known.shards; ++shard) ids.push_back(task::shard_id(id, shard));
    return ids;
}

const task::Task* Pieces::find(const std::string& id) const {
    const auto found = tasks_.find(id);
    return found == tasks_.end() ? nullptr : &found->second.definition;
}

}  // namespace cloudtask::node
