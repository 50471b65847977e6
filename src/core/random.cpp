// Randomness: the kernel's through libsodium, or a seeded generator.
#include "cloudtask/core/random.h"

#include <sodium.h>

#include <cstring>

#include "cloudtask/core/check.h"

namespace cloudtask {

std::uint64_t Random::next() {
    std::uint64_t value = 0;
    fill(std::as_writable_bytes(std::span{&value, 1}));
    return value;
}

std::uint64_t Random::below(std::uint64_t bound) {
    CLOUDTASK_CHECK(bound > 0, "below(0) has no answer");
    // Values under the threshold would make the small remainders more likely; they are drawn again.
    const std::uint64_t threshold = (0 - bound) % bound;
    for (;;) {
        const std::uint64_t value = next();
        if (value >= threshold) return value % bound;
    }
}

void SystemRandom::fill(std::span<std::byte> out) {
    CLOUDTASK_CHECK(sodium_init() >= 0, "libsodium has no source of randomness");
    randombytes_buf(out.data(), out.size());
}

void SeededRandom::fill(std::span<std::byte> out) {
    while (!out.empty()) {
        const std::uint64_t value = engine_();
        const std::size_t size = std::min(out.size(), sizeof value);
        std::memcpy(out.data(), &value, size);
        out = out.subspan(size);
    }
}

}  // namespace cloudtask
