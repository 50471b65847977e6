// The next attempt: see attempts.h. Pure; any thread.
#include "cloudtask/task/attempts.h"

#include <fmt/format.h>

#include "cloudtask/core/ids.h"
#include "cloudtask/core/units.h"
#include "cloudtask/task/task_parameters.h"

namespace cloudtask::task {

namespace {

// Of lost calls, where the task says nothing of retries.
const Retry kCallAgain{.attempts = 10, .delay = std::chrono::seconds{1}, .max_delay = std::chrono::minutes{1}, .exit_codes = {}};

}  // namespace

std::string retry_id(std::string_view run_id, Instant time) { return make_named_uuid(time, fmt::format("{}/retry", run_id)); }

Duration longest_retry_delay(const Retry& retry, std::int64_t made) {
    Retry plain = retry;
    plain.jitter = 0;
    return Duration{static_cast<Duration::rep>(static_cast<double>(retry_delay(plain, made, {}).count()) * (1 + retry.jitter))};
}

std::optional<Retry> retry_of(const Task& task) {
    std::optional<Retry> retry;
    if (task.retry) retry = *task.retry;
    if (task.http == nullptr || task.guarantee != Guarantee::at_least_once) return retry;
    if (!retry) {
        retry = kCallAgain;
        retry->failed = retry->timed_out = false;
    }
    retry->lost = true;
    return retry;
}

bool is_given_up(const Run& run) { return run.state == RunState::skipped && run.trigger == Trigger::retry; }

std::optional<Instant> start_deadline(const Task& task, const Run& run) {
    if (!task.start_deadline || !run.fire_time) return std::nullopt;
    return *run.fire_time + *task.start_deadline;
}

NextAttempt next_attempt(const Task& task, const Run& ended, std::int64_t made, std::string_view refused) {
    NextAttempt next;
    const auto retry = retry_of(task);
    if (!retry || !asks_for_retry(*retry, ended.state, ended.exit_code)) return next;
    const std::int64_t in_all = retry->attempts;
    if (made >= in_all) {
        next.note = fmt::format("it was the last of {} attempts", in_all);
        return next;
    }
    if (!refused.empty()) {
        next.note = fmt::format("no further attempt, as {}", refused);
        return next;
    }
    const Instant from = ended.ended_at.value_or(Instant{});
    next.due = from + retry_delay(*retry, made, ended.id);
    if (const auto deadline = start_deadline(task, ended); deadline && next.due > *deadline) {
        next.note =
            fmt::format("no further attempt, as it would begin after the start deadline of {}", format_duration(*task.start_deadline));
        return next;
    }
    const std::string due = format_instant(std::chrono::ceil<std::chrono::seconds>(next.due));
    next.elsewhere = retry->elsewhere;
    next.note = fmt::format("attempt {} of {} follows at {}{}", made + 1, in_all, due,
                            next.elsewhere ? ", on another node if one can take it" : "");
    Run run;
    run.id = retry_id(ended.id, ended.fire_time.value_or(from));
    run.task_id = ended.task_id;
    run.piece = ended.piece;
    run.shard = ended.shard;
    run.task_version = ended.task_version;
    run.runtime = ended.runtime;
    run.group = ended.group;
    run.task_name = ended.task_name;
    run.trigger = Trigger::retry;
    run.fire_time = ended.fire_time;
    run.attempt = ended.attempt + 1;
    run.reason = fmt::format("retry: attempt {} of {} begins at {}", made + 1, in_all, due);
    run.package = ended.package;
    run.node_id = ended.node_id;
    run.node_name = ended.node_name;
    run.incarnation = ended.incarnation;
    run.epoch = ended.epoch;
    run.started_by = ended.started_by;
    if (!ended.fire_time) run.first_run = ended.first_run.empty() ? ended.id : ended.first_run;
    if (ended.parameters) run.parameters = given_parameters(ended);
    next.run = std::move(run);
    return next;
}

}  // namespace cloudtask::task
