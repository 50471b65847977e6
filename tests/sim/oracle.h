// Oracle: which fires the history of definitions calls for, worked out without any of the scheduler's code: the simulation's schedules are
// an interval with an anchor, or one instant, in UTC. Pure.
#pragma once

#include <string>
#include <vector>

#include "cloudtask/core/clock.h"

namespace cloudtask::sim {

// What the simulation knows of one version of a definition.
struct Rule {
    Duration interval{};  // zero: once
    Instant anchor{};     // of the interval; else the one instant
    bool enabled = true;
    Instant effective_from{};  // exclusive
    Instant known_at{};        // when the center took it
    bool deleted = false;
};

// A fire that has to end in a verdict.
struct Expected {
    Instant time{};
    std::size_t version = 0;  // index of the rule that calls for it
    // A later version had come into force, or the task was gone, by the time that anybody could be expected to have dealt with it.
    bool superseded = false;
};

// The instants of the rule in (after, until].
std::vector<Instant> instants(const Rule& rule, Instant after, Instant until);

// The fires that `rules`, the versions of one definition from the first to the last, call for up to `until`: each rule from its
// effective_from on, to where the next one takes over.
std::vector<Expected> expected_fires(const std::vector<Rule>& rules, Instant until);

// Does any version that counted at `time` have a fire there?
bool is_called_for(const std::vector<Rule>& rules, Instant time);

}  // namespace cloudtask::sim
