// Server: HTTP/1.1 on Boost.Beast with bounds on everything: header bytes, body bytes, connections, idle time and total time of a request.
// Requests with both Content-Length and Transfer-Encoding, or bad lengths, are refused. Exactly one reply goes out on every path: an
// Exchange that is dropped without one answers 500.
//
// Lives on the loop; handlers are called there and must not block. An Exchange may be handed to a worker thread and replied to from it.
// Descriptors are close-on-exec.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include "cloudtask/core/asio_loop.h"
#include "cloudtask/http/message.h"

namespace cloudtask::http {

struct ServerOptions {
    std::string address = "127.0.0.1";
    std::uint16_t port = 0;  // 0: a free one
    std::size_t max_header_bytes = 16 * 1024;
    std::uint64_t max_body_bytes = 64 * 1024;  // of read_body(); streams have their own bound
    std::size_t max_connections = 2000;
    Duration idle_timeout = std::chrono::seconds{60};     // between requests, and between bytes of one
    Duration request_timeout = std::chrono::seconds{30};  // from the first byte of a header to the last of a buffered body
    Duration event_heartbeat = std::chrono::seconds{15};  // a comment goes out on a stream of events that is silent for so long
};

// Server-sent events (WHATWG HTML, section 9.2) to one client. Any thread; sends after the client has gone are dropped.
class EventStream {
  public:
    virtual ~EventStream() = default;  // ends the stream
    // `event` and `id` may be empty. False when the client is gone, or so slow that more than 1 MiB waits for it (it is then cut).
    virtual bool send(std::string_view event, std::string_view data, std::string_view id = {}) = 0;
    virtual bool open() const = 0;
    virtual void close() = 0;
};

// Receives a streamed body; called on the loop. Reading pauses until the promise of each call is kept (back-pressure).
class BodySink {
  public:
    virtual ~BodySink() = default;
    // Takes one chunk (64 KiB at most) and calls `next` when it wants more (from any thread), with false to stop reading.
    virtual void on_chunk(std::string chunk, std::function<void(bool go_on)> next) = 0;
    // All of it came (then it is complete), or not: broken upload, too large, too slow. Called once.
    virtual void on_end(Result<> outcome) = 0;
};

// One request and its one reply.
class Exchange {
  public:
    virtual ~Exchange() = default;
    virtual const Request& request() const = 0;

    // Reads the body into request().body, then calls `ready` on the loop; bodies above `max_bytes` are answered 413 and `ready` is not
    // called.
    virtual void read_body(std::uint64_t max_bytes, std::function<void()> ready) = 0;
    // Streams the body to `sink`; it is kept until the end.
    virtual void stream_body(std::uint64_t max_bytes, std::shared_ptr<BodySink> sink) = 0;

    // Sends the reply; from any thread; the second one is dropped and logged. An unread body is drained up to a bound, else the connection
    // closes.
    virtual void reply(Response response) = 0;
    // Starts a stream of events instead of a reply. From any thread.
    virtual std::shared_ptr<EventStream> reply_events() = 0;
    // Tells (on the loop) when the client hangs up before the reply. For long polls.
    virtual void on_disconnect(std::function<void()> handler) = 0;
};

using Handler = std::function<void(std::shared_ptr<Exchange>)>;

// Method and pattern to handler. Patterns: "/api/v1/tasks/{id}/start"; a last segment "{rest*}" takes all that follows.
class Router {
  public:
    void add(std::string method, std::string pattern, Handler handler);
    struct Match {
        const Handler* handler = nullptr;
        std::string pattern;
        std::map<std::string, std::string> params;
        std::string allow;  // for 405: the methods that this path has; empty: 404
    };
    Match match(const std::string& method, const std::string& path) const;
    // "GET /api/v1/tasks" of every route.
    std::vector<std::string> routes() const;

  private:
    struct Route {
        std::string method, pattern;
        std::vector<std::string> segments;
        Handler handler;
    };
    std::vector<Route> routes_;
};

class Server {
  public:
    // `observe`, if given, is called on the loop after each reply (metrics): request, status, seconds.
    using Observe = std::function<void(const Request&, int status, double seconds)>;
    Server(AsioLoop& loop, ServerOptions options, Router router, Observe observe = {});
    ~Server();

    // Binds and accepts. Returns the port. Errors: address in use, bad address.
    Result<std::uint16_t> start();
    // Stops accepting, lets requests in progress end within `grace`, then closes what is left; `done` on the loop.
    void stop(Duration grace, std::function<void()> done);

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::http
