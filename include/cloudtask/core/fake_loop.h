// FakeLoop: a Loop with virtual time. Nothing runs, and no time passes, but by a call of the test.
//
// Posted functions run in order; timers run in order of (time, creation). The wall clock can be stepped apart from the steady
// one, as an administrator or NTP would. post() is thread-safe so that real workers may be used with it.
#pragma once

#include <deque>
#include <map>
#include <mutex>

#include "cloudtask/core/loop.h"

namespace cloudtask {

class FakeLoop final : public Loop {
  public:
    // 2030-01-01T00:00:00Z unless told otherwise.
    explicit FakeLoop(Instant start = Instant{std::chrono::seconds{1893456000}});
    ~FakeLoop() override;

    const Clock& clock() const override { return clock_; }
    void post(Function function) override;
    [[nodiscard]] Timer after(Duration delay, Function function) override;
    bool on_loop() const override { return true; }

    // Runs all that is posted, and what that posts, without letting time pass. Returns how many functions ran.
    std::size_t settle();

    // Lets `by` pass: settles, then runs each timer at its own time, settling after each.
    void advance(Duration by);

    // Advances from timer to timer until `condition` holds; false if it does not within `limit` of virtual time.
    bool advance_until(const std::function<bool()>& condition, Duration limit);

    // Steps the wall clock only.
    void step_wall_clock(Duration by) { clock_.wall += by; }

  private:
    class FakeClock final : public Clock {
      public:
        Instant now() const override { return wall; }
        SteadyInstant steady_now() const override { return steady; }
        Instant wall;
        SteadyInstant steady;
    };
    using Key = std::pair<SteadyInstant, std::uint64_t>;
    struct Timers {
        std::map<Key, Function> pending;
    };
    class TimerImpl;

    bool run_next_timer(SteadyInstant until);

    FakeClock clock_;
    std::mutex mutex_;
    std::deque<Function> posted_;  // guarded by mutex_
    std::shared_ptr<Timers> timers_;
    std::uint64_t next_timer_ = 0;
};

}  // namespace cloudtask
