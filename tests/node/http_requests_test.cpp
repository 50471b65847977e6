// What an HTTP call asks after a redirect, its signature, and the headers of its run.
#include <catch2/catch.hpp>

#include "cloudtask/core/hash.h"
#include "node/http/redirect.h"
#include "node/http/run_headers.h"
#include "node/http/signature.h"

using namespace cloudtask;
using namespace cloudtask::node;

namespace {

HttpRequest request_to(std::string_view url, std::string method = "POST") {
    return {std::move(method),
            *task::HttpUrl::parse(url),
            {{"authorization", "a"}, {"x-key", "k"}, {"content-type", "t"}},
            "body",
            false,
            true};
}

}  // namespace

TEST_CASE("a redirect keeps what it may and no more") {
    const auto same = redirected(request_to("https://a.org/x"), 307, "https://a.org/y#part");
    REQUIRE(same);
    CHECK(same->url.to_string() == "https://a.org/y");
    CHECK(same->method == "POST");
    CHECK(same->body == "body");
    CHECK(same->headers.size() == 3);
    CHECK(same->own_origin);

    for (const char* other : {"https://b.org/", "https://a.org:444/", "https://sub.a.org/"}) {
        INFO(other);
        const auto next = redirected(request_to("https://a.org/x"), 308, other);
        REQUIRE(next);
        CHECK(next->headers == std::map<std::string, std::string>{{"content-type", "t"}});
        CHECK_FALSE(next->own_origin);
        CHECK_FALSE(redirected(*next, 308, "https://a.org/")->own_origin);  // also not when it is sent back
    }
    HttpRequest with_secret = request_to("https://a.org/x", "PUT");
    with_secret.private_body = true;
    CHECK(redirected(with_secret, 307, "https://a.org/y")->body == "body");
    const auto refused = redirected(with_secret, 302, "https://b.org/y");
    REQUIRE_FALSE(refused);
    CHECK(refused.error().message == "it was sent to another origin, b.org, where a body with a secret does not go");
    with_secret.method = "POST";
    CHECK(redirected(with_secret, 302, "https://b.org/y")->body.empty());

    for (const int status : {301, 302, 303}) {
        INFO(status);
        const auto next = redirected(request_to("http://a.org/"), status, "https://a.org/");
        REQUIRE(next);
        CHECK(next->method == "GET");
        CHECK(next->body.empty());
    }
    CHECK(redirected(request_to("http://a.org/", "DELETE"), 302, "http://a.org/b")->method == "DELETE");
    CHECK(redirected(request_to("http://a.org/", "HEAD"), 303, "http://a.org/b")->method == "HEAD");
    CHECK(redirected(request_to("http://a.org/", "PUT"), 303, "http://a.org/b")->method == "GET");
    for (const char* hostile : {"", "file:///etc/passwd", "http://user@a.org/", "gopher://a.org/", "http://127.1/", "http://a.org/"}) {
        INFO(hostile);
        CHECK_FALSE(redirected(request_to("https://a.org/"), 302, hostile));  // the last one: no longer https
    }
    CHECK_FALSE(is_redirect(200));
    CHECK_FALSE(is_redirect(300));
    CHECK_FALSE(is_redirect(304));
}

TEST_CASE("a signature is the HMAC of time, method, URL and body") {
    // RFC 4231, test cases 2 and 6 (a key longer than a block).
    CHECK(to_hex(hmac_sha256("Jefe", "what do ya want for nothing?")) ==
          "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    CHECK(to_hex(hmac_sha256(std::string(131, '\xaa'), "Test Using Larger Than Block-Size Key - Hash Key First")) ==
          "60e431591ee0b67f0d8a26aacbf5b77f8e0bc6213728c5140546040f0ee37f54");
    const Instant now{std::chrono::seconds{1'900'000'000} + std::chrono::milliseconds{999}};
    const std::string signature = call_signature("key", now, "POST", "https://a.org/", "body");
    CHECK(signature == "t=1900000000,v1=" + to_hex(hmac_sha256("key", "1900000000\nPOST\nhttps://a.org/\nbody")));
    CHECK(signature != call_signature("key", now, "PUT", "https://a.org/", "body"));
    CHECK(signature != call_signature("key", now, "POST", "https://a.org/b", "ody"));
    CHECK(signature != call_signature("yek", now, "POST", "https://a.org/", "body"));
}

TEST_CASE("all attempts of a fire have one idempotency key") {
    task::Run run;
    run.task_id = "some-task";
    run.fire_time = Instant{std::chrono::seconds{1'900'000'000}};
    run.id = task::run_id(run.task_id, *run.fire_time, 1);
    run.epoch = 7;
    const auto first = run_headers(run);
    CHECK(first == std::map<std::string, std::string>{{"CloudTask-Run-Id", run.id},
                                                      {"CloudTask-Attempt", "1"},
                                                      {"CloudTask-Epoch", "7"},
                                                      {"CloudTask-Fire-Time", "2030-03-17T17:46:40Z"},
                                                      {"Idempotency-Key", run.id}});
    run.id = task::run_id(run.task_id, *run.fire_time, 2);
    run.attempt = 2;
    const auto second = run_headers(run);
    CHECK(second.at("Idempotency-Key") == first.at("Idempotency-Key"));
    CHECK(second.at("CloudTask-Run-Id") != first.at("CloudTask-Run-Id"));

    run.shard = 3;
    run.piece = "some-piece";
    CHECK(run_headers(run).at("CloudTask-Shard") == "3");
    CHECK(run_headers(run).at("Idempotency-Key") == task::run_id("some-piece", *run.fire_time, 1));
    run.shard.reset();

    run.fire_time.reset();
    const auto manual = run_headers(run);
    CHECK(manual.at("Idempotency-Key") == run.id);
    CHECK_FALSE(manual.contains("CloudTask-Fire-Time"));
    run.first_run = "the first";
    CHECK(run_headers(run).at("Idempotency-Key") == "the first");
}
