// The node's side of the hand-over protocol: what is taken over, and from when on. Who had a task before is in claims_owners.cpp. Pure.
#include "node/claims.h"

#include <algorithm>
#include <iterator>
#include <utility>

#include "cloudtask/core/check.h"
#include "cloudtask/ring/placement.h"

namespace cloudtask::node {

namespace {

// What `departed` may have started or not. Fires up to its floor may have been those of an owner before it: of these `before` may have
// begun some, which it has run again. Of an earlier life of this node the journal knows, but not of those.
void add_uncertain(std::vector<Uncertain>& to, const Interval& fires, const ring::Departed& departed, bool same_node, int before = 0) {
    const bool together = !same_node && before == 0;
    const Interval earlier{fires.after, together ? fires.after : std::min(fires.until, departed.floor)};
    const Interval own{together ? fires.after : std::max(fires.after, departed.floor), fires.until};
    if (!earlier.empty()) to.push_back({earlier, departed.incarnation, false, 1 + before});
    if (!own.empty()) to.push_back({own, departed.incarnation, same_node});
}

// A later owner took the task over: it may have reported these fires and run them again, or have come to an end before.
void may_have_settled(std::vector<Uncertain>& earlier) {
    for (auto& uncertain : earlier) {
        ++uncertain.begun;
        uncertain.ours = false;
    }
}

// The same, of an owner as the task was placed before: only of what is not of owners as it is placed now.
void begin_again(std::vector<Uncertain>& earlier, std::size_t of_chain) {
    for (std::size_t i = of_chain; i < earlier.size(); ++i) ++earlier[i].begun;
}

constexpr char kVersionMark = '@';                       // in no id
constexpr Duration kOnItsWay = std::chrono::minutes{1};  // no write of a session that lives takes longer
constexpr std::size_t kMaxMoves = 16;                    // that are waited for; with so many in ten minutes the oldest are known
constexpr int kAttemptsPerEpoch = 100;                   // numbers for the reruns after a lost tree

bool holds(const std::vector<ring::Member>& members, const std::string& incarnation) {
    return std::any_of(members.begin(), members.end(), [&](const ring::Member& member) { return member.incarnation == incarnation; });
}

}  // namespace

std::string_view task_id_of(std::string_view key) { return key.substr(0, key.find(kVersionMark)); }
std::string version_key(const task::Task& version) { return version.id + kVersionMark + std::to_string(version.version); }

Claims::Claims(std::string node_id, std::string incarnation) : node_id_(std::move(node_id)), incarnation_(std::move(incarnation)) {}

bool Claims::is_ours(const std::string& task_id, const ring::Placement& placement) const {
    const ring::Member* owner = ring_.owner(task_id_of(task_id), placement);
    return owner != nullptr && owner->incarnation == incarnation_;
}

bool Claims::in_reach(const task::Task& task) const {
    const auto candidates = ring_.preference(task.id, ring::placement_of(task), 2);
    return std::any_of(candidates.begin(), candidates.end(),
                       [this](const ring::Member* member) { return member->incarnation == incarnation_; });
}

void Claims::take_over(Gained gained, Owners owners, ClaimChanges& changes) {
    // Who comes after this node starts behind the task's effective_from anyway.
    if (gained.floor > tasks_.at(gained.task_id).effective_from) raise_to_ = std::max(raise_to_, gained.floor);
    promised_ = promised_ || std::any_of(owners.begin(), owners.end(), [](const Owner& owner) { return owner.promised.has_value(); });
    if (std::any_of(owners.begin(), owners.end(), [](const Owner& owner) { return owner.unaware; })) unaware_.insert(gained.task_id);
    owned_.insert_or_assign(gained.task_id, std::move(owners));
    changes.gained.push_back(std::move(gained));
}

void Claims::lose(const std::string& task_id, ClaimChanges& changes) {
    changes.lost.push_back({task_id, handover_});
    // Others go by the revision of the handover: what is newer, this node never had.
    if (made_in(task_id) <= handover_revision_) given_up_[task_id] = handover_;
    owned_.erase(task_id);
    unaware_.erase(task_id);
}

// What waits for nothing but an owner's knowledge of a move was this node's already: it is dealt with up to the handover, as if it had been
// taken over. What waits for the bounds of a transition goes on along the chain.
void Claims::give_up_waiting(const std::string& task_id) {
    auto given_up = waiting_.extract(task_id);
    if (given_up.empty()) return;
    const Owners& owners = given_up.mapped().owners;
    const bool in_transition = std::any_of(owners.begin(), owners.end(), [](const Owner& owner) { return owner.moved_in == 0; });
    // The next owner goes by the revision of the handover: what is newer is all its own.
    if (in_transition || made_in(task_id) > handover_revision_) return;
    given_up.mapped().limit = given_up_[task_id] = handover_;
    pieces_.insert({task_id, std::move(given_up.mapped())});
}

// Brings one task's state in line with the present allocation. A task with earlier owners waits for resolve().
void Claims::place(const std::string& task_id, const Known& known, ClaimChanges& changes) {
    if (!is_ours(task_id, known.placement)) {
        give_up_waiting(task_id);
        if (owned_.contains(task_id)) lose(task_id, changes);
        return;
    }
    if (owned_.contains(task_id)) return;
    Owners owners = earlier_owners(task_id, known.placement);
    const bool nobodys = knows_nobody_before(task_id, known.placement, owners);
    if (const auto moves = moves_.find(task_id); moves != moves_.end()) {
        for (const Move& move : moves->second) add_owners_before(task_id, move, owners);
    }
    Waiting& waiting = waiting_[task_id];
    waiting.nobodys = nobodys;
    if (!owners.empty()) {
        waiting.owners = std::move(owners);
        return;
    }
    Gained gained = behind_settled(task_id, known, waiting);
    waiting_.erase(task_id);
    take_over(std::move(gained), {}, changes);
}

// From when on the task is this node's as far as the earlier owners in the chain do not matter.
Gained Claims::before_owners(const std::string& task_id, const Known& known, bool nobodys) const {
    Gained gained{task_id, known.effective_from, {}};
    if (const auto given_up = given_up_.find(task_id); given_up != given_up_.end()) {
        gained.floor = std::max(gained.floor, given_up->second);
    } else if (allocation_.rebuilding() || nobodys) {
        const auto& rebuilt = allocation_.rebuilt;
        const Interval fires{std::max(gained.floor, rebuilt->since), rebuilt->until};
        // Nobody knows how often they were begun. Along a chain of owners a few times; far fewer than this.
        const int begun = kAttemptsPerEpoch * static_cast<int>(allocation_.epoch);
        if (!fires.empty()) gained.uncertain.push_back({fires, {}, false, begun});
        gained.floor = std::max(gained.floor, rebuilt->until);
    }
    return gained;
}

ClaimChanges Claims::put_task(const task::Task& task) {
    const auto before = tasks_.find(task.id);
    // A change that moves the task has begun it anew.
    const std::int64_t created = before == tasks_.end() ? task.created_revision : before->second.created_revision;
    const Known known{ring::placement_of(task), task.effective_from, created, task.effective_revision};
    tasks_.insert_or_assign(task.id, known);
    learn_version(task.id, known);
    ClaimChanges changes;
    place(task.id, known, changes);
    return changes;
}

void Claims::amend(const task::Task& task) {
    Known& known = tasks_.at(task.id);
    if (known.begun_in == task.effective_revision) return;
    known.begun_in = task.effective_revision;
    learn_version(task.id, known);
}

// It is in force at a time of which earlier owners still deal with their part.
void Claims::learn_version(const std::string& task_id, const Known& known) {
    const auto owned = owned_.find(task_id);
    if (owned == owned_.end()) return;
    for (Owner& owner : owned->second) {
        if (!owner.promised || owner.promised->until <= known.effective_from) continue;
        owner.unaware = true;  // hear_of_versions() finds out
        unaware_.insert(task_id);
    }
}

void Claims::supersede(const task::Task& version) {
    const std::string key = version_key(version);
    const auto copy = [&](auto& map) {
        if (const auto found = map.find(version.id); found != map.end()) {
            auto state = found->second;
            map.insert_or_assign(key, std::move(state));
        }
    };
    copy(tasks_);
    copy(waiting_);
    const auto [first_piece, end_of_pieces] = pieces_.equal_range(version.id);
    std::vector<Waiting> pieces;
    std::transform(first_piece, end_of_pieces, std::back_inserter(pieces), [](const auto& entry) { return entry.second; });
    for (auto& piece : pieces) pieces_.insert({key, std::move(piece)});
    copy(owned_);
    copy(given_up_);
    copy(moves_);
    if (unaware_.contains(version.id)) unaware_.insert(key);
}

ClaimChanges Claims::move_task(const task::Task& task, const task::Task& before, Instant fired_until) {
    // Owners of a version before the last may not have learnt of the move that took it from them either.
    auto moves = moves_[task.id];
    if (moves.size() == kMaxMoves) moves.erase(moves.begin());
    moves.push_back({ring::placement_of(before), task.revision, before.enabled && task.schedules == before.schedules});
    erase_task(task.id);
    const Known known{ring::placement_of(task), std::max(task.effective_from, fired_until), task.revision, task.effective_revision};
    tasks_.insert_or_assign(task.id, known);
    moves_.insert_or_assign(task.id, std::move(moves));
    ClaimChanges changes;
    place(task.id, known, changes);
    return changes;
}

void Claims::erase_task(const std::string& task_id) {
    tasks_.erase(task_id);
    waiting_.erase(task_id);
    pieces_.erase(task_id);
    owned_.erase(task_id);
    given_up_.erase(task_id);
    moves_.erase(task_id);
    unaware_.erase(task_id);
}

ClaimChanges Claims::observe(const ring::Allocation& allocation, Instant horizon_bound, std::int64_t revision, Instant now) {
    ClaimChanges changes;
    if (allocation.epoch < allocation_.epoch) return changes;
    const bool known_epoch = allocation.epoch == allocation_.epoch;
    if (allocation.settled_up_to(allocation_.epoch)) settle_waiting();
    allocation_ = allocation;
    report_unaware(changes);
    if (known_epoch) {
        if (allocation.previous.empty()) {
            // Settled: every fire of before has been started or reported.
            chain_.clear();
            gone_.clear();
            given_up_.clear();
            for (auto& [id, owners] : owned_) owners.clear();
            promised_ = false;
        }
        return changes;
    }
    ring_ = ring::Ring(allocation.nodes);
    members_.clear();
    for (const auto& node : allocation.nodes) members_.insert(node.incarnation);
    chain_.clear();
    for (const auto& membership : allocation.previous) chain_.emplace_back(membership.epoch, ring::Ring(membership.nodes));
    remember_gone();
    handover_ = std::max({handover_, horizon_bound, now});
    handover_revision_ = revision;
    for (const auto& [id, known] : tasks_) place(id, known, changes);
    report_broken_promises(changes);
    return changes;
}

// An owner of the task as it was placed before, which is gone. `of_chain`: so many of what is uncertain are not of owners by that
// placement.
void Claims::pass_moved_departed(const Owner& owner, const ring::Departed& departed, const Known& known, std::size_t of_chain,
                                 Gained& resolution) {
    const Instant lower = resolution.floor;
    if (departed.revision >= owner.moved_in) {
        if (const auto at = ring::find_late(departed.late, task_id_of(resolution.task_id), owner.moved_in))
            resolution.floor = std::max(lower, *at);
        return;
    }
    if (owner.bystander) return;
    // What it had done it had done by the version that it knew.
    const bool same_fires = owner.same_fires && known.begun_in == owner.moved_in && departed.resumed >= owner.owned_since;
    const ring::Handover* handover = owner.lost_in > 0 ? ring::find_handover(departed.handovers, owner.lost_in) : nullptr;
    const Instant bound = handover == nullptr ? departed.horizon : std::min(handover->at, departed.horizon);
    begin_again(resolution.uncertain, of_chain);
    add_uncertain(resolution.uncertain, {same_fires ? std::max(lower, departed.done) : lower, bound}, departed, false);
    resolution.floor = std::max(lower, bound);
}

// An owner of the task as it was placed before. Now that it knows of the move it fires nothing beyond, or beyond what it had fired by then.
void Claims::pass_moved(const Owner& owner, const Known& known, const Horizons& horizons, std::size_t of_chain, Gained& resolution) const {
    if (const ring::Departed* departed = find_departed(owner)) return pass_moved_departed(owner, *departed, known, of_chain, resolution);
    const ring::HorizonRecord& record = horizons.at(owner.incarnation);
    // It lives, and has dealt with what it took over, but perhaps no further than its version was in force.
    if (!owner.bystander) begin_again(resolution.uncertain, of_chain);
    if (const auto at = ring::find_late(record.late, task_id_of(resolution.task_id), owner.moved_in))
        resolution.floor = std::max(resolution.floor, *at);
}

// Behind what the owners along a chain that is settled have left, if it waited already then.
Gained Claims::behind_settled(const std::string& task_id, const Known& known, const Waiting& waiting) const {
    if (!waiting.settled) return before_owners(task_id, known, waiting.nobodys);
    Gained gained = *waiting.settled;
    gained.task_id = task_id;  // it may have been worked out for the version that this one has superseded
    return gained;
}

// Does its `done` tell of the task? Not of one that it had gained but not resumed with, nor of a version that it did not know.
bool Claims::tells_done(const ring::Departed& departed, const Owner& owner, const Known& known) {
    return departed.resumed >= owner.owned_since && departed.revision >= known.begun_in;
}

// So many owned the task as it was placed before: what these may have begun, a later owner may have run again.
int Claims::before_move(const Owners& owners) {
    return static_cast<int>(
        std::count_if(owners.begin(), owners.end(), [](const Owner& owner) { return owner.moved_in > 0 && !owner.bystander; }));
}

// What an owner that is gone has left.
void Claims::pass_departed(const Owner& owner, const ring::Departed& departed, const Known& known, int before, Gained& resolution) const {
    const ring::Handover* handover = ring::find_handover(departed.handovers, owner.lost_in);
    // It never knew the task while it could have fired it, or never took it.
    const std::int64_t revision = handover == nullptr ? departed.revision : handover->revision;
    if (known.created_revision > revision || departed.epoch < owner.owned_since) return;
    const Instant lower = resolution.floor;
    const Instant bound = handover == nullptr ? departed.horizon : std::min(handover->at, departed.horizon);
    const Instant done = tells_done(departed, owner, known) ? departed.done : lower;
    may_have_settled(resolution.uncertain);
    add_uncertain(resolution.uncertain, {std::max(lower, done), bound}, departed, owner.same_node, before);
    resolution.floor = std::max(lower, bound);
}

// Is it known what the owner has left?
bool Claims::is_heard(const Owner& owner, const Horizons& horizons, std::int64_t revision) const {
    if (const ring::Departed* departed = find_departed(owner))
        return owner.moved_in > 0 || departed->revision <= revision || departed->revision == ring::kUnknownRevision;
    const auto record = horizons.find(owner.incarnation);
    if (record == horizons.end()) return false;
    if (owner.moved_in > 0) return record->second.revision >= owner.moved_in;
    const ring::Handover* handover = ring::find_handover(record->second.handovers, owner.lost_in);
    return handover != nullptr && handover->revision <= revision;
}

// Behind all owners, of whom all is known.
Gained Claims::resolve_task(const std::string& task_id, Waiting& waiting, const Horizons& horizons) const {
    const Known& known = tasks_.at(task_id);
    Gained resolution = behind_settled(task_id, known, waiting);
    std::size_t of_chain = waiting.settled ? waiting.settled_of_chain : resolution.uncertain.size();
    for (Owner& owner : waiting.owners) {
        if (owner.moved_in > 0) {
            pass_moved(owner, known, horizons, of_chain, resolution);
            continue;
        }
        const Instant lower = resolution.floor;
        if (const ring::Departed* departed = find_departed(owner)) {
            pass_departed(owner, *departed, known, before_move(waiting.owners), resolution);
            of_chain = resolution.uncertain.size();
            continue;
        }
        const ring::HorizonRecord& record = horizons.at(owner.incarnation);
        const ring::Handover& handover = *ring::find_handover(record.handovers, owner.lost_in);
        if (known.created_revision > handover.revision) continue;
        if (record.resumed >= owner.owned_since) {
            resolution.uncertain.clear();  // it lives, and has dealt with them
        } else {
            may_have_settled(resolution.uncertain);
        }
        resolution.floor = std::max(lower, handover.at);
        owner.promised = Interval{lower, handover.at};
        owner.unaware = std::max(handover.revision, record.revision) < known.begun_in;
        of_chain = resolution.uncertain.size();
    }
    return resolution;
}

// The transition is over, and with it what its records say of its owners: those that live have started all that they kept; what those that
// are gone have left is worked out now. Owners by an earlier placement are still waited for.
void Claims::settle_waiting() {
    const auto settle = [this](const std::string& task_id, Waiting& waiting) {
        const Known& known = tasks_.at(task_id);
        if (!waiting.settled) {
            waiting.settled = before_owners(task_id, known, waiting.nobodys);
            waiting.settled_of_chain = waiting.settled->uncertain.size();
        }
        std::erase_if(waiting.owners, [&, before = before_move(waiting.owners)](const Owner& owner) {
            const ring::Departed* departed = find_departed(owner);
            if (owner.moved_in > 0) {
                if (departed != nullptr) pass_moved_departed(owner, *departed, known, waiting.settled_of_chain, *waiting.settled);
                return departed != nullptr;
            }
            if (departed != nullptr) pass_departed(owner, *departed, known, before, *waiting.settled);
            waiting.settled_of_chain = waiting.settled->uncertain.size();
            return true;
        });
    };
    for (auto& [task_id, waiting] : waiting_) settle(task_id, waiting);
    for (auto& [task_id, piece] : pieces_) settle(task_id, piece);
}

bool Claims::member(const std::string& incarnation) const { return members_.contains(incarnation); }

ClaimChanges Claims::resolve(const Horizons& horizons, std::int64_t revision) {
    ClaimChanges changes;
    hear_of_versions(horizons);
    const std::int64_t known_here = newcomer() ? revision : ring::kUnknownRevision;
    const auto resolve_in = [&](auto& map, auto take) {
        for (auto entry = map.begin(); entry != map.end();) {
            auto& [task_id, waiting] = *entry;
            const auto begin = waiting.owners.begin(), end = waiting.owners.end();
            const auto not_heard = [&](const Owner& owner) { return !is_heard(owner, horizons, known_here); };
            // Many tasks may wait for many owners: who was heard of is looked at again only when the last one has been.
            const std::size_t before = std::min(waiting.blocking, waiting.owners.size());
            auto blocking = std::find_if(begin + static_cast<std::ptrdiff_t>(before), end, not_heard);
            if (blocking == end) blocking = std::find_if(begin, end, not_heard);
            waiting.blocking = static_cast<std::size_t>(blocking - begin);
            if (blocking != end) {
                ++entry;
                continue;
            }
            take(task_id, waiting);
            entry = map.erase(entry);
        }
    };
    resolve_in(pieces_, [&](const std::string& task_id, Waiting& piece) {
        Gained gained = resolve_task(task_id, piece, horizons);
        gained.limit = piece.limit;
        changes.gained.push_back(std::move(gained));
    });
    resolve_in(waiting_, [&](const std::string& task_id, Waiting& waiting) {
        Gained gained = resolve_task(task_id, waiting, horizons);
        std::erase_if(waiting.owners, [](const Owner& owner) { return owner.moved_in > 0; });
        moves_.erase(task_id);
        take_over(std::move(gained), std::move(waiting.owners), changes);
    });
    return changes;
}

// A living owner promised to start its last fires, and died: what it had not started by then is uncertain, and this node, its successor,
// reports it.
void Claims::report_broken_promises(ClaimChanges& changes) {
    for (auto& [task_id, owners] : owned_) {
        Gained report{task_id, {}, {}};
        for (Owner& owner : owners) {
            if (!owner.promised) continue;
            const ring::Departed* departed = find_departed(owner);
            if (departed == nullptr) continue;
            const Instant done = tells_done(*departed, owner, tasks_.at(task_id)) ? departed->done : owner.promised->after;
            const Interval fires{std::max(owner.promised->after, done), std::min(owner.promised->until, departed->horizon)};
            add_uncertain(report.uncertain, fires, *departed, owner.same_node);
            owner.promised.reset();
            owner.unaware = false;
        }
        if (!report.uncertain.empty()) changes.uncertain_only.push_back(std::move(report));
    }
}

// Who knows a version deals with all that it kept, by that version.
void Claims::hear_of_versions(const Horizons& horizons) {
    std::erase_if(unaware_, [&](const std::string& task_id) {
        const std::int64_t begun_in = tasks_.at(task_id).begun_in;
        Owners& owners = owned_.at(task_id);
        for (Owner& owner : owners) {
            const auto record = horizons.find(owner.incarnation);
            if (record != horizons.end() && record->second.revision >= begun_in) owner.unaware = false;
        }
        return std::none_of(owners.begin(), owners.end(), [](const Owner& owner) { return owner.unaware; });
    });
}

// The transition is settled, and the owner does not know the version yet: it may learn of it, or may be gone before it does.
void Claims::report_unaware(ClaimChanges& changes) {
    std::erase_if(unaware_, [&](const std::string& task_id) {
        Gained report{task_id, {}, {}};
        bool more = false;
        for (Owner& owner : owned_.at(task_id)) {
            const bool settled = allocation_.settled_up_to(owner.lost_in);
            more = more || (owner.unaware && !settled);
            if (!owner.unaware || !settled) continue;
            owner.unaware = false;
            if (owner.promised && !owner.promised->empty()) report.uncertain.push_back({*owner.promised, owner.incarnation, false});
            owner.promised.reset();
        }
        if (!report.uncertain.empty()) changes.uncertain_only.push_back(std::move(report));
        return !more;
    });
}

std::size_t Claims::owned_tasks() const {
    return static_cast<std::size_t>(
        std::count_if(owned_.begin(), owned_.end(), [](const auto& entry) { return entry.first.find(kVersionMark) == std::string::npos; }));
}

bool Claims::unsettled(const std::string& task_id, const Horizons& horizons) const {
    const auto owned = owned_.find(task_id);
    if (owned == owned_.end()) return false;
    return std::any_of(owned->second.begin(), owned->second.end(), [&](const Owner& owner) {
        if (!owner.promised || owner.promised->empty()) return false;
        const auto record = horizons.find(owner.incarnation);
        return owner.unaware || record == horizons.end() || record->second.done < owner.promised->until;
    });
}

bool Claims::taking_over() const {
    return std::any_of(waiting_.begin(), waiting_.end(), [](const auto& entry) {
        const Owners& owners = entry.second.owners;
        return std::any_of(owners.begin(), owners.end(), [](const Owner& owner) { return owner.moved_in == 0; });
    });
}

// What a living owner gives up later can only be bound higher than its first handover, or than its horizon if it has handed nothing over;
// of a task that it does not know it gives up nothing. One that has raised no horizon for a while has had nothing to fire.
Instant Claims::claimed_until(const ring::HorizonRecord& record, const Owner& owner, const Known& known) const {
    const Instant stands = record.handovers.empty() ? record.horizon : std::min(record.horizon, record.handovers.front().at);
    const Instant claimed = std::max(stands, handover_ - kOnItsWay);
    if (owner.moved_in > 0) return claimed;
    const ring::Handover* handover = ring::find_handover(record.handovers, owner.lost_in);
    if (known.created_revision > (handover == nullptr ? record.revision : handover->revision)) return known.effective_from;
    // Its handover may name an older revision than its record does already: it was worked out while that was on its way to ZooKeeper.
    const bool young = known.begun_in == known.created_revision && known.effective_from + kOnItsWay > record.horizon;
    return handover == nullptr && young ? std::min(claimed, known.effective_from) : claimed;
}

std::optional<Instant> Claims::done_limit(const Horizons& horizons, bool resumed) const {
    std::optional<Instant> limit;
    const auto limit_by = [&](const Known& known, const Owner& owner) {
        if (owner.moved_in == 0 && !resumed) return;
        Instant claimed = handover_ - kOnItsWay;  // of one whose record has not been seen yet
        if (owner.bystander) {
            claimed = known.effective_from;  // this node may own it all along
        } else if (const ring::Departed* departed = find_departed(owner)) {
            const bool knew = owner.moved_in > 0 || known.created_revision <= departed->revision;
            const Instant handed_over = departed->handovers.empty() ? departed->horizon : departed->handovers.front().at;
            claimed = knew ? std::min(departed->horizon, handed_over) : known.effective_from;
        } else if (const auto record = horizons.find(owner.incarnation); record != horizons.end()) {
            claimed = claimed_until(record->second, owner, known);
        }
        claimed = std::max(claimed, known.effective_from);  // before that it has no fires
        limit = std::min(limit.value_or(claimed), claimed);
    };
    const auto limit_by_all = [&](const auto& map) {
        for (const auto& [task_id, waiting] : map) {
            const Known& known = tasks_.at(task_id);
            // It cannot be lower than that.
            if (limit && *limit <= known.effective_from) continue;
            for (const Owner& owner : waiting.owners) limit_by(known, owner);
        }
    };
    limit_by_all(waiting_);
    limit_by_all(pieces_);
    return limit;
}

// It was no member all along the chain.
bool Claims::newcomer() const {
    return !std::all_of(allocation_.previous.begin(), allocation_.previous.end(),
                        [this](const ring::Membership& membership) { return holds(membership.nodes, incarnation_); });
}

bool Claims::heard_of_all(const Horizons& horizons) const {
    // Who was a member all along gains only from those that are none any more; a newcomer, from anybody.
    const bool joins = newcomer();
    for (const auto& membership : allocation_.previous) {
        for (const auto& member : membership.nodes) {
            const std::string& incarnation = member.incarnation;
            if (incarnation == incarnation_ || allocation_.find_departed(incarnation) != nullptr) continue;
            if (!joins && holds(allocation_.nodes, incarnation)) continue;
            const auto record = horizons.find(incarnation);
            if (record == horizons.end() || record->second.epoch < allocation_.epoch) return false;
        }
    }
    return true;
}

std::int64_t Claims::needed_revision(const Horizons& horizons) const {
    std::int64_t revision = 0;
    for (const auto& departed : allocation_.departed) {
        if (departed.revision != ring::kUnknownRevision) revision = std::max(revision, departed.revision);
    }
    for (const auto& membership : allocation_.previous) {
        for (const auto& member : membership.nodes) {
            if (const auto record = horizons.find(member.incarnation); record != horizons.end())
                revision = std::max(revision, record->second.revision);
        }
    }
    return revision;
}

}  // namespace cloudtask::node
