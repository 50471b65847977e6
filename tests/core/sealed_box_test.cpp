// Sealed boxes, and files that hold keys.
#include "cloudtask/core/sealed_box.h"

#include <sys/stat.h>

#include <catch2/catch.hpp>
#include <filesystem>
#include <fstream>

#include "cloudtask/core/private_file.h"

using namespace cloudtask;

namespace {

struct KeyFolder {
    KeyFolder() {
        std::string pattern = (std::filesystem::temp_directory_path() / "cloudtask-keys-XXXXXX").string();
        path = ::mkdtemp(pattern.data());
    }
    ~KeyFolder() { std::filesystem::remove_all(path); }
    std::filesystem::path path;
};

}  // namespace

TEST_CASE("a sealed box is opened by its key only, and only as it was sealed") {
    const KeyPair keys = make_key_pair(), other = make_key_pair();
    const std::string text("a value\0with a zero", 19);
    auto sealed = seal(keys.public_key, text);
    REQUIRE(sealed);
    CHECK(sealed->find("value") == std::string::npos);
    CHECK(*open_sealed(keys, *sealed) == text);
    CHECK(*open_sealed(*key_pair_of(keys.private_key), *sealed) == text);
    CHECK_FALSE(open_sealed(other, *sealed));
    CHECK(*seal(keys.public_key, text) != *sealed);
    sealed->back() = static_cast<char>(sealed->back() ^ 1);
    CHECK(open_sealed(keys, *sealed).error().is(Errc::corrupt));
    CHECK_FALSE(open_sealed(keys, "short"));
    CHECK_FALSE(seal("no key", text));
    CHECK_FALSE(key_pair_of("no key"));
}

TEST_CASE("a file of keys is its user's alone") {
    const KeyFolder folder;
    const std::string path = (folder.path / "key").string();
    CHECK_FALSE(read_private_file(path)->has_value());
    REQUIRE(make_private_file(path, "secret\n"));
    CHECK(**read_private_file(path) == "secret\n");
    struct stat status{};
    REQUIRE(::stat(path.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0600);
    CHECK(make_private_file(path, "another").error().is(Errc::already_exists));
    CHECK(**read_private_file(path) == "secret\n");
    for (const mode_t mode : {0640, 0604, 0620}) {
        REQUIRE(::chmod(path.c_str(), mode) == 0);
        CHECK(read_private_file(path).error().is(Errc::permission_denied));
    }
    CHECK_FALSE(read_private_file(folder.path.string()));
    CHECK(std::distance(std::filesystem::directory_iterator(folder.path), {}) == 1);
}
