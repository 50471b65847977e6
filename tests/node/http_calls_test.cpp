// HTTP calls against a server on loopback: what is sent, what is told, and what is not called at all.
#include <utility>  // Asio 1.74 uses std::exchange without it

#include "node/http/calls.h"

#include <dlfcn.h>
#include <netdb.h>

#include <algorithm>
#include <atomic>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>
#include <catch2/catch.hpp>

#include "node/http/redirect.h"
#include "node/http/signature.h"
#include "tests/node/process_support.h"

using namespace cloudtask;
using namespace cloudtask::node;
using namespace std::chrono_literals;

namespace {

// How often the name rebind.test was looked up: first it means a public address, then loopback.
std::atomic<int> look_ups{0};
constexpr const char* kChangingName = "rebind.test";

}  // namespace

// Stands before the C library's, also for libcurl.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** result) noexcept(false) {
    static const auto next = reinterpret_cast<decltype(&::getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    if (name == nullptr || std::string_view{name} != kChangingName) return next(name, service, hints, result);
    addrinfo numeric = hints == nullptr ? addrinfo{} : *hints;
    numeric.ai_family = AF_INET;
    return next(look_ups++ == 0 ? "1.1.1.1" : "127.0.0.1", service, &numeric, result);
}

namespace {

using boost::asio::ip::tcp;

// Answers each connection once, on the loop of the calls. It listens on all of 127.0.0.0/8, and goes before its loop does.
class HttpServer {
  public:
    using Answer = std::function<std::string(const std::string& request)>;

    HttpServer(AsioLoop& loop, Answer answer)
        : answer_(std::move(answer)), acceptor_(loop.context(), tcp::endpoint(boost::asio::ip::address_v4::any(), 0)) {
        acceptor_.listen(4096);
        accept();
    }

    std::string url(const std::string& path = "/", const std::string& host = "127.0.0.1") const {
        return fmt::format("http://{}:{}{}", host, acceptor_.local_endpoint().port(), path);
    }
    int hits() const { return hits_; }

  private:
    struct Connection {
        explicit Connection(tcp::socket&& accepted) : socket(std::move(accepted)) {}
        tcp::socket socket;
        std::string in, out;
    };

    void accept() {
        acceptor_.async_accept([this](const boost::system::error_code& error, tcp::socket socket) {
            if (error) return;
            serve(std::make_shared<Connection>(std::move(socket)));
            accept();
        });
    }
    void serve(const std::shared_ptr<Connection>& connection) {
        boost::asio::async_read_until(connection->socket, boost::asio::dynamic_buffer(connection->in), "\r\n\r\n",
                                      [this, connection](const boost::system::error_code& error, std::size_t head) {
                                          if (!error) read_body(connection, head);
                                      });
    }
    void read_body(const std::shared_ptr<Connection>& connection, std::size_t head) {
        static constexpr std::string_view kName = "Content-Length: ";
        const std::size_t at = connection->in.find(kName);
        const std::size_t length = at < head ? std::stoul(connection->in.substr(at + kName.size())) : 0;
        const std::size_t there = connection->in.size() - head;
        boost::asio::async_read(connection->socket, boost::asio::dynamic_buffer(connection->in),
                                boost::asio::transfer_exactly(length > there ? length - there : 0),
                                [this, connection](const boost::system::error_code&, std::size_t) { reply(connection); });
    }
    void reply(const std::shared_ptr<Connection>& connection) {
        ++hits_;
        connection->out = answer_(connection->in);
        if (connection->out.empty()) {  // no answer: it is kept open
            silent_.push_back(connection);
            return;
        }
        boost::asio::async_write(connection->socket, boost::asio::buffer(connection->out),
                                 [connection](const boost::system::error_code&, std::size_t) {});
    }

    Answer answer_;
    tcp::acceptor acceptor_;
    int hits_ = 0;
    std::vector<std::shared_ptr<Connection>> silent_;
};

std::string answer_of(int status, const std::string& body, const std::string& headers = "") {
    return fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n{}", status, body.size(), headers, body);
}

std::shared_ptr<const task::NetworkRules> rules_allowing(std::initializer_list<const char*> texts) {
    std::vector<task::Network> list;
    for (const char* text : texts) list.push_back(*task::Network::parse(text));
    return std::make_shared<const task::NetworkRules>(std::move(list), std::vector<task::Network>{});
}

struct CallBench {
    AsioLoop loop;
    std::unique_ptr<HttpCalls> calls = *make_http_calls(loop);
    std::map<std::string, CallEnded> ended;
    std::map<std::string, int> ends;
    std::shared_ptr<const task::NetworkRules> rules = rules_allowing({"127.0.0.1"});

