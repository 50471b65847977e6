// Claims: what this incarnation of the node may fire, and what it must still wait for. The node's side of the hand-over protocol
// (docs/architecture.md, "Who fires what"), as a pure state machine: no I/O, no clock, no threads; the coordinator feeds it and carries out
// what it answers.
//
// A task is, to this node: not ours; waiting (ours by the allocation, but an earlier owner's bound is not known yet); or owned from a floor
// on. What is in force is known by a task's id; a version that was superseded goes on under a key of its own (version_key()) for a while,
// as its fires may be owed by somebody who is gone: it has the owners that its own targets and labels give it.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cloudtask/ring/allocation.h"
#include "cloudtask/task/types.h"

namespace cloudtask::node {

struct Interval {
    Instant after{};  // exclusive
    Instant until{};  // inclusive

    bool empty() const { return until <= after; }
    friend bool operator==(const Interval&, const Interval&) = default;
};

// Fires that an incarnation which is gone may have started or not.
struct Uncertain {
    Interval fires;
    std::string incarnation;  // empty: the tree was lost, and with it whose they were
    bool ours = false;        // nobody but an earlier life of this very node can have started them: its journal knows
    int begun = 1;            // attempts that may have been begun: one by the owner, one by each later owner that may have run them again
};

struct Gained {
    std::string task_id;  // or the key of a version
    Instant floor{};      // this node fires what lies after it
    std::vector<Uncertain> uncertain;
    Instant limit = Instant::max();  // and up to here: by now it is another's
};

struct Lost {
    std::string task_id;  // or the key of a version
    Instant limit{};      // this node still fires what it has not fired up to here
};

// What changed; the caller opens and limits streams of fires accordingly.
struct ClaimChanges {
    std::vector<Gained> gained;
    std::vector<Lost> lost;
    // For tasks that are owned already: an earlier owner died before it had started all that it kept.
    std::vector<Gained> uncertain_only;

    bool empty() const { return gained.empty() && lost.empty() && uncertain_only.empty(); }
};

// Of a version that was superseded.
std::string version_key(const task::Task& version);
// The ring knows tasks by their ids, whatever the version.
std::string_view task_id_of(std::string_view key);

class Claims {
  public:
    using Horizons = std::map<std::string, ring::HorizonRecord>;  // by incarnation

    Claims(std::string node_id, std::string incarnation);

    // The task is new in the catalog, or has another effective_from.
    ClaimChanges put_task(const task::Task& task);
    // Another version with the same effective_from has taken the place of what is known of the task.
    void amend(const task::Task& task);
    // What is known of the task stays so for `version`, which was in force up to now, under its key.
    void supersede(const task::Task& version);
    // A change of targets or labels, as of its revision: a task of its own, whose fires begin where those of `before` end. Owners of
    // `before` go on with it until they have learnt of the change: they are waited for. `fired_until`: by this node, as an owner of
    // `before`.
    ClaimChanges move_task(const task::Task& task, const task::Task& before, Instant fired_until);
    // The task, or the version of that key, is gone: nothing of it is fired any more.
    void erase_task(const std::string& task_id);

    // Who of the earlier owners has learnt by now of the versions that this node knows. resolve() asks, too.
    void hear_of_versions(const Horizons& horizons);

    // A new allocation is seen. `horizon_bound` is the highest horizon that this incarnation has written or may have written; what is lost
    // is fired up to the later of that and `now`. `revision` of the catalog is what its record names. The caller must then write an
    // acknowledgement: handover() says of what.
    ClaimChanges observe(const ring::Allocation& allocation, Instant horizon_bound, std::int64_t revision, Instant now);

    // Takes over what can be taken over, by the bounds that stand in `horizons`. The caller must raise its horizon to raise_to() first.
    // `revision` is that of this node's catalog: who has just joined takes nothing over from an owner that knew more, as it may be
    // another's.
    ClaimChanges resolve(const Horizons& horizons, std::int64_t revision);

