// The center's folder on disk.
#include "center/data_folder.h"

#include <filesystem>
#include <sys/stat.h>
#include <fstream>

#include <catch2/catch.hpp>

#include "api_fixture.h"

using namespace cloudtask;
using namespace cloudtask::center;

TEST_CASE("one process at a time holds a data folder") {
    TemporaryFolder folder;
    const auto path = folder.file("a/b/data");
    {
        const auto first = DataFolder::open(path);
        REQUIRE(first);
        struct stat info{};
        REQUIRE(::stat(path.c_str(), &info) == 0);
        CHECK((info.st_mode & 07) == 0);
        const auto second = DataFolder::open(path);
        REQUIRE_FALSE(second);
        CHECK(second.error().is(Errc::conflict));
        CHECK(second.error().message.find("another center") != std::string::npos);
    }
    CHECK(DataFolder::open(path));
}

TEST_CASE("the address file is there while the center listens, and an old one is gone at the next start") {
    TemporaryFolder folder;
    {
        auto data = DataFolder::open(folder.file("data"));
        REQUIRE(data);
        REQUIRE(data->write_address("http://127.0.0.1:8080"));
        std::string line;
        std::getline(std::ifstream(data->file("address")), line);
        CHECK(line == "http://127.0.0.1:8080");
    }
    auto next = DataFolder::open(folder.file("data"));
    REQUIRE(next);
    CHECK_FALSE(std::filesystem::exists(next->file("address")));
}

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
