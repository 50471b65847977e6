// Backoff and Retry: how long is waited before another try, and what ends the wait.
#include "node/backoff.h"

#include <catch2/catch.hpp>

#include <set>

#include "cloudtask/core/fake_loop.h"

namespace cloudtask::node::test {
namespace {

using namespace std::chrono_literals;

TEST_CASE("waits double up to a bound, with jitter") {
    SeededRandom random(7);
    Backoff backoff(random);
    Duration step = 1s;
    std::set<Duration> waits;
    for (int i = 0; i < 12; ++i) {
        const Duration wait = backoff.next();
        CHECK(wait >= step / 2);
        CHECK(wait <= step);
        waits.insert(wait);
        step = std::min<Duration>(step * 2, 5s);
    }
    CHECK(waits.size() == 12);
    backoff.reset();
    CHECK(backoff.next() <= 1s);
}

TEST_CASE("another try comes after the wait, or at once when there is hope, and once") {
    FakeLoop loop;
    SeededRandom random(7);
    Retry retry(loop, random, "test");
    int tries = 0;
    const auto fail_once = [&] { retry.failed({Errc::unavailable, "away"}, [&] { ++tries; }); };
    retry.hurry();
    CHECK(tries == 0);

    fail_once();
    loop.advance(1s);
    CHECK(tries == 1);

    fail_once();
    retry.hurry();
    CHECK(tries == 2);
    retry.hurry();
    loop.advance(10s);
    CHECK(tries == 2);

    SECTION("not after it was given up") {
        fail_once();
        retry.cancel();
        retry.hurry();
        loop.advance(10s);
        CHECK(tries == 2);
    }
    SECTION("not after it worked") {
        fail_once();
        retry.succeeded();
        retry.hurry();
        loop.advance(10s);
        CHECK(tries == 2);
    }
}

}  // namespace
}  // namespace cloudtask::node::test
