// Claims: what this incarnation of the node may fire, and what it must still wait for. The node's side of the hand-over protocol
// (docs/architecture.md, "Who fires what"), as a pure state machine: no I/O, no clock, no threads; the coordinator feeds it and carries out
// what it answers.
//
// A task is, to this node: not ours; waiting (ours by the allocation, but an earlier owner's bound is not known yet); or owned from a floor
// on.
#pragma once

#include <cstdint>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
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
    std::string incarnation;
    bool ours = false;  // nobody but an earlier life of this very node can have started them: its journal knows
    int begun = 1;      // attempts that may have been begun: one by the owner, one by each later owner that may have run them again
};

struct Gained {
    std::string task_id;
    Instant floor{};  // this node fires what lies after it
    std::vector<Uncertain> uncertain;
};

struct Lost {
    std::string task_id;
    Instant limit{};  // this node still fires what it has not fired up to here
};

// What changed; the caller opens and limits streams of fires accordingly.
struct ClaimChanges {
    std::vector<Gained> gained;
    std::vector<Lost> lost;
    // For tasks that are owned already: an earlier owner died before it had started all that it kept.
    std::vector<Gained> uncertain_only;

    bool empty() const { return gained.empty() && lost.empty() && uncertain_only.empty(); }
};

class Claims {
  public:
    using Horizons = std::map<std::string, ring::HorizonRecord>;  // by incarnation

    Claims(std::string node_id, std::string incarnation);

    // The task is new in the catalog, or its definition changed. A changed placement moves it at its effective_from, which the center puts
    // far enough ahead for every node to have learnt of it: the old owner fires up to there, the new one beyond.
    ClaimChanges put_task(const task::Task& task);
    // The task is gone: nothing of it is fired any more.
    void erase_task(const std::string& task_id);

    // A new allocation is seen. `horizon_bound` is the highest horizon that this incarnation has written or may have written; what is lost
    // is fired up to the later of that and `now`. The caller must then write an acknowledgement: handover() says of what.
    ClaimChanges observe(const ring::Allocation& allocation, Instant horizon_bound, Instant now);

    // Takes over what can be taken over, by the bounds that stand in `horizons`. The caller must raise its horizon to raise_to() first.
    ClaimChanges resolve(const Horizons& horizons);

    std::int64_t epoch() const { return allocation_.epoch; }
    const ring::Allocation& allocation() const { return allocation_; }
    bool waiting() const { return !waiting_.empty(); }
    // Tasks were taken over in this transition whose earlier owners live and may still start what they kept of them.
    bool shares_tasks() const { return promised_; }
    std::size_t owned_count() const { return owned_.size(); }
    bool owns(const std::string& task_id) const { return owned_.contains(task_id); }
    // Is this node the task's owner by the present allocation, or next in line?
    bool in_reach(const task::Task& task) const;

    // The bound of the last observe(): stands in the horizon record as this epoch's handover.
    Instant handover() const { return handover_; }
    // A node's horizon covers the bound of every task that it has taken over, so that who comes after it starts beyond.
    Instant raise_to() const { return raise_to_; }
    // While tasks wait, `done` may not pass what their earlier owners had claimed when they were last seen: fires between are not started
    // yet.
    std::optional<Instant> done_limit(const Horizons& horizons) const;
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
        std::optional<Interval> promised;
    };
    struct Known {
        ring::Placement placement;
        Instant effective_from{};
        std::int64_t created_revision = 0;
    };
    using Owners = std::vector<Owner>;  // oldest first

    bool is_ours(const std::string& task_id, const ring::Placement& placement) const;
    Owners earlier_owners(const std::string& task_id, const ring::Placement& placement) const;
    const ring::Gone* last_of_the_gone(const ring::Placement& placement) const;
    const ring::Departed* find_departed(const std::string& incarnation) const;
    void place(const std::string& task_id, const Known& known, ClaimChanges& changes);
    void lose(const std::string& task_id, ClaimChanges& changes);
    Gained before_owners(const std::string& task_id, const Known& known) const;
    std::optional<Gained> resolve_task(const std::string& task_id, const Known& known, Owners& owners, const Horizons& horizons) const;
    void take_over(Gained gained, Owners owners, ClaimChanges& changes);
    void report_broken_promises(ClaimChanges& changes);

    std::string node_id_, incarnation_;
    ring::Allocation allocation_;
    ring::Ring ring_;
    std::vector<std::pair<std::int64_t, ring::Ring>> chain_;  // the unsettled memberships, oldest first
    Instant handover_{}, raise_to_{};
    bool promised_ = false;  // some owner has a promise, or had one in this transition

    std::unordered_map<std::string, Known> tasks_;
    std::unordered_map<std::string, Owners> waiting_;
    std::unordered_map<std::string, Owners> owned_;      // with the owners that it was taken over from, until the transition is settled
    std::unordered_map<std::string, Instant> given_up_;  // lost in the transition in progress: our bound, should the task come back
};

}  // namespace cloudtask::node
