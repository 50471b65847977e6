// Randomness as a dependency: logic takes a Random, so that a test can give it a seed.
#pragma once

#include <cstddef>
#include <cstdint>
#include <random>
#include <span>

namespace cloudtask {

class Random {
  public:
    virtual ~Random() = default;
    virtual void fill(std::span<std::byte> out) = 0;

    std::uint64_t next();
    // Uniform in [0, bound); bound > 0.
    std::uint64_t below(std::uint64_t bound);
};

// The kernel's generator (through libsodium). Any thread.
class SystemRandom final : public Random {
  public:
    void fill(std::span<std::byte> out) override;
};

// Reproducible; for tests and simulations. One thread.
class SeededRandom final : public Random {
  public:
    explicit SeededRandom(std::uint64_t seed) : engine_(seed) {}
    void fill(std::span<std::byte> out) override;

  private:
    std::mt19937_64 engine_;
};

}  // namespace cloudtask
