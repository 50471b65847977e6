// The folders of runs: made ahead, cleared, and used again only if they are as good as new.
#include "node/run_folders.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

#include "tests/node/process_support.h"

using namespace cloudtask;
using namespace cloudtask::node;

namespace {

namespace fs = std::filesystem;

// Runs each job at once.
class InlineWorker final : public Worker {
  public:
    void submit(Job job) override { job(); }
};

constexpr const char* kFirstRun = "018f3c2e-0000-7000-8000-0000000000aa";
constexpr const char* kSecond = "018f3c2e-0000-7000-8000-0000000000bb";

struct Folders {
    test::TempFolder root;
    InlineWorker worker;
    std::optional<RunFolders> folders;

    Folders() {
        REQUIRE(RunFolders::make_shards(root.path()));
        folders.emplace(worker, root.path());
    }

    static ino_t inode(const std::string& path) {
        struct stat status{};
        REQUIRE(::stat(path.c_str(), &status) == 0);
        return status.st_ino;
    }
    void write(const std::string& path, const std::string& text) const { std::ofstream(path) << text; }
    // As a run leaves it.
    std::string used() {
        folders->make(kFirstRun);
        const std::string folder = folders->of(kFirstRun);
        write(folder + "/stdout", "some output\n");
        write(folder + "/work/file", "data");
        fs::create_directories(folder + "/work/deep/deeper");
        folders->clear_work(kFirstRun);
        return folder;
    }
    void check_fresh(const std::string& folder) const {
        CHECK(fs::file_size(folder + "/stdout") == 0);
        CHECK(fs::file_size(folder + "/stderr") == 0);
        CHECK(fs::is_empty(folder + "/work"));
        CHECK(std::distance(fs::directory_iterator(folder), fs::directory_iterator{}) == 3);
        struct stat status{};
        REQUIRE(::stat((folder + "/stdout").c_str(), &status) == 0);
        CHECK((status.st_mode & 07777) == 0640);
    }
};

}  // namespace

TEST_CASE("a folder that a run has left is the next run's, empty") {
    Folders f;
    const std::string first = f.used();
    const auto inode = Folders::inode(first + "/stdout");
    CHECK(fs::is_empty(first + "/work"));
    CHECK(fs::file_size(first + "/stdout") > 0);  // until it is forgotten
    f.folders->release(kFirstRun);
    CHECK_FALSE(fs::exists(first));

    SECTION("in the same process") {}
    SECTION("in the next one") {
        REQUIRE(RunFolders::set_strays_aside(f.root.path(), {}));
        f.folders.emplace(f.worker, f.root.path());
    }
    f.folders->make(kSecond);
    const std::string second = f.folders->of(kSecond);
    f.check_fresh(second);
    CHECK(Folders::inode(second + "/stdout") == inode);
    f.folders->make(kFirstRun);  // there is no other spare one
    f.check_fresh(first);
    CHECK(Folders::inode(first + "/stdout") != inode);
}

TEST_CASE("a folder that is not as it was made is not used again") {
    Folders f;
    const std::string folder = f.used();
    int held = -1;
    SECTION("somebody still has its output open") {
        held = ::open((folder + "/stderr").c_str(), O_WRONLY | O_APPEND | O_CLOEXEC);
        REQUIRE(held >= 0);
    }
    SECTION("its output has a second name") { fs::create_hard_link(folder + "/stdout", f.root / "elsewhere"); }
    SECTION("its output is a link") {
        f.write(f.root / "precious", "keep");
        fs::remove(folder + "/stdout");
        fs::create_symlink(f.root / "precious", folder + "/stdout");
    }
    SECTION("its output has other permissions") { fs::permissions(folder + "/stdout", fs::perms::all); }
    SECTION("its working folder has other permissions") { fs::permissions(folder + "/work", fs::perms::all); }
    SECTION("its working folder is not empty") { f.write(folder + "/work/later", "x"); }
    SECTION("there is something beside") { f.write(folder + "/beside", "x"); }
    SECTION("something is missing") { fs::remove(folder + "/stderr"); }
    f.folders->release(kFirstRun);
    CHECK_FALSE(fs::exists(folder));
    CHECK(fs::is_empty(f.root / "spare"));
    if (fs::exists(f.root / "precious")) CHECK(fs::file_size(f.root / "precious") == 4);
    if (fs::exists(f.root / "elsewhere")) CHECK(fs::file_size(f.root / "elsewhere") > 0);
    if (held >= 0) ::close(held);

    f.folders->make(kSecond);
    f.check_fresh(f.folders->of(kSecond));
}

TEST_CASE("a folder whose run needs nothing of it is emptied and used again in one step") {
    Folders f;
    f.folders->make(kFirstRun);
    const std::string first = f.folders->of(kFirstRun);
    const auto inode = Folders::inode(first + "/stdout");
    f.write(first + "/work/file", "data");
    f.folders->clear_and_release(kFirstRun);
    CHECK_FALSE(fs::exists(first));
    f.folders->clear_and_release(kFirstRun);  // nothing is left to release
    f.folders->release(kFirstRun);
    f.folders->make(kSecond);
    f.check_fresh(f.folders->of(kSecond));
    CHECK(Folders::inode(f.folders->of(kSecond) + "/stdout") == inode);
}

TEST_CASE("a spare folder that cannot be moved stays a spare one") {
    Folders f;
    f.folders->make(kFirstRun);
    const auto inode = Folders::inode(f.folders->of(kFirstRun) + "/stdout");
    f.folders->clear_and_release(kFirstRun);
    fs::create_directories(f.folders->of(kSecond) + "/work");  // the start has come before
    f.folders->make(kSecond);
    f.folders->make(kFirstRun);
    CHECK(Folders::inode(f.folders->of(kFirstRun) + "/stdout") == inode);
}
