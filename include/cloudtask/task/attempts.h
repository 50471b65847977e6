// What follows the end of an attempt: the next one, or why there is none. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "cloudtask/task/types.h"

namespace cloudtask::task {

// The id of the attempt after the run of this id: every node and center computes the same, and it is nobody else's. `time` is what the id
// sorts by: the fire's, or the instant at which the attempt is planned.
std::string retry_id(std::string_view run_id, Instant time);

// By what the task's runs are tried again: its own policy. A lost call of a task with at_least_once is made again in any case: unlike a
// program it is never found again, and its receiver knows a repetition by its key.
std::optional<Retry> retry_of(const Task& task);

struct NextAttempt {
    std::optional<Run> run;  // PENDING; nothing: there is none
    Instant due{};
    bool elsewhere = false;  // another node is to begin it
    std::string note;        // for the run that ended: what follows, or why nothing does; may be empty
};

// `made`: attempts so far, with the one that ended; a run that is begun again after a loss begins anew. `refused`: why the task starts
// nothing any more; empty: it does. A task without a retry policy has no next attempt and no note.
NextAttempt next_attempt(const Task& task, const Run& ended, std::int64_t made, std::string_view refused);

// As long as retry_delay() may be with any id.
Duration longest_retry_delay(const Retry& retry, std::int64_t made);

// A further attempt that is not begun after all: with it its fire, or manual start, has failed, as the attempt before it had.
bool is_given_up(const Run& run);

// No attempt of the fire begins later. Nothing: at any time, or it is no run of a fire.
std::optional<Instant> start_deadline(const Task& task, const Run& run);

}  // namespace cloudtask::task
