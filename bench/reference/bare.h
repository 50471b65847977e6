// What the bare references share: the wall clock, how tasks are spread over a second, and giving up. Nothing of CloudTask.
#pragma once

#include <time.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>

namespace bare {

// With errno's text.
[[noreturn]] inline void give_up(const char* what) {
    std::perror(what);
    std::exit(1);
}

// Nanoseconds since 1970.
inline std::int64_t wall_ns() {
    timespec time{};
    ::clock_gettime(CLOCK_REALTIME, &time);
    return time.tv_sec * std::int64_t{1'000'000'000} + time.tv_nsec;
}

// The offset of the n-th task within each second, in microseconds. The driver gives its tasks the same ones: the bits of n in reverse
// order, so that any number of first tasks is spread over the second.
inline std::int64_t offset_us(std::uint32_t n) {
    std::uint32_t reversed = 0;
    for (int bit = 0; bit < 16; ++bit) reversed |= ((n >> bit) & 1U) << (15 - bit);
    return static_cast<std::int64_t>(reversed) * 1'000'000 / 65536;
}

}  // namespace bare
