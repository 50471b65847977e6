// LoginThrottle: slows down guessing. After a few failures of one name from one address each further attempt must wait, twice as long each
// time. In memory and bounded: it forgets after a quiet hour, and when the process restarts. Any thread.
#pragma once

#include <map>
#include <mutex>
#include <string>
#include <utility>

#include "cloudtask/core/clock.h"

namespace cloudtask::center {

class LoginThrottle {
  public:
    static constexpr int kFree = 5;  // failures without a wait
    static constexpr Duration kLongest = std::chrono::minutes{5};
    static constexpr Duration kForget = std::chrono::hours{1};
    static constexpr std::size_t kMaxEntries = 10'000;

    explicit LoginThrottle(const Clock& clock) : clock_(clock) {}

    // How long this name must wait at this address; zero: go on. An attempt that goes on counts as failed until succeeded() is called, so
    // that many at once get no free tries.
    Duration begin(const std::string& name, const std::string& address);
    void succeeded(const std::string& name, const std::string& address);

  private:
    struct Entry {
        int failures = 0;
        SteadyInstant last{}, not_before{};
    };
    void forget_old(SteadyInstant now);

    const Clock& clock_;
    std::mutex mutex_;
    std::map<std::pair<std::string, std::string>, Entry> entries_;  // guarded by mutex_
};

}  // namespace cloudtask::center
