// JSON from outside: what is refused, what a reader reports, and what is written.
#include "cloudtask/core/json.h"

#include <catch2/catch.hpp>

#include <limits>

using namespace cloudtask;
using namespace std::chrono_literals;

namespace {

json::Document parsed(std::string_view text) {
    auto document = json::parse(text);
    INFO(text);
    REQUIRE(document.has_value());
    return std::move(*document);
}

std::string error_of(std::string_view text, json::Limits limits = {}) {
    const auto document = json::parse(text, limits);
    INFO(text.substr(0, 60));
    REQUIRE_FALSE(document.has_value());
    return document.error().message;
}

std::string nested(std::size_t depth, char open, char close) { return std::string(depth, open) + std::string(depth, close); }

}  // namespace

TEST_CASE("deep nesting is refused, however deep, without a crash") {
    CHECK(error_of(std::string(200'000, '[')).find("deeper than 32") != std::string::npos);
    CHECK(error_of(nested(200'000, '[', ']')).find("deeper than 32") != std::string::npos);
    std::string objects;
    for (int i = 0; i < 200'000; ++i) objects += "{\"a\":";
    CHECK(error_of(objects).find("deeper than 32") != std::string::npos);
    CHECK(json::parse(nested(32, '[', ']')).has_value());
    CHECK_FALSE(json::parse(nested(33, '[', ']')).has_value());
    CHECK(json::parse(nested(3, '[', ']'), {.max_depth = 3}).has_value());
    CHECK_FALSE(json::parse(nested(4, '[', ']'), {.max_depth = 3}).has_value());
}

TEST_CASE("a text that is too large is refused unread") {
    const auto large = json::parse("\"" + std::string(99, 'x') + "\"", {.max_bytes = 100});
    REQUIRE_FALSE(large.has_value());
    CHECK(large.error().is(Errc::too_large));
    CHECK(json::parse("\"" + std::string(98, 'x') + "\"", {.max_bytes = 100}).has_value());
}

TEST_CASE("broken JSON is refused with the place") {
    for (const std::string text : {"",      " ",   "{",       "}",         "[1,]",    "{\"a\":1,}", "{a:1}",       "{'a':1}",
                                   "[1 2]", "nul", "NaN",     "Infinity",  "-",       "01",         "1.",          ".5",
                                   "+1",    "1e",  "1e999",   "\"\\x\"",   "\"a",     "\"\t\"",     "\"\\ud800\"", "\"\\udc00x\"",
                                   "{} {}", "[]x", "// c\n1", "/* c */ 1", "{\"a\"}", "{\"a\":}",   "{1:2}"}) {
        CHECK(error_of(text).find("at byte") != std::string::npos);
    }
    CHECK(error_of("[1, 2, x]").find("at byte 7") != std::string::npos);
}

TEST_CASE("what follows a zero byte is not overlooked") {
    CHECK_FALSE(json::parse(std::string("{}\0garbage", 10)).has_value());
    CHECK_FALSE(json::parse(std::string("{}\0", 3)).has_value());
    CHECK_FALSE(json::parse(std::string("\0{}", 3)).has_value());
    CHECK_FALSE(json::parse(std::string("[1\0]", 4)).has_value());
}

TEST_CASE("a number that is larger than any can be is refused") {
    for (const char* text : {"3e308", "-1e309", "[1e999]"}) CHECK_FALSE(json::parse(text));
    CHECK(json::parse("1.7e308"));
}

TEST_CASE("a number of any length is the nearest that there is") {
    CHECK(parsed("9223372036854775807").GetInt64() == std::numeric_limits<std::int64_t>::max());
    CHECK(parsed("-9223372036854775808").GetInt64() == std::numeric_limits<std::int64_t>::min());
    CHECK(parsed("18446744073709551615").GetUint64() == std::numeric_limits<std::uint64_t>::max());
    CHECK(parsed("18446744073709551616").GetDouble() == 18446744073709551616.0);
    CHECK(parsed("7").IsInt());
    CHECK(parsed("-0").GetInt() == 0);
    CHECK(parsed("1e-400").GetDouble() == 0.0);
    CHECK(parsed("0.1000000000000000055511151231257827021181583404541015625").GetDouble() == 0.1);
    const std::string digits(120, '2');
    CHECK_FALSE(json::parse(digits + "e308"));  // RapidJSON reads beyond a table for it
    CHECK(parsed(digits + "e-119").GetDouble() == 2.2222222222222222);
}

TEST_CASE("text that is not UTF-8 is refused") {
    for (const std::string bytes : {"\xff", "\xc0\xaf", "\xe2\x82", "\xed\xa0\x80", "\xf5\x80\x80\x80", "\x80"}) {
        CHECK_FALSE(json::parse("\"" + bytes + "\"").has_value());
        CHECK_FALSE(json::parse("{\"" + bytes + "\":1}").has_value());
    }
    CHECK(parsed("\"\xc3\xa4\xf0\x9f\x98\x80\"").GetString() == std::string{"\xc3\xa4\xf0\x9f\x98\x80"});
    CHECK_FALSE(json::parse("{\"\\udc00\":1}").has_value());
    CHECK(json::parse("\"\xed\x9f\xbf\"").has_value());  // U+D7FF, the last before the surrogates
    CHECK(json::parse("\xef\xbb\xbf{}").has_value());    // a byte order mark is passed over
    CHECK(parsed("\"\\ud83d\\ude00\"").GetString() == std::string{"\xf0\x9f\x98\x80"});
}

TEST_CASE("a member that stands there twice is refused, the same name in another object is not") {
    CHECK(error_of("{\"a\":1,\"b\":2,\"a\":3}").find("'a' stands there twice") != std::string::npos);
    CHECK_FALSE(json::parse("[{\"x\":{\"a\":1,\"\\u0061\":2}}]").has_value());
    CHECK(json::parse("{\"a\":{\"a\":1},\"b\":[{\"a\":1},{\"a\":2}]}").has_value());
    CHECK(error_of("{\"" + std::string(5'000, 'k') + "\":1,\"" + std::string(5'000, 'k') + "\":2}").size() < 300);
}

TEST_CASE("a reader reports all faults at once, with escaped pointers") {
    const auto document = parsed(R"({"name":"", "count":"7", "when":"yesterday", "every":"3", "size":"1", "flag":1, "mode":"c",
        "list":["ok",5,"\u0007"], "map":{"a/b":1,"c~d":"fine"}, "inner":{"x":true}, "extra/one":null, "text":"a\nb"})");
    Faults faults;
    json::ObjectReader reader(document, "/tasks/0", faults);
    std::string name = "unchanged";
    std::int64_t count = 42;
    Instant when{5s};
    Duration every = 9s;
    std::uint64_t size = 8;
    bool flag = false;
    std::string mode = "a";
    std::vector<std::string> list{"unchanged"};
    std::map<std::string, std::string> map{{"k", "v"}};
    std::string text = "unchanged";
    CHECK_FALSE(reader.read("name", name, {.min = 1}));
    CHECK_FALSE(reader.read("count", count));
    CHECK_FALSE(reader.read_instant("when", when));
    CHECK_FALSE(reader.read_duration("every", every));
    CHECK_FALSE(reader.read_size("size", size));
    CHECK_FALSE(reader.read("flag", flag));
    CHECK_FALSE(reader.read_choice("mode", mode, {"a", "b"}));
    CHECK_FALSE(reader.read("list", list));
    CHECK_FALSE(reader.read("map", map));
    CHECK_FALSE(reader.read("text", text));
    CHECK(reader.array("inner") == nullptr);
    CHECK_FALSE(reader.require("absent"));
    reader.finish();

    std::vector<std::string> pointers;
    for (const auto& fault : faults.list()) pointers.push_back(fault.pointer);
    CHECK(pointers == std::vector<std::string>{"/tasks/0/name", "/tasks/0/count", "/tasks/0/when", "/tasks/0/every", "/tasks/0/size",
                                               "/tasks/0/flag", "/tasks/0/mode", "/tasks/0/list/1", "/tasks/0/list/2", "/tasks/0/map/a~1b",
                                               "/tasks/0/text", "/tasks/0/inner", "/tasks/0/absent", "/tasks/0/extra~1one"});
    CHECK(faults.list()[6].allowed == "a, b");
    // What is faulty stays as it was.
    CHECK(name == "unchanged");
    CHECK(count == 42);
    CHECK(when == Instant{5s});
    CHECK(every == 9s);
    CHECK(size == 8);
    CHECK(mode == "a");
    CHECK(list == std::vector<std::string>{"unchanged"});
    CHECK(map.size() == 1);
    CHECK(text == "unchanged");
}

TEST_CASE("a reader reads what is right, and null counts as absent") {
    const auto document =
        parsed(R"({"name":"n","count":-3,"when":"2026-11-21T02:42:11Z","every":"1m30s","size":"4KiB","flag":true,"mode":"b",
        "list":["x","y"],"map":{"k":"v"},"inner":{},"text":"a\n\tb","none":null,"later":{"kept":1}})");
    Faults faults;
    json::ObjectReader reader(document, "", faults);
    std::string name;
    std::int64_t count = 0;
    Instant when;
    Duration every{};
    std::uint64_t size = 0;
    bool flag = false;
    std::string mode;
    std::vector<std::string> list;
    std::map<std::string, std::string> map;
    std::string text;
    std::string none = "kept";
    CHECK(reader.require("name"));
    CHECK(reader.read("name", name));
    CHECK(reader.read("count", count, {-5, 5}));
    CHECK(reader.read_instant("when", when));
    CHECK(reader.read_duration("every", every));
    CHECK(reader.read_size("size", size));
    CHECK(reader.read("flag", flag));
    CHECK(reader.read_choice("mode", mode, {"a", "b"}));
    CHECK(reader.read("list", list));
    CHECK(reader.read("map", map));
    CHECK(reader.read("text", text, {.multi_line = true}));
    CHECK(reader.object("inner") != nullptr);
    CHECK_FALSE(reader.has("none"));
    CHECK_FALSE(reader.read("none", none));
    CHECK_FALSE(reader.read("absent", none));
    CHECK(reader.any("absent") == nullptr);
    reader.ignore("later");
    reader.finish();
    INFO(faults.summary());
    CHECK(faults.empty());
    CHECK(name == "n");
    CHECK(count == -3);
    CHECK(every == 90s);
    CHECK(size == 4096);
    CHECK(flag);
    CHECK(mode == "b");
    CHECK(list == std::vector<std::string>{"x", "y"});
    CHECK(map == std::map<std::string, std::string>{{"k", "v"}});
    CHECK(text == "a\n\tb");
    CHECK(none == "kept");
}

TEST_CASE("unknown fields are named, with what is known") {
    const auto document = parsed(R"({"name":"n","nmae":"typo"})");
    Faults faults;
    json::ObjectReader reader(document, "", faults);
    std::string name;
    reader.read("name", name);
    reader.finish();
    REQUIRE(faults.list().size() == 1);
    CHECK(faults.list()[0] == Fault{"/nmae", "is not a known field", "name"});
}

TEST_CASE("something else than an object is one fault, and its members are absent") {
    for (const std::string text : {"[]", "1", "\"x\"", "null", "true"}) {
        const auto document = parsed(text);
        Faults faults;
        json::ObjectReader reader(document, "/x", faults);
        std::string name;
        CHECK_FALSE(reader.require("name"));
        CHECK_FALSE(reader.read("name", name));
        reader.finish();
        REQUIRE(faults.list().size() == 1);
        CHECK(faults.list()[0].pointer == "/x");
    }
}

TEST_CASE("whole numbers are taken only whole and in range") {
    const auto read = [](const std::string& number) -> std::optional<std::int64_t> {
        const auto document = parsed("{\"n\":" + number + "}");
        Faults faults;
        json::ObjectReader reader(document, "", faults);
        std::int64_t value = 0;
        const bool ok = reader.read("n", value, {std::numeric_limits<std::int64_t>::min(), std::numeric_limits<std::int64_t>::max()});
        CHECK(ok == faults.empty());
        return ok ? std::optional{value} : std::nullopt;
    };
    CHECK(read("0") == 0);
    CHECK(read("-1") == -1);
    CHECK(read("9223372036854775807") == INT64_MAX);
    CHECK(read("-9223372036854775808") == INT64_MIN);
    for (const auto* number :
         {"9223372036854775808", "-9223372036854775809", "18446744073709551616", "1.5", "1e2", "1e300", "\"1\"", "true", "[]"}) {
        INFO(number);
        CHECK_FALSE(read(number).has_value());
    }
}

TEST_CASE("rules bound texts, lists and numbers at their very limits") {
    const auto document = parsed(R"({"text":"abc","list":["a","b","c"],"number":10,"every":"10s","size":"10B"})");
    const auto faults_with = [&](auto read) {
        Faults faults;
        json::ObjectReader reader(document, "", faults);
        read(reader);
        return faults.list().size();
    };
    std::string text;
    std::vector<std::string> list;
    std::int64_t number = 0;
    Duration every{};
    std::uint64_t size = 0;
    CHECK(faults_with([&](auto& r) { r.read("text", text, {.min = 3, .max = 3}); }) == 0);
    CHECK(faults_with([&](auto& r) { r.read("text", text, {.max = 2}); }) == 1);
    CHECK(faults_with([&](auto& r) { r.read("text", text, {.min = 4}); }) == 1);
    CHECK(faults_with([&](auto& r) { r.read("list", list, {.min = 3, .max = 3}); }) == 0);
    CHECK(faults_with([&](auto& r) { r.read("list", list, {.max = 2}); }) == 1);
    CHECK(faults_with([&](auto& r) { r.read("list", list, {.min = 4}); }) == 1);
    CHECK(faults_with([&](auto& r) { r.read("number", number, {10, 10}); }) == 0);
    CHECK(faults_with([&](auto& r) { r.read("number", number, {0, 9}); }) == 1);
    CHECK(faults_with([&](auto& r) { r.read("number", number, {11, 99}); }) == 1);
    CHECK(faults_with([&](auto& r) { r.read_duration("every", every, {10s, 10s}); }) == 0);
    CHECK(faults_with([&](auto& r) { r.read_duration("every", every, {11s, 20s}); }) == 1);
    CHECK(faults_with([&](auto& r) { r.read_size("size", size, {10, 10}); }) == 0);
    CHECK(faults_with([&](auto& r) { r.read_size("size", size, {0, 9}); }) == 1);
}

TEST_CASE("what is written is read back, hostile texts too") {
    constexpr char kHostile[] = "quote\" back\\ nul\0 line\n </script> \xc3\xa4 \x7f";
    const std::string hostile(kHostile, sizeof kHostile - 1);
    json::Writer out;
    out.begin_object().member("text", hostile).member("map", std::map<std::string, std::string>{{hostile, hostile}});
    out.member("list", std::vector<std::string>{hostile, ""})
        .member("absent", std::optional<bool>{})
        .member("there", std::optional<bool>{true});
    out.member("min", INT64_MIN)
        .member("max", UINT64_MAX)
        .member("half", 0.5)
        .member("when", Instant{1s})
        .key("none")
        .null()
        .key("raw")
        .raw("[1]");
    out.end_object();
    const auto document = parsed(out.text());
    CHECK(std::string(document["text"].GetString(), document["text"].GetStringLength()) == hostile);
    CHECK(document["list"][1].GetStringLength() == 0);
    CHECK_FALSE(document.HasMember("absent"));
    CHECK(document["there"].GetBool());
    CHECK(document["min"].GetInt64() == INT64_MIN);
    CHECK(document["max"].GetUint64() == UINT64_MAX);
    CHECK(document["half"].GetDouble() == 0.5);
    CHECK(document["when"].GetString() == std::string{"1970-01-01T00:00:01Z"});
    CHECK(document["none"].IsNull());
    CHECK(json::to_text(document["raw"]) == "[1]");
    CHECK(json::to_text(document) == out.text());
}
