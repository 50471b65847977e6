// The allocator's decision. It has no state of its own: all that it needs stands in the records, so that any node can take it over.
#include <algorithm>
#include <limits>
#include <set>
#include <string_view>

#include "cloudtask/core/check.h"
#include "cloudtask/ring/allocation.h"

namespace cloudtask::ring {

namespace {

// Every member that may still have to do with the transition in progress: of the present epoch and of all that are not settled.
std::vector<const Member*> chain_members(const Allocation& allocation) {
    std::vector<const Member*> chain;
    for (const auto& node : allocation.nodes) chain.push_back(&node);
    for (const auto& membership : allocation.previous) {
        for (const auto& node : membership.nodes) chain.push_back(&node);
    }
    return chain;
}

bool holds(const std::vector<Member>& members, const Member& member) {
    return std::any_of(members.begin(), members.end(), [&member](const Member& m) { return m.incarnation == member.incarnation; });
}

struct Wanted {
    std::vector<Member> members;  // by id
    bool held_back = false;       // there are others, who do not know enough yet
};

// The members that the ring should have: all that are here and do not want to leave. Who would take over tasks that others know more of
// stays outside as long as one of these others stays.
Wanted wanted_members(const ClusterState& state) {
    std::set<std::string_view> members;
    for (const auto& node : state.current.nodes) members.insert(node.incarnation);
    const auto stays = [&members](const auto& entry) { return !entry.second.leaving && members.contains(entry.first); };
    const bool any_stays = std::any_of(state.present.begin(), state.present.end(), stays);
    Wanted wanted;
    for (const auto& entry : state.present) {
        const Registration& registration = entry.second;
        if (registration.leaving) continue;
        if (any_stays && !stays(entry) && registration.revision < state.published) {
            wanted.held_back = true;
        } else {
            wanted.members.push_back(registration.member);
        }
    }
    std::sort(wanted.members.begin(), wanted.members.end(), [](const Member& a, const Member& b) { return a.id < b.id; });
    return wanted;
}

// So long before the tree was last seen, every node's `done` had followed: it does so within seconds, or its session is over.
constexpr Duration kUntold = std::chrono::minutes{1};

Memory newest_memory(const std::map<std::string, Registration>& present) {
    Memory newest;
    for (const auto& [incarnation, registration] : present) {
        newest.epoch = std::max(newest.epoch, registration.remembers.epoch);
        newest.at = std::max(newest.at, registration.remembers.at);
    }
    return newest;
}

// Has everybody who is alive acknowledged the epoch and started the fires that it handed over no more, and has every member taken over what
// it gained?
bool is_settled(const ClusterState& state) {
    for (const Member* member : chain_members(state.current)) {
        if (!state.present.contains(member->incarnation)) continue;
        const auto found = state.horizons.find(member->incarnation);
        if (found == state.horizons.end()) return false;
        const HorizonRecord& record = found->second;
        if (record.epoch < state.current.epoch) return false;
        if (holds(state.current.nodes, *member) && record.resumed < state.current.epoch) return false;
        // Were the chain forgotten earlier, nobody would report what a loser of tasks could not start any more because it died.
        if (!record.handovers.empty() && record.done < record.handovers.back().at) return false;
        // What it runs again for somebody who is gone lies below its floor: whoever comes after it must not run that again.
        if (record.done < record.floor) return false;
    }
    return true;
}

Departed departed_with(const std::string& incarnation, const HorizonRecord& last) {
    return {incarnation,   last.epoch,     last.horizon, last.done,  last.floor,
            last.revision, last.handovers, last.late,    last.since, last.resumed};
}

// `node` has taken over all that it gained, and has done all up to `done`: what an earlier life of it had left up to there, if that could
// take the same tasks, is dealt with.
void forget_earlier_lives(std::vector<Gone>& gone, const Member& node, Instant done) {
    std::erase_if(gone, [&](const Gone& one) {
        return one.node.id == node.id && one.node.name == node.name && one.node.labels == node.labels && one.last.horizon <= done;
    });
}

// Who is gone once the transition is settled: as before it, and those that it left out.
std::vector<Gone> gone_after(const ClusterState& state) {
    const Allocation& current = state.current;
    std::vector<Gone> gone = current.gone;
    std::map<std::string, std::int64_t> member_since;  // by incarnation
    for (std::size_t i = 0; i < current.previous.size(); ++i) {
        const std::int64_t lost_in = i + 1 < current.previous.size() ? current.previous[i + 1].epoch : current.epoch;
        for (const auto& node : current.previous[i].nodes) {
            const std::int64_t since = member_since.emplace(node.incarnation, current.previous[i].epoch).first->second;
            const bool stays_on = i + 1 < current.previous.size() ? holds(current.previous[i + 1].nodes, node) : holds(current.nodes, node);
            if (stays_on) continue;
            std::optional<Departed> last;
            if (const Departed* departed = current.find_departed(node.incarnation)) {
                last = *departed;
            } else if (const auto record = state.horizons.find(node.incarnation); record != state.horizons.end()) {
                last = departed_with(node.incarnation, record->second);
            }
            if (!last) continue;
            if (since > current.previous.front().epoch) last->since = since;  // it joined in this very transition, if only again
            if (last->since == 0) last->since = since;
            if (last->resumed >= last->since) forget_earlier_lives(gone, node, last->done);
            std::erase_if(gone, [&node](const Gone& one) { return one.node.incarnation == node.incarnation; });
            gone.push_back({node, lost_in, current.previous.front().epoch, std::move(*last)});
        }
    }
    for (const auto& node : current.nodes) forget_earlier_lives(gone, node, Instant::max());
    std::sort(gone.begin(), gone.end(), [](const Gone& a, const Gone& b) { return a.last.horizon > b.last.horizon; });
    if (gone.size() > kMaxGone) gone.resize(kMaxGone);
    return gone;
}

}  // namespace

bool holds_back(const ClusterState& state) { return wanted_members(state).held_back; }

HorizonRecord unknown_claims(const Allocation& current, Instant now, Instant claims_end) {
    HorizonRecord record;
    record.epoch = record.resumed = current.epoch;  // its `done` is of everything
    record.horizon = record.floor = claims_end;
    record.done = now - kUntold;
    record.revision = kUnknownRevision;
    return record;
}

std::vector<std::string> newly_dead(const Allocation& current, const std::map<std::string, Registration>& present) {
    std::set<std::string> dead;
    for (const Member* member : chain_members(current)) {
        if (!present.contains(member->incarnation) && current.find_departed(member->incarnation) == nullptr)
            dead.insert(member->incarnation);
    }
    return {dead.begin(), dead.end()};
}

std::optional<Allocation> next_allocation(const ClusterState& state, bool admit_joins) {
    const Allocation& current = state.current;
    const auto dead = newly_dead(current, state.present);
    const bool in_transition = !current.previous.empty() && !current.nodes.empty();

    if (in_transition && dead.empty()) {
        if (!is_settled(state)) return std::nullopt;
        Allocation settled = current;
        settled.previous.clear();
        settled.departed.clear();
        settled.gone = gone_after(state);
        return settled;
    }

    const auto wanted = wanted_members(state).members;
    std::vector<Member> nodes;
    if (in_transition || !admit_joins) {
        // Only removals: in the middle of a transition (of the dead alone), or while joins are being gathered.
        for (const auto& node : current.nodes) {
            const bool stays = in_transition ? state.present.contains(node.incarnation) : holds(wanted, node);
            if (stays) nodes.push_back(node);
        }
    } else {
        nodes = wanted;
    }
    if (dead.empty() && nodes == current.nodes) return std::nullopt;

    Allocation next;
    const Memory memory = newest_memory(state.present);
    next.epoch = std::max(current.epoch, memory.epoch) + 1;
    next.rebuilt = current.rebuilt;
    next.gone = current.gone;
    // There is none, or an old one: nobody can tell any more what the members of the newest had claimed.
    if (memory.epoch > current.epoch) next.rebuilt = Rebuilt{memory.at - kUntold, state.claims_end, next.epoch};
    next.nodes = std::move(nodes);
    next.previous = current.previous;
    next.previous.push_back({current.epoch, current.nodes});  // also an empty one: the first members too form a transition
    next.departed = current.departed;
    for (const auto& incarnation : dead) {
        const auto record = state.horizons.find(incarnation);
        CLOUDTASK_CHECK(record != state.horizons.end(), "the allocator decides only once it has read the horizon of every dead node");
        next.departed.push_back(departed_with(incarnation, record->second));
    }
    return next;
}

}  // namespace cloudtask::ring
