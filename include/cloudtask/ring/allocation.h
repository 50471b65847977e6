// The records that nodes and allocator share through ZooKeeper, and the allocator's decision. Pure; any thread.
//
// The protocol is in docs/architecture.md, "Who fires what". In short: the allocation names the members of the ring, by epoch; each
// node's horizon record says what it has claimed, what it has acknowledged and from when on it has handed over; next_allocation() turns
// membership and those records into the next allocation, one transition at a time.
#pragma once

#include <cstdint>
#include <limits>
#include <map>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/clock.h"
#include "cloudtask/ring/ring.h"

namespace cloudtask::ring {

// The members of one epoch that is not settled yet.
struct Membership {
    std::int64_t epoch = 0;
    std::vector<Member> nodes;

    friend bool operator==(const Membership&, const Membership&) = default;
};

// One node's acknowledgement of an epoch: it fires what it lost up to `at`, by the catalog as of `revision`, and nothing beyond.
struct Handover {
    std::int64_t epoch = 0;
    Instant at{};
    std::int64_t revision = 0;

    friend bool operator==(const Handover&, const Handover&) = default;
};

// A change of targets or labels that a node learnt of late: by then it had fired what that took away, beyond its effective_from.
struct LateMove {
    std::int64_t from = 0, to = 0;  // revisions of the catalog, both inclusive
    Instant at{};                   // it fired up to here
    std::string task{};             // an id, also of a piece; empty: any that moved by then

    friend bool operator==(const LateMove&, const LateMove&) = default;
};
// Named one by one at the most; further ones are taken together with the last.
inline constexpr std::size_t kMaxLateMoves = 200;

// An incarnation whose session is over: what it had claimed when it ended.
struct Departed {
    std::string incarnation;
    std::int64_t epoch = 0;           // the newest that it had acknowledged: what later ones gave it, it never took
    Instant horizon{};                // it may have started fires up to here, none beyond
    Instant done{};                   // it has started every fire up to here
    Instant floor{};                  // fires up to here may have been those of an earlier owner
    std::int64_t revision = 0;        // of the catalog that it fired by: it never started a task that came later
    std::vector<Handover> handovers;  // the acknowledgements that it gave before
    std::vector<LateMove> late{};
    std::int64_t since = 0;    // it was a member from this epoch on; 0: it never acknowledged that it was
    std::int64_t resumed = 0;  // the newest epoch by which it had taken over all that it gained

    friend bool operator==(const Departed&, const Departed&) = default;
};

// An incarnation that was a member, of a node that is none any more. While no node can take a task (by its targets and labels), the last
// one that could is where the task was fired last; or the one before, if the last one went before it had taken the task over.
struct Gone {
    Member node;
    std::int64_t lost_in = 0;  // the epoch that left it out
    std::int64_t settled = 0;  // the last epoch before whose transition was settled
    Departed last;             // what it had claimed, and handed over; `since` is given in any case

    friend bool operator==(const Gone&, const Gone&) = default;
};
// So many are kept, those that went last.
inline constexpr std::size_t kMaxGone = 100;

// The tree was lost and is made anew: what the nodes of before it had claimed is not known.
struct Rebuilt {
    Instant since{};         // before that all was as the protocol has it
    Instant until{};         // no claim of before can reach beyond
    std::int64_t epoch = 0;  // the first one of the tree made anew

    friend bool operator==(const Rebuilt&, const Rebuilt&) = default;
};

// znode /runtimes/<r>/allocation
struct Allocation {
    std::int64_t epoch = 0;            // grows by one with each change of members
    std::vector<Member> nodes;         // by id
    std::vector<Membership> previous;  // oldest first; empty when the transition is settled
    std::vector<Departed> departed;    // kept until every gainer has resumed
    std::vector<Gone> gone{};          // as of the last transition that was settled
    std::optional<Rebuilt> rebuilt{};  // kept: a task that no node could take at the time knows nothing else of its past

