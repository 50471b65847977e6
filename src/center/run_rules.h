// What a report may do to the history: the rules by which a run's next state is accepted, late, or nothing new. Pure; any thread.
#pragma once

#include <array>
#include <optional>
#include <string>
#include <string_view>

#include "cloudtask/task/types.h"

namespace cloudtask::center {

// What the history holds of a run.
struct KnownRun {
    std::string task_id;
    task::RunState state = task::RunState::pending;
    std::string node_id;
    bool log_dropped = false;  // part of its log could not be written
    bool waits = false;        // PENDING, and on its node's disk: the node begins it when it is back, however long that takes
};

// What nodes say of runs that they have not begun: they wait there for their turn, or as further attempts. The reasons begin so.
inline constexpr std::array<std::string_view, 2> kWaitingReasons = {"overlap:", "retry:"};
bool waits_on_node(const task::Run& run);

enum class Verdict {
    apply,    // the report is the run's new state
    late,     // it contradicts what is settled: kept beside the run (late_report), not applied
    nothing,  // it says nothing new
};

// Judges a report of `reporter` (a node id; empty: the center itself). `known_node_online`: the node that the history names for the run
// is registered, under whatever incarnation, or may be: it will report for itself.
//
// Terminal states are absorbing; RUNNING does not go back to PENDING; what a next owner can only presume (LOST, SKIPPED) never
// overrides what the run's own node said, nor a run that its node may still be running or that waits there.
Verdict judge(const std::optional<KnownRun>& known, const task::Run& reported, std::string_view reporter, bool known_node_online);

}  // namespace cloudtask::center
