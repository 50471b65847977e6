// Counting what nodes own: see owned_tasks.h.
#include "center/owned_tasks.h"

#include "center/task_store.h"

namespace cloudtask::center {

std::int64_t OwnedTasks::Counted::of(const std::string& node_id) const {
    const auto found = by_node.find(node_id);
    return found == by_node.end() ? 0 : found->second;
}

std::optional<std::int64_t> OwnedTasks::of(soci::session& sql, const std::string& runtime, const std::string& node_id,
                                           const ClusterView& cluster) {
    if (!cluster.in_ring(runtime, node_id)) return 0;
    Counted now{cluster.runtimes.at(runtime).ring, catalog_revision(sql), {}};
    {
        const std::lock_guard lock(mutex_);
        const Counted& known = counted_[runtime];
        const bool same_ring = known.ring == now.ring;
        if (same_ring && (known.revision == now.revision || counting_)) return known.of(node_id);
        if (counting_) return std::nullopt;
        counting_ = true;
    }
    // Also when the database throws.
    struct Done {
        OwnedTasks& counts;
        ~Done() {
            const std::lock_guard lock(counts.mutex_);
            counts.counting_ = false;
        }
    } const done{*this};
    visit_enabled_tasks(sql, runtime, [&now](const std::string& id, const TaskPlacement& placement) {
        visit_owners(*now.ring, id, placement, [&now](const PlacedPiece& piece) {
            if (piece.owner != nullptr) ++now.by_node[piece.owner->id];
        });
    });
    const std::int64_t owned = now.of(node_id);
    const std::lock_guard lock(mutex_);
    counted_[runtime] = std::move(now);
    return owned;
}

}  // namespace cloudtask::center
