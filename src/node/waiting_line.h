// WaitingLine: which runs of one task wait for others of it, and in which order they go. It decides by the task's overlap policy. Pure.
//
//   held    runs of a fire that goes on: its next attempt, or what was promised to be run (at least once). They count as going on, so that
//           nothing of a later fire goes before them.
//   queue   runs of later fires that wait for their turn, the earliest first.
#pragma once

#include <cstdint>
#include <set>
#include <string>
#include <utility>

#include "cloudtask/task/types.h"

namespace cloudtask::node {

// What the line needs to know of the run that asks.
struct Asking {
    const std::string& run_id;
    Instant order{};  // by which it waits in the queue
    task::Trigger trigger = task::Trigger::schedule;
};

enum class Admission {
    begin,    // now
    hold,     // it waits until those that run have ended
    queue,    // it waits for its turn
    full,     // as many as may wait for their turn do already
    replace,  // what runs is to be ended, and what waits is not to be run
    skip,
};

class WaitingLine {
  public:
    // `going`: runs of the task that go on, here or elsewhere.
    Admission ask(const task::Task& task, const Asking& asking, std::int64_t going) const;
    // Runs that wait before this one.
    std::int64_t before(const Asking& asking) const;

    void hold(const Asking& asking);
    void queue(const Asking& asking);
    void leave(const Asking& asking);

    bool empty() const { return held_.empty() && queue_.empty(); }
    const std::set<std::string>& held() const { return held_; }
    const std::set<std::pair<Instant, std::string>>& queued() const { return queue_; }

  private:
    std::set<std::string> held_;
    std::set<std::pair<Instant, std::string>> queue_;
};

}  // namespace cloudtask::node
