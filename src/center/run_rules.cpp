// The rules of the history: see run_rules.h.
#include "center/run_rules.h"

#include <algorithm>

namespace cloudtask::center {

using task::RunState;

namespace {

// What a node says of a fire that it did not run itself.
bool presumed(RunState state) { return state == RunState::lost || state == RunState::skipped; }

}  // namespace

bool waits_on_node(const task::Run& run) {
    const auto begins = [&run](std::string_view with) { return run.reason.starts_with(with); };
    return run.state == RunState::pending && std::any_of(kWaitingReasons.begin(), kWaitingReasons.end(), begins);
}

Verdict judge(const std::optional<KnownRun>& known, const task::Run& reported, std::string_view reporter, bool known_node_online) {
    if (!known) return Verdict::apply;
    const bool same_node = reporter == known->node_id;

    if (task::is_terminal(known->state)) {
        const bool repeats = reported.state == known->state;
        return repeats || (presumed(reported.state) && !same_node) ? Verdict::nothing : Verdict::late;
    }
    if (known->state == RunState::pending) {
        if (known->waits && presumed(reported.state) && !same_node && !reporter.empty()) return Verdict::nothing;
        const bool presumes = reported.state == RunState::lost && !same_node && known_node_online;
        return presumes ? Verdict::late : Verdict::apply;
    }
    // RUNNING.
    switch (reported.state) {
        case RunState::pending:
            return Verdict::nothing;
        case RunState::skipped:
            return Verdict::late;
        case RunState::lost:
            return same_node || !known_node_online ? Verdict::apply : Verdict::late;
        default:
            return same_node ? Verdict::apply : Verdict::late;
    }
}

}  // namespace cloudtask::center
