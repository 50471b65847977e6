// The fire ledger's reasoning: which fires of a task were due by the versions of its definition, and what became of each by the history.
// Pure: no I/O, no clock. The rows are in ledger_store.h, sums over many tasks in ledger_report.h, one fire explained in why.h.
//
// Every fire has exactly one verdict. What a definition owes: fires strictly after its `effective_from`, up to the next version's, or up to
// the change that disabled or deleted the task.
//
// A version takes effect when a node learns of it, so that around a change what the nodes did is not laid down to the instant:
//   - Before the change, nodes account for what the old version owed. Only if no node of the runtime was there between the fire and the
//     change, nobody can: such a fire is `changed`. One that is in the history counts as what it is.
//   - After the change, a node that had not learnt of it may have gone on by the old version. A run at a fire time of the old version
//     within `after_change` counts as what it is; later ones are `unexpected`.
//   - A fire of the new version that is not later than one that was dealt with by an older version was passed over by it: `changed`.
#pragma once

#include <array>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "cloudtask/task/fire_walk.h"
#include "cloudtask/task/types.h"

namespace cloudtask::center {

// The least step of an instant, which is what lies between a fire and the search for the one after it.
inline constexpr Duration kTick{1};

// skipped: a rule or a person kept it from running (overlap, disabled, deleted, stopped before it began). missed: it was to run, and could
// not in time (misfire, its package could not be had, it could not be started).
enum class FireVerdict { ran, late, running, pending, skipped, missed, lost, changed, not_yet, awaited, unexplained };
inline constexpr std::size_t kFireVerdicts = 11;
std::string_view to_string(FireVerdict verdict);

struct DefinitionVersion {
    std::int64_t version = 1;
    Instant changed_at{}, effective_from{};
    std::string changed_by;
    bool enabled = true;
    std::vector<task::Schedule> schedules;
    std::vector<std::string> targets;
    std::map<std::string, std::string> labels;
    task::Mode mode = task::Mode::single;
    std::int64_t shards = 1;
    // Of a node's own piece: nobody knows whether the node was to have it. What is in the history of it counts, and nothing else is due.
    bool unasked = false;
    Duration tolerance{};  // for misfires: a fire may wait so long without a word
    // Why it cannot be read; empty: it can. What was due by such a version is not known: it has no fires, its tenure begins when it was
    // saved, and runs within that count as what they are.
    std::string problem;
};

// What a task was, by the versions that bear on the interval that is looked at; oldest first.
struct Definition {
    std::string task_id, runtime, group, name;
    std::vector<DefinitionVersion> versions;
    std::optional<Instant> deleted_at;
    std::string deleted_by;
};

// Fires of a version are due after `after`, up to `until`. Empty when `until` is not later.
struct Tenure {
    Instant after{}, until = Instant::max();
    bool contains(Instant time) const { return time > after && time <= until; }
};
// Of all versions, by index.
std::vector<Tenure> tenures_of(const Definition& definition);

// The first fire of the version after `after`, by any of its schedules.
std::optional<Instant> next_fire(const DefinitionVersion& version, Instant after);

// The fires of a definition in [from, to), in order; also those that calendars drop, and where it was due what they defer.
class DueFires {
  public:
    DueFires(const Definition& definition, Instant from, Instant to);
    struct Due {
        Instant time{};
        std::size_t version = 0;  // index
        Instant until{};          // the end of that version's tenure
        // Set: it is not due then, as a calendar excludes it, and no other schedule fires at that instant. It is dropped, or deferred to
        // `at`.
        std::optional<task::ScheduledFire> excluded = {};
    };
    const std::optional<Due>& next() const { return next_; }
    void advance();
    const std::vector<Tenure>& tenures() const { return tenures_; }

  private:
    // A schedule that calendars exclude fires of, and the fire of it that is looked at.
    struct Excluding {
        task::FireWalk walk;
        std::optional<task::ScheduledFire> fire;
    };
    void find(Instant after);
    void look_at_version(Instant from);
    // Of the version that is looked at: the first excluded fire after `from`, up to `until`.
    const task::ScheduledFire* next_excluded(Instant from, Instant until);

