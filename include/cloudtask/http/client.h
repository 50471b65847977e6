// Client: HTTP requests over cpprestsdk, asynchronous. Used by node and CLI.
//
// Lives on the loop: callbacks are called there, exactly once, never inline. Bounds: connect and total time, size of the answer. Call
// init_client_threads() first in main: cpprestsdk's default of 40 threads is three times slower.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cloudtask/core/loop.h"
#include "cloudtask/http/message.h"

namespace cloudtask::http {

void init_client_threads();

struct ClientOptions {
    std::string base_url;  // "http://127.0.0.1:8080"
    std::string bearer_token;
    Duration timeout = std::chrono::seconds{30};
    std::uint64_t max_response_bytes = 16ULL << 20;
};

struct ClientRequest {
    std::string method = "GET";
    std::string target;  // path and query, encoded
    Headers headers;
    std::string body;
    std::string content_type = "application/json";
    std::string body_file;  // if not empty: streamed as the body
    std::string save_to;    // if not empty: the body of a 2xx answer is streamed to this file (made or truncated; a failure leaves a part)
    std::uint64_t max_save_bytes = 4ULL << 30;
    std::optional<Duration> timeout;  // else the client's; of follow(): the longest silence, else 60 s
};

class Client {
  public:
    Client(Loop& loop, ClientOptions options);
    ~Client();  // outstanding callbacks get Errc::cancelled

    void set_bearer_token(std::string token);
    // Any status is a success here. Errors: Errc::unavailable (cannot connect, broken off), timeout, too_large, io (save_to).
    void send(ClientRequest request, std::function<void(Result<Response>)> done);

    // Follows server-sent events until the server ends the stream or `cancel` (the returned function; on the loop) is called: then `done`
    // gets Errc::cancelled, and no event comes any more. An answer that is no stream of events goes to `done` whole. `on_event(event, data,
    // id)`.
    std::function<void()> follow(ClientRequest request, std::function<void(std::string event, std::string data, std::string id)> on_event,
                                 std::function<void(Result<Response>)> done);

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

// Percent-encodes one path segment or query value (RFC 3986).
std::string encode_component(std::string_view text);

}  // namespace cloudtask::http
