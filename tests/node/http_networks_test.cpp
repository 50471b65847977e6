// Which addresses HTTP calls may connect to, what is asked after a redirect, and the signature.
#include <arpa/inet.h>
#include <netinet/in.h>

#include <catch2/catch.hpp>

#include "cloudtask/core/hash.h"
#include "node/http/networks.h"
#include "node/http/redirect.h"
#include "node/http/run_headers.h"
#include "node/http/signature.h"

using namespace cloudtask;
using namespace cloudtask::node;

namespace {

std::string refusal_of(const NetworkRules& rules, std::string_view address) {
    const auto parsed = IpAddress::parse(address);
    REQUIRE(parsed);
    return rules.why_refused(*parsed);
}

std::vector<Network> networks(std::initializer_list<const char*> texts) {
    std::vector<Network> list;
    for (const char* text : texts) list.push_back(*Network::parse(text));
    return list;
}

HttpRequest request_to(std::string_view url, std::string method = "POST") {
    return {std::move(method), *task::HttpUrl::parse(url), {{"authorization", "a"}, {"x-key", "k"}, {"content-type", "t"}}, "body", true};
}

}  // namespace

TEST_CASE("addresses that are not for everybody are refused") {
    const NetworkRules rules;
    const char* hostile[] = {
        "0.0.0.0",
        "0.1.2.3",
        "10.0.0.1",
        "10.255.255.255",
        "100.64.0.1",
        "100.127.255.255",
        "100.100.100.200",
        "127.0.0.1",
        "127.255.255.254",
        "169.254.0.1",
        "169.254.169.254",
        "169.254.170.2",
        "168.63.129.16",
        "172.16.0.1",
        "172.31.255.255",
        "192.0.0.1",
        "192.0.0.192",
        "192.0.2.1",
        "192.168.0.1",
        "192.168.255.255",
        "198.18.0.1",
        "198.19.255.255",
        "198.51.100.1",
        "203.0.113.1",
        "224.0.0.1",
        "239.255.255.255",
        "240.0.0.1",
        "255.255.255.255",
        "::",
        "::1",
        "::2",
        "::127.0.0.1",
        "::ffff:127.0.0.1",
        "::ffff:10.0.0.1",
        "::ffff:169.254.169.254",
        "::ffff:0:127.0.0.1",
        "64:ff9b::127.0.0.1",
        "64:ff9b::10.0.0.1",
        "64:ff9b::169.254.169.254",
        "64:ff9b:1::1",
        "100::1",
        "2001::1",
        "2001:0:4136:e378::",
        "2001:db8::1",
        "2002:7f00:1::1",
        "2002:a00:1::",
        "2002:a9fe:a9fe::1",
        "3fff::1",
        "5f00::1",
        "fc00::1",
        "fd00::1",
        "fd00:ec2::254",
        "fdff:ffff::1",
        "fe80::1",
        "febf::1",
        "fec0::1",
        "ff02::1",
        "4000::1",
    };
    for (const char* address : hostile) {
        INFO(address);
        CHECK_FALSE(refusal_of(rules, address).empty());
    }
    const char* open[] = {"1.1.1.1",   "9.255.255.255", "11.0.0.0",    "100.63.255.255",   "100.128.0.0",     "126.255.255.255",
                          "128.0.0.0", "169.253.0.1",   "172.15.0.1",  "172.32.0.0",       "192.167.255.255", "223.255.255.255",
                          "2600::1",   "2a00:1450::1",  "2001:200::1", "64:ff9b::1.1.1.1", "2002:101:101::1", "::ffff:1.1.1.1"};
    for (const char* address : open) {
        INFO(address);
        CHECK(refusal_of(rules, address).empty());
    }
    CHECK(refusal_of(rules, "::ffff:10.0.0.1") == "10.0.0.1 is private (10.0.0.0/8)");
    CHECK(refusal_of(rules, "64:ff9b::7f00:1") == "64:ff9b::7f00:1 stands for 127.0.0.1 is loopback (127.0.0.0/8)");
}

