// Api: HTTP calls that block until they are answered, which is all that a command needs. An interface, so that commands are tested
// against a recorded transport.
//
// One thread: HttpApi pumps its own loop inside of each call. It knows nothing of resources; see cli/center.h.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cloudtask/core/result.h"
#include "cloudtask/http/client.h"

namespace cloudtask::cli {

// Which center, and as whom. An empty token: not logged in.
struct Endpoint {
    std::string server;  // "http://127.0.0.1:8080", without a slash at the end
    std::string token;
};

// A request without a body. `target`: path and query, encoded.
http::ClientRequest make_request(std::string method, std::string target);

class Api {
  public:
    // Takes one event; false ends the stream.
    using OnEvent = std::function<bool(const std::string& event, const std::string& data, const std::string& id)>;

    virtual ~Api() = default;

    // Any status is a success. Errors: Errc::unavailable, timeout, too_large, io.
    virtual Result<http::Response> call(http::ClientRequest request) = 0;

    // Follows server-sent events until the server ends the stream, the connection drops, or `on_event` returns false. A dropped
    // connection is Errc::unavailable or timeout; a stream that `on_event` ended is a success with status 200.
    virtual Result<http::Response> follow(http::ClientRequest request, OnEvent on_event) = 0;

    // Pauses between two tries.
    virtual void wait(Duration pause) = 0;
};

// The Api over http::Client.
std::unique_ptr<Api> make_http_api(const Endpoint& endpoint);

}  // namespace cloudtask::cli
