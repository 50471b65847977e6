// Backoff: how long to wait before the next try, doubling from first to last, with jitter, so that many nodes do not come back in step.
// A value; the caller owns the timer.
#pragma once

#include <algorithm>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/random.h"

namespace cloudtask::zk {

class Backoff {
  public:
    Backoff(Duration first, Duration last) : first_(first), last_(last), next_(first) {}

    // Between half of the present step and all of it; the step doubles.
    Duration next(Random& random) {
        const Duration step = next_;
        next_ = std::min(last_, 2 * next_);
        const auto half = static_cast<std::uint64_t>(step.count() / 2);
        return Duration{static_cast<Duration::rep>(half + random.below(half + 1))};
    }
    void reset() { next_ = first_; }

  private:
    Duration first_, last_, next_;
};

}  // namespace cloudtask::zk
