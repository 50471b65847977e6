// AsioLoop on boost::asio::io_context. The thread that calls run() becomes the loop's thread.
#include <utility>  // Asio 1.74 uses std::exchange without it

#include "cloudtask/core/asio_loop.h"

#include <atomic>
#include <thread>

#include <boost/asio/executor_work_guard.hpp>
#include <boost/asio/io_context.hpp>
#include <boost/asio/post.hpp>
#include <boost/asio/signal_set.hpp>
#include <boost/asio/steady_timer.hpp>

namespace cloudtask {

struct AsioLoop::Impl {
    SystemClock clock;
    boost::asio::io_context context{1};
    boost::asio::executor_work_guard<boost::asio::io_context::executor_type> work{context.get_executor()};
    std::atomic<std::thread::id> thread{};
    std::unique_ptr<boost::asio::signal_set> signals;
    std::function<void(int)> signal_handler;

    void wait_for_signal() {
        signals->async_wait([this](const boost::system::error_code& error, int signal) {
            if (error) return;
            signal_handler(signal);
            wait_for_signal();
        });
    }
};

namespace {

// The function is shared with the pending wait, so that a cancelled one, whose completion is still queued, finds it gone.
class AsioTimer final : public Timer::Impl {
  public:
    AsioTimer(boost::asio::io_context& context, Duration delay, Loop::Function function)
        : timer_(context), function_(std::make_shared<Loop::Function>(std::move(function))) {
        timer_.expires_after(std::max(delay, Duration::zero()));
        timer_.async_wait([weak = std::weak_ptr(function_)](const boost::system::error_code& error) {
            if (error) return;
            if (const auto alive = weak.lock()) {
                const Loop::Function run = std::move(*alive);  // it may destroy its own Timer
                run();
            }
        });
    }

  private:
    boost::asio::steady_timer timer_;
    std::shared_ptr<Loop::Function> function_;
};

}  // namespace

AsioLoop::AsioLoop() : impl_(std::make_unique<Impl>()) {}
AsioLoop::~AsioLoop() = default;

const Clock& AsioLoop::clock() const { return impl_->clock; }

void AsioLoop::post(Function function) { boost::asio::post(impl_->context, std::move(function)); }

Timer AsioLoop::after(Duration delay, Function function) {
    return Timer{std::make_unique<AsioTimer>(impl_->context, delay, std::move(function))};
}

bool AsioLoop::on_loop() const {
    const auto owner = impl_->thread.load();
    // Before run() the thread that builds the parts stands in for the loop.
    return owner == std::thread::id{} || owner == std::this_thread::get_id();
}

void AsioLoop::run() {
    impl_->thread = std::this_thread::get_id();
    impl_->context.run();
    impl_->context.restart();  // afterwards and not before: a stop() that came before run() counts
    impl_->thread = std::thread::id{};
}

void AsioLoop::stop() { impl_->context.stop(); }

void AsioLoop::on_signal(std::function<void(int)> function) {
    impl_->signal_handler = std::move(function);
    impl_->signals = std::make_unique<boost::asio::signal_set>(impl_->context, SIGTERM, SIGINT);
    impl_->wait_for_signal();
}

boost::asio::io_context& AsioLoop::context() { return impl_->context; }

}  // namespace cloudtask
