// FakeLoop: virtual time. Deterministic: timers run by (time, order of creation).
#include "cloudtask/core/fake_loop.h"

namespace cloudtask {

class FakeLoop::TimerImpl final : public Timer::Impl {
  public:
    TimerImpl(std::weak_ptr<Timers> timers, Key key) : timers_(std::move(timers)), key_(key) {}
    ~TimerImpl() override {
        // Taken out first: destroying the function may destroy other timers, which come here in turn.
        if (const auto timers = timers_.lock()) const auto taken = timers->pending.extract(key_);
    }

  private:
    std::weak_ptr<Timers> timers_;  // a Timer may outlive its loop
    Key key_;
};

FakeLoop::FakeLoop(Instant start) : timers_(std::make_shared<Timers>()) {
    clock_.wall = start;
    clock_.steady = SteadyInstant{std::chrono::hours{1}};
}

FakeLoop::~FakeLoop() = default;

void FakeLoop::post(Function function) {
    const std::lock_guard lock(mutex_);
    posted_.push_back(std::move(function));
}

Timer FakeLoop::after(Duration delay, Function function) {
    const Key key{clock_.steady + std::max(delay, Duration::zero()), next_timer_++};
    timers_->pending.emplace(key, std::move(function));
    return Timer{std::make_unique<TimerImpl>(timers_, key)};
}

std::size_t FakeLoop::settle() {
    for (std::size_t ran = 0;; ++ran) {
        Function function;
        {
            const std::lock_guard lock(mutex_);
            if (posted_.empty()) return ran;
            function = std::move(posted_.front());
            posted_.pop_front();
        }
        function();
    }
}

bool FakeLoop::run_next_timer(SteadyInstant until) {
    const auto next = timers_->pending.begin();
    if (next == timers_->pending.end() || next->first.first > until) return false;
    const auto passed = next->first.first - clock_.steady;
    clock_.steady += passed;
    clock_.wall += passed;
    const Function function = std::move(next->second);
    timers_->pending.erase(next);
    function();
    settle();
    return true;
}

void FakeLoop::advance(Duration by) {
    const SteadyInstant until = clock_.steady + by;
    settle();
    while (run_next_timer(until)) {
    }
    clock_.wall += until - clock_.steady;
    clock_.steady = until;
}

bool FakeLoop::advance_until(const std::function<bool()>& condition, Duration limit) {
    const SteadyInstant until = clock_.steady + limit;
    settle();
    while (!condition()) {
        if (!run_next_timer(until)) return false;
    }
    return true;
}

}  // namespace cloudtask
