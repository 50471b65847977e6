// Pipe: one direction of a connection under virtual time: messages arrive in the order sent, each after a while; nothing arrives while it
// is held (a network that is cut, but not for so long that anybody gives the connection up).
#pragma once

#include <deque>
#include <functional>
#include <utility>
#include <vector>

#include "cloudtask/core/fake_loop.h"

namespace cloudtask::sim {

class Pipe {
  public:
    using Function = std::function<void()>;
    struct Message {
        SteadyInstant at{};
        Function deliver;
        bool kept = false;  // sent again over the next connection
    };

    explicit Pipe(FakeLoop& world) : world_(world) {}

    void send(Duration latency, Function deliver, bool kept = false) {
        last_ = std::max(last_, world_.clock().steady_now() + latency);
        messages_.push_back({last_, std::move(deliver), kept});
        arm();
    }
    void set_held(bool held) {
        held_ = held;
        arm();
    }
    // What is on its way and does not arrive any more.
    std::deque<Message> clear() {
        timer_.cancel();
        return std::exchange(messages_, {});
    }

  private:
    void arm() {
        if (held_ || messages_.empty()) return timer_.cancel();
        const Duration left = messages_.front().at - world_.clock().steady_now();
        timer_ = world_.after(left, [this] {
            const Function deliver = std::move(messages_.front().deliver);
            messages_.pop_front();
            arm();
            deliver();
        });
    }

    FakeLoop& world_;
    std::deque<Message> messages_;
    SteadyInstant last_{};
    bool held_ = false;
    Timer timer_;
};

}  // namespace cloudtask::sim