    CallSpec spec(const std::string& id, const std::string& url) const {
        CallSpec spec;
        spec.run_id = id;
        spec.call.url = url;
        spec.networks = rules;
        spec.time_limit = 20s;
        return spec;
    }
    Result<> start(CallSpec spec) {
        return calls->start(std::move(spec), [this](CallEnded end) {
            ++ends[end.run_id];
            ended[end.run_id] = std::move(end);
        });
    }
    CallEnded run(CallSpec spec) {
        const std::string id = spec.run_id;
        ended.erase(id);
        REQUIRE(start(std::move(spec)));
        REQUIRE(ended.empty());  // never inline
        REQUIRE(test::run_until(loop, [&] { return ended.contains(id); }));
        CallEnded end = ended.at(id);
        ended.clear();
        return end;
    }
};

bool has_line(const std::string& request, const std::string& line) { return request.find("\r\n" + line + "\r\n") != std::string::npos; }

}  // namespace

TEST_CASE("a call is made as it is defined, and its answer told") {
    std::string seen;
    CallBench bench;
    HttpServer server(bench.loop, [&](const std::string& request) {
        seen = request;
        return answer_of(201, "created: 7");
    });
    CallSpec spec = bench.spec("a", server.url("/x/../y?z=1"));
    spec.call.method = "PUT";
    spec.call.headers = {{"x-key", "k"}, {"x-empty", ""}};
    spec.call.body = std::string("a\0b", 3);
    spec.call.expect.pattern = "created: \\d";
    spec.signing_key = "key";
    spec.run_headers = {{"CloudTask-Epoch", "3"}};
    const CallEnded end = bench.run(spec);
    CHECK(end.fault.empty());
    CHECK(end.status == 201);
    CHECK(end.body == "created: 7");
    CHECK(end.sent);
    CHECK(end.address == "127.0.0.1");
    CHECK(end.state(spec.call.expect) == task::RunState::succeeded);
    CHECK(seen.starts_with("PUT /x/../y?z=1 HTTP/1.1\r\n"));
    CHECK(has_line(seen, "x-key: k"));
    CHECK(has_line(seen, "x-empty:"));
    CHECK(has_line(seen, "CloudTask-Epoch: 3"));
    CHECK(seen.find("Content-Type") == std::string::npos);
    CHECK(seen.ends_with(std::string("\r\n\r\na\0b", 7)));
    const auto at = seen.find("CloudTask-Signature: t=") + 23;
    const Instant then{std::chrono::seconds{std::stoll(seen.substr(at))}};
    CHECK(has_line(seen, "CloudTask-Signature: " + call_signature("key", then, "PUT", spec.call.url, spec.call.body)));

    spec.call.expect.pattern = "gone";
    const CallEnded other = bench.run(spec);
    CHECK(other.state(spec.call.expect) == task::RunState::failed);
    CHECK(other.reason(spec.call.expect) == "the body of its answer does not match 'gone'");
}

TEST_CASE("nothing is called at an address that is refused") {
    CallBench bench;
    HttpServer server(bench.loop, [](const std::string&) { return answer_of(200, ""); });
    bench.rules = std::make_shared<const task::NetworkRules>();
    for (const char* host :
         {"127.0.0.1", "127.8.8.8", "localhost", "[::1]", "[::ffff:127.0.0.1]", "0.0.0.0", "[::]", "169.254.169.254", "10.0.0.1"}) {
        INFO(host);
        const CallEnded end = bench.run(bench.spec("a", server.url("/", host)));
        CHECK(end.fault.starts_with("not called: "));
        CHECK_FALSE(end.sent);
        CHECK(end.state({}) == task::RunState::failed);
    }
    CHECK_FALSE(bench.start(bench.spec("a", "file:///etc/passwd")));
    CHECK(server.hits() == 0);
}

TEST_CASE("a name that means another address when it is called gains nothing") {
    CallBench bench;
    HttpServer server(bench.loop, [](const std::string&) { return answer_of(200, ""); });
    bench.rules = std::make_shared<const task::NetworkRules>();
    look_ups = 0;
    addrinfo* first = nullptr;
    REQUIRE(::getaddrinfo(kChangingName, "80", nullptr, &first) == 0);
    CHECK(
        bench.rules->why_refused(*task::IpAddress::from(*first->ai_addr, first->ai_addrlen)).empty());  // who looked beforehand saw no harm
    ::freeaddrinfo(first);
    const CallEnded end = bench.run(bench.spec("a", server.url("/", kChangingName)));
    CHECK(look_ups == 2);
    CHECK(end.fault == "not called: 127.0.0.1 is loopback (127.0.0.0/8)");
    CHECK(server.hits() == 0);
}

