// The waits after failed logins.
#include "center/login_throttle.h"

#include <catch2/catch.hpp>

#include "api_fixture.h"

using namespace cloudtask;
using center::LoginThrottle;
using std::chrono::seconds;

TEST_CASE("the first failures are free, then each wait is twice the one before, up to a bound") {
    center::TestClock clock;
    LoginThrottle throttle(clock);
    for (int i = 0; i < LoginThrottle::kFree; ++i) CHECK(throttle.begin("admin", "a") == Duration::zero());
    Duration longest{};
    Duration before{};
    for (int i = 0; i < 15; ++i) {
        const Duration wait = throttle.begin("admin", "a");
        CHECK(wait > Duration::zero());
        CHECK((wait == 2 * before || before == Duration::zero() || wait == LoginThrottle::kLongest));
        before = wait;
        longest = std::max(longest, wait);
        clock.advance(wait);
        CHECK(throttle.begin("admin", "a") == Duration::zero());
    }
    CHECK(longest == LoginThrottle::kLongest);
}

TEST_CASE("asking during a wait does not make it longer") {
    center::TestClock clock;
    LoginThrottle throttle(clock);
    for (int i = 0; i < LoginThrottle::kFree; ++i) (void)throttle.begin("admin", "a");
    CHECK(throttle.begin("admin", "a") == seconds{1});
    CHECK(throttle.begin("admin", "a") == seconds{1});
}

TEST_CASE("another name, another address and a success are not held back") {
    center::TestClock clock;
    LoginThrottle throttle(clock);
    for (int i = 0; i < LoginThrottle::kFree; ++i) (void)throttle.begin("admin", "a");
    CHECK(throttle.begin("admin", "a") > Duration::zero());
    CHECK(throttle.begin("other", "a") == Duration::zero());
    CHECK(throttle.begin("admin", "b") == Duration::zero());
    throttle.succeeded("admin", "a");
    CHECK(throttle.begin("admin", "a") == Duration::zero());
}

TEST_CASE("a quiet hour is forgiven") {
    center::TestClock clock;
    LoginThrottle throttle(clock);
    for (int i = 0; i < 8; ++i) {
        clock.advance(throttle.begin("admin", "a"));
        (void)throttle.begin("admin", "a");
    }
    clock.advance(LoginThrottle::kForget + seconds{1});
    for (int i = 0; i < LoginThrottle::kFree; ++i) CHECK(throttle.begin("admin", "a") == Duration::zero());
}
