// QuestionLine: questions that may take seconds (the ledger, why, a failover plan) are answered one at a time on a thread of their own, so
// that many of them keep neither the API's threads nor a processor from the rest. Who would have to wait too long is told so.
//
// enter() may be called from any thread; jobs run on the worker. Does not know what is asked.
#pragma once

#include <atomic>
#include <functional>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/worker.h"

namespace cloudtask::center {

struct QuestionLimits {
    std::size_t most_waiting = 8;                      // with the one that is being answered
    Duration longest_wait = std::chrono::seconds{10};  // before it is begun
    Duration longest_answer = std::chrono::seconds{20};
};

class QuestionLine {
  public:
    // `worker` has one thread; worker and clock outlive the line.
    QuestionLine(Worker& worker, const Clock& clock, QuestionLimits limits = {}) : worker_(worker), clock_(clock), limits_(limits) {}

    // Whether the question's turn came in time, and if so: `over` says when its time is up.
    struct Turn {
        bool in_time = false;
        std::function<bool()> over;
    };
    using Job = std::function<void(const Turn& turn)>;

    // Runs `job` on the worker, once, when its turn has come. False: too many wait already, it will not be run.
    bool enter(Job job);

    // The center stops: what is asked ends, what waits is told so.
    void close() { closed_ = true; }

    const QuestionLimits& limits() const { return limits_; }

  private:
    Worker& worker_;
    const Clock& clock_;
    const QuestionLimits limits_;
    std::atomic<std::size_t> waiting_{0};
    std::atomic<bool> closed_{false};
};

}  // namespace cloudtask::center
