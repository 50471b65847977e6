// cloudtask-center: reads its configuration, builds the Center, runs the loop until SIGTERM or SIGINT.
#include <sys/stat.h>
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "center/center.h"
#include "cloudtask/core/log.h"

int main(int argc, char** argv) {
    using namespace cloudtask;
    std::signal(SIGPIPE, SIG_IGN);
    // The data folder holds password hashes and the cluster's secret; who made it with wider rights is helped here.
    ::umask(027);
    center::Options options;
    auto spec = center::make_config_spec(options);
    const auto outcome = spec.load(argc, argv, cloudtask_environment());
    if (!outcome) {
        std::fprintf(stderr, "cloudtask-center: %s\n", outcome.error().message.c_str());
        return 2;
    }
    if (*outcome == ConfigSpec::Outcome::exit) return 0;
    if (const auto logging = log::init("center", options.log_level); !logging) {
        std::fprintf(stderr, "cloudtask-center: %s\n", logging.error().message.c_str());
        return 2;
    }

    AsioLoop loop;
    auto center = center::Center::make(loop, options);
    if (center) {
        if (const auto started = (*center)->start(); !started) center = tl::unexpected<Error>(started.error());
    }
    if (!center) {
        log::error("cannot start: {}", center.error().message);
        return 1;
    }
    if (const auto& password = (*center)->first_password()) std::printf("admin password: %s\n", password->c_str());
    std::printf("listening on %s\n", (*center)->url().c_str());
    std::fflush(stdout);

    int signals = 0;
    loop.on_signal([&](int signal) {
        if (++signals > 1) std::_Exit(128 + signal);  // who asks twice does not want to wait
        log::info("signal {}: stopping", signal);
        (*center)->stop([&] { loop.stop(); });
    });
    loop.run();
    log::info("stopped");
    return 0;
}
