// Loop: the one event loop that owns a process's state, as an interface. Real: AsioLoop; in tests: FakeLoop, whose time moves
// only when the test says so.
//
// Threads: post() may be called from any thread; everything else only on the loop. Classes that "live on the loop" call
// assert_on_loop() in their methods. Nothing that blocks runs on the loop: disk and name look-ups go to a Worker.
#pragma once

#include <functional>
#include <memory>

#include "cloudtask/core/check.h"
#include "cloudtask/core/clock.h"

namespace cloudtask {

// A pending call. Destroying or resetting it cancels the call; after that the function will not run. On the loop only.
class Timer {
  public:
    class Impl {
      public:
        virtual ~Impl() = default;  // cancels
    };

    Timer() = default;
    explicit Timer(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}

    void cancel() { impl_.reset(); }
    // True while a call is held, also after it has run: a Timer does not learn that it fired.
    explicit operator bool() const { return impl_ != nullptr; }

  private:
    std::unique_ptr<Impl> impl_;
};

class Loop {
  public:
    using Function = std::function<void()>;

    virtual ~Loop() = default;

    virtual const Clock& clock() const = 0;

    // Runs `function` on the loop, after what was posted before it; never inline.
    virtual void post(Function function) = 0;

    // Runs `function` once, `delay` (steady time; not less than zero) from now, unless the Timer is gone by then.
    [[nodiscard]] virtual Timer after(Duration delay, Function function) = 0;

    virtual bool on_loop() const = 0;

    void assert_on_loop() const { CLOUDTASK_CHECK(on_loop(), "called off its event loop"); }
};

}  // namespace cloudtask
