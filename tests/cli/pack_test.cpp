// Packing of program folders: the same contents give the same bytes, whatever the times, the owners and the umask.
#include <catch2/catch.hpp>

#include <chrono>

#include "cli/pack.h"
#include "cloudtask/core/hash.h"
#include "tests/cli/fake_center.h"

namespace cloudtask::cli::test {

namespace fs = std::filesystem;

TEST_CASE("the same folder gives the same package, and another content another one") {
    const Folder one;
    const Folder two;
    for (const auto& [folder, first, second] : {std::tuple(&one, "b.txt", "a/run.sh"), std::tuple(&two, "a/run.sh", "b.txt")}) {
        folder->write(std::string("p/") + first, first == std::string("b.txt") ? "text" : "#!/bin/sh\n");
        folder->write(std::string("p/") + second, second == std::string("b.txt") ? "text" : "#!/bin/sh\n");
        fs::permissions(folder->path() / "p/a/run.sh", fs::perms::owner_all);
        fs::create_symlink("a/run.sh", folder->path() / "p/start");
    }
    fs::permissions(two.path() / "p/a/run.sh", fs::perms::owner_all | fs::perms::group_all);
    fs::last_write_time(two.path() / "p/b.txt", fs::file_time_type::clock::now() - std::chrono::hours{1000});

    const auto packed_one = pack_program(one.path() / "p");
    const auto packed_two = pack_program(two.path() / "p/");
    REQUIRE(packed_one);
    REQUIRE(packed_two);
    CHECK(packed_one->filename == "p.tar.gz");
    CHECK(packed_one->sha256 == packed_two->sha256);
    CHECK(packed_one->sha256 == sha256_hex(read_file(packed_one->file)));
    CHECK(packed_one->size == fs::file_size(packed_one->file));

    two.write("p/b.txt", "other");
    CHECK(pack_program(two.path() / "p")->sha256 != packed_one->sha256);
    fs::permissions(one.path() / "p/a/run.sh", fs::perms::owner_read);
    CHECK(pack_program(one.path() / "p")->sha256 != packed_one->sha256);
}

TEST_CASE("the file of a packed folder is removed with its last owner") {
    const Folder folder;
    folder.write("p/x", "x");
    fs::path file;
    {
        const auto packed = pack_program(folder.path() / "p");
        REQUIRE(packed);
        file = packed->file;
        CHECK(fs::exists(file));
    }
    CHECK_FALSE(fs::exists(file));
}

TEST_CASE("links out of the folder, devices and empty folders are refused by name") {
    const Folder folder;
    folder.write("p/x", "x");
    fs::create_symlink("../secret", folder.path() / "p/link");
    auto packed = pack_program(folder.path() / "p");
    REQUIRE_FALSE(packed);
    CHECK(contains(packed.error().message, "p/link is a link out of the folder"));
    fs::remove(folder.path() / "p/link");
    fs::create_symlink("/etc/passwd", folder.path() / "p/link");
    CHECK_FALSE(pack_program(folder.path() / "p"));
    fs::create_directory(folder.path() / "empty");
    CHECK_FALSE(pack_program(folder.path() / "empty"));
    CHECK_FALSE(pack_program("/dev/null"));
    const auto missing = pack_program(folder.path() / "missing");
    REQUIRE_FALSE(missing);
    CHECK(missing.error().is(Errc::not_found));
}

TEST_CASE("a file is uploaded as it is, under its own name") {
    const Folder folder;
    folder.write("report.sh", "#!/bin/sh\n");
    const auto packed = pack_program(folder.path() / "report.sh");
    REQUIRE(packed);
    CHECK(packed->filename == "report.sh");
    CHECK(packed->sha256 == sha256_hex("#!/bin/sh\n"));
    CHECK(packed->size == 10);
}

}  // namespace cloudtask::cli::test
