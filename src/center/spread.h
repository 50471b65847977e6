// Spread: a jitter for each of the schedules that make bursts, by which the bursts flatten. Pure.
//
// A burst is a second in which more than `target` fires are due. A schedule that is part of one of n fires needs n / target seconds,
// rounded up to a value that people use (1, 2, 5, 10, 15, 30 s, ...); the largest that any of its bursts asks for is proposed, but not more
// than `max_jitter`, nor than half the time between two of its own fires. Schedules of one instant (`at`), and those with jitter or H
// already, stay as they are: the former promise their instant, the latter are spread.
//
// The load after it is computed as nodes will compute it: jitter follows from the task's id and the instant.
#pragma once

#include <string>
#include <vector>

#include "center/schedule_load.h"

namespace cloudtask::center {

struct SpreadLimits {
    Duration max_jitter = std::chrono::minutes{5};
    std::int64_t target = 10;  // fires per second
};

struct SpreadProposal {
    const ScheduleLoad::Entry* entry = nullptr;
    Duration jitter{};
};

struct Spread {
    std::vector<SpreadProposal> proposals;  // in the order of the entries
    FireCounts after;
};

// `load` is finished, and outlives the result. Error: timeout.
Result<Spread> propose_spread(const ScheduleLoad& load, const SpreadLimits& limits);

}  // namespace cloudtask::center
