// FakeLoop: virtual time and its order.
#include "cloudtask/core/fake_loop.h"

#include <catch2/catch.hpp>

#include <thread>

using namespace cloudtask;
using namespace std::chrono_literals;

TEST_CASE("posted functions run in order, and only when told") {
    FakeLoop loop;
    std::string order;
    loop.post([&] {
        order += "a";
        loop.post([&] { order += "c"; });
    });
    loop.post([&] { order += "b"; });
    CHECK(order.empty());
    CHECK(loop.settle() == 3);
    CHECK(order == "abc");
    CHECK(loop.settle() == 0);
}

TEST_CASE("timers run by time, then by creation, each at its own time") {
    FakeLoop loop;
    const Instant start = loop.clock().now();
    std::string order;
    std::vector<Duration> times;
    const auto note = [&](const char* name) {
        return [&, name] {
            order += name;
            times.push_back(loop.clock().now() - start);
            loop.post([&] { order += "'"; });
        };
    };
    const Timer late = loop.after(2s, note("c"));
    const Timer first = loop.after(1s, note("a"));
    const Timer second = loop.after(1s, note("b"));
    const Timer past = loop.after(-5s, note("0"));
    loop.advance(1s);
    CHECK(order == "0'a'b'");
    CHECK(loop.clock().now() == start + 1s);
    loop.advance(10s);
    CHECK(order == "0'a'b'c'");
    CHECK(times == std::vector<Duration>{0s, 1s, 1s, 2s});
    CHECK(loop.clock().now() == start + 11s);
}

TEST_CASE("a cancelled timer does not run") {
    FakeLoop loop;
    int ran = 0;
    Timer cancelled = loop.after(1s, [&] { ++ran; });
    {
        const Timer destroyed = loop.after(1s, [&] { ++ran; });
    }
    Timer replaced = loop.after(1s, [&] { ++ran; });
    replaced = loop.after(2s, [&] { ran += 10; });
    CHECK(cancelled);
    cancelled.cancel();
    CHECK_FALSE(cancelled);
    loop.advance(5s);
    CHECK(ran == 10);
}

TEST_CASE("a timer may be destroyed, or set anew, in its own callback") {
    FakeLoop loop;
    auto timer = std::make_unique<Timer>();
    int ran = 0;
    *timer = loop.after(1s, [&] {
        timer.reset();
        ++ran;
    });
    Timer periodic;
    std::function<void()> tick = [&] {
        ++ran;
        periodic = loop.after(1s, tick);
    };
    periodic = loop.after(1s, tick);
    loop.advance(3s);
    CHECK(ran == 4);
}

TEST_CASE("cancelling a timer may destroy other timers") {
    FakeLoop loop;
    auto inner = std::make_shared<Timer>(loop.after(2s, [] {}));
    Timer outer = loop.after(1s, [inner] {});
    inner.reset();
    outer.cancel();
    loop.advance(5s);
}

TEST_CASE("a timer may outlive its loop") {
    auto loop = std::make_unique<FakeLoop>();
    Timer timer = loop->after(1s, [] {});
    loop.reset();
    timer.cancel();
}

TEST_CASE("advance_until() stops as soon as the condition holds, or at its limit") {
    FakeLoop loop;
    int ticks = 0;
    Timer timer;
    std::function<void()> tick = [&] {
        ++ticks;
        timer = loop.after(1s, tick);
    };
    timer = loop.after(1s, tick);
    const SteadyInstant start = loop.clock().steady_now();
    CHECK(loop.advance_until([&] { return ticks == 3; }, 10s));
    CHECK(loop.clock().steady_now() - start == 3s);
    CHECK_FALSE(loop.advance_until([&] { return ticks == 100; }, 5s));
    CHECK(ticks == 8);
    CHECK(loop.advance_until([] { return true; }, 0s));
    bool posted = false;
    loop.post([&] { posted = true; });
    CHECK(loop.advance_until([&] { return posted; }, 0s));
}

TEST_CASE("a step of the wall clock moves no timer") {
    FakeLoop loop(Instant{1000s});
    bool ran = false;
    const Timer timer = loop.after(10s, [&] { ran = true; });
    const SteadyInstant steady = loop.clock().steady_now();
    loop.step_wall_clock(1h);
    CHECK(loop.clock().now() == Instant{4600s});
    CHECK(loop.clock().steady_now() == steady);
    loop.advance(9s);
    CHECK_FALSE(ran);
    loop.step_wall_clock(-2h);
    loop.advance(1s);
    CHECK(ran);
    CHECK(loop.clock().now() == Instant{1010s - 1h});
}

TEST_CASE("other threads may post") {
    FakeLoop loop;
    int ran = 0;
    std::vector<std::thread> threads;
    for (int i = 0; i < 4; ++i) {
        threads.emplace_back([&] {
            for (int k = 0; k < 500; ++k) loop.post([&] { ++ran; });
        });
    }
    for (auto& thread : threads) thread.join();
    CHECK(loop.settle() == 2000);
    CHECK(ran == 2000);
}
