// The pure parts: targets, routes, heads, events.
#include <catch2/catch.hpp>

#include "cloudtask/http/client.h"
#include "cloudtask/http/server.h"
#include "http/event_format.h"
#include "http/event_parser.h"
#include "http/response_head.h"
#include "http/text.h"
#include "http/url.h"

using namespace cloudtask;
using namespace cloudtask::http;
using Catch::Matchers::Contains;

TEST_CASE("targets are decoded; what could be read in two ways is refused") {
    const auto target = parse_target("/a%20b/%C3%BC?x=1+2&y=%2B&empty&=v");
    REQUIRE(target);
    CHECK(target->path == "/a b/ü");
    CHECK(target->query == std::map<std::string, std::string>{{"x", "1 2"}, {"y", "+"}, {"empty", ""}, {"", "v"}});
    CHECK(parse_target("http://host:80/p?q=1")->path == "/p");
    CHECK(parse_target("HTTP://host")->path == "/");
    CHECK(parse_target("/...a/..b")->path == "/...a/..b");
    for (const char* bad : {"", "*", "a", "/%", "/%1", "/%g0", "/%00", "/a/../b", "/..", "/.", "/%2e%2E/", "/a%2fb", "/a%2Fb", "/%c0%af",
                            "/%0a", "/a#b", "/?a=1&a=2", "/?%61=1&a=2", "/?a=%"}) {
        INFO(bad);
        CHECK_FALSE(parse_target(bad));
    }
}

TEST_CASE("encoding is undone by decoding, whatever the bytes") {
    std::string text;
    for (int i = 1; i < 128; ++i) text += static_cast<char>(i);
    text += "äöü€😀";
    CHECK(decode_component(encode_component(text), true).value() == text);
    CHECK(encode_component("a/b c") == "a%2Fb%20c");
}

TEST_CASE("UTF-8 is told from what only looks like it") {
    CHECK(is_utf8("aä€😀"));
    for (const char* bad : {"\x80", "\xC0\xAF", "\xE0\x80\xAF", "\xED\xA0\x80", "\xF4\x90\x80\x80", "\xC3", "\xF8\x88\x80\x80\x80"})
        CHECK_FALSE(is_utf8(bad));
}

TEST_CASE("the more exact route wins, whatever the order") {
    Router router;
    for (const char* pattern : {"/{rest*}", "/tasks/{id}", "/tasks/search", "/tasks/{id}/start", "/"})
        router.add("GET", pattern, [](auto) {});
    router.add("POST", "/tasks/{id}/start", [](auto) {});
    CHECK(router.match("GET", "/tasks/search").pattern == "/tasks/search");
    CHECK(router.match("GET", "/tasks/7").pattern == "/tasks/{id}");
    CHECK(router.match("GET", "/tasks/7").params.at("id") == "7");
    CHECK(router.match("GET", "/tasks/").pattern == "/{rest*}");
    CHECK(router.match("GET", "/a/b/c").params.at("rest") == "a/b/c");
    CHECK(router.match("GET", "/").pattern == "/");
    CHECK(router.match("HEAD", "/tasks/7").pattern == "/tasks/{id}");
    const auto wrong = router.match("DELETE", "/tasks/7/start");
    CHECK(wrong.handler == nullptr);
    CHECK(wrong.allow == "GET, HEAD, POST");
    CHECK(router.routes().size() == 6);
}

TEST_CASE("a head cannot be split by a header's value, and its framing is not the handler's") {
    Response response;
    response.headers.set("X-Good", "1");
    response.headers.set("X-Evil", "1\r\nSet-Cookie: a");
    response.headers.set("Bad Name", "1");
    response.headers.set("content-length", "99");
    response.headers.set("cache-control", "max-age=60");
    const auto head = format_head(response, {5, true, true}, Instant{std::chrono::seconds{784111777}});
    CHECK(head ==
          "HTTP/1.1 200 OK\r\nDate: Sun, 06 Nov 1994 08:49:37 GMT\r\nX-Good: 1\r\ncache-control: max-age=60\r\nX-Content-Type-Options: "
          "nosniff\r\nContent-Length: 5\r\n\r\n");
    response.status = 204;
    CHECK_THAT(format_head(response, {0, true, true}, Instant{}), !Contains("Content-Length"));
}

TEST_CASE("events survive their way in pieces of any size") {
    const std::string text =
        "\xEF\xBB\xBF: comment\n" + format_event("log", "one\r\ntwo\rthree\n", "a\nb") + "data\n\nid: 9\nretry: 5\n\ndata:x\r\n\r\n";
    for (std::size_t piece = 1; piece <= text.size(); ++piece) {
        EventParser parser(1000);
        std::vector<Event> events;
        for (std::size_t at = 0; at < text.size(); at += piece) REQUIRE(parser.feed(std::string_view(text).substr(at, piece), events));
        REQUIRE(events.size() == 3);
        CHECK(events[0].name == "log");
        CHECK(events[0].data == "one\ntwo\nthree\n");
        CHECK(events[0].id == "ab");
        CHECK(events[1].data.empty());
        CHECK(events[2].name == "message");
        CHECK(events[2].data == "x");
        CHECK(events[2].id == "9");
    }
    EventParser bounded(100);
    std::vector<Event> events;
    CHECK_FALSE(bounded.feed("data: " + std::string(200, 'x'), events));
}

TEST_CASE("errors become the status that fits, and inner reasons stay inside") {
    CHECK(status_for(Errc::stale_version) == 412);
    CHECK(status_for(std::make_error_code(std::errc::io_error)) == 500);
    const auto inner = Response::problem(Error{Errc::io, "/secret/path"});
    CHECK(inner.status == 500);
    CHECK_THAT(inner.body, !Contains("secret"));
    Faults faults;
    faults.add("/zone", "is unknown", "a zone");
    CHECK(
        Response::problem(400, "Bad.", faults).body ==
        R"({"type":"about:blank","title":"Bad Request","status":400,"detail":"Bad.","faults":[{"pointer":"/zone","problem":"is unknown","allowed":"a zone"}]})");
    CHECK_THAT(Response::problem(Error{Errc::conflict, "busy"}).body, Contains("busy"));
}