TEST_CASE("redirects are followed one at a time, each checked") {
    CallBench bench;
    std::string location;
    std::string last;
    HttpServer server(bench.loop, [&](const std::string& request) {
        last = request;
        return request.find(" /end ") != std::string::npos ? answer_of(200, "end") : answer_of(302, "", "Location: " + location + "\r\n");
    });
    CallSpec spec = bench.spec("a", server.url("/begin"));
    spec.call.redirects = 2;
    spec.call.headers = {{"authorization", "secret"}};
    spec.run_headers = {{"CloudTask-Epoch", "3"}};

    location = "/end";
    CallEnded end = bench.run(spec);
    CHECK(end.state({}) == task::RunState::succeeded);
    CHECK(end.body == "end");
    CHECK(end.redirects == 1);
    CHECK(has_line(last, "authorization: secret"));

    // Elsewhere: by another name for the same address.
    bench.rules = spec.networks = rules_allowing({"127.0.0.1", "::1"});
    location = server.url("/end", "localhost");
    end = bench.run(spec);
    CHECK(end.fault.empty());
    CHECK(last.find("secret") == std::string::npos);
    CHECK(last.find("CloudTask-Epoch") == std::string::npos);

    location = "/again";
    end = bench.run(spec);
    CHECK(end.fault == "it was sent elsewhere more than 2 times");
    CHECK(end.state({}) == task::RunState::failed);

    const int before = server.hits();
    location = server.url("/end", "127.0.0.2");
    end = bench.run(spec);
    CHECK(end.fault == "sent on, but not called there: 127.0.0.2 is loopback (127.0.0.0/8)");
    CHECK(end.sent);
    for (const char* hostile : {"file:///etc/passwd", "gopher://127.0.0.1/", "http://user@127.0.0.1/"}) {
        INFO(hostile);
        location = hostile;
        CHECK(bench.run(spec).fault.starts_with("it was sent to an address that "));
    }
    CHECK(server.hits() == before + 4);  // each time the first request only

    spec.call.redirects = 0;
    end = bench.run(spec);
    CHECK(end.reason({}) == "it answered 302");
}

TEST_CASE("answers are bounded, in size and in time") {
    CallBench bench;
    HttpServer server(bench.loop, [](const std::string& request) -> std::string {
        if (request.starts_with("GET /large")) return answer_of(200, std::string(1 << 20, 'x'));
        if (request.starts_with("GET /huge")) return answer_of(200, std::string(17 << 20, 'x'));
        if (request.starts_with("GET /head")) return answer_of(200, "", std::string("X: ") + std::string(80 << 10, 'x') + "\r\n");
        if (request.starts_with("GET /cut")) return "HTTP/1.1 200 X\r\nContent-Length: 9\r\nConnection: close\r\n\r\nabc";
        return {};
    });
    CallEnded end = bench.run(bench.spec("a", server.url("/large")));
    CHECK(end.fault.empty());
    CHECK(end.body.size() == task::kAnswerKept);
    CHECK(end.body_cut);
    CHECK(bench.run(bench.spec("a", server.url("/huge"))).fault == "its answer is larger than 16 MiB");
    CHECK_FALSE(bench.run(bench.spec("a", server.url("/head"))).fault.empty());

    end = bench.run(bench.spec("a", server.url("/cut")));
    CHECK(end.status == 200);
    CHECK(end.state({}) == task::RunState::failed);  // not whole

    CallSpec slow = bench.spec("a", server.url("/silent"));
    slow.time_limit = 50ms;
    end = bench.run(slow);
    CHECK(end.state({}) == task::RunState::timed_out);
    CHECK(end.sent);

    REQUIRE(bench.start(bench.spec("b", server.url("/silent"))));
    CHECK_FALSE(bench.start(bench.spec("b", server.url("/silent"))));
    const int before = server.hits();
    REQUIRE(test::run_until(bench.loop, [&] { return server.hits() > before; }));
    CHECK(bench.calls->stop("b"));
    CHECK_FALSE(bench.calls->stop("b"));
    REQUIRE(test::run_until(bench.loop, [&] { return bench.ended.contains("b"); }));
    CHECK(bench.ended.at("b").state({}) == task::RunState::stopped);
    CHECK(bench.ended.at("b").sent);
    CHECK(bench.ends.at("b") == 1);

    REQUIRE(bench.start(bench.spec("c", server.url("/silent"))));
    bench.calls.reset();  // with a call on its way
    CHECK_FALSE(bench.ended.contains("c"));
}

TEST_CASE("a thousand calls that are begun at once are all answered") {
    constexpr int kCalls = 1000;
    CallBench bench;
    HttpServer server(bench.loop, [](const std::string&) { return answer_of(200, "ok"); });
    const auto due = std::chrono::steady_clock::now();
    std::vector<double> late;
    for (int i = 0; i < kCalls; ++i) {
        REQUIRE(bench.calls->start(bench.spec(fmt::format("run-{}", i), server.url("/")), [&](CallEnded end) {
            CHECK(end.state({}) == task::RunState::succeeded);
            late.push_back(std::chrono::duration<double, std::milli>(std::chrono::steady_clock::now() - due).count());
        }));
    }
    REQUIRE(test::run_until(bench.loop, [&] { return late.size() == kCalls; }));
    CHECK(server.hits() == kCalls);
    CHECK(bench.calls->running() == 0);
    std::sort(late.begin(), late.end());
    WARN("answered after, ms: p50 " << late[kCalls / 2] << ", p99 " << late[kCalls * 99 / 100] << ", last " << late.back());
}
