// LiveRuns: the runs of this node that have a process, or are a call, from the spawn to the report of their end. It carries what they write
// to the outbox, and takes over what an earlier process of this node left running.
//
// Lives on the loop. It decides nothing about whether a run may start: that is the Runner's.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cloudtask/core/loop.h"
#include "node/journal_writer.h"
#include "node/node_secrets.h"
#include "node/process/supervisor.h"
#include "node/run_folders.h"
#include "node/run_keys.h"
#include "node/timetable.h"

namespace cloudtask::node {

struct RunCounters {
    std::uint64_t started = 0, skipped = 0, lost = 0, failed_to_start = 0;
    std::uint64_t succeeded = 0, failed = 0, timed_out = 0, stopped = 0;
    Duration last_lateness{}, max_lateness{};
};

class LiveRuns {
  public:
    struct Surroundings {
        Loop& loop;
        Supervisor& supervisor;
        JournalWriter& journal;
        RunFolders& folders;
        NodeSecrets& secrets;
        RunCounters& counters;
        std::function<std::string()> incarnation;             // the one to report by
        std::function<void(const std::string&)> key_changed;  // of RunCounts: it has its first run that is going on, or has lost its last
        std::function<void(const RunKeys&)> run_ended;        // there may be room for another
        std::function<std::string(const std::string&)> refused;  // why the task starts nothing any more; empty: it does
        std::function<void(JournalEntry)> waits;                 // an attempt that is to follow one that ended; it is being written
    };
    explicit LiveRuns(Surroundings surroundings);
    ~LiveRuns();

    // Told of a start that has come to pass, or of why it has not (errors: those of Supervisor::start()); never inline. `task`: if its
    // definition is needed yet (needs_definition()).
    using OnStarted = std::function<void(const Result<>& started, const task::Run& run, const TaskPointer& task, std::int64_t retry)>;

    // Starts the run's process; `retry`: see JournalEntry. From here on the run is going on, as far as counts() and stop() are concerned,
    // until its start fails. It is written down a little later, or with its end if that comes first.
    void start(task::Run run, const TaskPointer& task, std::int64_t retry, OnStarted on_started);

    // Where calls that begin from now on may connect to; until it is said, where they may by default. Never null.
    void set_networks(std::shared_ptr<const task::NetworkRules> networks);

    // Ends the run's tree, at once or when its start has come to pass; `note`: what its end is told with. What has to go on disk so that
    // the stop outlives this process; nothing if there is no such run, or it is ending.
    std::optional<JournalEntry> stop(const std::string& run_id, const std::string& note = {});

    // What the journal holds of runs that have not ended: a process that still runs is taken over, the others are LOST.
    void recover(std::vector<JournalEntry> unfinished);

    // Runs that are going on here, by RunKeys.
    const RunCounts& counts() const;
    // The run that began last under the mutex, if one is going on under it.
    struct Holder {
        std::string run_id, task_id, group, task_name;
    };
    const Holder* holder(const std::string& mutex) const;
    std::vector<std::string> ids_of(const std::string& task_id) const;
    std::size_t size() const;
    // Of these, those whose start is on its way.
    std::size_t starting() const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::node
