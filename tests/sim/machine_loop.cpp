// MachineLoop: see machine_loop.h.
#include "tests/sim/machine_loop.h"

#include <algorithm>
#include <utility>

namespace cloudtask::sim {

struct MachineLoop::State : std::enable_shared_from_this<MachineLoop::State> {
    struct Job {
        Function function;
        bool of_timer = false;
    };

    FakeLoop& world;
    std::function<void()> after_job;
    std::deque<Job> ready;
    bool paused = false;
    bool dead = false;
    bool pumping = false;  // a turn is posted to the world

    State(FakeLoop& w, std::function<void()> after) : world(w), after_job(std::move(after)) {}

    void add(Function function, bool of_timer) {
        if (dead) return;
        ready.push_back({std::move(function), of_timer});
        pump_later();
    }

    void pump_later() {
        if (pumping || paused || dead || ready.empty()) return;
        pumping = true;
        world.post([self = shared_from_this()] { self->pump(); });
    }

    void pump() {
        pumping = false;
        if (dead || paused || ready.empty()) return;
        {
            const Job job = std::move(ready.front());
            ready.pop_front();
            job.function();
        }
        if (!dead) after_job();
        pump_later();
    }
};

class MachineLoop::TimerImpl final : public Timer::Impl {
  public:
    explicit TimerImpl(std::shared_ptr<Function> function) : function_(std::move(function)) {}
    ~TimerImpl() override { const Function taken = std::exchange(*function_, nullptr); }

    Timer world_timer;

  private:
    std::shared_ptr<Function> function_;
};

MachineLoop::MachineLoop(FakeLoop& world, const MachineClock& clock, std::function<void()> after_job)
    : state_(std::make_shared<State>(world, std::move(after_job))), clock_(clock) {}

MachineLoop::~MachineLoop() {
    kill();
    // What is left may post once more when it is destroyed; that is dropped.
    const auto dropped = std::exchange(state_->ready, {});
}

void MachineLoop::post(Function function) { state_->add(std::move(function), false); }

Timer MachineLoop::after(Duration delay, Function function) {
    const auto held = std::make_shared<Function>(std::move(function));
    auto timer = std::make_unique<TimerImpl>(held);
    if (!state_->dead) {
        timer->world_timer = state_->world.after(delay, [weak = std::weak_ptr(state_), held] {
            const auto state = weak.lock();
            if (!state) return;
            state->add(
                [held] {
                    if (const Function call = std::exchange(*held, nullptr)) call();
                },
                true);
        });
    }
    return Timer{std::move(timer)};
}

void MachineLoop::pause() { state_->paused = true; }

void MachineLoop::resume(bool timers_first) {
    state_->paused = false;
    if (timers_first) std::stable_partition(state_->ready.begin(), state_->ready.end(), [](const auto& job) { return job.of_timer; });
    state_->pump_later();
}

bool MachineLoop::paused() const { return state_->paused; }
void MachineLoop::kill() { state_->dead = true; }
bool MachineLoop::dead() const { return state_->dead; }

std::function<void(Loop::Function)> MachineLoop::poster() const {
    return [weak = std::weak_ptr(state_)](Function function) {
        if (const auto state = weak.lock()) state->add(std::move(function), false);
    };
}

}  // namespace cloudtask::sim