    const Departed* find_departed(std::string_view incarnation) const;
    // Nobody asks for what was left in the transitions up to that epoch any more.
    bool settled_up_to(std::int64_t known_epoch) const { return previous.empty() || previous.front().epoch >= known_epoch; }
    // The first transition of a tree made anew is in progress: nobody's claims of before are known.
    bool rebuilding() const { return rebuilt && !previous.empty() && previous.front().epoch < rebuilt->epoch; }
    friend bool operator==(const Allocation&, const Allocation&) = default;
};

// znode /runtimes/<r>/revision: of the catalog, the newest that the centers have published. Nothing if the text is no revision.
std::optional<std::int64_t> read_revision(std::string_view text);

// znode /runtimes/<r>/horizons/<incarnation>, written by that incarnation alone
struct HorizonRecord {
    std::int64_t epoch = 0;              // the newest allocation that it has acknowledged
    Instant horizon{};                   // it may start fires up to here; never goes back
    Instant done{};                      // it has started every fire up to here; goes back when it gains tasks that are behind
    Instant floor{};                     // the highest bound beyond which it has taken a task over
    std::int64_t resumed = 0;            // the newest epoch by which it has taken over all that it gained
    std::int64_t revision = 0;           // it starts no task that came to the catalog later
    std::vector<Handover> handovers;     // of the epochs of the transition in progress
    std::vector<std::string> running{};  // "TASK", or "TASK MUTEX": what it has runs of that go on, of tasks that it does not own; sorted
    std::vector<LateMove> late{};        // of the last minutes
    std::int64_t since = 0;              // it has been a member since this epoch, or was up to a later one; 0: it never was
    bool sealed = false;                 // a later incarnation of the node has taken over; nothing may be written any more

    friend bool operator==(const HorizonRecord&, const HorizonRecord&) = default;
};

// The acknowledgement by which a task that was taken away in `epoch` was given up: the first of that epoch or later. Null if there is none.
const Handover* find_handover(const std::vector<Handover>& handovers, std::int64_t epoch);

// Up to where an owner fired a task that the change of `revision` took away, if beyond that change's effective_from.
std::optional<Instant> find_late(const std::vector<LateMove>& late, std::string_view task_id, std::int64_t revision);

// What a node knows, by its own disk or from the center, of the runtime's past.
struct Memory {
    std::int64_t epoch = 0;  // the highest that was ever in force; 0: none
    Instant at{};            // when the tree was last seen whole

    friend bool operator==(const Memory&, const Memory&) = default;
};

// znode /runtimes/<r>/nodes/<id>, ephemeral
struct Registration {
    Member member;
    std::string version;
    std::string address;        // host name, for people
    bool leaving = false;       // it wants to hand over all that it owns
    Memory remembers{};         // as of its registration
    std::int64_t revision = 0;  // of its catalog; while it is a member this stands still

    friend bool operator==(const Registration&, const Registration&) = default;
};

std::string write_allocation(const Allocation& allocation);
Result<Allocation> read_allocation(std::string_view text);
std::string write_horizon(const HorizonRecord& record);
Result<HorizonRecord> read_horizon(std::string_view text);
std::string write_registration(const Registration& registration);
Result<Registration> read_registration(std::string_view text);

// What the allocator knows. `horizons` must hold a record of every incarnation in `present` and of every one in the allocation that is not
// present and not departed: a record that could not be read is a reason to wait, never to go on; for one that is gone for good, take
// unknown_claims().
struct ClusterState {
    Allocation current;
    std::map<std::string, Registration> present;    // by incarnation: those with a live session
    std::map<std::string, HorizonRecord> horizons;  // by incarnation
    Instant claims_end{};                           // no claim that was made up to now reaches beyond, whoever made it
    std::int64_t published = 0;                     // the catalog's revision, by what the centers have published; 0: nobody has
};

// Of the record that unknown_claims() makes: it may have known everything.
inline constexpr std::int64_t kUnknownRevision = std::numeric_limits<std::int64_t>::max();

// In place of the record of a dead incarnation that is not there any more: it may have fired anything of the last while, and up to
// `claims_end`.
HorizonRecord unknown_claims(const Allocation& current, Instant now, Instant claims_end);

// The incarnations of the allocation (chain included) that have no session and are not among the departed yet.
std::vector<std::string> newly_dead(const Allocation& current, const std::map<std::string, Registration>& present);

// The next allocation, or nothing when the present one stands (no change of membership, or a transition that is not settled). Removals are
// taken at once, also in the middle of a transition; additions wait until it is settled, and until `admit_joins` (the caller debounces).
// Who has not learnt yet what is published is not added while others go on: it would not know what moved. Epochs only grow, also beyond
// what anybody present remembers.
std::optional<Allocation> next_allocation(const ClusterState& state, bool admit_joins);

// Does somebody who would be added have to wait until it has learnt what is published?
bool holds_back(const ClusterState& state);

}  // namespace cloudtask::ring
