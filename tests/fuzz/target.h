// What fuzz targets share: a requirement that ends the program, and a bound on the time of one step. A target is one function,
// LLVMFuzzerTestOneInput: libFuzzer calls it (scripts/fuzz), and replay.cpp does with the seeds (every test run).
#pragma once

#include <time.h>

#include <cstddef>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t* data, std::size_t size);

namespace cloudtask::fuzz {

inline void require(bool holds, const char* what) {
    if (holds) return;
    std::fprintf(stderr, "fuzz: does not hold: %s\n", what);
    std::abort();
}

// Processor time of this thread, so that a busy machine is no finding. The bound of docs/schedules.md is 1 ms; sanitizers and the counters
// of the fuzzer make a search many times slower.
class Bound {
  public:
    explicit Bound(const char* what) : what_(what), begun_(now_ms()) {}
    ~Bound() {
        if (now_ms() - begun_ < kMostMs) return;
        std::fprintf(stderr, "fuzz: takes too long: %s\n", what_);
        std::abort();
    }
    Bound(const Bound&) = delete;

  private:
    static constexpr double kMostMs = 100;
    static double now_ms() {
        timespec time{};
        clock_gettime(CLOCK_THREAD_CPUTIME_ID, &time);
        return static_cast<double>(time.tv_sec) * 1e3 + static_cast<double>(time.tv_nsec) / 1e6;
    }
    const char* what_;
    double begun_;
};

}  // namespace cloudtask::fuzz
