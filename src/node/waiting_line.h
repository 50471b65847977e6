// WaitingLine: which runs of one task, or of the tasks under one mutex, wait for others of it, and in which order they go. It decides by
// the overlap policy of the task that asks. Pure.
//
//   held     runs of a fire that goes on: its next attempt, or what was promised to be run (at least once). They count as going on, so that
//            nothing of a later fire goes before them.
//   resting  next attempts whose time is yet to come. So do they, for later fires of their own task: a mutex is free meanwhile.
//   queue    runs of later fires that wait for their turn, the earliest first.
#pragma once

#include <cstdint>
#include <map>
#include <set>
#include <string>
#include <utility>
#include <vector>

#include "cloudtask/task/types.h"

namespace cloudtask::node {

// What the line needs to know of the run that asks.
struct Asking {
    const std::string& run_id;
    const std::string& task_id;
    Instant order{};  // by which it waits in the queue
    task::Trigger trigger = task::Trigger::schedule;
};

enum class Admission {
    begin,    // now
    hold,     // it waits until those that run have ended
    queue,    // it waits for its turn
    full,     // as many fires of its task as may wait for their turn do already
    replace,  // what runs is to be ended, and what waits is not to be run
    skip,
};

class WaitingLine {
  public:
    // `going`: runs of the line that go on, here or elsewhere.
    Admission ask(const task::Task& task, const Asking& asking, std::int64_t going) const;
    // Runs that wait before this one.
    std::int64_t before(const Asking& asking) const;
    // Fires of the task that wait for their turn.
    std::int64_t queued_of(const std::string& task_id) const { return size_of(queued_of_, task_id); }

    void hold(const Asking& asking);
    void rest(const Asking& asking);
    void queue(const Asking& asking);
    void leave(const Asking& asking);

    bool empty() const { return held_.empty() && resting_.empty() && queue_.empty(); }
    const std::set<std::pair<Instant, std::string>>& queued() const { return queue_; }
    // Those that go before the queue.
    std::vector<std::string> first() const;
    std::vector<std::string> all() const;
    // The one that has the next turn, as far as it is known: nothing goes before it.
    bool is_next(const std::string& run_id) const { return held_.empty() && !queue_.empty() && queue_.begin()->second == run_id; }

  private:
    using Counts = std::map<std::string, std::int64_t>;  // by task id; none is 0
    static std::int64_t size_of(const Counts& counts, const std::string& task_id);
    static void take(Counts& counts, const std::string& task_id);

    std::set<std::string> held_, resting_;
    std::set<std::pair<Instant, std::string>> queue_;
    Counts resting_of_, queued_of_;
};

}  // namespace cloudtask::node
