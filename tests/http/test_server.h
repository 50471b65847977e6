// TestServer: a Server on a loop of its own thread, on a free port of loopback.
#pragma once

#include <chrono>
#include <condition_variable>
#include <functional>
#include <future>
#include <memory>
#include <stdexcept>
#include <thread>
#include <utility>

#include "cloudtask/core/asio_loop.h"
#include "cloudtask/http/server.h"

namespace cloudtask::http::testing {

// Waits for a condition that another thread brings about; looks every millisecond.
inline bool wait_for(const std::function<bool()>& condition, std::chrono::milliseconds limit = std::chrono::seconds{10}) {
    const auto deadline = std::chrono::steady_clock::now() + limit;
    while (!condition()) {
        if (std::chrono::steady_clock::now() > deadline) return false;
        std::this_thread::sleep_for(std::chrono::milliseconds{1});
    }
    return true;
}

class LoopThread {
  public:
    LoopThread() : thread_([this] { loop.run(); }) {}
    ~LoopThread() { join(); }
    LoopThread(const LoopThread&) = delete;
    LoopThread& operator=(const LoopThread&) = delete;

    void join() {
        loop.stop();
        if (thread_.joinable()) thread_.join();
    }

    // Runs `function` on the loop and waits for it.
    void run(const std::function<void()>& function) {
        std::promise<void> done;
        loop.post([&] {
            function();
            done.set_value();
        });
        done.get_future().wait();
    }

    AsioLoop loop;

  private:
    std::thread thread_;
};

class TestServer {
  public:
    explicit TestServer(Router router, ServerOptions options = {}, Server::Observe observe = {}) {
        server_ = std::make_unique<Server>(thread.loop, std::move(options), std::move(router), std::move(observe));
        thread.run([&] {
            const auto started = server_->start();
            if (started) port = *started;
        });
        if (port == 0) throw std::runtime_error("the server does not start");
    }
    ~TestServer() {
        thread.run([&] { server_.reset(); });
        thread.join();
    }
    TestServer(const TestServer&) = delete;
    TestServer& operator=(const TestServer&) = delete;

    // Starts the stop; the future is ready when it is done.
    std::future<void> stop(Duration grace) {
        auto done = std::make_shared<std::promise<void>>();
        thread.loop.post([this, grace, done] { server_->stop(grace, [done] { done->set_value(); }); });
        return done->get_future();
    }

    LoopThread thread;
    std::uint16_t port = 0;

  private:
    std::unique_ptr<Server> server_;
};

// Answers with the method, the path, and the body.
inline Handler echo() {
    return [](std::shared_ptr<Exchange> exchange) {
        exchange->read_body(1 << 20, [exchange] {
            const auto& request = exchange->request();
            exchange->reply(Response::text(200, request.method + " " + request.path + " [" + request.body + "]"));
        });
    };
}

}  // namespace cloudtask::http::testing
