// What a definition may say of an HTTP call, which addresses are read, and when an answer is a success.
#include "cloudtask/task/http_call.h"

#include <catch2/catch.hpp>

#include "cloudtask/task/http_url.h"

using namespace cloudtask;
using namespace cloudtask::task;

namespace {

std::optional<HttpCall> call_from(const std::string& text, Faults& faults) {
    const auto document = json::parse(text);
    REQUIRE(document);
    return read_http_call(*document, "/http", faults);
}

// The faults of such a call, as "pointer: problem".
std::vector<std::string> call_faults(const std::string& members) {
    Faults faults;
    const auto call = call_from(R"({"url": "https://example.org/")" + members + "}", faults);
    CHECK(call.has_value() == faults.empty());
    std::vector<std::string> list;
    for (const auto& fault : faults.list()) list.push_back(fault.pointer + ": " + fault.problem);
    return list;
}

}  // namespace

TEST_CASE("addresses are read and spelled in one way") {
    const std::pair<const char*, const char*> right[] = {
        {"http://example.org", "http://example.org/"},
        {"HTTPS://Example.ORG:443/a?b=c%20d", "https://example.org/a?b=c%20d"},
        {"http://example.org:8080?x=1", "http://example.org:8080/?x=1"},
        {"http://127.0.0.1/", "http://127.0.0.1/"},
        {"http://[::1]:81/x", "http://[::1]:81/x"},
        {"http://[2001:DB8:0:0::1]/", "http://[2001:db8::1]/"},
        {"http://intern_1/a@b", "http://intern_1/a@b"},
    };
    for (const auto& [text, spelled] : right) {
        INFO(text);
        const auto url = HttpUrl::parse(text);
        REQUIRE(url);
        CHECK(url->to_string() == spelled);
        CHECK(HttpUrl::parse(url->to_string()) == *url);
    }
    CHECK(HttpUrl::parse("https://a.org/x")->same_origin(*HttpUrl::parse("https://A.org:443/y")));
    CHECK_FALSE(HttpUrl::parse("https://a.org/")->same_origin(*HttpUrl::parse("https://a.org:444/")));
    CHECK_FALSE(HttpUrl::parse("http://a.org:443/")->same_origin(*HttpUrl::parse("https://a.org/")));
}

TEST_CASE("hostile addresses are refused") {
    const char* hostile[] = {
        "",
        "example.org",
        "//example.org/",
        "file:///etc/passwd",
        "ftp://example.org/",
        "gopher://127.0.0.1:6379/_INFO",
        "dict://127.0.0.1/",
        "javascript:alert(1)",
        "http:/example.org/",
        "http:example.org",
        "http://",
        "http:///etc",
        "http://:80/",
        "http://?x",
        "http://user@example.org/",
        "http://user:password@example.org/",
        "http://example.org@127.0.0.1/",
        "http://example.org:80@127.0.0.1/",
        "http://example.org\\@127.0.0.1/",
        "http://example.org\\.evil.org/",
        "http://exam ple.org/",
        "http://example.org/a b",
        "http://example.org/\r\nHost: evil",
        "http://example.org/\xc3\xa9",
        "http://ex\xc3\xa4mple.org/",
        "http://example.org/#fragment",
        "http://127.1/",
        "http://2130706433/",
        "http://0x7f000001/",
        "http://0x7f.1/",
        "http://0177.0.0.1/",
        "http://127.0.0.01/",
        "http://127.0.0.1.:80/",
        "http://1.2.3.4.5/",
        "http://256.1.1.1/",
        "http://example.1/",
        "http://localhost./",
        "http://a..b/",
        "http://.example.org/",
        "http://%31%32%37.0.0.1/",
        "http://[::1/",
        "http://[::1]x/",
        "http://[::1]:/",
        "http://[fe80::1%25eth0]/",
        "http://[127.0.0.1]/",
        "http://[]/",
        "http://::1/",
        "http://example.org:/",
        "http://example.org:0/",
        "http://example.org:65536/",
        "http://example.org:80:80/",
        "http://example.org:-1/",
        "http://example.org:+80/",
        "http://example.org/%",
        "http://example.org/%zz",
        "http://example.org/<script>",
        "http://example.org/{a}",
        "http://example.org/a\\b",
    };
    for (const char* text : hostile) {
        INFO(text);
        CHECK_FALSE(HttpUrl::parse(text));
    }
    CHECK_FALSE(HttpUrl::parse(std::string("http://example.org/\0x", 21)));
    CHECK_FALSE(HttpUrl::parse("http://example.org/" + std::string(kLongestUrl, 'a')));
    CHECK_FALSE(HttpUrl::parse("http://" + std::string(64, 'a') + ".org/"));
}

TEST_CASE("a call is read, and written as it was read") {
    Faults faults;
    const auto call =
        call_from(R"({"method": "POST", "url": "HTTPS://Example.org/hook", "headers": {"X-Key": "k", "Content-Type": "text/plain"},
        "body": "a\nb", "expect": {"status": [204, "200-202"], "pattern": "^ok", "matches": false}, "redirects": 3, "sign": {"secret": "books-hook"}})",
                  faults);
    INFO(faults.summary());
    REQUIRE(call);
    CHECK(call->url == "https://example.org/hook");
    CHECK(call->headers == std::map<std::string, std::string>{{"x-key", "k"}, {"content-type", "text/plain"}});
    CHECK(call->redirects == 3);
    CHECK(call->sign == "books-hook");
    json::Writer out;
    write_http_call(out, *call);
    CHECK(call_from(out.text(), faults) == *call);

    const auto least = call_from(R"({"url": "http://example.org/"})", faults);
    REQUIRE(least);
    json::Writer short_out;
    write_http_call(short_out, *least);
    CHECK(short_out.text() == R"({"method":"GET","url":"http://example.org/"})");
}

TEST_CASE("faults of a call name the place") {
    using Texts = std::vector<std::string>;
    CHECK(call_faults(R"(, "method": "CONNECT")").size() == 1);
    CHECK(call_faults(R"(, "body": "x")") == Texts{"/http/body: stands beside the method GET, which sends none"});
    CHECK(call_faults(R"(, "headers": {"Host": "a"})") == Texts{"/http/headers/Host: is a header that CloudTask sets itself"});
    for (const char* own :
         {"content-length", "Transfer-Encoding", "Connection", "Proxy-Authorization", "CloudTask-Epoch", "Idempotency-Key"}) {
        INFO(own);
        CHECK(call_faults(R"(, "headers": {")" + std::string(own) + R"(": "a"})").size() == 1);
    }
    CHECK(call_faults(R"(, "headers": {"a b": "c"})") == Texts{"/http/headers/a b: is not the name of a header"});
    CHECK(call_faults(R"(, "headers": {"": "c"})").size() == 1);
    CHECK(call_faults(R"(, "headers": {"x": "a\r\nHost: evil"})").size() == 1);
    CHECK(call_faults(R"(, "headers": {"x": "é"})").size() == 1);
    CHECK(call_faults(R"(, "headers": {"x-a": "1", "X-A": "2"})").size() == 1);
    CHECK(call_faults(R"(, "redirects": 11)").size() == 1);
    CHECK(call_faults(R"(, "expect": {"status": [99, "200-199", "2xx", true]})").size() == 4);
    CHECK(call_faults(R"(, "expect": {"pattern": "("})").size() == 1);
    CHECK(call_faults(R"(, "follow": true)").size() == 1);
    CHECK(call_faults(R"(, "sign": {"secret": "A B"})").size() == 1);
    CHECK(call_faults(R"(, "sign": {"secret": "a", "algorithm": "none"})").size() == 1);
    CHECK(call_faults(R"(, "sign": "a")").size() == 1);
    CHECK(call_faults(R"(, "sign": {})").size() == 1);
    Faults faults;
    CHECK_FALSE(call_from("{}", faults));
    CHECK_FALSE(call_from(R"({"url": "http://user:secret@example.org/"})", faults));
    CHECK(faults.summary().find("secret") == std::string::npos);
}

TEST_CASE("an answer is a success by its status and its beginning") {
    HttpExpect expect;
    CHECK(why_unexpected(expect, 200, "").empty());
    CHECK(why_unexpected(expect, 299, "").empty());
    CHECK(why_unexpected(expect, 302, "") == "it answered 302");
    CHECK(why_unexpected(expect, 503, "") == "it answered 503");
    expect.pattern = "^done: \\d+$";
    CHECK(why_unexpected(expect, 200, "a\ndone: 12\nb").empty());
    CHECK(why_unexpected(expect, 200, "done: x") == "the body of its answer does not match '^done: \\d+$'");
    expect.matches = false;
    CHECK(why_unexpected(expect, 200, "done: 1") == "the body of its answer matches '^done: \\d+$'");
    CHECK(why_unexpected(expect, 500, "nothing") == "it answered 500");
    expect.status = StatusCodes({{404, 404}});
    CHECK(why_unexpected(expect, 404, "").empty());
    CHECK_FALSE(why_unexpected(expect, 200, "").empty());
}
