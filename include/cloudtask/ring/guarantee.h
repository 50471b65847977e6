// Guarantee: what happens to the fires and runs of a task when its node dies, when a run fails or takes too long, when a fire is missed:
// in sentences for people, made by the ring and the policies that nodes decide by (task/decisions.h), so that it is what happens.
//
// Pure.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/ring/ring.h"
#include "cloudtask/ring/timing.h"
#include "cloudtask/task/types.h"

namespace cloudtask::ring {

// What bears on it besides the task.
struct GuaranteeFacts {
    std::vector<Member> members;       // of the runtime's ring
    Duration session_timeout{};        // of the nodes' ZooKeeper sessions
    Duration horizon = kUsualHorizon;  // of their claims
};

struct Sentence {
    // pieces, owner, node-lost, uncertain, runs-lost, missed, start-deadline, overlap, time-limit, success, failed, drain, zookeeper,
    // center
    std::string_view topic;
    std::string text;
};

struct Guarantee {
    std::string owner, successor;    // names; empty: there is none
    bool fires = false;              // it is enabled, and has a schedule that fires
    Duration taken_over_within{};    // after the owner's death
    bool late_by_tolerance = false;  // even then fires that came due right after the death are within the misfire tolerance
    Duration uncertain{};            // fires of so long a time may have been started or not when the owner dies
    bool begun_again = false;        // and are begun again, rather than only reported
    std::vector<Sentence> sentences;
};

Guarantee describe_guarantee(const task::Task& task, const GuaranteeFacts& facts);

}  // namespace cloudtask::ring
