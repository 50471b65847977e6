// Questions to a snapshot of the cluster: see cluster_view.h.
#include "center/cluster_view.h"

#include <algorithm>

#include "cloudtask/ring/placement.h"

namespace cloudtask::center {

const ring::Member* ClusterView::owner(const task::Task& task) const {
    const auto runtime = runtimes.find(task.runtime);
    if (runtime == runtimes.end() || !runtime->second.ring) return nullptr;
    return runtime->second.ring->owner(task.id, ring::placement_of(task));
}

bool ClusterView::online(const std::string& runtime, const std::string& node_id) const {
    const auto found = runtimes.find(runtime);
    return found != runtimes.end() && found->second.nodes.contains(node_id);
}

bool ClusterView::in_ring(const std::string& runtime, const std::string& node_id) const {
    const auto found = runtimes.find(runtime);
    if (found == runtimes.end() || !found->second.ring) return false;
    const auto& members = found->second.ring->members();
    return std::any_of(members.begin(), members.end(), [&](const ring::Member& member) { return member.id == node_id; });
}

bool ClusterView::settled(const std::string& runtime) const {
    const auto found = runtimes.find(runtime);
    return connected && found != runtimes.end() && found->second.complete && found->second.settled;
}

bool ClusterView::gone(const std::string& runtime, const std::string& node_id) const {
    const auto found = runtimes.find(runtime);
    return connected && found != runtimes.end() && found->second.complete && !found->second.nodes.contains(node_id);
}

}  // namespace cloudtask::center
