// DataFolder: one holder at a time, and the file with the address.
#include "cloudtask/core/data_folder.h"

#include <sys/stat.h>

#include <filesystem>
#include <fstream>
#include <random>

#include <catch2/catch.hpp>

using namespace cloudtask;

namespace {

struct TemporaryFolder {
    std::filesystem::path path = std::filesystem::temp_directory_path() / fmt::format("cloudtask-core-{:08x}", std::random_device{}());
    ~TemporaryFolder() {
        std::error_code error;
        std::filesystem::remove_all(path, error);
    }
    std::string file(const std::string& name) const { return (path / name).string(); }
};

}  // namespace

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
        CHECK(second.error().message.find(path) != std::string::npos);
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
