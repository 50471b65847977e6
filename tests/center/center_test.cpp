// The whole center, without ZooKeeper: it starts, says where it listens, and stops.
#include "center/center.h"

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "api_fixture.h"

using namespace cloudtask;
using namespace cloudtask::center;

TEST_CASE("the center starts while ZooKeeper is away, holds its folder, and stops when asked") {
    TemporaryFolder folder;
    Options options;
    options.data_dir = folder.file("data");
    options.http_port = 0;
    options.webroot.clear();
    options.zookeeper_servers = "127.0.0.1:1";
    const auto address_file = options.data_dir + "/address";
    AsioLoop loop;
    auto center = Center::make(loop, options);
    REQUIRE(center);
    REQUIRE((*center)->start());
    CHECK((*center)->first_password().has_value());
    std::string address;
    std::getline(std::ifstream(address_file), address);
    CHECK(address == (*center)->url());

    const auto second = Center::make(loop, options);
    REQUIRE_FALSE(second);
    CHECK(second.error().is(Errc::conflict));

    loop.post([&] { (*center)->stop([&] { loop.stop(); }); });
    loop.run();
    CHECK_FALSE(std::filesystem::exists(address_file));
    center->reset();
    const auto again = Center::make(loop, options);
    REQUIRE(again);
    CHECK_FALSE((*again)->first_password().has_value());
}
