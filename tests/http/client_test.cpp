// Client against Server: bodies both ways, files, bounds, failures, events, cancellation.
#include "cloudtask/http/client.h"

#include <atomic>
#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>
#include <future>
#include <mutex>
#include <sstream>

#include "tests/http/raw_client.h"
#include "tests/http/test_server.h"

using namespace cloudtask;
using namespace cloudtask::http;
using namespace cloudtask::http::testing;
using Catch::Matchers::Contains;

namespace {

std::string address_of(std::uint16_t port) { return "http://127.0.0.1:" + std::to_string(port); }

// A Client on a loop of its own thread; calls wait for their result.
class TestClient {
  public:
    explicit TestClient(std::string base_url, std::uint64_t max_response_bytes = 1 << 20, Duration timeout = std::chrono::seconds{20}) {
        init_client_threads();
        ClientOptions options;
        options.base_url = std::move(base_url);
        options.bearer_token = "secret";
        options.max_response_bytes = max_response_bytes;
        options.timeout = timeout;
        thread.run([&] { client = std::make_unique<Client>(thread.loop, std::move(options)); });
    }
    ~TestClient() {
        thread.run([&] { client.reset(); });
        thread.join();
    }
    TestClient(const TestClient&) = delete;
    TestClient& operator=(const TestClient&) = delete;

    std::future<Result<Response>> begin(ClientRequest request) {
        auto result = std::make_shared<std::promise<Result<Response>>>();
        thread.loop.post([this, request = std::move(request), result] {
            client->send(request, [result, this](Result<Response> response) {
                thread.loop.assert_on_loop();
                result->set_value(std::move(response));
            });
        });
        return result->get_future();
    }
    Result<Response> send(ClientRequest request) {
        auto result = begin(std::move(request));
        if (result.wait_for(std::chrono::seconds{60}) != std::future_status::ready) throw std::runtime_error("no result");
        return result.get();
    }
    Result<Response> get(std::string target) {
        ClientRequest request;
        request.target = std::move(target);
        return send(std::move(request));
    }

    LoopThread thread;
    std::unique_ptr<Client> client;
};

class TempFolder {
  public:
    TempFolder() : path_(std::filesystem::temp_directory_path() / ("http-client-" + std::to_string(::getpid()))) {
        std::filesystem::create_directories(path_);
    }
    ~TempFolder() { std::filesystem::remove_all(path_); }
    TempFolder(const TempFolder&) = delete;
    TempFolder& operator=(const TempFolder&) = delete;
    std::string file(const std::string& name) const { return path_ / name; }

  private:
    std::filesystem::path path_;
};

std::string content_of(const std::string& path) {
    std::ostringstream out;
    out << std::ifstream(path, std::ios::binary).rdbuf();
    return out.str();
}

std::string long_text(std::size_t bytes) {
    std::string out;
    for (int i = 0; out.size() < bytes; ++i) out += std::to_string(i) + ",";
    return out;
}

Handler answer(std::string body) {
    return [body](std::shared_ptr<Exchange> exchange) { exchange->reply(Response::text(200, body)); };
}

}  // namespace

TEST_CASE("the client gets answers of any status, with headers, and sends its token") {
    Router router;
    router.add("GET", "/who", [](std::shared_ptr<Exchange> exchange) {
        const auto& request = exchange->request();
        exchange->reply(Response::text(200, std::string(request.headers.get("authorization")) + " " + request.query.at("q")));
    });
    TestServer server(std::move(router));
    TestClient client(address_of(server.port));
    const auto found = client.get("/who?q=" + encode_component("a b&c=ü/%"));
    REQUIRE(found);
    CHECK(found->status == 200);
    CHECK(found->body == "Bearer secret a b&c=ü/%");
    CHECK_THAT(std::string(found->headers.get("content-type")), Contains("text/plain"));
    client.thread.run([&] { client.client->set_bearer_token("other"); });
    CHECK(client.get("/who?q=1")->body == "Bearer other 1");
    const auto missing = client.get("/missing");
    REQUIRE(missing);
    CHECK(missing->status == 404);
    CHECK_THAT(missing->body, Contains("\"status\":404"));
}

