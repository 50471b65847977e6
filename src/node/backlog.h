// What to do with fires that come too late: the misfire policy, as a pure function.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "node/timetable.h"

namespace cloudtask::node {

// Individually recorded at the most; of a longer backlog the rest is recorded in one sentence.
inline constexpr auto kMaxMisfires = static_cast<std::size_t>(task::kMostMisfires);

struct Backlog {
    std::vector<Fire> late;   // the fires of one task that are later than its tolerance, oldest first
    std::optional<Fire> cut;  // there are more up to `passed_until`: this is the first of them
    Instant passed_until{};   // the timetable goes on behind this
};

// The backlog that begins with `first`, as of `now`. Empty when `first` is within its tolerance. It ends where first.permitted_until does:
// fires beyond the horizon may be another node's by now. Where each is to be run, `late` holds no more than the task's misfire_limit.
Backlog gather_backlog(const Fire& first, Instant now);

struct MisfireDecision {
    std::vector<Fire> run;
    struct Skipped {
        Fire fire;
        std::string reason;
        std::optional<Instant> covers_until{};  // all further fires up to here are skipped as well
    };
    std::vector<Skipped> skipped;
};

// `skip`: none is run; `once`: the latest is run for all; `all`: each is run. Of a cut backlog these are the recorded ones; what was cut is
// skipped, by any policy, and the first of it says so for all.
MisfireDecision decide_misfires(const Backlog& backlog, Instant now);

}  // namespace cloudtask::node