    std::int64_t epoch() const { return allocation_.epoch; }
    // Is this incarnation in the ring of that epoch?
    bool member() const { return member(incarnation_); }
    const ring::Allocation& allocation() const { return allocation_; }
    bool waiting() const { return !waiting_.empty() || !pieces_.empty(); }
    // It waits for bounds that the transition is about (not only for an owner to learn of a move).
    bool taking_over() const;
    // Tasks were taken over in this transition whose earlier owners live and may still start what they kept of them.
    bool shares_tasks() const { return promised_; }
    // An earlier owner of the task lives, and by its record it has not dealt yet with all that it kept: it may begin runs, or have begun
    // some, that its record does not name. Once it has, the record names all that go on.
    bool unsettled(const std::string& task_id, const Horizons& horizons) const;
    // Versions that were superseded count as well.
    std::size_t owned_count() const { return owned_.size(); }
    std::size_t owned_tasks() const;
    bool owns(const std::string& task_id) const { return owned_.contains(task_id); }
    // The revision of the catalog that made the task, or moved it to where it is.
    std::int64_t made_in(const std::string& task_id) const { return tasks_.at(task_id).created_revision; }
    // Is this node the task's owner by the present allocation, or next in line?
    bool in_reach(const task::Task& task) const;

    // The bound of the last observe(): stands in the horizon record as this epoch's handover.
    Instant handover() const { return handover_; }
    // A node's horizon covers the bound of every task that it has taken over, so that who comes after it starts beyond.
    Instant raise_to() const { return raise_to_; }
    // While tasks wait for who had them before they moved, `done` may not pass what these had claimed when they were last seen: fires
    // between are not started yet. Of those that wait for the bounds of the transition it tells only once this node has `resumed`.
    std::optional<Instant> done_limit(const Horizons& horizons, bool resumed) const;
    // Has everybody acknowledged the epoch who may have owned a task that is this node's now? Before that this node cannot know that it has
    // taken over all: there may be tasks that it has not heard of.
    bool heard_of_all(const Horizons& horizons) const;
    // The newest catalog revision that any earlier owner in the chain fired by; this node has not resumed before its own catalog is as new.
    std::int64_t needed_revision(const Horizons& horizons) const;

  private:
    // One earlier owner of a task along the chain of unsettled memberships.
    struct Owner {
        std::string incarnation;
        bool same_node = false;
        std::int64_t owned_since = 0;  // the epoch that gave it the task
        std::int64_t lost_in = 0;      // the epoch that took it away
        // When it was taken over from a living owner by its handover: what that owner still had to start. If it dies, this is uncertain.
        std::optional<Interval> promised{};
        // It gave the task up before it knew this version: what it kept it starts by it only once it knows.
        bool unaware = false;
        // It may fire the task as it was placed before, until it has got this revision of the catalog. 0: an owner as it is placed now.
        std::int64_t moved_in = 0;
        bool gone = false;       // from before the chain
        bool bystander = false;  // it does not own the task as it was placed before, but may come to
        bool same_fires = false;
    };
    struct Known {
        ring::Placement placement;
        Instant effective_from{};
        std::int64_t created_revision = 0;
        std::int64_t begun_in = 0;  // the revision of the last change of enabled, schedules, targets or labels
    };
    struct Move {
        ring::Placement from;
        std::int64_t revision = 0;
        bool same_fires = false;  // the version that moved has the schedules of the one before
    };
    using Owners = std::vector<Owner>;  // oldest first
    // Who of allocation_.gone was a member right before an epoch. The ring is made when it is asked for: most tasks never need it.
    struct GoneMembership {
        std::int64_t before = 0;
        std::optional<ring::Ring> ring{};
    };
    struct Waiting {
        Owners owners;
        std::size_t blocking = 0;          // of this one it was not known what it has left, when that was last looked at
        Instant limit = Instant::max();    // of a piece: it has another owner by now, or had one, who starts beyond
        bool nobodys = false;              // no node is known that it was one's before this transition
        std::optional<Gained> settled{};   // what the owners along a chain that is settled have left; these are none of `owners` any more
        std::size_t settled_of_chain = 0;  // so many of its uncertain ones are of owners as the task is placed now
    };