    const Definition& definition_;
    Instant to_;
    std::vector<Tenure> tenures_;
    std::size_t index_ = 0;
    std::optional<std::size_t> looked_at_;  // the version of:
    std::vector<Excluding> excluding_;
    std::optional<Instant> due_;  // its next fire that takes place
    std::optional<Due> next_;
};

// "calendar uk-holidays (Christmas Day)"
std::string exclusion_text(const task::Exclusion& exclusion);

// What the ledger needs of a run of a fire.
struct FireRecord {
    std::string piece;  // empty: of a single task
    Instant fire_time{};
    std::int64_t attempt = 1, task_version = 0;
    task::RunState state = task::RunState::pending;
    std::string reason;
    std::optional<Instant> started_at;
    std::optional<Duration> lateness;
};

// An entry of the history that stands for the fires after its own, up to `until`.
struct Cover {
    Instant after{}, until{};
    task::RunState state = task::RunState::skipped;
    std::string reason;
};

// Which of many covers a fire is told by, found by halving: an outage may leave thousands of them and a hundred thousand fires.
class Covers {
  public:
    Covers() = default;
    explicit Covers(std::vector<Cover> covers);
    // The cover that `time` lies in: of several the one that ends first. Null: none. It lives as long as this object.
    const Cover* at(Instant time) const;

  private:
    // Stretches of time, in order and apart, each with its cover's index.
    struct Stretch {
        Instant after{}, until{};
        std::size_t cover = 0;
    };
    std::vector<Cover> covers_;
    std::vector<Stretch> stretches_;
};

// When something was not there; `until` is absent while it lasts.
struct Absence {
    Instant since{};
    std::optional<Instant> until;
};

// Reports of fires in [from, to] may still lie in this node's outbox.
struct SilentNode {
    std::string name;
    Instant from{}, to = Instant::max();
};

struct LedgerRules {
    Duration late = std::chrono::seconds{1};   // a start that is later than this ran late
    Duration grace = std::chrono::minutes{1};  // from a fire's tolerance to its report at the center
    Duration after_change = std::chrono::seconds{60};
};

// What is known of a runtime, for fires that have no run.
struct Surroundings {
    Instant now{};
    LedgerRules rules;
    std::vector<Absence> without_nodes;  // when no node of the runtime was there, or the center was without ZooKeeper and could not tell
    std::vector<SilentNode> silent;
    bool unowned = false;  // no node can take the task now
};

struct Judgement {
    FireVerdict verdict = FireVerdict::unexplained;
    std::string reason;  // a category: what stands before the ':' of a run's reason; may be empty
};

// Of a fire that a calendar excludes: skipped, and whether it was dropped or deferred.
Judgement judge_excluded(const task::ScheduledFire& fire);

// The category of a reason: the text before its ':', at most 64 bytes.
std::string reason_category(std::string_view reason);

// What became of a fire by its attempts (at least one). One that succeeded counts most; else a later one more than an earlier one, unless
// only the earlier one began.
Judgement judge_attempts(const std::vector<FireRecord>& attempts, const LedgerRules& rules);

// What is to be said of a fire that has no run. `overtaken_until`: the latest fire that was dealt with by a version from before this
// version's effective_from was set.
Judgement judge_absent(const Definition& definition, const DueFires::Due& due, const Covers& covers, const Surroundings& surroundings,
                       const std::function<std::optional<Instant>(std::int64_t version)>& overtaken_until);

// Whether a run at `time` is explained by a version that was superseded not long before.
bool within_change(const Definition& definition, const std::vector<Tenure>& tenures, Instant time, const LedgerRules& rules);

// What working out a ledger may still cost. Spent by each fire, and each run of none, that is looked at.
class LedgerBudget {
  public:
    // `over` is asked now and then; true: the time is up. Empty: there is time.
    explicit LedgerBudget(std::uint64_t fires, std::function<bool()> over = {}) : fires_(fires), over_(std::move(over)) {}
    // False, from then on always: nothing is left.
    bool spend();
    // The same for what is not a fire: a task, a change.
    bool has_time();
    bool exhausted() const { return exhausted_; }
    bool late() const { return late_; }  // exhausted by time

  private:
    std::uint64_t fires_;
    std::function<bool()> over_;
    bool exhausted_ = false, late_ = false;
};

// Accounts for the fires of one task in [from, to): give it the runs of the interval in order of the millisecond of their fire time, then
// finish(). Holds the runs of one millisecond at a time.
class TaskLedger {
  public:
    struct Parts {
        const Definition& definition;
        Instant from{}, to{};
        const Covers& covers;
        const Surroundings& surroundings;
        std::function<std::optional<Instant>(std::int64_t version)> overtaken_until;
        std::function<void(Instant time, const Judgement& judgement)> fire;
        std::function<void(const FireRecord& first)> unexpected;
        LedgerBudget& budget;  // at its end the ledger stops
    };
    explicit TaskLedger(Parts parts);
    void take(FireRecord record);
    void finish();

  private:
    void settle();
    void settle_fire(const std::vector<FireRecord>& attempts);
    void absent_before(Instant time);

    Parts parts_;
    DueFires due_;
    std::vector<FireRecord> waiting_;  // of one millisecond
};

}  // namespace cloudtask::center
