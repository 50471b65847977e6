// The figures of a big runtime: see scale.h. The measured node is real Duties with the whole catalog, as every node of the runtime holds
// it; what the 999 others would say is written into the allocation. One thread; the clock is the process's CPU time.
#include "tests/sim/scale.h"

#include <fmt/format.h>
#include <malloc.h>
#include <time.h>

#include <algorithm>
#include <string>
#include <vector>

#include "node/duties.h"

namespace cloudtask::sim {

namespace {

using namespace std::chrono_literals;

constexpr std::size_t kNodes = 1000;
constexpr std::size_t kTasks = 1'000'000;
constexpr int kDeaths = 5;

Duration cpu_time() {
    timespec time{};
    ::clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &time);
    return std::chrono::duration_cast<Duration>(std::chrono::seconds{time.tv_sec} + std::chrono::nanoseconds{time.tv_nsec});
}

std::size_t heap_bytes() {
    const auto info = ::mallinfo2();
    return info.uordblks + info.hblkhd;
}

std::string name_of_node(std::size_t number) { return fmt::format("node-{:04}", number); }

ring::Allocation allocation_of(std::size_t nodes) {
    ring::Allocation allocation;
    allocation.epoch = 1;
    for (std::size_t i = 0; i < nodes; ++i) {
        const std::string id = name_of_node(i);
        allocation.nodes.push_back({id, id + ".1", id});
    }
    return allocation;
}

node::TaskPointer make_task(std::size_t number) {
    auto task = std::make_shared<task::Task>();
    task->id = fmt::format("018f3c2e-0000-7000-8000-{:012x}", number);
    task->runtime = "production";
    task->group = "billing";
    task->name = fmt::format("task-{}", number);
    task->command = {"/usr/bin/true"};
    // A million tasks that fire every hour: 278 fires a second in the runtime.
    task->schedules.push_back(*task::Schedule::every(1h, Instant{std::chrono::milliseconds{number % 3'600'000}}));
    task->created_revision = task->revision = 1;
    task->effective_from = Instant{std::chrono::seconds{1893456000}};
    return task;
}

// The node writes what it wants to say, and hears that it is written.
void write_all(node::Duties& duties, Instant now) {
    while (duties.next_write(now, std::nullopt)) duties.written();
}

// The next allocation, in which one of the nodes is gone that had claimed up to a second from now.
ring::Allocation without(const ring::Allocation& before, std::size_t index, Instant now) {
    ring::Allocation next = before;
    next.epoch = before.epoch + 1;
    next.previous = {{before.epoch, before.nodes}};
    ring::Departed departed;
    departed.incarnation = before.nodes[index].incarnation;
    departed.epoch = before.epoch;
    departed.horizon = now + 1s;
    departed.done = now - 1s;
    departed.revision = 1;
    next.departed = {departed};
    next.nodes.erase(next.nodes.begin() + static_cast<std::ptrdiff_t>(index));
    return next;
}

}  // namespace

int run_scale() {
    Instant now{std::chrono::seconds{1893456000}};
    const std::size_t at_first = heap_bytes();
    std::vector<node::TaskPointer> catalog;
    catalog.reserve(kTasks);
    for (std::size_t i = 0; i < kTasks; ++i) catalog.push_back(make_task(i));
    const std::size_t with_catalog = heap_bytes();

    node::Duties duties("node-0000", "node-0000.1", {});
    duties.set_catalog_revision(1);
    const Duration before_put = cpu_time();
    for (const auto& task : catalog) duties.put_task(task);
    const Duration put = cpu_time() - before_put;
    ring::Allocation allocation = allocation_of(kNodes);
    const Duration before_first = cpu_time();
    duties.observe(allocation, now);
    write_all(duties, now);
    const Duration first = cpu_time() - before_first;
    const std::size_t with_duties = heap_bytes();
    const double per_definition = static_cast<double>(with_catalog - at_first) / kTasks;
    const double per_entry = static_cast<double>(with_duties - with_catalog) / kTasks;

    fmt::print("{} nodes, {} tasks; the measured node owns {}\n", kNodes, kTasks, duties.owned_count());
    fmt::print("memory per task: {:.0f} bytes of definition, {:.0f} bytes in the node's claims and timetable\n", per_definition, per_entry);
    fmt::print("CPU: {:.2f} s to take the catalog in, {:.2f} s for the first allocation\n", put.count() / 1e6, first.count() / 1e6);

    Duration worst{};
    for (int death = 0; death < kDeaths; ++death) {
        now += 60s;
        const std::size_t owned = duties.owned_count();
        const ring::Allocation next = without(allocation, allocation.nodes.size() / 2, now);
        const Duration before = cpu_time();
        duties.observe(next, now);
        write_all(duties, now);
        duties.set_horizons({});
        write_all(duties, now);
        while (duties.take(now + 1s)) {
        }
        const auto uncertain = duties.take_uncertain();
        const Duration spent = cpu_time() - before;
        worst = std::max(worst, spent);
        fmt::print("a death among {}: {:.3f} s of CPU, {} tasks gained, {} intervals uncertain\n", allocation.nodes.size(),
                   spent.count() / 1e6, duties.owned_count() - owned, uncertain.size());
        // Settled; the next one may come.
        ring::Allocation settled = next;
        settled.previous.clear();
        settled.departed.clear();
        duties.observe(settled, now);
        write_all(duties, now);
        allocation = settled;
    }
    fmt::print("the worst: {:.3f} s of CPU\n", worst.count() / 1e6);
    return worst < 1s ? 0 : 1;
}

}  // namespace cloudtask::sim
