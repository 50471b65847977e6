// Why: what happened at one instant of one task, from the same ledger that `verify` sums up. Worker threads.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "center/cluster_view.h"
#include "center/ledger.h"
#include "center/runs_store.h"
#include "center/store.h"

namespace cloudtask::center {

struct Why {
    std::string task_id, runtime, group, name;
    Instant at{};
    std::string cause;     // one of the words of docs/wire.md
    std::string sentence;  // for people
    bool due = false;      // a fire of the version in force
    std::optional<FireVerdict> verdict;
    std::vector<StoredRun> runs;                  // attempts, oldest first
    std::optional<StoredRun> other_run;           // that kept it from running
    std::optional<DefinitionVersion> version;     // in force at that instant
    std::optional<Instant> before, after;         // fires of that version around an instant that is none
    std::optional<task::ScheduledFire> excluded;  // what a calendar did: to this fire, or to the one that was deferred to here
    std::optional<Instant> since;                 // when what is told of began: the change, the absence
    std::string by;                               // who made the change

    // Of a task with pieces: which one this is about, and what is to be said of each. Of all together that is what the one needs most that
    // went worst, and all their runs.
    std::optional<std::int64_t> shard;
    std::string node;
    std::vector<Why> pieces;
};

// One piece of a sharded or broadcast task, by its number, or its node's name or id; nothing: all of them.
struct WhyWhich {
    std::optional<std::int64_t> shard;
    std::string node;
};

// `over`: asked now and then; true: the time is up. Errors: not_found: there never was such a task, or it has no such piece; timeout; the
// store's.
Result<Why> explain_fire(Store& store, const ClusterView& cluster, const LedgerRules& rules, Instant now, const std::string& task_id,
                         Instant at, const WhyWhich& which = {}, const std::function<bool()>& over = {});

std::string why_json(const Why& why);

}  // namespace cloudtask::center
