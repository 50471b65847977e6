// Randomness: uniform, reproducible by seed, and fresh from the system.
#include "cloudtask/core/random.h"

#include <catch2/catch.hpp>

#include <array>
#include <cmath>
#include <set>
#include <vector>

using namespace cloudtask;

TEST_CASE("below() is uniform") {
    SeededRandom random(1);
    for (const std::uint64_t bound : {2, 3, 7, 10, 100}) {
        std::vector<std::uint64_t> counts(bound);
        constexpr std::uint64_t kPerCell = 2'000;
        for (std::uint64_t i = 0; i < bound * kPerCell; ++i) ++counts.at(random.below(bound));
        double chi_square = 0;
        for (const auto count : counts) {
            const double off = static_cast<double>(count) - kPerCell;
            chi_square += off * off / kPerCell;
        }
        // Six standard deviations above the mean of the chi-square distribution with bound - 1 degrees of freedom.
        const double freedom = static_cast<double>(bound - 1);
        INFO("bound " << bound << ", chi-square " << chi_square);
        CHECK(chi_square < freedom + 6 * std::sqrt(2 * freedom) + 6);
    }
}

TEST_CASE("below() keeps to its bound, also where the remainder is uneven") {
    SeededRandom random(2);
    constexpr std::uint64_t kLarge = (1ULL << 63) + 1;
    bool upper_half = false;
    for (int i = 0; i < 1'000; ++i) {
        CHECK(random.below(1) == 0);
        const auto value = random.below(kLarge);
        CHECK(value < kLarge);
        upper_half = upper_half || value > kLarge / 2;
    }
    CHECK(upper_half);
}

TEST_CASE("one seed gives one sequence, another seed another") {
    SeededRandom first(7);
    SeededRandom same(7);
    SeededRandom other(8);
    std::array<std::byte, 13> a{};
    std::array<std::byte, 13> b{};
    std::array<std::byte, 13> c{};
    first.fill(a);
    same.fill(b);
    other.fill(c);
    CHECK(a == b);
    CHECK(a != c);
    CHECK(first.next() == same.next());
}

TEST_CASE("the system's randomness does not repeat") {
    SystemRandom random;
    std::set<std::uint64_t> seen;
    for (int i = 0; i < 1'000; ++i) CHECK(seen.insert(random.next()).second);
    std::array<std::byte, 0> none{};
    random.fill(none);
}
