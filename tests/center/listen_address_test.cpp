// Where the center listens: URLs and free ports.
#include "center/listen_address.h"

#include <catch2/catch.hpp>

using namespace cloudtask;
using namespace cloudtask::center;

TEST_CASE("the address as a URL") {
    CHECK(http_url("127.0.0.1", 8080) == "http://127.0.0.1:8080");
    CHECK(http_url("0.0.0.0", 1) == "http://127.0.0.1:1");
    CHECK(http_url("::1", 8080) == "http://[::1]:8080");
    CHECK(http_url("::", 8080) == "http://[::1]:8080");
}

TEST_CASE("a free port is one of the address") {
    const auto port = free_port("127.0.0.1");
    REQUIRE(port);
    CHECK(*port > 0);
    CHECK_FALSE(free_port("not an address"));
    CHECK_FALSE(free_port("192.0.2.1"));
}
