// What differs between two JSON values.
#include "cloudtask/core/json_diff.h"

#include <catch2/catch.hpp>

using namespace cloudtask;

namespace {

// "pointer before after", with - for what is not there.
std::vector<std::string> compared(const std::string& before, const std::string& after) {
    const auto a = json::parse(before), b = json::parse(after);
    REQUIRE(a);
    REQUIRE(b);
    std::vector<std::string> lines;
    for (const auto& each : json::differences(*a, *b)) {
        lines.push_back(each.pointer + " " + each.before.value_or("-") + " " + each.after.value_or("-"));
    }
    return lines;
}

using Lines = std::vector<std::string>;

}  // namespace

TEST_CASE("json differences: members in order, at any depth, with their pointers") {
    CHECK(compared(R"({"a":1,"b":{"c":"x","d":true}})", R"({"b":{"d":true,"c":"x"},"a":1})") == Lines{});
    CHECK(compared(R"({"a":1,"b":{"c":"x"},"z":null})", R"({"b":{"c":"y","e":[]},"a":2})") ==
          Lines{"/a 1 2", R"(/b/c "x" "y")", "/b/e - []", "/z null -"});
    CHECK(compared(R"({"a/b":{"~":1}})", R"({"a/b":{"~":2}})") == Lines{"/a~1b/~0 1 2"});
    CHECK(compared(R"({"a":1})", R"({"a":{"b":1}})") == Lines{R"(/a 1 {"b":1})"});
    CHECK(compared("1", "[1]") == Lines{" 1 [1]"});
}

TEST_CASE("json differences: lists of objects by entry, other lists as a whole") {
    CHECK(compared(R"({"l":[1,2]})", R"({"l":[0,1,2]})") == Lines{"/l [1,2] [0,1,2]"});
    CHECK(compared(R"([{"a":1},{"b":2}])", R"([{"a":1},{"b":3},{"c":4}])") == Lines{"/1/b 2 3", R"(/2 - {"c":4})"});
    CHECK(compared(R"([{"a":1},{"b":2}])", R"([{"a":1}])") == Lines{R"(/1 {"b":2} -)"});
    CHECK(compared(R"([])", R"([{"a":1}])") == Lines{R"(/0 - {"a":1})"});
}
