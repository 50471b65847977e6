// Backoff: how long to wait before the next try: 1 s doubling to 5 s, each with jitter, so that nodes that lost the center together do not
// come back together. No longer than that, since whoever waits goes on by definitions that may be old. Pure: randomness is passed in.
//
// Retry: a Backoff with its timer and its line in the log. Lives on the loop.
#pragma once

#include <functional>
#include <string>

#include "cloudtask/core/loop.h"
#include "cloudtask/core/random.h"
#include "cloudtask/core/result.h"

namespace cloudtask::node {

class Backoff {
  public:
    explicit Backoff(Random& random, Duration first = std::chrono::seconds{1}, Duration longest = std::chrono::seconds{5});

    // Between half of the step and the whole of it; the step doubles.
    Duration next();
    void reset() { step_ = first_; }

  private:
    Random& random_;
    const Duration first_, longest_;
    Duration step_;
};

class Retry {
  public:
    // `what` begins the log's lines: "reports".
    Retry(Loop& loop, Random& random, std::string what);

    // Says why, and calls `again` after the next wait.
    void failed(const Error& error, std::function<void()> again);
    // It works (again): the next failure waits shortly.
    void succeeded();
    // Something says that it may work again: `again` is called now if a wait is going on.
    void hurry();
    // Does not call `again` any more.
    void cancel();

  private:
    Loop& loop_;
    const std::string what_;
    Backoff backoff_;
    Timer timer_;
    std::function<void()> again_;  // while a wait is going on
    bool failing_ = false;
};

}  // namespace cloudtask::node
