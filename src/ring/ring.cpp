// Ring: building the points, and the walks along them. Pure; any thread.
#include "cloudtask/ring/ring.h"

#include <algorithm>
#include <bit>
#include <tuple>

#include "cloudtask/core/hash.h"
#include "cloudtask/task/pieces.h"

namespace cloudtask::ring {

namespace {

constexpr std::uint32_t kLeastWeight = 1;
constexpr std::uint32_t kMostWeight = 100;

std::uint64_t point_of(std::string_view task_id, const Placement& placement) {
    return placement.mutex_point != 0 ? placement.mutex_point : xxhash64(task_id);
}

}  // namespace

bool Placement::accepts(const Member& member) const {
    const auto names_it = [&member](const std::string& target) {
        if (!target.empty() && target.front() == task::kNodeIdMark) return std::string_view{target}.substr(1) == member.id;
        return target == member.name;
    };
    if (!targets.empty() && std::none_of(targets.begin(), targets.end(), names_it)) return false;
    return std::all_of(labels.begin(), labels.end(), [&](const auto& label) {
        const auto found = member.labels.find(label.first);
        return found != member.labels.end() && found->second == label.second;
    });
}

std::uint64_t mutex_point(std::string_view mutex_key) { return mutex_key.empty() ? 0 : std::max<std::uint64_t>(xxhash64(mutex_key), 1); }

Ring::Ring(std::vector<Member> members, std::uint32_t points_per_weight) : members_(std::move(members)) {
    std::sort(members_.begin(), members_.end(),
              [](const Member& a, const Member& b) { return std::tie(a.id, b.incarnation) < std::tie(b.id, a.incarnation); });
    members_.erase(std::unique(members_.begin(), members_.end(), [](const Member& a, const Member& b) { return a.id == b.id; }),
                   members_.end());
    if (members_.empty()) return;

    for (std::uint32_t i = 0; i < members_.size(); ++i) {
        const std::uint32_t weight = std::clamp(members_[i].weight, kLeastWeight, kMostWeight);
        const std::uint32_t count = weight * std::max(points_per_weight, 1U);
        for (std::uint32_t number = 0; number < count; ++number) points_.push_back({xxhash64(members_[i].id, number), i});
    }
    // Members stand by id, so two points with one hash fall the same way on every machine.
    std::sort(points_.begin(), points_.end(),
              [](const Point& a, const Point& b) { return std::tie(a.hash, a.member) < std::tie(b.hash, b.member); });

    const unsigned bits = std::max(2U, static_cast<unsigned>(std::bit_width(points_.size()))) - 1;
    slot_shift_ = 64 - bits;
    slots_.resize((std::size_t{1} << bits) + 1);
    std::uint32_t point = 0;
    for (std::size_t slot = 0; slot < slots_.size(); ++slot) {
        while (point < points_.size() && (points_[point].hash >> slot_shift_) < slot) ++point;
        slots_[slot] = point;
    }
}

std::size_t Ring::first_point(std::uint64_t hash) const {
    const std::uint64_t slot = hash >> slot_shift_;
    const auto begin = points_.begin() + slots_[slot];
    const auto end = points_.begin() + slots_[slot + 1];
    const auto found = std::lower_bound(begin, end, hash, [](const Point& point, std::uint64_t wanted) { return point.hash < wanted; });
    return found == points_.end() ? 0 : static_cast<std::size_t>(found - points_.begin());
}

const Member* Ring::owner(std::string_view task_id, const Placement& placement) const {
    if (points_.empty()) return nullptr;
    if (placement.unconstrained()) return &members_[points_[first_point(point_of(task_id, placement))].member];
    const auto preferred = preference(task_id, placement, 1);
    return preferred.empty() ? nullptr : preferred.front();
}

std::vector<const Member*> Ring::preference(std::string_view task_id, const Placement& placement, std::size_t count) const {
    std::vector<const Member*> preferred;
    if (points_.empty() || count == 0) return preferred;
    // Each member is judged once, and the walk ends when all are, which is long before a full turn.
    std::vector<bool> judged(members_.size());
    std::size_t left = members_.size();
    for (std::size_t point = first_point(point_of(task_id, placement)); left > 0; point = point + 1 == points_.size() ? 0 : point + 1) {
        const std::uint32_t index = points_[point].member;
        if (judged[index]) continue;
        judged[index] = true;
        --left;
        if (!placement.accepts(members_[index])) continue;
        preferred.push_back(&members_[index]);
        if (preferred.size() == count) break;
    }
    return preferred;
}

}  // namespace cloudtask::ring
