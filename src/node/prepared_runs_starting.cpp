// PreparedRuns: what is due is started, or is too late, or has to wait. See prepared_runs.h.
#include <algorithm>

#include "cloudtask/task/attempts.h"
#include "node/prepared_runs_impl.h"
#include "node/run_texts.h"

namespace cloudtask::node {

namespace {

constexpr Duration kClockStep = std::chrono::milliseconds{500};  // less is drift
constexpr Duration kLookSoon = std::chrono::milliseconds{100};
constexpr std::size_t kMostStarting = 16;  // on their way at a time

}  // namespace

void PreparedRuns::Impl::follow_clock() {
    const Duration offset = now().time_since_epoch() - around.loop.clock().steady_now().time_since_epoch();
    const Duration step = offset - std::exchange(clock_offset, offset);
    if (lines.empty() || (step < kClockStep && step > -kClockStep)) return;
    std::vector<std::string> ids;
    for (const auto& [key, line] : lines) {
        for (auto& id : line.all()) ids.push_back(std::move(id));
    }
    for (const auto& id : ids) {
        Prepared& entry = prepared.at(id);
        if (entry.not_before != Instant{}) entry.not_before += step;
        look_at(entry, entry.due + step);
    }
}

void PreparedRuns::Impl::start_due() {
    follow_clock();
    const Instant at = now();
    const std::size_t room = kMostStarting - std::min(kMostStarting, around.live.starting());
    bool held_back = false;
    std::vector<std::string> ready;
    std::unordered_map<std::string, Backlog> late;  // by task id
    for (const auto& [time, id] : due) {
        if (time > at) break;
        const Prepared& entry = prepared.at(id);
        if (!entry.package_ready && !entry.parked) continue;
        if (too_late(entry, at)) {
            late[entry.task->id].late.push_back(*entry.fire);
        } else if ((entry.intent_written || entry.parked) && !unsettled(entry)) {
            held_back = ready.size() == room;
            if (held_back) break;
            ready.push_back(id);
        }
    }
    for (const auto& id : ready) start(id);
    for (const auto& [task_id, backlog] : late) start_late(backlog);
    if (held_back && around.live.starting() == 0) start_more();  // none of these was to be started
    due_timer.cancel();
    const auto next = due.upper_bound({at, std::string(1, '\x7f')});
    if (std::exchange(look_soon, false)) {
        const Instant again = at + kLookSoon;
        arm(next == due.end() ? again : std::min(again, next->first));
    } else if (next != due.end()) {
        arm(next->first);
    }
    tell_closed();
}

bool PreparedRuns::Impl::unsettled(const Prepared& entry) {
    if (entry.mutex.empty() || !around.unsettled(entry.task->id)) return false;
    look_soon = true;
    return true;
}

void PreparedRuns::Impl::arm(Instant time) {
    due_timer_at = time;
    due_timer = around.loop.after(std::max<Duration>(time - now(), Duration{}), [this] { start_due(); });
}

void PreparedRuns::Impl::start_more() {
    if (std::exchange(starting_more, true)) return;
    around.loop.post([weak = weak_from_this()] {
        const auto self = weak.lock();
        if (!self) return;
        self->starting_more = false;
        self->start_due();
    });
}

void PreparedRuns::Impl::start_if_due(const Prepared& entry) {
    follow_clock();
    const Instant at = now();
    if (!entry.intent_written || entry.due > at) return;
    if (too_late(entry, at) || unsettled(entry)) return start_due();
    start(std::string{entry.run.id});
    tell_closed();
}

void PreparedRuns::Impl::tell_closed() {
    if (std::exchange(fires_closed, false)) around.fires_closed();
}

void PreparedRuns::Impl::start_late(const Backlog& backlog) {
    const MisfireDecision decision = decide_misfires(backlog, now());
    for (const auto& skipped : decision.skipped) {
        const auto found = prepared.find(task::run_id(skipped.fire.task->id, skipped.fire.time, 1));
        if (found == prepared.end()) continue;
        ++around.counters.skipped;
        end_prepared(found->second, task::RunState::skipped, skipped.reason);
    }
    for (const auto& fire : decision.run) {
        const std::string id = task::run_id(fire.task->id, fire.time, 1);
        if (const Prepared& entry = prepared.at(id); entry.intent_written && !unsettled(entry)) start(id);
    }
}

void PreparedRuns::Impl::start(const std::string& run_id) {
    const auto found = prepared.find(run_id);
    if (found == prepared.end()) return;
    Prepared& entry = found->second;
    if (const auto deadline = task::start_deadline(*entry.task, entry.run); deadline && now() > *deadline) {
        return skip(entry, deadline_reason(*entry.task->start_deadline));
    }
    // What waited while no process of this node was there: others may have begun runs meanwhile.
    if (entry.parked && !around.took_part()) return look_at(entry, now() + kLookAgain);
    const auto line = lines.find(entry.line());
    const WaitingLine& waits = line == lines.end() ? kNobody : line->second;
    const InTheWay way = in_the_way(entry, waits);
    switch (waits.ask(*entry.task, entry.asking(), way.here + (way.elsewhere.empty() ? 0 : 1))) {
        case Admission::begin:
            return entry.parked ? unpark(entry) : begin(entry);
        case Admission::hold:
            return hold(entry, waits_reason(way));
        case Admission::queue:
            return queue(entry, {}, waits_reason(way));
        case Admission::full:
            return skip(entry, full_reason(waits.queued_of(entry.task->id)));
        case Admission::replace:
            return replace(entry, way.elsewhere);
        case Admission::skip:
            return skip(entry, overlap_reason(way));
    }
}

std::string PreparedRuns::Impl::elsewhere_of(const Prepared& entry) const {
    // The owner waits for others. They do not wait for each other, nor for the owner: that would be for ever.
    if (entry.in_line && !around.owns(entry.task->id)) return {};
    std::string node = around.running_elsewhere(entry.task->id);
    if (node.empty() && !entry.mutex.empty()) node = around.running_elsewhere(entry.mutex);
    return node;
}

InTheWay PreparedRuns::Impl::in_the_way(const Prepared& entry, const WaitingLine& line) const {
    InTheWay way{around.live.counts().beside(entry.keys()), elsewhere_of(entry), line.before(entry.asking()), entry.mutex, {}};
    const auto* holder = entry.mutex.empty() ? nullptr : around.live.holder(entry.mutex);
    if (holder != nullptr && holder->task_id != entry.task->id) {
        way.holder = fmt::format("{} of {}/{}", holder->run_id, holder->group, holder->task_name);
    }
    return way;
}

void PreparedRuns::Impl::skip(const Prepared& entry, std::string reason) {
    ++around.counters.skipped;
    end_prepared(entry, task::RunState::skipped, std::move(reason));
}

void PreparedRuns::Impl::begin(Prepared& entry) {
    const std::string id = entry.run.id;
    if (!entry.refusal.empty()) return fail_prepared(id, entry.refusal);
    const bool closed = entry.in_line;
    const auto done = [this, closed](const Result<>& started, const task::Run& run, const TaskPointer& task, std::int64_t retry) {
        start_done(started, run, task, retry, closed);
    };
    around.live.start(entry.run, entry.task, entry.retry, done);
    if (closed) leave_line(entry);  // from here on it counts as one that is going on
    drop_prepared(id);
}

void PreparedRuns::Impl::start_done(const Result<>& started, const task::Run& run, const TaskPointer& task, std::int64_t retry,
                                    bool closed) {
    if (!started) {
        ++around.counters.failed_to_start;
        const std::string reason = fmt::format("it could not be started: {}", started.error().message);
        end_unstarted(run, task, retry, closed, task::RunState::failed, reason);
    } else if (!closed) {
        close_fire(run.fire_time);  // its intent is on disk
    }
    start_more();
}

}  // namespace cloudtask::node
