// MachineLoop: the event loop of one simulated process over the virtual time that all share. Its machine's clock may be off, it may stand
// still for a while (SIGSTOP) and go on with late timers, and it may die between any two jobs.
//
// One thread, as the whole simulation. After each job it calls `after_job`, where the world looks at the invariants and counts jobs.
#pragma once

#include <deque>
#include <functional>
#include <memory>

#include "cloudtask/core/fake_loop.h"

namespace cloudtask::sim {

// The wall clock of a machine: the world's, off by an offset.
class MachineClock final : public Clock {
  public:
    explicit MachineClock(const Clock& world) : world_(world) {}
    Instant now() const override { return world_.now() + offset; }
    SteadyInstant steady_now() const override { return world_.steady_now(); }
    Duration offset{};

  private:
    const Clock& world_;
};

class MachineLoop final : public Loop {
  public:
    MachineLoop(FakeLoop& world, const MachineClock& clock, std::function<void()> after_job);
    ~MachineLoop() override;

    const Clock& clock() const override { return clock_; }
    void post(Function function) override;
    [[nodiscard]] Timer after(Duration delay, Function function) override;
    bool on_loop() const override { return true; }

    void pause();
    // What has come in meanwhile runs now: in the order of its coming, or all timers before all else, as real loops may do.
    void resume(bool timers_first);
    bool paused() const;

    // No job runs any more: the process is gone, though its objects may still be there for a moment.
    void kill();
    bool dead() const;

    // A post that may outlive the loop: dropped when the process is gone.
    std::function<void(Function)> poster() const;

  private:
    struct State;
    class TimerImpl;
    std::shared_ptr<State> state_;
    const MachineClock& clock_;
};

}  // namespace cloudtask::sim
