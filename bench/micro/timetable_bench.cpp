// One fire on the timetable: taking it and finding where its task comes next, with many tasks on it; beside the least that any timetable
// has to do, a binary heap of numbers. One thread.
#include <benchmark/benchmark.h>

#include <algorithm>
#include <cstdlib>
#include <functional>
#include <memory>
#include <utility>
#include <vector>

#include "cloudtask/core/ids.h"
#include "cloudtask/core/random.h"
#include "node/timetable.h"

namespace {

using namespace cloudtask;

constexpr Instant kStart{std::chrono::seconds{1772323200}};
constexpr Duration kSpacing = std::chrono::milliseconds{1};

// `count` tasks, of which one is due in each millisecond.
node::Timetable make_timetable(std::int64_t count) {
    node::Timetable timetable;
    SystemRandom random;
    for (std::int64_t n = 0; n < count; ++n) {
        auto task = std::make_shared<task::Task>();
        task->id = make_uuid(kStart, random);
        task->command = {"/bin/true"};
        const auto schedule = task::Schedule::every(count * kSpacing, kStart + n * kSpacing);
        if (!schedule) std::abort();
        task->schedules.push_back(*schedule);
        timetable.open(std::move(task), kStart);
    }
    return timetable;
}

void timetable_fire(benchmark::State& state) {
    node::Timetable timetable = make_timetable(state.range(0));
    for (auto _ : state) {
        const auto fire = timetable.take(Instant::max());
        if (!fire) std::abort();
        benchmark::DoNotOptimize(fire->time);
    }
}
BENCHMARK(timetable_fire)->Arg(1000)->Arg(10'000)->Arg(100'000);

void reference_heap(benchmark::State& state) {
    using Entry = std::pair<std::int64_t, std::int64_t>;  // due, number of the task
    std::vector<Entry> heap;
    const std::int64_t count = state.range(0);
    for (std::int64_t n = 0; n < count; ++n) heap.emplace_back(n, n);
    std::make_heap(heap.begin(), heap.end(), std::greater<>());
    for (auto _ : state) {
        std::pop_heap(heap.begin(), heap.end(), std::greater<>());
        heap.back().first += count;
        std::push_heap(heap.begin(), heap.end(), std::greater<>());
    }
}
BENCHMARK(reference_heap)->Arg(1000)->Arg(10'000)->Arg(100'000);

}  // namespace