TEST_CASE("the client sends a body, empty ones too") {
    Router router;
    router.add("POST", "/echo", echo());
    TestServer server(std::move(router));
    TestClient client(address_of(server.port));
    ClientRequest request;
    request.method = "POST";
    request.target = "/echo";
    CHECK(client.send(request)->body == "POST /echo []");
    request.body = long_text(500'000);
    CHECK(client.send(request)->body == "POST /echo [" + request.body + "]");
}

TEST_CASE("the client streams a file as the body, and an answer to a file") {
    TempFolder folder;
    const std::string content = long_text(5'000'000);
    std::ofstream(folder.file("up"), std::ios::binary) << content;
    Router router;
    const std::string received = folder.file("received");
    router.add("PUT", "/file", [received](std::shared_ptr<Exchange> exchange) {
        struct Sink : BodySink {
            std::ofstream out;
            std::shared_ptr<Exchange> exchange;
            void on_chunk(std::string chunk, std::function<void(bool)> next) override {
                out << chunk;
                next(true);
            }
            void on_end(Result<> outcome) override {
                out.close();
                exchange->reply(outcome ? Response::text(201, std::string(exchange->request().headers.get("content-length")))
                                        : Response::problem(outcome.error()));
            }
        };
        auto sink = std::make_shared<Sink>();
        sink->out.open(received, std::ios::binary);
        sink->exchange = exchange;
        exchange->stream_body(10'000'000, sink);
    });
    router.add("GET", "/file", [received](std::shared_ptr<Exchange> exchange) {
        Response response;
        response.file = received;
        exchange->reply(std::move(response));
    });
    TestServer server(std::move(router));
    TestClient client(address_of(server.port));

    ClientRequest up;
    up.method = "PUT";
    up.target = "/file";
    up.body_file = folder.file("up");
    const auto sent = client.send(up);
    REQUIRE(sent);
    CHECK(sent->status == 201);
    CHECK(sent->body == std::to_string(content.size()));
    CHECK(content_of(received) == content);

    ClientRequest down;
    down.target = "/file";
    down.save_to = folder.file("down");
    const auto saved = client.send(down);
    REQUIRE(saved);
    CHECK(saved->body.empty());
    CHECK(content_of(folder.file("down")) == content);

    down.max_save_bytes = 1'000'000;
    CHECK(client.send(down).error().is(Errc::too_large));
    down.max_save_bytes = 10'000'000;
    down.save_to = folder.file("no/such/folder");
    CHECK(client.send(down).error().is(Errc::io));
    up.body_file = folder.file("none");
    CHECK(client.send(up).error().is(Errc::io));

    // An answer that is not 2xx is not saved.
    down.save_to = folder.file("none");
    down.target = "/none";
    CHECK(client.send(down)->status == 404);
    CHECK_FALSE(std::filesystem::exists(folder.file("none")));
}

TEST_CASE("an answer that is too large ends with an error, with a length and without one") {
    Router router;
    router.add("GET", "/big", answer(long_text(200'000)));
    router.add("GET", "/endless", [](std::shared_ptr<Exchange> exchange) {
        std::thread([events = exchange->reply_events()] {
            while (events->send("", std::string(10'000, 'x'))) {
            }
        }).detach();
    });
    TestServer server(std::move(router));
    TestClient client(address_of(server.port), 100'000);
    CHECK(client.get("/big").error().is(Errc::too_large));
    CHECK(client.get("/endless").error().is(Errc::too_large));
}

TEST_CASE("a refused connection is unavailable; a bad address is an invalid argument") {
    std::uint16_t port = 0;
    {
        TestServer server{Router{}};
        port = server.port;
    }
    TestClient client(address_of(port));
    CHECK(client.get("/").error().is(Errc::unavailable));
    TestClient nonsense("not an address");
    CHECK(nonsense.get("/").error().is(Errc::invalid_argument));
}

TEST_CASE("a server that says nothing runs into the time-out; one that breaks off is unavailable") {
    std::atomic<int> gone{0};
    std::mutex mutex;
    std::vector<std::shared_ptr<Exchange>> held;
    Router router;
    router.add("GET", "/never", [&](std::shared_ptr<Exchange> exchange) {
        exchange->on_disconnect([&] { ++gone; });
        const std::lock_guard lock(mutex);
        held.push_back(std::move(exchange));
    });
    {
        TestServer server(std::move(router));
        TestClient client(address_of(server.port));
        ClientRequest request;
        request.target = "/never";
        request.timeout = std::chrono::milliseconds{100};
        CHECK(client.send(request).error().is(Errc::timeout));
        CHECK(wait_for([&] { return gone == 1; }));  // the connection is ended, not left

        request.timeout.reset();
        auto broken = client.begin(request);
        REQUIRE(wait_for([&] {
            const std::lock_guard lock(mutex);
            return held.size() == 2;
        }));
        auto stopped = server.stop(std::chrono::milliseconds{1});
        CHECK(broken.get().error().is(Errc::unavailable));
        stopped.get();
        const std::lock_guard lock(mutex);
        held.clear();
    }
}

TEST_CASE("a client that goes away finishes what is outstanding with cancelled, on the loop, once") {
    std::mutex mutex;
    std::vector<std::shared_ptr<Exchange>> held;
    Router router;
    router.add("GET", "/never", [&](std::shared_ptr<Exchange> exchange) {
        const std::lock_guard lock(mutex);
        held.push_back(std::move(exchange));
    });
    {
        TestServer server(std::move(router));
        TestClient client(address_of(server.port));
        std::vector<std::future<Result<Response>>> results;
        ClientRequest request;
        request.target = "/never";
        for (int i = 0; i < 20; ++i) results.push_back(client.begin(request));
        REQUIRE(wait_for([&] {
            const std::lock_guard lock(mutex);
            return held.size() == 20;
        }));
        client.thread.run([&] { client.client.reset(); });
        for (auto& result : results) CHECK(result.get().error().is(Errc::cancelled));
        const std::lock_guard lock(mutex);
        held.clear();
    }
}

TEST_CASE("events are followed to their end, in order, whole") {
    Router router;
    router.add("GET", "/events", [](std::shared_ptr<Exchange> exchange) {
        const auto events = exchange->reply_events();
        events->send("greeting", "line one\nline two", "1");
        for (int i = 0; i < 1000; ++i) events->send("", std::to_string(i));
        events->send("big", std::string(300'000, 'x'));
    });
    router.add("GET", "/gone", [](std::shared_ptr<Exchange> exchange) { exchange->reply(Response::problem(410, "over")); });
    TestServer server(std::move(router));
    TestClient client(address_of(server.port));
    std::vector<std::string> seen;
    std::promise<Result<Response>> ended;
    ClientRequest request;
    request.target = "/events";
    client.thread.run([&] {
        client.client->follow(
            request,
            [&](const std::string& event, const std::string& data, const std::string& id) {
                seen.push_back(event + "|" + data + "|" + id);
            },
            [&](Result<Response> result) { ended.set_value(std::move(result)); });
    });
    const auto result = ended.get_future().get();
    REQUIRE(result);
    CHECK(result->status == 200);
    REQUIRE(seen.size() == 1002);
    CHECK(seen[0] == "greeting|line one\nline two|1");
    for (int i = 0; i < 1000; ++i) CHECK(seen[static_cast<std::size_t>(i) + 1] == "message|" + std::to_string(i) + "|1");
    CHECK(seen[1001] == "big|" + std::string(300'000, 'x') + "|1");

    std::promise<Result<Response>> refused;
    request.target = "/gone";
    client.thread.run([&] {
        client.client->follow(
            request, [](const std::string&, const std::string&, const std::string&) {},
            [&](Result<Response> answer) { refused.set_value(std::move(answer)); });
    });
    const auto answer = refused.get_future().get();
    REQUIRE(answer);
    CHECK(answer->status == 410);
    CHECK_THAT(answer->body, Contains("over"));
}

TEST_CASE("a cancelled follow ends once, brings no more events, and frees the server's side") {
    std::atomic<bool> gone{false};
    std::thread sender;
    Router router;
    router.add("GET", "/events", [&](std::shared_ptr<Exchange> exchange) {
        sender = std::thread([&gone, events = exchange->reply_events()] {
            for (int i = 0; events->send("", std::to_string(i)); ++i) std::this_thread::sleep_for(std::chrono::milliseconds{1});
            gone = true;
        });
    });
    TestServer server(std::move(router));
    TestClient client(address_of(server.port));
    std::function<void()> cancel;
    std::atomic<int> seen{0};
    std::atomic<int> ends{0};
    bool cancelled = false;
    bool late = false;
    std::promise<Result<Response>> ended;
    ClientRequest request;
    request.target = "/events";
    client.thread.run([&] {
        cancel = client.client->follow(
            request,
            [&](const std::string&, const std::string&, const std::string&) {
                late = late || cancelled;
                if (++seen == 5) {
                    cancelled = true;
                    cancel();
                    cancel();
                }
            },
            [&](Result<Response> result) {
                if (++ends == 1) ended.set_value(std::move(result));
            });
    });
    CHECK(ended.get_future().get().error().is(Errc::cancelled));
    CHECK(wait_for([&] { return gone.load(); }));
    sender.join();
    client.thread.run([&] { cancel(); });
    client.thread.run([] {});
    CHECK(ends == 1);
    CHECK_FALSE(late);
}
