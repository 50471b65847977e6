// Dice: the numbers that a script is made of. The same on every machine and library, which std::uniform_int_distribution does not promise.
#pragma once

#include <cstdint>
#include <initializer_list>
#include <random>

#include "cloudtask/core/clock.h"

namespace cloudtask::sim {

class Dice {
  public:
    explicit Dice(std::uint64_t seed) : engine_(seed) {}
    std::int64_t below(std::int64_t bound) { return static_cast<std::int64_t>(engine_() % static_cast<std::uint64_t>(bound)); }
    std::int64_t between(std::int64_t low, std::int64_t high) { return low + below(high - low + 1); }
    bool one_in(std::int64_t n) { return below(n) == 0; }
    Duration time(Duration low, Duration high) { return Duration{between(low.count(), high.count())}; }
    template <class T>
    T any_of(std::initializer_list<T> kinds) {
        return *(kinds.begin() + below(static_cast<std::int64_t>(kinds.size())));
    }

  private:
    std::mt19937_64 engine_;
};

}  // namespace cloudtask::sim
