// session_factory: checks SessionOptions once, at start, and makes sessions of them. Lives on the loop; knows nothing of ZooKeeper's
// client.
#include <charconv>

#include "zk/checks.h"
#include "zk/session.h"

namespace cloudtask::zk {

namespace {

// Below this ZooKeeper's client busies a whole core with pings.
constexpr Duration kMinSessionTimeout = std::chrono::milliseconds{100};
constexpr Duration kMaxSessionTimeout = std::chrono::minutes{10};

Result<> check_server(std::string_view server) {
    const std::size_t colon = server.rfind(':');
    if (colon == std::string_view::npos || colon == 0) {
        return fail(Errc::bad_arguments, "the ZooKeeper server '{}' is not of the form host:port", server);
    }
    const std::string_view digits = server.substr(colon + 1);
    int port = 0;
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    if (error != std::errc{} || end != digits.data() + digits.size() || port < 1 || port > 65535) {
        return fail(Errc::bad_arguments, "the port of the ZooKeeper server '{}' is not a number from 1 to 65535", server);
    }
    if (server.find_first_of("/ \t") != std::string_view::npos) {
        return fail(Errc::bad_arguments, "the ZooKeeper server '{}' holds a slash or a space; the chroot is an option of its own", server);
    }
    return {};
}

Result<> check_options(const SessionOptions& options) {
    for (std::string_view rest = options.servers;;) {
        const std::size_t comma = rest.find(',');
        if (auto valid = check_server(rest.substr(0, comma)); !valid) return valid;
        if (comma == std::string_view::npos) break;
        rest.remove_prefix(comma + 1);
    }
    if (auto valid = check_path(options.chroot); !valid) return valid;
    if (options.session_timeout < kMinSessionTimeout || options.session_timeout > kMaxSessionTimeout) {
        return fail(Errc::bad_arguments, "the ZooKeeper session time-out of {} ms is not between 100 ms and 10 min",
                    std::chrono::duration_cast<std::chrono::milliseconds>(options.session_timeout).count());
    }
    return {};
}

}  // namespace

Result<Client::Factory> session_factory(Loop& loop, SessionOptions options) {
    if (auto valid = check_options(options); !valid) return propagate(valid);
    auto worker = std::make_shared<ThreadWorker>("zookeeper");
    return [&loop, worker = std::move(worker), options = std::move(options)]() -> std::unique_ptr<Keeper> {
        return std::make_unique<Session>(loop, worker, options);
    };
}

}  // namespace cloudtask::zk
