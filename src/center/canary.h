// Canary: a new version of a task on trial. Its first fires decide: when the last attempt of one ends FAILED or TIMED_OUT, or is given up,
// the task goes back to the version before, when enough have succeeded the version is confirmed. Decided where the end of a run is
// recorded, in that transaction, from the history itself: whatever is repeated or restarted, the decision is the same.
//
// Worker threads, within a write transaction. What a change of the task is, is in task_changes.h.
#pragma once

#include <map>
#include <optional>
#include <string>

#include "center/canary_store.h"
#include "center/principal.h"
#include "center/task_changes.h"
#include "cloudtask/task/types.h"

namespace cloudtask::center {

inline constexpr std::int64_t kMostCanaryFires = 1000;

// `after` is to be tried for `fires` fires. Errors: unsupported, when there is nothing new to try.
Result<> begin_canary(WriteScope& scope, const StoredTask& before, StoredTask& after, std::int64_t fires);

// The task gets another version than the one on trial. One that enables or disables it is tried on; any other ends the trial. Returns what
// has become of the task's canary.
std::optional<Canary> follow_canary(soci::session& sql, const StoredTask& before, const task::Task& after, Instant now);

// The trials that ends of runs decide, within one transaction.
class CanaryJudge {
  public:
    CanaryJudge(soci::session& sql, Instant now) : sql_(sql), now_(now) {}

    struct Decision {
        Canary canary;
        task::Task task;     // as it is now
        std::string run_id;  // that decided
    };
    // A run has got a final state, and no further attempt of it follows. Something is decided at most once per trial.
    std::optional<Decision> on_end(const task::Run& run);

    // The newest catalog revisions that roll-backs have made, by runtime; nodes are told after the commit.
    const std::map<std::string, std::int64_t>& catalog_changes() const { return catalog_changes_; }

  private:
    void roll_back(Decision& decision, const task::Run& run);

    soci::session& sql_;
    Instant now_;
    std::optional<std::map<std::string, Canary>> running_;  // by task; read when the first run ends
    std::map<std::string, std::int64_t> catalog_changes_;
};

}  // namespace cloudtask::center
