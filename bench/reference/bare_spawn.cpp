// The reference for lateness and throughput of a node: a loop that sleeps until the next deadline and calls posix_spawn(3), with nothing
// else around it: no journal, no claims, no output files, no supervision beyond collecting what has ended.
//
//   bare_spawn --rate N --seconds S --pattern spread|burst   N tasks, each of them once a second, from the next full second on
//   bare_spawn --flood --seconds S                           as many starts as it can do, at most 64 processes at a time
//
// Lateness is taken as the node takes it: wall clock just after the spawn has returned, minus the time it was due. One thread. Prints one
// JSON object.
#include <fcntl.h>
#include <spawn.h>
#include <sys/resource.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

#include "bare.h"

namespace {

constexpr std::int64_t kSecond = 1'000'000'000;
constexpr std::int64_t kMaxOutstanding = 64;

struct Options {
    std::int64_t rate = 100;
    std::int64_t seconds = 5;
    bool burst = false;
    bool flood = false;
};

using bare::give_up;

void sleep_until(std::int64_t instant) {
    const timespec time{instant / kSecond, instant % kSecond};
    while (::clock_nanosleep(CLOCK_REALTIME, TIMER_ABSTIME, &time, nullptr) == EINTR) {
    }
}

class Spawner {
  public:
    Spawner() {
        ::posix_spawn_file_actions_init(&actions_);
        for (const int descriptor : {STDIN_FILENO, STDOUT_FILENO, STDERR_FILENO}) {
            ::posix_spawn_file_actions_addopen(&actions_, descriptor, "/dev/null", O_RDWR, 0);
        }
    }
    ~Spawner() { ::posix_spawn_file_actions_destroy(&actions_); }
    Spawner(const Spawner&) = delete;
    Spawner& operator=(const Spawner&) = delete;

    void start() {
        static char path[] = "/bin/true";
        char* arguments[] = {path, nullptr};
        pid_t pid = 0;
        if ((errno = ::posix_spawn(&pid, path, &actions_, nullptr, arguments, environ)) != 0) give_up("posix_spawn");
        ++outstanding_;
    }

    void collect(bool wait) {
        while (outstanding_ > 0 && ::waitpid(-1, nullptr, wait ? 0 : WNOHANG) > 0) {
            --outstanding_;
            wait = false;
        }
    }

    void collect_all() {
        while (outstanding_ > 0) collect(true);
    }

    std::int64_t outstanding() const { return outstanding_; }

  private:
    posix_spawn_file_actions_t actions_{};
    std::int64_t outstanding_ = 0;
};

double percentile(std::vector<double> values, double fraction) {
    if (values.empty()) return 0;
    std::sort(values.begin(), values.end());
    return values[std::min(values.size() - 1, static_cast<std::size_t>(fraction * static_cast<double>(values.size())))];
}

void run_timed(const Options& options) {
    std::vector<std::int64_t> deadlines;
    const std::int64_t begin = (bare::wall_ns() / kSecond + 1) * kSecond;
    for (std::int64_t second = 0; second < options.seconds; ++second) {
        for (std::int64_t n = 0; n < options.rate; ++n) {
            deadlines.push_back(begin + second * kSecond + (options.burst ? 0 : bare::offset_us(static_cast<std::uint32_t>(n)) * 1000));
        }
    }
    std::sort(deadlines.begin(), deadlines.end());

    Spawner spawner;
    std::vector<double> lateness_ms;
    lateness_ms.reserve(deadlines.size());
    for (const std::int64_t deadline : deadlines) {
        spawner.collect(false);
        sleep_until(deadline);
        spawner.start();
        lateness_ms.push_back(static_cast<double>(bare::wall_ns() - deadline) / 1e6);
    }
    spawner.collect_all();

    const auto third = static_cast<std::ptrdiff_t>(lateness_ms.size() / 3);
    const std::vector<double> first(lateness_ms.begin(), lateness_ms.begin() + third), last(lateness_ms.end() - third, lateness_ms.end());
    std::printf(
        "{\"fires\": %zu, \"p50_ms\": %.3f, \"p90_ms\": %.3f, \"p99_ms\": %.3f, \"first_third_p50_ms\": %.3f, \"last_third_p50_ms\": "
        "%.3f}\n",
        lateness_ms.size(), percentile(lateness_ms, 0.5), percentile(lateness_ms, 0.9), percentile(lateness_ms, 0.99),
        percentile(first, 0.5), percentile(last, 0.5));
}

void run_flood(const Options& options) {
    Spawner spawner;
    std::int64_t starts = 0;
    const std::int64_t begin = bare::wall_ns(), end = begin + options.seconds * kSecond;
    while (bare::wall_ns() < end) {
        spawner.collect(spawner.outstanding() >= kMaxOutstanding);
        spawner.start();
        ++starts;
    }
    spawner.collect_all();
    std::printf("{\"starts_per_second\": %.1f}\n", static_cast<double>(starts) / (static_cast<double>(bare::wall_ns() - begin) / 1e9));
}

Options read_options(int argc, char** argv) {
    Options options;
    for (int i = 1; i < argc; ++i) {
        const std::string_view word = argv[i];
        const bool more = i + 1 < argc;
        if (word == "--flood") {
            options.flood = true;
        } else if (word == "--rate" && more) {
            options.rate = std::strtoll(argv[++i], nullptr, 10);
        } else if (word == "--seconds" && more) {
            options.seconds = std::strtoll(argv[++i], nullptr, 10);
        } else if (word == "--pattern" && more) {
            options.burst = std::string_view(argv[++i]) == "burst";
        } else {
            std::fprintf(stderr, "usage: bare_spawn [--rate N] [--seconds S] [--pattern spread|burst] [--flood]\n");
            std::exit(2);
        }
    }
    return options;
}

}  // namespace

int main(int argc, char** argv) {
    const Options options = read_options(argc, argv);
    if (options.flood) {
        run_flood(options);
    } else {
        run_timed(options);
    }
}
