// Claims: who had a task before. Pure.
#include <algorithm>
#include <map>
#include <set>
#include <utility>

#include "node/claims.h"

namespace cloudtask::node {

namespace {

// Has `owner`, who took over in `epoch`, taken over everything, and started or reported all that `earlier` may have left?
bool has_dealt_with(const ring::Gone& owner, std::int64_t epoch, const ring::Gone& earlier) {
    return epoch <= owner.settled || (owner.last.resumed >= epoch && owner.last.done >= earlier.last.horizon);
}

}  // namespace

// One entry for each unbroken time of ownership: a node that lost the task and got it back may have acknowledged the first and not the
// second.
Claims::Owners Claims::earlier_owners(const std::string& key, const ring::Placement& placement) {
    const std::string_view task_id = task_id_of(key);
    Owners owners;
    if (!chain_.empty() && chain_.front().second.owner(task_id, placement) == nullptr) owners = owners_of_the_gone(task_id, placement);
    std::string before;  // the incarnation that owned it in the membership before
    for (std::size_t i = 0; i < chain_.size(); ++i) {
        const ring::Member* owner = chain_[i].second.owner(task_id, placement);
        const std::string incarnation = owner == nullptr ? std::string{} : owner->incarnation;
        const std::int64_t next_epoch = i + 1 < chain_.size() ? chain_[i + 1].first : allocation_.epoch;
        if (owner != nullptr && incarnation != incarnation_) {
            if (incarnation == before) {
                owners.back().lost_in = next_epoch;
            } else {
                owners.push_back({incarnation, owner->id == node_id_, chain_[i].first, next_epoch});
            }
        }
        before = incarnation;
    }
    return owners;
}

// Whoever may fire the task by the targets and labels that it had before: who owns it by them, now or in a membership that is not settled,
// and who may come to own it by them while it does not know of the move.
void Claims::add_owners_before(const std::string& key, const Move& move, Owners& owners) const {
    const std::string_view task_id = task_id_of(key);
    std::map<std::string, Owner> before;
    const auto add = [&](std::int64_t epoch, const ring::Ring& ring) {
        for (const auto& member : ring.members()) {
            if (member.incarnation == incarnation_ || !move.from.accepts(member)) continue;
            before.try_emplace(
                member.incarnation,
                Owner{.incarnation = member.incarnation, .moved_in = move.revision, .bystander = true, .same_fires = move.same_fires});
        }
        const ring::Member* present = ring.owner(task_id, move.from);
        for (auto& [incarnation, owner] : before) {
            if (present != nullptr && present->incarnation == incarnation) {
                if (std::exchange(owner.bystander, false)) owner.owned_since = epoch;
                owner.lost_in = 0;
            } else if (!owner.bystander && owner.lost_in == 0) {
                owner.lost_in = epoch;
            }
        }
    };
    for (const auto& one : allocation_.gone) {
        if (went_on_beyond(one, key, move))
            owners.push_back({.incarnation = one.node.incarnation, .moved_in = move.revision, .gone = true, .same_fires = move.same_fires});
    }
    for (const auto& [epoch, ring] : chain_) add(epoch, ring);
    add(allocation_.epoch, ring_);
    const std::size_t first = owners.size();
    for (auto& [incarnation, owner] : before) owners.push_back(std::move(owner));
    std::sort(owners.begin() + static_cast<std::ptrdiff_t>(first), owners.end(),
              [](const Owner& a, const Owner& b) { return a.owned_since < b.owned_since; });
}

// It had claimed fires beyond the move, and went without having learnt of it, or having learnt of it late. What it never learnt of it tells
// nothing about: by the targets and labels of before it may have owned the task, unless one that was surely there with it, as it is gone as
// well, did. Who is there now may have come later.
bool Claims::went_on_beyond(const ring::Gone& one, const std::string& key, const Move& move) const {
    const Instant moved = tasks_.at(key).effective_from;
    if (!move.from.accepts(one.node)) return false;
    if (one.last.revision >= move.revision) return ring::find_late(one.last.late, task_id_of(key), move.revision).value_or(moved) > moved;
    if (one.last.horizon <= moved) return false;
    std::vector<ring::Member> together{one.node};
    for (const auto& other : allocation_.gone) {
        const bool surely = other.last.since > 0 && other.last.since < one.lost_in && one.lost_in <= other.lost_in;
        if (surely && other.node.id != one.node.id) together.push_back(other.node);
    }
    return ring::Ring(std::move(together)).owner(task_id_of(key), move.from)->incarnation == one.node.incarnation;
}

// While no node could take the task, it was nobody's. Before that it was that one's of the nodes that could to which their ring gave it;
// and if that one went before it had dealt with what the one before it left, that one's as well, and so on.
Claims::Owners Claims::owners_of_the_gone(std::string_view task_id, const ring::Placement& placement) {
    Owners owners;  // latest first
    const auto& gone = allocation_.gone;
    if (std::none_of(gone.begin(), gone.end(), [&](const ring::Gone& one) { return placement.accepts(one.node); })) return owners;
    for (auto& membership : gone_) {
        if (!membership.ring) membership.ring.emplace(gone_before(membership.before));
        const ring::Member* owner = membership.ring->owner(task_id, placement);
        if (!owners.empty()) {
            Owner& after = owners.back();
            if (owner != nullptr && owner->incarnation == after.incarnation) continue;
            if (after.owned_since == 0) after.owned_since = membership.before;
        }
        if (owner == nullptr) continue;
        if (!owners.empty() &&
            has_dealt_with(*find_gone(owners.back().incarnation), owners.back().owned_since, *find_gone(owner->incarnation))) {
            break;
        }
        // Also of this very node: its journal may have forgotten by now.
        owners.push_back({.incarnation = owner->incarnation, .lost_in = membership.before, .gone = true});
    }
    if (!owners.empty() && owners.back().owned_since == 0) owners.back().owned_since = find_gone(owners.back().incarnation)->last.since;
    std::reverse(owners.begin(), owners.end());
    return owners;
}

const ring::Gone* Claims::find_gone(std::string_view incarnation) const {
    const auto found = std::find_if(allocation_.gone.begin(), allocation_.gone.end(),
                                    [incarnation](const ring::Gone& one) { return one.node.incarnation == incarnation; });
    return found == allocation_.gone.end() ? nullptr : &*found;
}

// What an incarnation that is no member any more has left; null for one that is. A member may be among the gone until the transition that
// brought it back is settled: then that counts only for who asks for one of the gone.
const ring::Departed* Claims::find_departed(const Owner& owner) const {
    if (const ring::Departed* departed = allocation_.find_departed(owner.incarnation); departed != nullptr && !owner.gone) return departed;
    if (!owner.gone && member(owner.incarnation)) return nullptr;
    const ring::Gone* gone = find_gone(owner.incarnation);
    return gone == nullptr ? nullptr : &gone->last;
}

// The tree was lost at some time, and no node has dealt with the task since then.
bool Claims::knows_nobody_before(const std::string& key, const ring::Placement& placement, const Owners& owners) const {
    const auto& rebuilt = allocation_.rebuilt;
    if (!rebuilt || chain_.empty()) return false;
    const auto owned = [&](const auto& membership) { return membership.second.owner(task_id_of(key), placement) != nullptr; };
    if (std::any_of(chain_.begin(), chain_.end(), owned)) return false;
    if (owners.empty()) return true;
    const ring::Gone& oldest = *find_gone(owners.front().incarnation);
    return oldest.settled < rebuilt->epoch && (oldest.last.resumed < rebuilt->epoch || oldest.last.done < rebuilt->until);
}

// One membership for each epoch in which one of the gone came or went.
void Claims::remember_gone() {
    std::set<std::int64_t, std::greater<>> epochs;
    for (const auto& one : allocation_.gone) epochs.insert({one.last.since, one.lost_in});
    gone_.clear();
    for (const std::int64_t epoch : epochs) gone_.push_back({epoch});
}

std::vector<ring::Member> Claims::gone_before(std::int64_t epoch) const {
    std::vector<ring::Member> nodes;
    for (const auto& one : allocation_.gone) {
        if (one.last.since < epoch && epoch <= one.lost_in) nodes.push_back(one.node);
    }
    return nodes;
}

}  // namespace cloudtask::node
