// What the timetable alone costs in real time: 100,000 tasks of which 1,000 are due in each second, on the real event loop, which sleeps
// until the next one is due; the processor time of it is measured. The reference in the same process: a bare loop that sleeps and wakes as
// often.
//
//   timetable_load SECONDS
//
// Prints one JSON object; percent are of one core. One thread.
#include <sys/resource.h>
#include <time.h>
#include <unistd.h>

#include <cerrno>
#include <cstdio>
#include <cstdlib>
#include <fstream>
#include <memory>
#include <string>

#include "cloudtask/core/asio_loop.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/core/random.h"
#include "node/timetable.h"

namespace {

using namespace cloudtask;

constexpr std::int64_t kTasks = 100'000;
constexpr Duration kSpacing = std::chrono::milliseconds{1};

double processor_seconds() {
    rusage usage{};
    ::getrusage(RUSAGE_SELF, &usage);
    const auto seconds = [](const timeval& time) { return static_cast<double>(time.tv_sec) + static_cast<double>(time.tv_usec) / 1e6; };
    return seconds(usage.ru_utime) + seconds(usage.ru_stime);
}

double resident_mib() {
    std::ifstream file("/proc/self/statm");
    long total = 0, resident = 0;
    file >> total >> resident;
    return static_cast<double>(resident) * static_cast<double>(::sysconf(_SC_PAGESIZE)) / (1 << 20);
}

void fill(node::Timetable& timetable, Instant start) {
    SystemRandom random;
    for (std::int64_t n = 0; n < kTasks; ++n) {
        auto task = std::make_shared<task::Task>();
        task->id = make_uuid(start, random);
        task->command = {"/bin/true"};
        const auto schedule = task::Schedule::every(kTasks * kSpacing, start + n * kSpacing);
        if (!schedule) std::abort();
        task->schedules.push_back(*schedule);
        timetable.open(std::move(task), start);
    }
}

class Firing {
  public:
    Firing(AsioLoop& loop, node::Timetable& timetable, Instant end) : loop_(loop), timetable_(timetable), end_(end) {}

    void fire_due() {
        const Instant now = loop_.clock().now();
        while (timetable_.take(now)) ++fires_;
        const auto next = timetable_.next_due();
        if (!next || now >= end_) return loop_.stop();
        timer_ = loop_.after(*next - now, [this] { fire_due(); });
    }

    long fires() const { return fires_; }

  private:
    AsioLoop& loop_;
    node::Timetable& timetable_;
    Instant end_;
    Timer timer_;
    long fires_ = 0;
};

// Wakes once in a millisecond for so many seconds.
void wake_often(int seconds) {
    timespec next{};
    ::clock_gettime(CLOCK_MONOTONIC, &next);
    for (int wakes = 0; wakes < seconds * 1000; ++wakes) {
        next.tv_nsec += 1'000'000;
        if (next.tv_nsec >= 1'000'000'000) {
            next.tv_nsec -= 1'000'000'000;
            ++next.tv_sec;
        }
        while (::clock_nanosleep(CLOCK_MONOTONIC, TIMER_ABSTIME, &next, nullptr) == EINTR) {
        }
    }
}

}  // namespace

int main(int argc, char** argv) {
    const int seconds = argc > 1 ? std::atoi(argv[1]) : 5;

    const double bare_before = processor_seconds();
    wake_often(seconds);
    const double bare = processor_seconds() - bare_before;

    const double resident_before = resident_mib();
    AsioLoop loop;
    node::Timetable timetable;
    fill(timetable, loop.clock().now());
    const double resident = resident_mib() - resident_before;
    // What fell due while the timetable was filled is not part of the measurement.
    while (timetable.take(loop.clock().now())) {
    }

    const double before = processor_seconds();
    Firing firing(loop, timetable, loop.clock().now() + std::chrono::seconds{seconds});
    loop.post([&firing] { firing.fire_due(); });
    loop.run();
    const double spent = processor_seconds() - before;

    std::printf(
        "{\"fires_per_second\": %.1f, \"percent\": %.3f, \"bare_percent\": %.3f, \"resident_mib\": "
        "%.1f}\n",
        static_cast<double>(firing.fires()) / seconds, 100 * spent / seconds, 100 * bare / seconds, resident);
}
