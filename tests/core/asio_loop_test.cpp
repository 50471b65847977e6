// AsioLoop: the real loop. Waits are for conditions, each with the loop's own deadline.
#include "cloudtask/core/asio_loop.h"

#include <catch2/catch.hpp>

#include <csignal>
#include <future>
#include <thread>

using namespace cloudtask;
using namespace std::chrono_literals;

namespace {

// Runs the loop until it is stopped; false if that did not happen in time.
bool run(AsioLoop& loop) {
    bool in_time = true;
    const Timer deadline = loop.after(20s, [&] {
        in_time = false;
        loop.stop();
    });
    loop.run();
    return in_time;
}

}  // namespace

TEST_CASE("functions posted by one thread run in order on the loop") {
    AsioLoop loop;
    constexpr int kThreads = 4;
    constexpr int kEach = 500;
    std::vector<std::vector<int>> seen(kThreads);
    int ran = 0;
    bool off_loop = false;
    std::vector<std::thread> threads;
    for (int t = 0; t < kThreads; ++t) {
        threads.emplace_back([&, t] {
            for (int i = 0; i < kEach; ++i) {
                loop.post([&, t, i] {
                    off_loop = off_loop || !loop.on_loop();
                    seen[static_cast<std::size_t>(t)].push_back(i);
                    if (++ran == kThreads * kEach) loop.stop();
                });
            }
        });
    }
    const bool in_time = run(loop);
    for (auto& thread : threads) thread.join();
    REQUIRE(in_time);
    CHECK_FALSE(off_loop);
    for (const auto& numbers : seen) {
        CHECK(numbers.size() == kEach);
        CHECK(std::is_sorted(numbers.begin(), numbers.end()));
    }
}

TEST_CASE("a posted function never runs inline") {
    AsioLoop loop;
    bool inside = false;
    bool inline_call = false;
    loop.post([&] {
        inside = true;
        loop.post([&] {
            inline_call = inside;
            loop.stop();
        });
        inside = false;
    });
    REQUIRE(run(loop));
    CHECK_FALSE(inline_call);
}

TEST_CASE("timers run in order and not early") {
    AsioLoop loop;
    std::string order;
    const SteadyInstant start = loop.clock().steady_now();
    Duration waited{};
    const Timer third = loop.after(30ms, [&] {
        order += "c";
        waited = loop.clock().steady_now() - start;
        loop.stop();
    });
    const Timer first = loop.after(-1s, [&] { order += "a"; });
    const Timer second = loop.after(10ms, [&] { order += "b"; });
    REQUIRE(run(loop));
    CHECK(order == "abc");
    CHECK(waited >= 30ms);
}

TEST_CASE("a cancelled timer does not run, even when it is due already") {
    AsioLoop loop;
    int ran = 0;
    Timer due = loop.after(0s, [&] { ++ran; });
    Timer later = loop.after(5ms, [&] { ++ran; });
    Timer other = loop.after(0s, [&] { ++ran; });
    loop.post([&] {
        // Both of the first are due, or become due, before the loop looks at its timers again.
        const SteadyInstant until = loop.clock().steady_now() + 10ms;
        while (loop.clock().steady_now() < until) std::this_thread::yield();
        due.cancel();
        later.cancel();
    });
    const Timer end = loop.after(40ms, [&] { loop.stop(); });
    REQUIRE(run(loop));
    CHECK(ran == 1);
}

TEST_CASE("of two timers that are due together the first may cancel the second") {
    AsioLoop loop;
    int ran = 0;
    Timer a;
    Timer b;
    a = loop.after(1ms, [&] {
        ++ran;
        b.cancel();
    });
    b = loop.after(1ms, [&] {
        ++ran;
        a.cancel();
    });
    const Timer end = loop.after(40ms, [&] { loop.stop(); });
    REQUIRE(run(loop));
    CHECK(ran == 1);
}

TEST_CASE("a real timer may be destroyed in its own callback") {
    AsioLoop loop;
    auto timer = std::make_unique<Timer>();
    bool ran = false;
    auto captured = std::make_shared<int>(7);
    *timer = loop.after(0s, [&, captured] {
        timer.reset();
        ran = *captured == 7;
        loop.stop();
    });
    captured.reset();
    REQUIRE(run(loop));
    CHECK(ran);
}

TEST_CASE("on_loop() tells the loop's thread from others") {
    AsioLoop loop;
    CHECK(loop.on_loop());  // nobody runs it yet
    std::promise<void> running;
    std::thread thread([&] { loop.run(); });
    loop.post([&] { running.set_value(); });
    running.get_future().wait();
    CHECK_FALSE(loop.on_loop());
    std::promise<bool> inside;
    loop.post([&] { inside.set_value(loop.on_loop()); });
    CHECK(inside.get_future().get());
    loop.stop();
    thread.join();
    CHECK(loop.on_loop());
}

TEST_CASE("a stop that comes before run() is not lost") {
    AsioLoop loop;
    bool ran_dry = false;
    const Timer deadline = loop.after(10s, [&] {
        ran_dry = true;
        loop.stop();
    });
    loop.stop();
    loop.run();
    CHECK_FALSE(ran_dry);
    // And the loop may be run again.
    bool again = false;
    loop.post([&] {
        again = true;
        loop.stop();
    });
    loop.run();
    CHECK(again);
}

TEST_CASE("each signal is handed to the loop") {
    AsioLoop loop;
    std::vector<int> signals;
    loop.on_signal([&](int signal) {
        signals.push_back(signal);
        if (signals.size() == 1) ::raise(SIGINT);
        if (signals.size() == 2) loop.stop();
    });
    loop.post([] { ::raise(SIGTERM); });
    REQUIRE(run(loop));
    CHECK(signals == std::vector<int>{SIGTERM, SIGINT});
}
