// What is a definition, and what differs between two.
#include "cloudtask/task/definition.h"

#include <catch2/catch.hpp>

#include "cloudtask/task/codec.h"

using namespace cloudtask;
using namespace cloudtask::task;

namespace {

json::Document parsed_text(const std::string& text) {
    auto document = json::parse(text);
    REQUIRE(document);
    return std::move(*document);
}

}  // namespace

TEST_CASE("definition: what only the server writes is no difference") {
    Task one;
    one.id = "a";
    one.shell = "date";
    Task other = one;
    other.id = "b";
    other.version = 7;
    other.revision = other.created_revision = other.effective_revision = 9;
    other.updated_at = other.created_at = other.effective_from = Instant{std::chrono::hours{1}};
    CHECK(compare_definitions(parsed_text(to_json(one)), parsed_text(to_json(other))).empty());
    other.time_limit = std::chrono::minutes{5};
    other.notify = {"ops@example.org"};
    const auto found = compare_definitions(parsed_text(to_json(one)), parsed_text(to_json(other)));
    CHECK(summarise(found) == R"(time_limit "1h" -> "5min"; notify [] -> ["ops@example.org"])");
    json::Writer out;
    write(out, found);
    CHECK(out.text() == R"([{"pointer":"/time_limit","before":"1h","after":"5min"},{"pointer":"/notify","before":[],)"
                        R"("after":["ops@example.org"]}])");
}

TEST_CASE("definition: a summary is one short line") {
    CHECK(summarise({}) == "nothing");
    const std::string wide(100, 'x');
    const std::string umlauts = "\"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa\xc3\xbc\xc3\xbc\"";
    CHECK(summarise({{"/shell", wide, "1"}}) == "shell " + std::string(40, 'x') + "... -> 1");
    CHECK(summarise({{"/shell", umlauts, "1"}}) == "shell " + umlauts.substr(0, 39) + "... -> 1");
    CHECK(summarise({{"/a", {}, "1"}, {"/b", "2", {}}, {"/c", "3", "4"}, {"/d", "5", "6"}, {"/e", "7", "8"}}) ==
          "a 1 added; b 2 removed; c 3 -> 4; and 2 more");
}
