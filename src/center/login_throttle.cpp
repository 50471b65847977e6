// The waits after failed logins.
#include "center/login_throttle.h"

#include <algorithm>

namespace cloudtask::center {

Duration LoginThrottle::begin(const std::string& name, const std::string& address) {
    const SteadyInstant now = clock_.steady_now();
    std::lock_guard lock(mutex_);
    auto found = entries_.find({name, address});
    if (found != entries_.end() && now - found->second.last > kForget) {
        entries_.erase(found);
        found = entries_.end();
    }
    if (found == entries_.end()) {
        if (entries_.size() >= kMaxEntries) forget_old(now);
        found = entries_.emplace(std::make_pair(name, address), Entry{}).first;
    }
    Entry& entry = found->second;
    if (now < entry.not_before) return entry.not_before - now;
    entry.failures += 1;
    entry.last = now;
    if (entry.failures >= kFree) {
        const int doublings = std::min(entry.failures - kFree, 20);
        entry.not_before = now + std::min<Duration>(Duration{std::chrono::seconds{1}} * (1LL << doublings), kLongest);
    }
    return Duration::zero();
}

void LoginThrottle::succeeded(const std::string& name, const std::string& address) {
    std::lock_guard lock(mutex_);
    entries_.erase({name, address});
}

// Makes room: what is old goes, and if all is fresh, the least recent one (an attacker with many names only slows down himself).
void LoginThrottle::forget_old(SteadyInstant now) {
    std::erase_if(entries_, [&](const auto& entry) { return now - entry.second.last > kForget; });
    if (entries_.size() < kMaxEntries) return;
    const auto oldest =
        std::min_element(entries_.begin(), entries_.end(), [](const auto& a, const auto& b) { return a.second.last < b.second.last; });
    entries_.erase(oldest);
}

}  // namespace cloudtask::center
