// PreparedRuns: runs that are going to be started on this node, from the intent to the start. It writes the intents, has folders made and
// packages unpacked ahead of time, starts what is due in order of time, and accounts for what is not started after all.
//
// A run that has to wait (for its time, being the next attempt of one that failed; for its turn, where the task lets fires queue) is in the
// journal as waiting: certainly not begun. Before it is started its intent is written again. So a kill between any two steps neither loses
// it nor has it begun twice.
//
// Nothing on the way from "due" to the spawn waits for a disk or for ZooKeeper, unless the fire came in too late for its intent to be
// written before.
//
// Lives on the loop. It does not decide which fires come in: that is the Runner's. What has a process is LiveRuns'.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cloudtask/core/loop.h"
#include "node/journal_writer.h"
#include "node/live_runs.h"
#include "node/node_secrets.h"
#include "node/packages/package_store.h"
#include "node/run_folders.h"
#include "node/timetable.h"

namespace cloudtask::node {

// A run that is going to be started.
struct PreparedRun {
    task::Run run;
    TaskPointer task;
    Instant due{};
    std::optional<Fire> fire;  // of one that was in time when it was taken: to be held against its tolerance once more
};

class PreparedRuns {
  public:
    struct Surroundings {
        Loop& loop;
        PackageCache& packages;
        JournalWriter& journal;
        RunFolders& folders;
        NodeSecrets& secrets;
        LiveRuns& live;
        RunCounters& counters;
        std::function<std::string()> incarnation;                               // the one to report by
        std::function<std::string(const std::string& name)> running_elsewhere;  // see Coordinator
        std::function<bool(const std::string& task_id)> unsettled;              // see Coordinator
        std::function<bool(const std::string& task_id)> owns;                   // see Coordinator
        std::function<bool()> took_part;                                        // see Coordinator
        std::function<std::string(const std::string& task_id)> refused;         // why the task starts nothing any more; empty: it does
        std::function<void(const std::string& key)> key_changed;                // waits(key) may be another
        std::function<void()> fires_closed;                                     // earliest_unstarted() may be another
    };
    explicit PreparedRuns(Surroundings surroundings);
    ~PreparedRuns();

    // A run that the journal knows: it is not begun again.
    void know(const std::string& run_id);
    void forget(const std::string& run_id);

    // Writes the intent, together with `batch`, and makes everything ready. False if the journal knows the run already: nothing is done.
    bool prepare(Batch&& batch, PreparedRun entry);

    // Runs that end without having been started. add_unstarted() adds one to the batch, or nothing if the journal knows it; the batch,
    // which is about the fire at `fire_time`, is then to be written.
    void add_unstarted(Batch& batch, task::Run run, task::RunState state, std::string reason);
    void write_unstarted(Batch batch, Instant fire_time);

    // A run that waits, as the journal has it or is about to have it.
    void resume(JournalEntry entry);
    // The same of one that another node has given up to this one: written, and told of, together with `batch`. False if the journal knows
    // the run already: nothing is done.
    bool take_over(Batch&& batch, JournalEntry entry);
    // Runs wait for others, or for their time: their fires go on. The key is one of RunCounts.
    bool waits(const std::string& key) const;
    // Such a run has ended: there may be room for one that waits.
    void wake(const RunKeys& keys);

    // Starts what is due.
    void start_due();

    // Ends a prepared run: it is not started. False if there is no such run.
    bool end(const std::string& run_id, task::RunState state, std::string reason);
    // The same with all of the task's but those of manual starts: SKIPPED.
    void skip_task(const std::string& task_id, const std::string& reason);

    // The time of the earliest fire that was taken and is not accounted for yet: neither started, nor on disk as not to be started.
    std::optional<Instant> earliest_unstarted() const;
    std::size_t size() const;
    // Of these, what does not only wait: that may be left to the next process of this node.
    std::size_t under_way() const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::node