    bool is_ours(const std::string& task_id, const ring::Placement& placement) const;
    Owners earlier_owners(const std::string& task_id, const ring::Placement& placement);
    void add_owners_before(const std::string& task_id, const Move& move, Owners& owners) const;
    bool went_on_beyond(const ring::Gone& one, const std::string& key, const Move& move) const;
    Owners owners_of_the_gone(std::string_view task_id, const ring::Placement& placement);
    const ring::Gone* find_gone(std::string_view incarnation) const;
    const ring::Departed* find_departed(const Owner& owner) const;
    void place(const std::string& task_id, const Known& known, ClaimChanges& changes);
    void lose(const std::string& task_id, ClaimChanges& changes);
    void give_up_waiting(const std::string& task_id);
    Gained before_owners(const std::string& task_id, const Known& known, bool nobodys) const;
    Instant claimed_until(const ring::HorizonRecord& record, const Owner& owner, const Known& known) const;
    static void pass_moved_departed(const Owner& owner, const ring::Departed& departed, const Known& known, std::size_t of_chain,
                                    Gained& resolution);
    void pass_moved(const Owner& owner, const Known& known, const Horizons& horizons, std::size_t of_chain, Gained& resolution) const;
    void learn_version(const std::string& task_id, const Known& known);
    bool member(const std::string& incarnation) const;
    bool knows_nobody_before(const std::string& key, const ring::Placement& placement, const Owners& owners) const;
    static bool tells_done(const ring::Departed& departed, const Owner& owner, const Known& known);
    static int before_move(const Owners& owners);
    void pass_departed(const Owner& owner, const ring::Departed& departed, const Known& known, int before, Gained& resolution) const;
    bool is_heard(const Owner& owner, const Horizons& horizons, std::int64_t revision) const;
    Gained resolve_task(const std::string& task_id, Waiting& waiting, const Horizons& horizons) const;
    Gained behind_settled(const std::string& task_id, const Known& known, const Waiting& waiting) const;
    void settle_waiting();
    bool newcomer() const;
    void take_over(Gained gained, Owners owners, ClaimChanges& changes);
    void report_broken_promises(ClaimChanges& changes);
    void report_unaware(ClaimChanges& changes);
    void remember_gone();
    std::vector<ring::Member> gone_before(std::int64_t epoch) const;

    std::string node_id_, incarnation_;
    ring::Allocation allocation_;
    ring::Ring ring_;
    std::unordered_set<std::string> members_;                 // of the ring: incarnations
    std::vector<std::pair<std::int64_t, ring::Ring>> chain_;  // the unsettled memberships, oldest first
    std::vector<GoneMembership> gone_;                        // latest first
    Instant handover_{}, raise_to_{};
    std::int64_t handover_revision_ = 0;
    bool promised_ = false;  // some owner has a promise, or had one in this transition

    std::unordered_map<std::string, Known> tasks_;              // by id, or by key
    std::unordered_map<std::string, std::vector<Move>> moves_;  // by id: those that owners may not have learnt of, oldest first
    std::unordered_map<std::string, Waiting> waiting_;
    std::unordered_multimap<std::string, Waiting> pieces_;  // given up while they waited for owners to learn of a move
    std::unordered_map<std::string, Owners> owned_;         // with the owners that it was taken over from, until the transition is settled
    std::set<std::string> unaware_;                         // ids of owned tasks that have such owners
    std::unordered_map<std::string, Instant> given_up_;     // lost in the transition in progress: our bound, should the task come back
};

}  // namespace cloudtask::node
