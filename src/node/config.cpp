// The keys of cloudtask-node.
#include "node/config.h"

#include <fstream>

namespace cloudtask::node {

using namespace std::chrono_literals;

ConfigSpec make_config_spec(NodeOptions& options) {
    ConfigSpec spec("cloudtask-node", "joins a runtime and runs its part of the runtime's tasks");
    spec.text("data-dir", &options.data_dir, "folder of its identity, journal, packages and runs; one process at a time")
        .text("center.url", &options.center_url, "where the center listens")
        .text("runtime", &options.runtime, "the runtime to join; only the first start needs it")
        .text("name", &options.name,
              "this node's name, unique in its runtime: a-z, 0-9 and '-'; only the first start needs it; default: the host's name")
        .secret("join-token", &options.join_token, "admits the node at its first start")
        .text("join-token-file", &options.join_token_file, "a file whose first line is the join token")
        .list("labels", &options.labels, "labels that tasks may ask for, as k=v")
        .integer("weight", &options.weight, 1, 100, "its share of the tasks, relative to the other nodes")
        .integer("status.port", &options.status_port, 0, 65535,
                 "loopback port of health, status and metrics; 0: a free one, written to <data-dir>/address")
        .text("secrets.folder", &options.secrets_folder, "a folder in memory (tmpfs), for the files by which runs are given secrets")
        .text("log.level", &options.log_level, "debug, info, warn or error")
        .duration("claims.horizon", &options.horizon, 500ms, 1min,
                  "how far ahead fires are claimed in ZooKeeper: shorter means fewer uncertain fires after a crash, longer fewer writes")
        .duration("claims.join-debounce", &options.join_debounce, 0ms, 1min,
                  "how long an allocator gathers joins before it changes the ring")
        .duration("claims.max-clock-skew", &options.max_clock_skew, 100ms, 1h,
                  "difference to ZooKeeper's clock beyond which the node takes no part")
        .choice(
            "claims.on-zookeeper-loss", &options.on_zookeeper_loss, {"pause", "continue"},
            "scheduled fires while ZooKeeper is out of reach: `pause` starts what was claimed and leaves the rest to the misfire policy; "
            "`continue` starts all that the node owned, and another node may start the same")
        .duration("stop.drain-timeout", &options.drain_timeout, 0s, 24h,
                  "how long a stop waits, once its tasks are handed over, for runs to end and reports to leave; runs that go on are taken "
                  "over at the next start");
    return spec;
}

Result<std::map<std::string, std::string>> parse_labels(const std::vector<std::string>& labels) {
    std::map<std::string, std::string> parsed;
    for (const auto& label : labels) {
        const auto equals = label.find('=');
        if (equals == std::string::npos || equals == 0) return fail(Errc::invalid_argument, "the label '{}' is not of the form k=v", label);
        parsed.insert_or_assign(label.substr(0, equals), label.substr(equals + 1));
    }
    return parsed;
}

Result<std::string> load_join_token(const NodeOptions& options) {
    if (!options.join_token.empty() || options.join_token_file.empty()) return options.join_token;
    std::ifstream file(options.join_token_file);
    std::string token;
    if (!file || !std::getline(file, token)) return fail(Errc::io, "cannot read the join token from {}", options.join_token_file);
    return token;
}

}  // namespace cloudtask::node
