// WaitingLine: see waiting_line.h. Pure.
#include "node/waiting_line.h"

#include <iterator>

#include "cloudtask/task/decisions.h"

namespace cloudtask::node {

std::int64_t WaitingLine::before(const Asking& asking) const {
    if (empty() || held_.contains(asking.run_id)) return 0;
    const auto ahead = std::distance(queue_.begin(), queue_.lower_bound({asking.order, asking.run_id}));
    return static_cast<std::int64_t>(held_.size()) + ahead;
}

Admission WaitingLine::ask(const task::Task& task, const Asking& asking, std::int64_t going) const {
    // Attempts of a fire that goes on, and what was promised, go before what is due later.
    const bool first = asking.trigger == task::Trigger::retry || asking.trigger == task::Trigger::rerun || held_.contains(asking.run_id);
    if (going + (first ? 0 : before(asking)) < task::runs_at_once(task)) return Admission::begin;
    if (first) return Admission::hold;
    switch (task::without_room(task)) {
        case task::NoRoom::queue: {
            const bool waits = queue_.contains({asking.order, asking.run_id});
            return waits || static_cast<std::int64_t>(queue_.size()) < task.queue_limit ? Admission::queue : Admission::full;
        }
        case task::NoRoom::replace:
            return Admission::replace;
        case task::NoRoom::skip:
            break;
    }
    return Admission::skip;
}

void WaitingLine::hold(const Asking& asking) {
    queue_.erase({asking.order, asking.run_id});
    held_.insert(asking.run_id);
}

void WaitingLine::queue(const Asking& asking) {
    held_.erase(asking.run_id);
    queue_.emplace(asking.order, asking.run_id);
}

void WaitingLine::leave(const Asking& asking) {
    queue_.erase({asking.order, asking.run_id});
    held_.erase(asking.run_id);
}

}  // namespace cloudtask::node
