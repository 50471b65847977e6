// AsioLoop: the real Loop, on one thread of a boost::asio::io_context.
//
// run() is called by the thread that is to own the state; it returns after stop(). Other modules that wait on descriptors
// (HTTP sockets, pidfds) use context(). Only the files that need it include Asio.
#pragma once

#include <memory>

#include "cloudtask/core/loop.h"

namespace boost::asio {
class io_context;
}

namespace cloudtask {

class AsioLoop final : public Loop {
  public:
    AsioLoop();
    ~AsioLoop() override;

    const Clock& clock() const override;
    void post(Function function) override;
    [[nodiscard]] Timer after(Duration delay, Function function) override;
    bool on_loop() const override;

    // Runs until stop(). What is still posted then is dropped with the loop.
    void run();

    // Makes run() return. Any thread.
    void stop();

    // Calls `function` on the loop at the first SIGTERM or SIGINT, and again at each further one.
    void on_signal(std::function<void(int signal)> function);

    boost::asio::io_context& context();

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace cloudtask
