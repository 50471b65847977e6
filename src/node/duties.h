// Duties: all that one incarnation of the node owes: its claims, its horizon and its timetable, in one pure state machine. The coordinator
// feeds it what ZooKeeper says, writes the record that it wants written, and takes the fires that it may start.
//
// No I/O, no clock, no threads; the random-walk test runs the very same class.
//
// The rule that everything here serves: a fire is given out only if it lies within the horizon that ZooKeeper has acknowledged.
#pragma once

#include <algorithm>
#include <cstdint>
#include <optional>
#include <string>
#include <unordered_map>
#include <vector>

#include "cloudtask/ring/timing.h"
#include "node/claims.h"
#include "node/owed.h"
#include "node/timetable.h"

namespace cloudtask::node {

struct DutyOptions {
    // How far ahead the horizon is raised: who takes over from a node that died starts beyond it.
    Duration horizon = ring::kUsualHorizon;

    // It is raised when a fire is due within so long and it reaches no further: with the default once a second while fires are due, less
    // often if it is longer than two seconds.
    Duration lead() const {
        return std::max<Duration>(horizon * 3 / 8, std::min<Duration>(horizon / 2, horizon - std::chrono::seconds{1}));
    }
};

class Duties {
  public:
    Duties(std::string node_id, std::string incarnation, DutyOptions options);

    // --- what is learnt
    // A task that is new in the catalog counts only once the record says so (its revision is written): a successor must know what this node
    // could fire.
    // The versions of a task come in their order: what one that is superseded owes, up to tenure_end() of the next, it goes on owing.
    void put_task(TaskPointer task);
    // It was deleted at `at`: what it owed up to there it owes.
    void erase_task(const std::string& task_id, Instant at);
    // The catalog replica has reached `revision`; all its tasks have been put.
    void set_catalog_revision(std::int64_t revision);
    void observe(const ring::Allocation& allocation, Instant now);
    // The horizon records of the runtime, by incarnation, as last seen.
    void set_horizons(Claims::Horizons horizons);
    // Runs are going on here, or are not any more. The key is a task's, or one of both its and a mutex's (RunCounts).
    void set_running(const std::string& key, bool running, Instant now);
    // Then the record has to name a run that it does not name yet.
    std::optional<Instant> naming_due() const;

    // --- the record
    // What to write now; nothing while a write is under way or nothing is to be said. Call written() or not_written() for each.
    // `earliest_unstarted` is the time of the earliest fire that was given out and is not started yet.
    std::optional<ring::HorizonRecord> next_write(Instant now, std::optional<Instant> earliest_unstarted);
    void written();
    // The write certainly did not happen. An ambiguous one is repeated until it is certain.
    void not_written();
    // The session is over: no more writes. What lies within the acknowledged horizon is still given out.
    void retire();
    // For who prefers availability to the promise of one start: while ZooKeeper is out of reach, fires are given out without regard to the
    // horizon, also after retire(). Another node that is in contact may take the tasks over and start the same fires.
    void fire_beyond_horizon(bool beyond);
    // Retired, and a new incarnation begins, or the node stops: what lies beyond the horizon and was not given out is left to others.
    void keep_to_horizon();
    const ring::HorizonRecord& record() const { return written_; }

    // --- the fires
    // The next fire with time <= `until` that may be started.
    std::optional<Fire> take(Instant until);
    // Fires of the task up to `until` are not given out any more (they were dealt with all at once).
    void skip_until(const std::string& task_id, Instant until) { timetable_.skip_until(task_id, until); }
    // When the next fire of any kind is due, permitted or not.
    std::optional<Instant> next_due() const { return timetable_.next_due(); }
    std::vector<UncertainFires> take_uncertain();

    bool owns(const std::string& task_id) const { return claims_.owns(task_id); }
    // An earlier owner of the task, which lives, has not told yet of all that it began: see Claims::unsettled().
    bool unsettled(const std::string& task_id) const { return claims_.unsettled(task_id, horizons_); }
    // Owner, or next in line.
    bool in_reach(const task::Task& task) const { return claims_.in_reach(task); }
    std::int64_t epoch() const { return claims_.epoch(); }
    std::size_t owned_count() const { return claims_.owned_tasks(); }
    bool waiting() const { return claims_.waiting(); }
    // What other nodes' records say is still of use: see Claims::shares_tasks(). Or a task moves here by its targets, labels or mutex, and
    // who has it until then may still begin runs that outlast the move.
    bool shares_tasks(Instant now) const { return claims_.shares_tasks() || now < moves_until_; }
    // Retired, and nothing is left within the horizon.
    bool finished() const { return retired_ && timetable_.size() == 0; }
    // Nothing is owned and nothing of what was handed over is left (a node that leaves may go).
    bool handed_over(Instant now) const;

  private:
    // A version that was superseded, or whose task was deleted, while somebody may still owe fires of it.
    struct Earlier {
        TaskPointer task;
        Instant until{};  // it was in force up to here
    };
    // A task that is not admitted yet, or its deletion, in the order in which it came.
    struct Pending {
        TaskPointer task;
        std::optional<Instant> erased_at{};
    };
    struct Version {
        const TaskPointer* task = nullptr;
        Instant until = Instant::max();
    };

    void apply(const ClaimChanges& changes);
    void accept(const Gained& gained, bool opens);
    void open_acknowledged();
    Version find(const std::string& key) const;
    void end_earlier(const std::string& task_id, Instant until);
    void supersede(const TaskPointer& before, Instant until, const TaskPointer& next);
    void move(const TaskPointer& before, const TaskPointer& task);
    void forget_earlier(Instant now);
    void try_resolve();
    void name_running(Instant now);
    Instant horizon_bound() const;
    Instant done(std::optional<Instant> earliest_unstarted) const;

    DutyOptions options_;
    Claims claims_;
    Timetable timetable_;
    Claims::Horizons horizons_;
    TaskIndex tasks_;                                                // of the runtime, as they are in force
    std::unordered_map<std::string, std::vector<Earlier>> earlier_;  // by task id, oldest first
    std::vector<Pending> pending_;                                   // newer than the record's revision
    std::unordered_map<std::string, TaskPointer> pending_tasks_;     // the tasks in it, by id
    Owed owed_;
    std::map<std::string, Instant> running_;  // since when, by key
    bool running_stale_ = false;              // wanted_.running does not tell any more
    Instant naming_due_ = Instant::max();

    ring::HorizonRecord written_;                   // what ZooKeeper acknowledged; the claims know every task up to its revision
    std::optional<ring::HorizonRecord> in_flight_;  // what may have been written
    ring::HorizonRecord wanted_;                    // what is to be written; done apart
    std::int64_t catalog_revision_ = 0;
    bool member_ = false;  // of the ring, as of claims_.epoch()
    bool retired_ = false;
    bool beyond_horizon_ = false;
    Instant moves_until_{};  // up to here tasks may move to this node that were another's
    Instant written_at_{};   // or asked to be
    Instant forgotten_at_{};
};

}  // namespace cloudtask::node
