// HTTP calls against a server on loopback: what is sent, what is told, and what is not called at all.
#include <utility>  // Asio 1.74 uses std::exchange without it

#include "node/http/calls.h"

#include <dlfcn.h>
#include <netdb.h>

#include <algorithm>
#include <atomic>

#include <catch2/catch.hpp>

#include "node/http/redirect.h"
#include "node/http/signature.h"
#include "tests/node/http_server.h"
#include "tests/node/process_support.h"

using namespace cloudtask;
using namespace cloudtask::node;
using namespace std::chrono_literals;

namespace {

// How often the name rebind.test was looked up: first it means a public address, then loopback.
std::atomic<int> look_ups{0};
constexpr const char* kChangingName = "rebind.test";
// Names that end so are looked up for as long as they are held; then they mean loopback.
constexpr std::string_view kSlowNames = ".slow.test";
std::atomic<bool> slow_names_held{false};
std::atomic<int> slow_look_ups{0}, most_slow_look_ups{0};

void wait_for_slow_name() {
    const int now = ++slow_look_ups;
    for (int most = most_slow_look_ups; now > most && !most_slow_look_ups.compare_exchange_weak(most, now);) {
    }
    slow_names_held.wait(true);
    --slow_look_ups;
}

}  // namespace

// Stands before the C library's, also for libcurl.
extern "C" int getaddrinfo(const char* name, const char* service, const addrinfo* hints, addrinfo** result) noexcept(false) {
    static const auto next = reinterpret_cast<decltype(&::getaddrinfo)>(::dlsym(RTLD_NEXT, "getaddrinfo"));
    const bool slow = name != nullptr && std::string_view{name}.ends_with(kSlowNames);
    if (slow) wait_for_slow_name();
    if (!slow && (name == nullptr || std::string_view{name} != kChangingName)) return next(name, service, hints, result);
    addrinfo numeric = hints == nullptr ? addrinfo{} : *hints;
    numeric.ai_family = AF_INET;
    return next(!slow && look_ups++ == 0 ? "1.1.1.1" : "127.0.0.1", service, &numeric, result);
}

namespace {

using test::answer_of;
using test::HttpServer;
using test::rules_allowing;

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

// It is signed by the key "key", as a request for just that.
bool signature_is_of(const std::string& request, std::string_view method, std::string_view url, std::string_view body = {}) {
    const auto at = request.find("CloudTask-Signature: t=");
    if (at == std::string::npos) return false;
    const Instant then{std::chrono::seconds{std::stoll(request.substr(at + 23))}};
    return has_line(request, "CloudTask-Signature: " + call_signature("key", then, method, url, body));
}

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
    spec.call.sign = "books-hook";
    CHECK(bench.start(spec).error().is(Errc::invalid_argument));  // never without its signature
    CHECK(server.hits() == 0);
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
    CHECK(signature_is_of(seen, "PUT", spec.call.url, spec.call.body));

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
    spec.call.sign = "books-hook";
    spec.signing_key = "key";

    location = "/end";
    CallEnded end = bench.run(spec);
    CHECK(end.state({}) == task::RunState::succeeded);
    CHECK(end.body == "end");
    CHECK(end.redirects == 1);
    CHECK(has_line(last, "authorization: secret"));
    CHECK(signature_is_of(last, "GET", server.url("/end")));

    // Elsewhere: by another name for the same address.
    bench.rules = spec.networks = rules_allowing({"127.0.0.1", "::1"});
    location = server.url("/end", "localhost");
    end = bench.run(spec);
    CHECK(end.fault.empty());
    CHECK(last.find("secret") == std::string::npos);
    CHECK(last.find("CloudTask-") == std::string::npos);

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

TEST_CASE("so many names are looked up at a time, and the loop waits for none of them") {
    constexpr int kCalls = 150;
    constexpr int kMost = 64;
    CallBench bench;
    std::string waited;  // the request of one that waits for its turn
    HttpServer server(bench.loop, [&](const std::string& request) {
        if (request.starts_with("GET /100 ")) waited = request;
        return answer_of(200, "ok");
    });
    slow_names_held = true;
    most_slow_look_ups = 0;
    for (int i = 0; i < kCalls; ++i) {
        CallSpec spec = bench.spec(fmt::format("run-{}", i), server.url(fmt::format("/{}", i), fmt::format("n{}{}", i, kSlowNames)));
        spec.signing_key = "key";
        REQUIRE(bench.start(std::move(spec)));
    }
    const auto second_of = [&] { return std::chrono::floor<std::chrono::seconds>(bench.loop.clock().now()).time_since_epoch().count(); };
    const auto second = second_of();
    REQUIRE(test::run_until(bench.loop, [&] { return slow_look_ups == kMost; }));
    // An address needs no look-up.
    CHECK(bench.run(bench.spec("by-address", server.url("/"))).state({}) == task::RunState::succeeded);
    // Who is stopped, or out of time, is not waited for: be its name looked up, or in the line.
    CHECK(bench.calls->stop("run-0"));
    CHECK(bench.calls->stop("run-149"));
    REQUIRE(test::run_until(bench.loop, [&] { return bench.ended.size() == 2; }));
    CallSpec hurried = bench.spec("hurried", server.url("/", "last.slow.test"));
    hurried.time_limit = 1ms;
    REQUIRE(bench.start(hurried));
    CHECK(bench.calls->running() == kCalls - 2 + 1);

    REQUIRE(test::run_until(bench.loop, [&] { return second_of() > second; }));
    slow_names_held = false;
    slow_names_held.notify_all();
    REQUIRE(test::run_until(bench.loop, [&] { return bench.ended.size() == kCalls + 1; }));
    CHECK(most_slow_look_ups <= kMost + 1);  // one was given up, and its thread went on
    CHECK(server.hits() == 1 + kCalls - 2);
    CHECK(bench.ended.at("run-0").state({}) == task::RunState::stopped);
    CHECK(bench.ended.at("hurried").state({}) == task::RunState::timed_out);
    CHECK_FALSE(bench.ended.at("hurried").sent);
    CHECK(bench.ended.at("run-100").state({}) == task::RunState::succeeded);
    const auto signature = waited.find("CloudTask-Signature: t=");
    REQUIRE(signature != std::string::npos);
    CHECK(std::stoll(waited.substr(signature + 23)) > second);  // of when it was sent
    REQUIRE(test::run_until(bench.loop, [] { return slow_look_ups == 0; }));
}
