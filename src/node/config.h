// The node's configuration: NodeOptions, and the ConfigSpec that fills it. A value after the start.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <vector>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/config.h"
#include "cloudtask/ring/timing.h"

namespace cloudtask::node {

struct NodeOptions {
    std::string data_dir = "/var/lib/cloudtask/node";
    std::string center_url = "http://127.0.0.1:8080";
    std::string runtime, name;
    std::string join_token, join_token_file;
    std::vector<std::string> labels;  // k=v
    std::int64_t weight = 1;
    std::int64_t status_port = 0;
    std::string secrets_folder = "/dev/shm";
    std::string log_level = "info";
    Duration horizon = ring::kUsualHorizon;
    Duration join_debounce = std::chrono::milliseconds{500};
    Duration max_clock_skew = std::chrono::seconds{5};
    std::string on_zookeeper_loss = "pause";
    Duration drain_timeout = std::chrono::seconds{30};
};

// The keys of cloudtask-node; `options` must outlive the spec.
ConfigSpec make_config_spec(NodeOptions& options);

// The labels as a map. Errors: an entry that is not k=v.
Result<std::map<std::string, std::string>> parse_labels(const std::vector<std::string>& labels);

// The join token as configured: the key itself, or the first line of the file. Empty if neither is set. Errors: the file cannot be read.
Result<std::string> load_join_token(const NodeOptions& options);

}  // namespace cloudtask::node
