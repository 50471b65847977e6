// Server: one request and its reply, keep-alive, pipelining, HEAD, routing, files, and the life of an exchange.
#include "cloudtask/http/server.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <mutex>

#include "tests/http/raw_client.h"
#include "tests/http/test_server.h"

using namespace cloudtask;
using namespace cloudtask::http;
using namespace cloudtask::http::testing;
using Catch::Matchers::Contains;
using Catch::Matchers::EndsWith;
using Catch::Matchers::StartsWith;

TEST_CASE("a request gets its reply with the default headers") {
    Router router;
    router.add("GET", "/things/{id}", [](std::shared_ptr<Exchange> exchange) {
        const auto& request = exchange->request();
        exchange->reply(Response::json(200, request.params.at("id") + "|" + request.query.at("q") + "|" + request.route));
    });
    TestServer server(std::move(router));
    RawClient client(server.port);
    client.send("GET /things/a%20b?q=1%2B1 HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const auto reply = client.read_to_end();
    CHECK_THAT(reply, StartsWith("HTTP/1.1 200 OK\r\n"));
    CHECK_THAT(reply, EndsWith("\r\n\r\na b|1+1|/things/{id}"));
    CHECK_THAT(reply, Contains("\r\nDate: "));
    CHECK_THAT(reply, Contains("\r\nCache-Control: no-store\r\n"));
    CHECK_THAT(reply, Contains("\r\nX-Content-Type-Options: nosniff\r\n"));
    CHECK_THAT(reply, Contains("\r\nContent-Type: application/json\r\n"));
    CHECK_THAT(reply, !Contains("Server:"));
}

TEST_CASE("requests on one connection are answered in order, also when they come at once") {
    Router router;
    router.add("POST", "/echo/{n}", echo());
    TestServer server(std::move(router));
    RawClient client(server.port);
    std::string all;
    for (int i = 0; i < 20; ++i) {
        all += "POST /echo/" + std::to_string(i) + " HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\n\r\nab" + std::to_string(i % 10);
    }
    client.send(all);
    const auto replies = client.read_until("/echo/19 [ab9]");
    std::size_t at = 0;
    for (int i = 0; i < 20; ++i) {
        at = replies.find("POST /echo/" + std::to_string(i) + " [ab" + std::to_string(i % 10) + "]", at);
        REQUIRE(at != std::string::npos);
    }
}

TEST_CASE("a chunked body is read, with extensions and trailers") {
    Router router;
    router.add("POST", "/echo", echo());
    TestServer server(std::move(router));
    RawClient client(server.port);
    client.send("POST /echo HTTP/1.1\r\nHost: x\r\nTransfer-Encoding: chunked\r\n\r\n3;a=b\r\nabc\r\n2\r\nde\r\n0\r\nX-Trailer: 1\r\n\r\n");
    CHECK_THAT(client.read_until("]"), EndsWith("POST /echo [abcde]"));
    client.forget();
    client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nz");
    CHECK_THAT(client.read_until("]"), EndsWith("POST /echo [z]"));
}

TEST_CASE("HEAD is GET without the body") {
    Router router;
    router.add("GET", "/a", [](std::shared_ptr<Exchange> exchange) { exchange->reply(Response::text(200, "12345")); });
    TestServer server(std::move(router));
    RawClient client(server.port);
    client.send("HEAD /a HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n");
    const auto reply = client.read_to_end();
    CHECK_THAT(reply, Contains("Content-Length: 5\r\n"));
    CHECK_THAT(reply, EndsWith("\r\n\r\n"));
}

TEST_CASE("unknown addresses get 404, wrong methods 405 with Allow, as problem+json") {
    Router router;
    router.add("GET", "/a", echo());
    router.add("PUT", "/a", echo());
    TestServer server(std::move(router));
    RawClient client(server.port);
    client.send("DELETE /a HTTP/1.1\r\nHost: x\r\n\r\n");
    const auto refused = client.read_until("}");
    CHECK_THAT(refused, StartsWith("HTTP/1.1 405 "));
    CHECK_THAT(refused, Contains("Allow: GET, HEAD, PUT\r\n"));
    CHECK_THAT(refused, Contains("application/problem+json"));
    client.forget();
    client.send("GET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    CHECK_THAT(client.read_until("}"), StartsWith("HTTP/1.1 404 "));
}

TEST_CASE("HTTP/1.0 is closed after the reply unless it asks to be kept") {
    Router router;
    router.add("GET", "/a", echo());
    TestServer server(std::move(router));
    RawClient once(server.port);
    once.send("GET /a HTTP/1.0\r\n\r\n");
    CHECK_THAT(once.read_to_end(), EndsWith("GET /a []"));
    CHECK(once.closed());
    RawClient kept(server.port);
    kept.send("GET /a HTTP/1.0\r\nConnection: keep-alive\r\n\r\n");
    CHECK_THAT(kept.read_until("[]"), Contains("Connection: keep-alive\r\n"));
    kept.forget();
    kept.send("GET /a HTTP/1.0\r\n\r\n");
    CHECK_THAT(kept.read_to_end(), EndsWith("GET /a []"));
}

TEST_CASE("a client that shuts its sending side still gets the replies") {
    Router router;
    router.add("GET", "/a", echo());
    TestServer server(std::move(router));
    RawClient client(server.port);
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/1.1\r\nHost: x\r\n\r\n");
    client.shut_sending();
    const auto replies = client.read_to_end();
    CHECK(client.closed());
    CHECK(replies.find("GET /a []") != replies.rfind("GET /a []"));
}

TEST_CASE("Expect: 100-continue is answered before the body is read, and not when the reply is there already") {
    Router router;
    router.add("POST", "/echo", echo());
    router.add("POST", "/no", [](std::shared_ptr<Exchange> exchange) { exchange->reply(Response::problem(403, "no")); });
    TestServer server(std::move(router));
    RawClient client(server.port);
    client.send("POST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    CHECK(client.read_until("\r\n\r\n") == "HTTP/1.1 100 Continue\r\n\r\n");
    client.forget();
    client.send("abc");
    CHECK_THAT(client.read_until("]"), StartsWith("HTTP/1.1 200 "));
    RawClient refused(server.port);
    refused.send("POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n");
    const auto reply = refused.read_to_end();
    CHECK_THAT(reply, StartsWith("HTTP/1.1 403 "));
    CHECK_THAT(reply, Contains("Connection: close\r\n"));
}

TEST_CASE("an exchange that is dropped, and a handler that throws, answer 500") {
    Router router;
    router.add("GET", "/dropped", [](std::shared_ptr<Exchange>) {});
    router.add("GET", "/thrown", [](std::shared_ptr<Exchange>) { throw std::runtime_error("oops"); });
    router.add("POST", "/dropped-later", [](std::shared_ptr<Exchange> exchange) { exchange->read_body(100, [] {}); });
    TestServer server(std::move(router));
    RawClient client(server.port);
    for (const std::string request : {"GET /dropped HTTP/1.1\r\nHost: x\r\n\r\n", "GET /thrown HTTP/1.1\r\nHost: x\r\n\r\n",
                                      "POST /dropped-later HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nx"}) {
        client.forget();
        client.send(request);
        const auto reply = client.read_until("}");
        CHECK_THAT(reply, StartsWith("HTTP/1.1 500 "));
        CHECK_THAT(reply, !Contains("oops"));
    }
}

TEST_CASE("a reply may come from another thread, and only the first one counts") {
    Router router;
    std::thread worker;
    router.add("GET", "/a", [&](std::shared_ptr<Exchange> exchange) {
        worker = std::thread([exchange = std::move(exchange)] {
            exchange->reply(Response::text(200, "first"));
            exchange->reply(Response::text(200, "second"));
        });
    });
    router.add("GET", "/b", [](std::shared_ptr<Exchange> exchange) { exchange->reply(Response::text(200, "third")); });
    TestServer server(std::move(router));
    RawClient client(server.port);
    client.send("GET /a HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\n");
    const auto replies = client.read_until("third");
    worker.join();
    CHECK_THAT(replies, Contains("first"));
    CHECK_THAT(replies, !Contains("second"));
}

TEST_CASE("a reply before the body has been read keeps a connection with a small body, and closes one with a large body") {
    Router router;
    router.add("POST", "/no", [](std::shared_ptr<Exchange> exchange) { exchange->reply(Response::problem(401, "no")); });
    router.add("POST", "/echo", echo());
    TestServer server(std::move(router));
    RawClient small(server.port);
    small.send("POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 5\r\n\r\nab");
    CHECK_THAT(small.read_until("}"), StartsWith("HTTP/1.1 401 "));
    small.forget();
    small.send("cdePOST /echo HTTP/1.1\r\nHost: x\r\nContent-Length: 1\r\n\r\nz");
    CHECK_THAT(small.read_until("]"), EndsWith("[z]"));
    RawClient large(server.port);
    large.send("POST /no HTTP/1.1\r\nHost: x\r\nContent-Length: 5000000\r\n\r\nab");
    CHECK_THAT(large.read_to_end(), Contains("Connection: close\r\n"));
    CHECK(large.closed());
}

TEST_CASE("on_disconnect tells of a client that hangs up before the reply") {
    std::atomic<bool> waiting{false};
    std::atomic<bool> gone{false};
    std::mutex mutex;
    std::shared_ptr<Exchange> held;
    Router router;
    router.add("GET", "/poll", [&](std::shared_ptr<Exchange> exchange) {
        exchange->on_disconnect([&] { gone = true; });
        const std::lock_guard lock(mutex);
        held = std::move(exchange);
        waiting = true;
    });
    TestServer server(std::move(router));
    RawClient client(server.port);
    client.send("GET /poll HTTP/1.1\r\nHost: x\r\n\r\n");
    REQUIRE(wait_for([&] { return waiting.load(); }));
    CHECK_FALSE(gone);
    client.hang_up();
    CHECK(wait_for([&] { return gone.load(); }));
    const std::lock_guard lock(mutex);
    held->reply(Response::no_content());
    held.reset();
}

TEST_CASE("a file is sent whole; a missing one is 500 and its path stays inside") {
    const auto folder = std::filesystem::temp_directory_path() / ("http-file-" + std::to_string(::getpid()));
    std::filesystem::create_directories(folder);
    const auto path = folder / "big";
    std::string content;
    for (int i = 0; content.size() < 3'000'000; ++i) content += std::to_string(i) + ";";
    std::ofstream(path, std::ios::binary) << content;
    Router router;
    const auto send = [](std::string file) {
        return [file](std::shared_ptr<Exchange> exchange) {
            Response response;
            response.file = file;
            exchange->reply(std::move(response));
        };
    };
    router.add("GET", "/big", send(path));
    router.add("GET", "/none", send(folder / "none"));
    {
        TestServer server(std::move(router));
        RawClient client(server.port);
        client.send(
            "GET /big HTTP/1.1\r\nHost: x\r\n\r\nHEAD /big HTTP/1.1\r\nHost: x\r\n\r\nGET /none HTTP/1.1\r\nHost: x\r\nConnection: "
            "close\r\n\r\n");
        const auto reply = client.read_to_end();
        CHECK_THAT(reply, Contains("Content-Length: " + std::to_string(content.size()) + "\r\n"));
        const auto body = reply.find("\r\n\r\n") + 4;
        CHECK(reply.compare(body, content.size(), content) == 0);
        const auto rest = reply.substr(body + content.size());
        CHECK_THAT(rest, StartsWith("HTTP/1.1 200 OK\r\n"));
        CHECK_THAT(rest, Contains("HTTP/1.1 500 "));
        CHECK_THAT(rest, !Contains(folder.string()));
    }
    std::filesystem::remove_all(folder);
}

TEST_CASE("the observer sees each reply once, refusals too") {
    std::mutex mutex;
    std::vector<std::string> seen;
    Router router;
    router.add("GET", "/a/{x}", echo());
    TestServer server(std::move(router), {}, [&](const Request& request, int status, double seconds) {
        const std::lock_guard lock(mutex);
        seen.push_back(request.method + " " + request.route + " " + std::to_string(status) + (seconds >= 0 ? "" : " negative"));
    });
    RawClient client(server.port);
    client.send("GET /a/1 HTTP/1.1\r\nHost: x\r\n\r\nGET /b HTTP/1.1\r\nHost: x\r\n\r\nGET /a HTTP/9\r\n\r\n");
    client.read_to_end();
    const std::lock_guard lock(mutex);
    REQUIRE(seen.size() == 3);
    CHECK(seen[0] == "GET /a/{x} 200");
    CHECK(seen[1] == "GET  404");
}