TEST_CASE("a runtime's own networks: the smallest decides, denials first") {
    const NetworkRules rules(networks({"10.1.0.0/16", "169.254.0.0/16", "127.0.0.1", "0.0.0.0/0"}),
                             networks({"10.1.2.0/24", "8.8.0.0/16"}));
    CHECK(refusal_of(rules, "10.1.1.1").empty());
    CHECK(refusal_of(rules, "10.1.2.1") == "10.1.2.1 is denied in this runtime (10.1.2.0/24)");
    CHECK_FALSE(refusal_of(rules, "10.2.0.1").empty());
    CHECK(refusal_of(rules, "169.254.1.1").empty());
    CHECK_FALSE(refusal_of(rules, "169.254.169.254").empty());
    CHECK(refusal_of(rules, "127.0.0.1").empty());
    CHECK_FALSE(refusal_of(rules, "127.0.0.2").empty());
    CHECK_FALSE(refusal_of(rules, "8.8.8.8").empty());
    CHECK_FALSE(refusal_of(rules, "64:ff9b::8.8.8.8").empty());

    const NetworkRules closed(networks({"10.1.0.0/16"}), networks({"::/0"}));
    CHECK_FALSE(refusal_of(closed, "1.1.1.1").empty());
    CHECK_FALSE(refusal_of(closed, "2600::1").empty());
    CHECK(refusal_of(closed, "10.1.1.1").empty());

    const NetworkRules same(networks({"1.1.1.1"}), networks({"1.1.1.1"}));
    CHECK_FALSE(refusal_of(same, "1.1.1.1").empty());
}

TEST_CASE("networks are read strictly") {
    for (const char* wrong : {"", "/8", "10.0.0.0/", "10.0.0.0/33", "10.0.0.0/-1", "10.0.0.0/8x", "10.0.0.1/8", "10.0.0/8", "fd00::/129",
                              "fd00::1/8", "localhost", "010.0.0.0/8", "::ffff:10.0.0.0/104"}) {
        INFO(wrong);
        CHECK_FALSE(Network::parse(wrong));
    }
    for (const char* right : {"10.0.0.0/8", "0.0.0.0/0", "::/0", "fd00::/8", "192.0.2.1", "2001:db8::1", "172.16.0.0/12"}) {
        INFO(right);
        REQUIRE(Network::parse(right));
        CHECK(Network::parse(right)->to_string() == right);
    }
    sockaddr_in v4{};
    v4.sin_family = AF_INET;
    v4.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    const auto& generic = reinterpret_cast<const sockaddr&>(v4);
    CHECK(IpAddress::from(generic, sizeof v4) == *IpAddress::parse("127.0.0.1"));
    CHECK_FALSE(IpAddress::from(generic, 2));
    v4.sin_family = AF_UNIX;
    CHECK_FALSE(IpAddress::from(generic, sizeof v4));
}

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
    auto first = run_headers(run, run.id);
    CHECK(first == std::map<std::string, std::string>{{"CloudTask-Run-Id", run.id},
                                                      {"CloudTask-Attempt", "1"},
                                                      {"CloudTask-Epoch", "7"},
                                                      {"CloudTask-Fire-Time", "2030-03-17T17:46:40Z"},
                                                      {"Idempotency-Key", run.id}});
    run.id = task::run_id(run.task_id, *run.fire_time, 2);
    run.attempt = 2;
    const auto second = run_headers(run, run.id);
    CHECK(second.at("Idempotency-Key") == first.at("Idempotency-Key"));
    CHECK(second.at("CloudTask-Run-Id") != first.at("CloudTask-Run-Id"));

    run.fire_time.reset();
    const auto manual = run_headers(run, "the first");
    CHECK(manual.at("Idempotency-Key") == "the first");
    CHECK_FALSE(manual.contains("CloudTask-Fire-Time"));
}
