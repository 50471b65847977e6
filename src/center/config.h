// The center's configuration: Options, and the ConfigSpec that fills it. Used before the loop runs; Options is a value afterwards.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/config.h"

namespace cloudtask::center {

struct Options {
    std::string data_dir = "/var/lib/cloudtask/center";
    std::string http_address = "127.0.0.1";
    std::int64_t http_port = 8080;
    std::string webroot = "/usr/share/cloudtask/webroot";  // empty: no site
    std::string site_url;                                  // empty: from the address that it listens on
    std::string log_level = "info";

    Duration login_lifetime = std::chrono::hours{12};
    std::string secrets_key_file;  // empty: beside the data folder
    std::uint64_t packages_max_size = 512ULL << 20;
    std::string metrics_token;  // empty: /metrics needs a user's token
    Duration stop_grace = std::chrono::seconds{5};

    std::string zookeeper_servers = "127.0.0.1:2181";
    std::string zookeeper_chroot = "/cloudtask";
    Duration zookeeper_session_timeout = std::chrono::seconds{6};

    std::string mail_smtp_url;  // empty: no mail leaves, failures are queued only when somebody is to be told
    std::string mail_username, mail_password;
    std::string mail_starttls = "try";
    std::string mail_ca_file;  // empty: the system's certificates
    std::string mail_from = "cloudtask@localhost";
    std::vector<std::string> mail_to;  // told of a failure where neither task, group nor runtime names anybody

    Duration lost_grace = std::chrono::seconds{20};
    Duration ledger_grace = std::chrono::minutes{1};  // from a fire's tolerance to its report
    std::uint64_t logs_max_size = 32ULL << 20;  // of one stream of one run on the center's disk
};

// The keys of cloudtask-center; `options` must outlive the spec.
ConfigSpec make_config_spec(Options& options);

}  // namespace cloudtask::center
