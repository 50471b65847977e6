// WaitingLine: see waiting_line.h. Pure.
#include "node/waiting_line.h"

#include <iterator>

#include "cloudtask/task/decisions.h"

namespace cloudtask::node {

std::int64_t WaitingLine::size_of(const Counts& counts, const std::string& task_id) {
    const auto found = counts.find(task_id);
    return found == counts.end() ? 0 : found->second;
}

void WaitingLine::take(Counts& counts, const std::string& task_id) {
    const auto found = counts.find(task_id);
    if (--found->second == 0) counts.erase(found);
}

std::int64_t WaitingLine::before(const Asking& asking) const {
    if (empty() || held_.contains(asking.run_id)) return 0;
    const auto ahead = std::distance(queue_.begin(), queue_.lower_bound({asking.order, asking.run_id}));
    return static_cast<std::int64_t>(held_.size()) + size_of(resting_of_, asking.task_id) + ahead;
}

Admission WaitingLine::ask(const task::Task& task, const Asking& asking, std::int64_t going) const {
    // Attempts of a fire that goes on, and what was promised, go before what is due later.
    const bool first = asking.trigger == task::Trigger::retry || asking.trigger == task::Trigger::rerun || held_.contains(asking.run_id);
    if (going + (first ? 0 : before(asking)) < task::runs_at_once(task)) return Admission::begin;
    if (first) return Admission::hold;
    switch (task::without_room(task)) {
        case task::NoRoom::queue: {
            const bool waits = queue_.contains({asking.order, asking.run_id});
            return waits || queued_of(asking.task_id) < task.queue_limit ? Admission::queue : Admission::full;
        }
        case task::NoRoom::replace:
            return Admission::replace;
        case task::NoRoom::skip:
            break;
    }
    return Admission::skip;
}

void WaitingLine::hold(const Asking& asking) {
    leave(asking);
    held_.insert(asking.run_id);
}

void WaitingLine::rest(const Asking& asking) {
    leave(asking);
    resting_.insert(asking.run_id);
    ++resting_of_[asking.task_id];
}

void WaitingLine::queue(const Asking& asking) {
    leave(asking);
    queue_.emplace(asking.order, asking.run_id);
    ++queued_of_[asking.task_id];
}

void WaitingLine::leave(const Asking& asking) {
    if (queue_.erase({asking.order, asking.run_id}) > 0) take(queued_of_, asking.task_id);
    if (resting_.erase(asking.run_id) > 0) take(resting_of_, asking.task_id);
    held_.erase(asking.run_id);
}

std::vector<std::string> WaitingLine::first() const {
    std::vector<std::string> ids(held_.begin(), held_.end());
    ids.insert(ids.end(), resting_.begin(), resting_.end());
    return ids;
}

std::vector<std::string> WaitingLine::all() const {
    std::vector<std::string> ids = first();
    for (const auto& [order, id] : queue_) ids.push_back(id);
    return ids;
}

}  // namespace cloudtask::node
