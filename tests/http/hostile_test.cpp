// Server against hostile, broken and slow clients: each gets its refusal, and the server goes on.
#include <sys/resource.h>

#include <fcntl.h>
#include <atomic>
#include <catch2/catch.hpp>
#include <deque>
#include <filesystem>
#include <fstream>
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

Router echo_router() {
    Router router;
    router.add("GET", "/echo", echo());
    router.add("POST", "/echo", echo());
    router.add("GET", "/files/{path*}", echo());
    return router;
}

std::string status_of(const std::string& reply) { return reply.size() > 12 ? reply.substr(9, 3) : "none: " + reply; }

std::uint64_t resident_bytes() {
    std::ifstream status("/proc/self/status");
    for (std::string line; std::getline(status, line);) {
        if (line.rfind("VmRSS:", 0) == 0) return std::stoull(line.substr(6)) * 1024;
    }
    return 0;
}

}  // namespace

TEST_CASE("malformed requests are refused, and the connection is closed") {
    std::atomic<int> handled{0};
    Router router;
    const auto count = [&](std::shared_ptr<Exchange> exchange) {
        ++handled;
        echo()(std::move(exchange));
    };
    router.add("GET", "/echo", count);
    router.add("POST", "/echo", count);
    router.add("GET", "/files/{path*}", count);
    TestServer server(std::move(router));
    const std::pair<const char*, const char*> cases[] = {
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", "400"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nContent-Length: 3\r\n\r\nabc", "400"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\nContent-Length: 3\r\n\r\nabc", "400"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 4\r\n\r\nabc", "400"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nContent-Length: 3\r\n\r\nabc", "400"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3, 3\r\n\r\nabc", "400"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: -1\r\n\r\nabc", "400"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: +3\r\n\r\nabc", "400"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 0x3\r\n\r\nabc", "400"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length:\r\n\r\nabc", "400"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 99999999999999999999999\r\n\r\nabc", "400"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip\r\n\r\nabc", "501"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: gzip, chunked\r\n\r\n0\r\n\r\n", "501"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
        {"POST /echo HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", "400"},
        {"POST /echo HTTP/1.1\r\nHost: x\r\nExpect: miracles\r\nContent-Length: 3\r\n\r\nabc", "417"},
        {"GET /echo HTTP/1.1\r\n\r\n", "400"},
        {"GET /echo HTTP/1.1\r\nHost: x\r\nHost: y\r\n\r\n", "400"},
        {"GET /echo HTTP/1.1\r\nHost : x\r\n\r\n", "400"},
        {"GET /echo HTTP/1.1\r\nHost: x\r\nA\x01: b\r\n\r\n", "400"},
        {"GET /echo HTTP/2.0\r\nHost: x\r\n\r\n", "505"},
        {"GET /echo\r\n\r\n", "400"},
        {"GET  /echo HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        {"GET echo HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        {"GET /echo HTTP/1.1\nHost: x\n\n", "505"},
        {"\x16\x03\x01\x02\x01\x01", "400"},  // TLS
        {"GET /ec%ho HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        {"GET /echo%4 HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        {"GET /files/%00 HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        {"GET /files/%ff HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        {"GET /files/../etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        {"GET /files/%2e%2e/etc/passwd HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        {"GET /files/..%2fetc HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        {"GET /files/.. HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        {"GET /echo?a=1&a=2 HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
        {"GET /echo?a=%zz HTTP/1.1\r\nHost: x\r\n\r\n", "400"},
    };
    for (const auto& [bytes, status] : cases) {
        INFO(bytes);
        RawClient client(server.port);
        client.send(bytes);
        client.shut_sending();
        const auto reply = client.read_to_end();
        CHECK(status_of(reply) == status);
        CHECK_THAT(reply, Contains("Connection: close\r\n"));
        CHECK_THAT(reply, Contains("application/problem+json"));
        CHECK(client.closed());
    }
    CHECK(handled == 0);
}

TEST_CASE("bad chunks are refused") {
    TestServer server(echo_router());
    const std::string head = "POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n";
    for (const std::string& body :
         {std::string("zz\r\nabc\r\n0\r\n\r\n"), std::string("-1\r\nabc\r\n"), std::string("3\r\nabcd\r\n0\r\n\r\n"),
          std::string("ffffffffffffffffff\r\nabc"), "3;" + std::string(100'000, 'x')}) {
        INFO(body.substr(0, 40));
        RawClient client(server.port);
        client.send(head + body);
        client.shut_sending();
        CHECK(status_of(client.read_to_end()) == "400");
    }
}

TEST_CASE("endless headers are refused with 431, as one line and as many") {
    TestServer server(echo_router());
    for (const std::string& line : {std::string("xxxxxxxxxx"), std::string("A: bcdef\r\n")}) {
        RawClient client(server.port);
        client.send("GET /echo HTTP/1.1\r\nHost: x\r\nA: ");
        std::size_t sent = 0;
        while (sent < 200'000 && client.send(line)) sent += line.size();
        CHECK(status_of(client.read_to_end()) == "431");
    }
    RawClient fits(server.port);
    fits.send("GET /echo HTTP/1.1\r\nHost: x\r\nA: " + std::string(15'000, 'a') + "\r\n\r\n");
    CHECK(status_of(fits.read_until("]")) == "200");
    RawClient long_target(server.port);
    long_target.send("GET /" + std::string(40'000, 'a'));
    CHECK(status_of(long_target.read_to_end()) == "431");
}

TEST_CASE("slow headers and slow bodies get 408; silence is closed without a word") {
    ServerOptions options;
    options.request_timeout = std::chrono::milliseconds{150};
    options.idle_timeout = std::chrono::milliseconds{400};
    TestServer server(echo_router(), options);
    const auto begin = std::chrono::steady_clock::now();
    RawClient slow_header(server.port);
    RawClient slow_body(server.port);
    RawClient silent(server.port);
    RawClient kept(server.port);
    slow_header.send("GET /echo HTTP/1.1\r\nHo");
    slow_body.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 10\r\n\r\nabc");
    kept.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK(status_of(slow_header.read_to_end()) == "408");
    CHECK(status_of(slow_body.read_to_end()) == "408");
    CHECK(silent.read_to_end().empty());
    CHECK(silent.closed());
    CHECK(status_of(kept.read_to_end()) == "200");
    CHECK(kept.closed());
    CHECK(std::chrono::steady_clock::now() - begin < std::chrono::seconds{5});

    // A byte now and then does not help.
    RawClient dribble(server.port);
    std::atomic<bool> over{false};
    std::thread sender([&] {
        const std::string line = "GET /echo HTTP/1.1\r\nHost: x\r\nA: " + std::string(10'000, 'a');
        for (std::size_t i = 0; i < line.size() && !over && dribble.send(line.substr(i, 1)); ++i) {
            std::this_thread::sleep_for(std::chrono::milliseconds{5});
        }
    });
    CHECK(status_of(dribble.read_until("}")) == "408");
    over = true;
    sender.join();
}

TEST_CASE("an upload that stands still ends with timeout and 408") {
    struct Sink : BodySink {
        std::shared_ptr<Exchange> exchange;
        std::promise<Result<>> outcome;
        void on_chunk(std::string, std::function<void(bool)> next) override { next(true); }
        void on_end(Result<> result) override { outcome.set_value(std::move(result)); }
    };
    auto sink = std::make_shared<Sink>();
    auto outcome = sink->outcome.get_future();
    Router router;
    router.add("POST", "/up", [&](std::shared_ptr<Exchange> exchange) {
        sink->exchange = exchange;
        exchange->stream_body(1'000'000, std::exchange(sink, {}));
    });
    ServerOptions options;
    options.idle_timeout = std::chrono::milliseconds{150};
    TestServer server(std::move(router), options);
    RawClient client(server.port);
    client.send("POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 1000\r\n\r\nabc");
    CHECK(outcome.get().error().is(Errc::timeout));
    CHECK(status_of(client.read_to_end()) == "408");
}

TEST_CASE("bodies beyond the bound get 413 and their handler is not called") {
    TestServer server(echo_router());
    RawClient announced(server.port);
    announced.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 2000000\r\n\r\n");
    CHECK(status_of(announced.read_until("}")) == "413");
    RawClient chunked(server.port);
    chunked.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
    const std::string chunk = "10000\r\n" + std::string(0x10000, 'x') + "\r\n";
    for (int i = 0; i < 64 && chunked.send(chunk); ++i) {
    }
    CHECK(status_of(chunked.read_until("}")) == "413");
}

TEST_CASE("more connections than the bound get 503, until others are gone") {
    ServerOptions options;
    options.max_connections = 20;
    TestServer server(echo_router(), options);
    std::deque<RawClient> held;
    for (int i = 0; i < 20; ++i) {
        held.emplace_back(server.port);
        held.back().send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
        REQUIRE(status_of(held.back().read_until("]")) == "200");
    }
    int turned_away = 0;
    for (int i = 0; i < 300; ++i) {
        RawClient extra(server.port);
        turned_away += status_of(extra.read_to_end()) == "503" ? 1 : 0;
    }
    CHECK(turned_away == 300);
    held.clear();
    CHECK(wait_for([&] {
        RawClient later(server.port);
        later.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
        return status_of(later.read_until("\r\n\r\n")) == "200";
    }));
}

TEST_CASE("a large upload is streamed in flat memory, at the pace of the sink") {
    constexpr std::uint64_t kTotal = 200ULL << 20;
    struct Sink : BodySink {
        std::shared_ptr<Exchange> exchange;
        std::uint64_t bytes = 0;
        std::size_t largest = 0;
        void on_chunk(std::string chunk, std::function<void(bool)> next) override {
            bytes += chunk.size();
            largest = std::max(largest, chunk.size());
            next(true);
        }
        void on_end(Result<> outcome) override {
            exchange->reply(outcome ? Response::text(200, std::to_string(bytes) + " " + std::to_string(largest))
                                    : Response::problem(outcome.error()));
        }
    };
    Router router;
    router.add("POST", "/up", [](std::shared_ptr<Exchange> exchange) {
        auto sink = std::make_shared<Sink>();
        sink->exchange = exchange;
        exchange->stream_body(kTotal, std::move(sink));
    });
    TestServer server(std::move(router));
    const std::string piece(1 << 20, 'x');
    const auto before = resident_bytes();
    std::uint64_t most = before;
    SECTION("with a length") {
        RawClient client(server.port);
        client.send("POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: " + std::to_string(kTotal) + "\r\n\r\n");
        for (int i = 0; i < 200; ++i) {
            REQUIRE(client.send(piece));
            most = std::max(most, resident_bytes());
        }
        CHECK_THAT(client.read_until("65536"), Contains("\r\n\r\n" + std::to_string(kTotal) + " "));
    }
    SECTION("in chunks") {
        RawClient client(server.port);
        client.send("POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 200; ++i) {
            REQUIRE(client.send("100000\r\n" + piece + "\r\n"));
            most = std::max(most, resident_bytes());
        }
        client.send("0\r\n\r\n");
        CHECK_THAT(client.read_until(std::to_string(kTotal)), Contains("\r\n\r\n" + std::to_string(kTotal) + " "));
    }
    SECTION("more than is taken") {
        RawClient client(server.port);
        client.send("POST /up HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n");
        for (int i = 0; i < 300 && client.send("100000\r\n" + piece + "\r\n"); ++i) most = std::max(most, resident_bytes());
        CHECK(status_of(client.read_until("}")) == "413");
    }
#if !defined(__SANITIZE_ADDRESS__) && !defined(__SANITIZE_THREAD__)
    CHECK(most - before < (16U << 20));  // sanitizers keep what was freed, and shadow it
#endif
}

TEST_CASE("a sink that takes its time stops the sender; a broken upload is told") {
    struct Sink : BodySink {
        std::mutex mutex;
        std::function<void(bool)> next;
        std::atomic<int> chunks{0};
        std::atomic<bool> ended{false};
        std::promise<Result<>> outcome;
        void on_chunk(std::string, std::function<void(bool)> go_on) override {
            const std::lock_guard lock(mutex);
            next = std::move(go_on);
            ++chunks;
        }
        void on_end(Result<> result) override {
            ended = true;
            outcome.set_value(std::move(result));
        }
    };
    auto sink = std::make_shared<Sink>();
    Router router;
    router.add("POST", "/up", [&](std::shared_ptr<Exchange> exchange) { exchange->stream_body(1ULL << 40, sink); });
    TestServer server(std::move(router));
    RawClient client(server.port);
    client.send("POST /up HTTP/1.1\r\nHost: x\r\nContent-Length: 1000000000\r\n\r\n");
    REQUIRE(::fcntl(client.fd(), F_SETFL, O_NONBLOCK) == 0);
    const std::string piece(1 << 20, 'x');
    std::uint64_t sent = 0;
    // The kernel's buffers fill, and then nothing more goes in.
    while (sent < (100U << 20)) {
        const ssize_t n = ::send(client.fd(), piece.data(), piece.size(), MSG_NOSIGNAL);
        if (n > 0) {
            sent += static_cast<std::uint64_t>(n);
            continue;
        }
        pollfd writable{client.fd(), POLLOUT, 0};
        if (::poll(&writable, 1, 300) == 0) break;
    }
    CHECK(sent < (50U << 20));
    CHECK(sink->chunks == 1);
    client.hang_up();
    // Only now is the rest read, and the end found to be missing.
    std::thread reader([&] {
        for (int seen = 1;; ++seen) {
            if (!wait_for([&] { return sink->chunks >= seen || sink->ended; }) || sink->ended) return;
            const std::lock_guard lock(sink->mutex);
            sink->next(true);
        }
    });
    CHECK(sink->outcome.get_future().get().error().is(Errc::unavailable));
    reader.join();
}

TEST_CASE("every descriptor of the server is close-on-exec") {
    TestServer server(echo_router());
    RawClient client(server.port);
    client.send("GET /echo HTTP/1.1\r\nHost: x\r\n\r\n");
    client.read_until("]");
    int sockets = 0;
    for (const auto& entry : std::filesystem::directory_iterator("/proc/self/fd")) {
        const int fd = std::stoi(entry.path().filename());
        sockaddr_in local{};
        socklen_t length = sizeof local;
        if (::getsockname(fd, reinterpret_cast<sockaddr*>(&local), &length) != 0 || local.sin_family != AF_INET) continue;
        if (ntohs(local.sin_port) != server.port) continue;
        ++sockets;
        CHECK((::fcntl(fd, F_GETFD) & FD_CLOEXEC) != 0);
    }
    CHECK(sockets == 2);
}
