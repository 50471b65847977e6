// What a run is started with, and how its end is told.
#include "node/run_texts.h"

#include "cloudtask/core/units.h"
#include "cloudtask/task/mutex.h"
#include "cloudtask/task/task_parameters.h"
#include "node/http/run_headers.h"

namespace cloudtask::node {

namespace {

constexpr std::size_t kMaxReason = 4000;  // bytes; what the codec takes, with room

bool continues_character(char c) { return (static_cast<unsigned char>(c) & 0xc0) == 0x80; }

}  // namespace

Result<LaunchSpec> launch_spec(const task::Task& task, const task::Run& run, std::string folder) {
    LaunchSpec spec;
    spec.run_id = run.id;
    spec.folder = std::move(folder);
    spec.command = task.command;
    spec.shell = task.shell;
    spec.environment = task.environment;
    spec.time_limit = task.time_limit;
    spec.grace = task.grace;
    spec.output_limit = task.output_limit;
    auto& variables = spec.run_environment;
    variables.emplace("CLOUDTASK_RUNTIME", run.runtime);
    variables.emplace("CLOUDTASK_GROUP", run.group);
    variables.emplace("CLOUDTASK_TASK", run.task_name);
    variables.emplace("CLOUDTASK_TASK_ID", run.task_id);
    if (run.shard) {
        variables.emplace("CLOUDTASK_SHARD", std::to_string(*run.shard));
        variables.emplace("CLOUDTASK_SHARDS", std::to_string(task.shards));
    }
    variables.emplace("CLOUDTASK_TRIGGER", task::to_string(run.trigger));
    variables.emplace("CLOUDTASK_ATTEMPT", std::to_string(run.attempt));
    variables.emplace("CLOUDTASK_NODE", run.node_name);
    variables.emplace("CLOUDTASK_EPOCH", std::to_string(run.epoch));
    if (run.fire_time) variables.emplace("CLOUDTASK_FIRE_TIME", format_instant(*run.fire_time));
    spec.http = task.http;
    if (spec.http != nullptr) spec.run_headers = run_headers(run);
    if (!task.parameters) return spec;
    auto words = task::worked_out(task, run);
    if (!words) return propagate(words);
    spec.command = std::move(words->command);
    spec.environment = std::move(words->environment);
    variables.merge(words->variables);
    return spec;
}

std::string end_reason(const Ended& end, Duration time_limit) {
    std::string reason;
    if (end.timed_out) {
        reason = fmt::format("it ran longer than its time limit of {}", format_duration(time_limit));
    } else if (end.stopped) {
        reason = "it was stopped";
    } else if (end.call_fault) {
        reason = *end.call_fault;
    } else if (end.exit_unknown) {
        reason = "the node was restarted while it ran, so how it ended is not known";
    } else if (end.signal) {
        reason = fmt::format("it was ended by signal {}", *end.signal);
    } else if (end.exit_code && *end.exit_code != 0) {
        reason = fmt::format("it exited with {}", *end.exit_code);
    }
    if (!end.output_lost) return reason;
    const std::string lost = "its output could not be kept: the disk is full";
    return reason.empty() ? lost : reason + "; " + lost;
}

std::string loss_reason(const JournalEntry& entry) {
    if (entry.phase == Phase::intent) return "the node was restarted as it was due, and may have started it or not";
    // Only a call has begun without a process.
    if (entry.process && entry.process->process == ProcessIdentity{}) {
        return "the node was restarted while it was called: it may have been called, and what it answered is not known";
    }
    return "the node was restarted while it ran, so how it ended is not known";
}

std::string overlap_reason(const InTheWay& way) {
    const auto& [here, elsewhere, waiting, mutex, holder] = way;
    if (!mutex.empty()) {
        const std::string words = task::mutex_words(mutex);
        if (!holder.empty()) return fmt::format("overlap: the run {} holds {}", holder, words);
        if (here == 0 && !elsewhere.empty()) return fmt::format("overlap: a run on {} holds {}", elsewhere, words);
    }
    if (here == 0 && elsewhere.empty()) return "overlap: an attempt of the fire before it is still to come";
    if (!elsewhere.empty() && here + waiting == 0) return fmt::format("overlap: the run before it is still going, on {}", elsewhere);
    if (here + waiting == 1 && elsewhere.empty()) return "overlap: the run before it is still going";
    return fmt::format("overlap: {} runs are still going{}", here + waiting + (elsewhere.empty() ? 0 : 1),
                       elsewhere.empty() ? "" : fmt::format(", one of them on {}", elsewhere));
}

std::string waits_reason(const InTheWay& way) {
    if (!way.holder.empty()) {
        return fmt::format("overlap: it waits for the run {}, which holds {}", way.holder, task::mutex_words(way.mutex));
    }
    if (way.here == 0 && !way.elsewhere.empty()) return fmt::format("overlap: it waits for the run before it, on {}", way.elsewhere);
    return "overlap: it waits for the run before it";
}

std::string full_reason(std::int64_t queued) {
    return queued == 1 ? "overlap: the queue is full, as one fire waits in it"
                       : fmt::format("overlap: the queue is full, as {} fires wait in it", queued);
}

std::string deadline_reason(Duration start_deadline) {
    return fmt::format("deadline: it had not begun {} after it was due", format_duration(start_deadline));
}

std::string bounded_reason(std::string reason) {
    if (reason.size() <= kMaxReason) return reason;
    std::size_t end = kMaxReason;
    while (end > 0 && continues_character(reason[end])) --end;
    reason.resize(end);
    return reason + "...";
}

}  // namespace cloudtask::node
