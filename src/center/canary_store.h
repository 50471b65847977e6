// The table task_canaries: at most one trial of a new version per task, the newest. SQL only; the rules are in canary.h.
//
// Any thread that holds a transaction of Store. Functions throw SOCI's errors, which Store maps.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "cloudtask/core/clock.h"

namespace soci {
class session;
}

namespace cloudtask::center {

struct Canary {
    enum class State { running, confirmed, rolled_back, superseded, stuck };

    std::string task_id;
    std::int64_t version = 0;   // the first version that is tried
    std::int64_t last = 0;      // later ones up to this say the same, but for whether the task is enabled
    std::int64_t previous = 0;  // what it goes back to
    std::int64_t fires = 0;     // so many have to succeed
    std::int64_t succeeded = 0;
    State state = State::running;
    std::string detail;  // a sentence, once it is decided
    Instant started_at{};
    std::optional<Instant> decided_at;
};

std::string_view to_string(Canary::State state);
// As the API shows it.
std::string canary_json(const Canary& canary);

std::optional<Canary> find_canary(soci::session& sql, const std::string& task_id);
// Those that are running.
std::vector<Canary> running_canaries(soci::session& sql);
void write_canary(soci::session& sql, const Canary& canary);
// Trials of tasks that use a calendar go on with the versions that a change of it has made.
void extend_canaries(soci::session& sql, const std::string& runtime, const std::string& calendar);
// So it is with the trial of a task of which its group or runtime made the next version.
void extend_canary(soci::session& sql, const std::string& task_id, std::int64_t version);
void erase_canary(soci::session& sql, const std::string& task_id);

// How many fires have succeeded by the versions on trial, up to as many as have to: at least so many pieces of one have, and none is yet to
// end. `only`: of the fires of this millisecond.
std::int64_t count_succeeded(soci::session& sql, const Canary& canary, std::int64_t pieces, std::optional<Instant> only = {});

}  // namespace cloudtask::center
