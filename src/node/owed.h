// Owed: what a node owes of its tasks and has not begun to deal with: streams of fires that wait for ZooKeeper to know that it has taken
// them over, and fires that an incarnation which is gone may have started or not. By task, so that a change of one task costs what that
// task has.
//
// Pure: no clock, no I/O.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <unordered_map>
#include <vector>

#include "node/claims.h"
#include "node/task_index.h"

namespace cloudtask::node {

// Fires that somebody else may have started or not; to be settled by the tasks' policy and reported.
struct UncertainFires {
    TaskPointer task;
    Interval fires;
    std::string incarnation;  // empty: nobody knows whose they were
    int begun = 1;            // attempts that may have been begun; if nobody knows, more than there can have been
};

// A stream of fires that begins once ZooKeeper knows that this node has acknowledged the epoch that gave it, and has the revision of the
// catalog that made it.
struct Opening {
    TaskPointer task;
    Instant floor{}, limit = Instant::max();
    std::int64_t revision = 0;
};

class Owed {
  public:
    // Nothing if the stream, or the interval, is empty.
    void add(Opening opening);
    void add(UncertainFires uncertain);

    // `next` has the fires that `before` had, and takes its place.
    void amend(const TaskPointer& before, const TaskPointer& next);
    // `before` is in force up to `until`, and `next` (null: nothing) from its effective_from on. Also of what was taken of late.
    void supersede(const TaskPointer& before, Instant until, const TaskPointer& next);
    // The version goes to another owner, who starts beyond `limit`, and takes all that is newer than `revision`.
    void hand_over(const TaskPointer& version, Instant limit, std::int64_t revision);

    // The streams up to this revision of the catalog; they are the caller's. Costs what has come since the last call, unless the revision is
    // another.
    std::vector<Opening> take_openings(std::int64_t revision);
    std::vector<UncertainFires> take_uncertain();
    // A change that comes later than `before` is too late for what was taken of the time before.
    void forget_taken(Instant before);
    void drop_openings() {
        openings_.clear();
        fresh_.clear();
    }

    // Everything that is owed here lies after it; Instant::max() if there is nothing.
    Instant after() const;

  private:
    template <class Item>
    using ByTask = std::unordered_map<std::string, std::vector<Item>>;

    void take_openings_of(ByTask<Opening>::iterator entry, std::int64_t revision, std::vector<Opening>& taken);

    ByTask<Opening> openings_;
    std::vector<std::string> fresh_;     // ids of tasks that got an opening since these were last looked at
    std::int64_t looked_at_for_ = -1;  // this revision
    ByTask<UncertainFires> uncertain_;
    ByTask<UncertainFires> taken_;  // of late: who takes over may learn of a change only afterwards
};

}  // namespace cloudtask::node
