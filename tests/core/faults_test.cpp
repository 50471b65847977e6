// Faults and the pointers that name them.
#include "cloudtask/core/faults.h"

#include <catch2/catch.hpp>

using namespace cloudtask;

TEST_CASE("pointers are escaped as RFC 6901 asks") {
    CHECK(pointer_to("", "a") == "/a");
    CHECK(pointer_to("/a", "b/c") == "/a/b~1c");
    CHECK(pointer_to("/a", "m~n") == "/a/m~0n");
    CHECK(pointer_to("", "~1") == "/~01");
    CHECK(pointer_to("", "") == "/");
    CHECK(pointer_to("/a", std::size_t{12}) == "/a/12");
}

TEST_CASE("a summary names every fault in order") {
    Faults faults;
    CHECK(faults.empty());
    CHECK(faults.summary().empty());
    faults.add("", "is not an object", "a JSON object");
    faults.add("/a", "is missing");
    CHECK_FALSE(faults.empty());
    CHECK(faults.summary() == "the document is not an object (allowed: a JSON object); /a is missing");
    CHECK(faults.list() == std::vector<Fault>{{"", "is not an object", "a JSON object"}, {"/a", "is missing", ""}});
}
