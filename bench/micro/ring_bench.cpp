// Ring: nanoseconds per look-up beside bare references, and how even the shares are for each number of points. One thread.
//
// The balance runs print no useful time: their result is in the counters median and p95 (peak-to-average load over many rings).
#include <benchmark/benchmark.h>
#include <fmt/format.h>

#include <algorithm>
#include <map>
#include <random>
#include <vector>

#include "cloudtask/core/hash.h"
#include "cloudtask/ring/ring.h"

namespace {

using namespace cloudtask;

std::string random_uuid(std::mt19937_64& random) {
    return fmt::format("{:08x}-{:04x}-7{:03x}-8{:03x}-{:012x}", random() & 0xffffffff, random() & 0xffff, random() & 0xfff,
                       random() & 0xfff, random() & 0xffffffffffff);
}

std::vector<std::string> task_ids(std::size_t count) {
    std::mt19937_64 random{1};
    std::vector<std::string> ids(count);
    for (std::string& id : ids) id = random_uuid(random);
    return ids;
}

std::vector<ring::Member> nodes(std::size_t count, std::uint64_t seed) {
    std::mt19937_64 random{seed};
    std::vector<ring::Member> list(count);
    for (std::size_t i = 0; i < count; ++i) {
        list[i].id = random_uuid(random);
        list[i].name = fmt::format("node-{}", i);
        list[i].labels = {{"zone", i % 4 == 0 ? "a" : "b"}};
    }
    return list;
}

constexpr std::size_t kTasks = 100'000;

void ring_owner(benchmark::State& state) {
    const ring::Ring ring{nodes(static_cast<std::size_t>(state.range(0)), 2)};
    const auto tasks = task_ids(kTasks);
    std::size_t task = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(ring.owner(tasks[task]));
        task = task + 1 == kTasks ? 0 : task + 1;
    }
}
BENCHMARK(ring_owner)->Arg(3)->Arg(10)->Arg(100)->Arg(1000);

// One node in four may run the task.
void ring_owner_by_label(benchmark::State& state) {
    const ring::Ring ring{nodes(static_cast<std::size_t>(state.range(0)), 2)};
    const ring::Placement placement{.targets = {}, .labels = {{"zone", "a"}}};
    const auto tasks = task_ids(kTasks);
    std::size_t task = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(ring.owner(tasks[task], placement));
        task = task + 1 == kTasks ? 0 : task + 1;
    }
}
BENCHMARK(ring_owner_by_label)->Arg(3)->Arg(10)->Arg(100)->Arg(1000);

void ring_build(benchmark::State& state) {
    const auto members = nodes(static_cast<std::size_t>(state.range(0)), 2);
    for (auto _ : state) benchmark::DoNotOptimize(ring::Ring{members});
}
BENCHMARK(ring_build)->Arg(3)->Arg(10)->Arg(100)->Arg(1000)->Unit(benchmark::kMillisecond);

// The floor: what hashing the id alone costs.
void reference_hash(benchmark::State& state) {
    const auto tasks = task_ids(kTasks);
    std::size_t task = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(xxhash64(tasks[task]));
        task = task + 1 == kTasks ? 0 : task + 1;
    }
}
BENCHMARK(reference_hash);

// The textbook ring: the points in a std::map, searched by lower_bound.
void reference_map_ring(benchmark::State& state) {
    std::map<std::uint64_t, std::size_t> points;
    const auto members = nodes(static_cast<std::size_t>(state.range(0)), 2);
    for (std::size_t i = 0; i < members.size(); ++i) {
        for (std::uint32_t number = 0; number < ring::kPointsPerWeight; ++number) points.emplace(xxhash64(members[i].id, number), i);
    }
    const auto tasks = task_ids(kTasks);
    std::size_t task = 0;
    for (auto _ : state) {
        auto found = points.lower_bound(xxhash64(tasks[task]));
        if (found == points.end()) found = points.begin();
        benchmark::DoNotOptimize(&members[found->second]);
        task = task + 1 == kTasks ? 0 : task + 1;
    }
}
BENCHMARK(reference_map_ring)->Arg(3)->Arg(10)->Arg(100)->Arg(1000);

// The owner stored instead of computed: a std::map from the task's id, as many entries as tasks.
void reference_stored_owner(benchmark::State& state) {
    const auto tasks = task_ids(kTasks);
    std::map<std::string, std::size_t> owners;
    for (std::size_t i = 0; i < tasks.size(); ++i) owners.emplace(tasks[i], i % 10);
    std::size_t task = 0;
    for (auto _ : state) {
        benchmark::DoNotOptimize(owners.find(tasks[task]));
        task = task + 1 == kTasks ? 0 : task + 1;
    }
}
BENCHMARK(reference_stored_owner);

// Ten equal nodes with random ids, 100,000 tasks, 200 rings for each number of points.
void ring_balance(benchmark::State& state) {
    constexpr std::size_t kRings = 200;
    constexpr std::size_t kNodes = 10;
    const auto tasks = task_ids(kTasks);
    std::vector<double> peaks;
    for (auto _ : state) {
        for (std::size_t i = 0; i < kRings; ++i) {
            const ring::Ring ring{nodes(kNodes, 1000 + i), static_cast<std::uint32_t>(state.range(0))};
            std::vector<std::size_t> load(kNodes);
            for (const std::string& task : tasks) ++load[static_cast<std::size_t>(ring.owner(task) - ring.members().data())];
            peaks.push_back(static_cast<double>(*std::max_element(load.begin(), load.end())) * kNodes / kTasks);
        }
    }
    std::sort(peaks.begin(), peaks.end());
    state.counters["median"] = peaks[peaks.size() / 2];
    state.counters["p95"] = peaks[peaks.size() * 95 / 100];
    // With the building of the rings.
    state.counters["per_lookup"] =
        benchmark::Counter(static_cast<double>(kRings * kTasks), benchmark::Counter::kIsRate | benchmark::Counter::kInvert);
}
BENCHMARK(ring_balance)->RangeMultiplier(2)->Range(64, 4096)->Iterations(1)->Unit(benchmark::kMillisecond);

}  // namespace
