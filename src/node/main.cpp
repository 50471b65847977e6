// cloudtask-node: reads its configuration, builds the Agent, runs the loop until SIGTERM or SIGINT.
#include <csignal>
#include <cstdio>
#include <cstdlib>

#include "cloudtask/core/log.h"
#include "cloudtask/http/client.h"
#include "node/agent.h"

int main(int argc, char** argv) {
    using namespace cloudtask;
    std::signal(SIGPIPE, SIG_IGN);
    node::NodeOptions options;
    auto spec = node::make_config_spec(options);
    const auto outcome = spec.load(argc, argv, cloudtask_environment());
    if (!outcome) {
        std::fprintf(stderr, "cloudtask-node: %s\n", outcome.error().message.c_str());
        return 2;
    }
    if (*outcome == ConfigSpec::Outcome::exit) return 0;
    if (const auto logging = log::init("node", options.log_level); !logging) {
        std::fprintf(stderr, "cloudtask-node: %s\n", logging.error().message.c_str());
        return 2;
    }
    http::init_client_threads();

    int exit_code = 0;
    AsioLoop loop;
    auto agent = node::Agent::make(loop, options);
    if (!agent) {
        log::error("cannot start: {}", agent.error().message);
        return 1;
    }
    (*agent)->start([&](const Error& error) {
        log::error("cannot go on: {}", error.message);
        exit_code = 1;
        loop.stop();
    });
    int signals = 0;
    loop.on_signal([&](int signal) {
        if (++signals > 1) std::_Exit(128 + signal);  // who asks twice does not want to wait
        log::info("signal {}: handing over, then stopping", signal);
        (*agent)->stop([&] { loop.stop(); });
    });
    loop.run();
    log::info("stopped");
    return exit_code;
}
