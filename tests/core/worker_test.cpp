// Workers: order, parallelism, and that nothing submitted is lost at the end.
#include "cloudtask/core/worker.h"

#include <catch2/catch.hpp>

#include <atomic>
#include <future>

#include "cloudtask/core/fake_loop.h"

using namespace cloudtask;

TEST_CASE("one thread runs its jobs in the order submitted, off the caller's thread") {
    std::vector<int> order;
    std::atomic<bool> own_thread{true};
    {
        ThreadWorker worker("test");
        const auto caller = std::this_thread::get_id();
        for (int i = 0; i < 1'000; ++i) {
            worker.submit([&, i] {
                order.push_back(i);
                if (std::this_thread::get_id() == caller) own_thread = false;
            });
        }
    }
    CHECK(order.size() == 1'000);
    CHECK(std::is_sorted(order.begin(), order.end()));
    CHECK(own_thread);
}

TEST_CASE("destruction runs what was submitted to its end, and what that submits") {
    std::atomic<int> ran{0};
    {
        ThreadWorker worker("a name that is much longer than fifteen", 3);
        std::promise<void> gate;
        auto open = gate.get_future().share();
        for (int i = 0; i < 3; ++i) worker.submit([open] { open.wait(); });
        for (int i = 0; i < 500; ++i) {
            worker.submit([&] {
                if (++ran <= 10) worker.submit([&] { ++ran; });
            });
        }
        CHECK(ran == 0);
        gate.set_value();
    }
    CHECK(ran >= 501);
    CHECK(ran <= 510);
}

TEST_CASE("several threads work at once") {
    ThreadWorker worker("pair", 2);
    std::promise<void> first;
    std::promise<void> second;
    std::promise<void> met;
    worker.submit([&] {
        first.set_value();
        second.get_future().wait();
        met.set_value();
    });
    worker.submit([&] {
        first.get_future().wait();
        second.set_value();
    });
    CHECK(met.get_future().wait_for(std::chrono::seconds{20}) == std::future_status::ready);
}

TEST_CASE("a LoopWorker runs its jobs on the loop, in order, never inline") {
    FakeLoop loop;
    LoopWorker worker(loop);
    std::string order;
    worker.submit([&] {
        order += "a";
        worker.submit([&] { order += "c"; });
    });
    worker.submit([&] { order += "b"; });
    CHECK(order.empty());
    loop.settle();
    CHECK(order == "abc");
}
