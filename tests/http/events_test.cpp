// Server-sent events, and the stop of a server: what is in progress ends in order.
#include <atomic>
#include <catch2/catch.hpp>
#include <mutex>

#include "cloudtask/http/server.h"
#include "tests/http/raw_client.h"
#include "tests/http/test_server.h"

using namespace cloudtask;
using namespace cloudtask::http;
using namespace cloudtask::http::testing;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;

namespace {

// Keeps what the handler is given, for the test to use from its own thread.
template <class T>
class Kept {
  public:
    void set(std::shared_ptr<T> value) {
        const std::lock_guard lock(mutex_);
        value_ = std::move(value);
    }
    std::shared_ptr<T> take() {
        std::shared_ptr<T> out;
        wait_for([&] {
            const std::lock_guard lock(mutex_);
            return value_ != nullptr;
        });
        const std::lock_guard lock(mutex_);
        out = std::move(value_);
        return out;
    }

  private:
    std::mutex mutex_;
    std::shared_ptr<T> value_;
};

}  // namespace

TEST_CASE("events are sent as they come and end with the stream") {
    Kept<EventStream> kept;
    Router router;
    router.add("GET", "/events", [&](std::shared_ptr<Exchange> exchange) { kept.set(exchange->reply_events()); });
    TestServer server(std::move(router));
    RawClient client(server.port);
    client.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    auto stream = kept.take();
    REQUIRE(stream);
    CHECK_THAT(client.read_until("\r\n\r\n"), Contains("Content-Type: text/event-stream"));
    CHECK(stream->send("log", "a\nb", "7"));
    CHECK_THAT(client.read_until("data: b\n\n"), EndsWith("event: log\nid: 7\ndata: a\ndata: b\n\n\r\n"));
    CHECK(stream->open());
    CHECK(stream->send("", "last"));
    stream->close();
    CHECK_FALSE(stream->open());
    CHECK_FALSE(stream->send("", "too late"));
    const auto all = client.read_to_end();
    CHECK_THAT(all, EndsWith("data: last\n\n\r\n0\r\n\r\n"));
}

TEST_CASE("a stream of events that is silent carries comments") {
    Kept<EventStream> kept;
    Router router;
    router.add("GET", "/events", [&](std::shared_ptr<Exchange> exchange) { kept.set(exchange->reply_events()); });
    ServerOptions options;
    options.event_heartbeat = std::chrono::milliseconds{20};
    TestServer server(std::move(router), options);
    RawClient client(server.port);
    client.send("GET /events HTTP/1.0\r\n\r\n");
    auto stream = kept.take();
    CHECK_THAT(client.read_until(":\n\n:\n\n"), EndsWith(":\n\n:\n\n"));
    CHECK(stream->send("", "still here"));
    CHECK_THAT(client.read_until("data: still here\n\n"), Contains("data: still here\n\n"));
}

TEST_CASE("a stream whose client is gone is closed") {
    Kept<EventStream> kept;
    Router router;
    router.add("GET", "/events", [&](std::shared_ptr<Exchange> exchange) { kept.set(exchange->reply_events()); });
    TestServer server(std::move(router));
    RawClient client(server.port);
    client.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    auto stream = kept.take();
    client.read_until("\r\n\r\n");
    client.hang_up();
    CHECK(wait_for([&] { return !stream->open(); }));
    CHECK_FALSE(stream->send("", "nobody"));
}

TEST_CASE("a client that does not read its events is cut at 1 MiB") {
    Kept<EventStream> kept;
    Router router;
    router.add("GET", "/events", [&](std::shared_ptr<Exchange> exchange) { kept.set(exchange->reply_events()); });
    TestServer server(std::move(router));
    RawClient client(server.port);
    client.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    auto stream = kept.take();
    const std::string data(10'000, 'x');
    int sent = 0;
    while (sent < 100'000 && stream->send("", data)) ++sent;
    CHECK(sent < 100'000);
    CHECK_FALSE(stream->open());
    client.read_to_end();
    CHECK(client.closed());
}

TEST_CASE("a stop lets a request in progress end, refuses new ones, and ends streams and idle connections at once") {
    Kept<Exchange> kept;
    Kept<EventStream> stream;
    Router router;
    router.add("GET", "/slow", [&](std::shared_ptr<Exchange> exchange) { kept.set(std::move(exchange)); });
    router.add("GET", "/events", [&](std::shared_ptr<Exchange> exchange) { stream.set(exchange->reply_events()); });
    router.add("GET", "/echo", echo());
    TestServer server(std::move(router));
    RawClient slow(server.port);
    RawClient idle(server.port);
    RawClient events(server.port);
    slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    events.send("GET /events HTTP/1.1\r\nHost: x\r\n\r\n");
    idle.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    idle.read_until("]");
    const auto exchange = kept.take();
    const auto open_stream = stream.take();
    events.read_until("\r\n\r\n");

    auto stopped = server.stop(std::chrono::seconds{30});
    idle.read_to_end();
    CHECK(idle.closed());
    CHECK_THAT(events.read_to_end(), EndsWith("0\r\n\r\n"));
    CHECK_FALSE(open_stream->open());
    CHECK_THROWS(RawClient(server.port));
    CHECK(stopped.wait_for(std::chrono::seconds{0}) == std::future_status::timeout);
    exchange->reply(Response::text(200, "in the end"));
    const auto reply = slow.read_to_end();
    CHECK_THAT(reply, EndsWith("in the end"));
    CHECK_THAT(reply, Contains("Connection: close\r\n"));
    CHECK(stopped.wait_for(std::chrono::seconds{10}) == std::future_status::ready);
}

TEST_CASE("a stop ends what is left after the grace, and tells it") {
    Kept<Exchange> kept;
    std::atomic<bool> told{false};
    Router router;
    router.add("GET", "/slow", [&](std::shared_ptr<Exchange> exchange) {
        exchange->on_disconnect([&] { told = true; });
        kept.set(std::move(exchange));
    });
    TestServer server(std::move(router));
    RawClient slow(server.port);
    slow.send("GET /slow HTTP/1.1\r\nHost: x\r\n\r\n");
    auto exchange = kept.take();
    auto stopped = server.stop(std::chrono::milliseconds{20});
    CHECK(stopped.wait_for(std::chrono::seconds{10}) == std::future_status::ready);
    CHECK(told);
    CHECK(slow.read_to_end().empty());
    exchange->reply(Response::no_content());
}
