// The folders of runs: made ahead, cleared, and used again only if they are as good as new.
#include "node/run_folders.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <catch2/catch.hpp>

#include <chrono>
#include <deque>
#include <filesystem>
#include <fstream>
#include <thread>

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

// Keeps the jobs.
class LateWorker final : public Worker {
  public:
    void submit(Job job) override { jobs.push_back(std::move(job)); }
    void work() {
        for (; !jobs.empty(); jobs.pop_front()) jobs.front()();
    }
    std::deque<Job> jobs;
};

constexpr std::chrono::milliseconds kStep{50};
constexpr const char* kFirstRun = "018f3c2e-0000-7000-8000-0000000000aa";
constexpr const char* kSecond = "018f3c2e-0000-7000-8000-0000000000bb";

struct Folders {
    test::TempFolder root;
    InlineWorker worker;
    std::optional<RunFolders> folders;

    Folders() {
        REQUIRE(RunFolders::make_shards(root.path()));
        folders.emplace(worker, root.path(), kStep);
    }

    static ino_t inode(const std::string& path) {
        struct stat status{};
        REQUIRE(::stat(path.c_str(), &status) == 0);
        return status.st_ino;
    }
    void write(const std::string& path, const std::string& text) const { std::ofstream(path) << text; }
    std::string give(const std::string& run_id) {
        if (!folders->assign(run_id)) folders->make(run_id);
        return folders->of(run_id);
    }
    // As a run leaves it.
    std::string used() {
        const std::string folder = give(kFirstRun);
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

TEST_CASE("a folder that a run has left is the next run's, empty, and where it was") {
    Folders f;
    const std::string first = f.used();
    const auto inode = Folders::inode(first + "/stdout");
    CHECK(fs::is_empty(first + "/work"));
    CHECK(fs::file_size(first + "/stdout") > 0);  // until it is forgotten
    f.folders->release(kFirstRun);
    CHECK(f.folders->of(kFirstRun) != first);
    for (int round = 0; round < 3; ++round) {
        const std::string second = f.give(kSecond);
        CHECK(second == first);
        f.check_fresh(second);
        CHECK(Folders::inode(second + "/stdout") == inode);
        if (round == 1) f.write(second + "/work/file", "data");
        f.folders->release(kSecond);
        f.folders->release(kSecond);  // nothing is left to release
    }
    f.give(kFirstRun);
    const std::string other = f.give(kSecond);
    CHECK(other != first);  // it has a run
    f.check_fresh(other);
}

TEST_CASE("the next process of a node has the folders that the journal names, and gives none of them to another run") {
    Folders f;
    const std::string third = "018f3c2e-0000-7000-8000-0000000000cc";
    const std::string first = f.give(kFirstRun), left = f.give(third);
    f.write(left + "/work/file", "data");
    fs::create_directories(f.root / "0a/018f3c2e-0000-7000-8000-00000000dd0a/work");  // as an earlier build named them
    fs::create_directories(f.root / "strays/7");
    SECTION("where they are") {}
    SECTION("and where they were named, but never made") { fs::remove_all(first); }
    f.folders.emplace(f.worker, f.root.path());
    f.folders->recall(kFirstRun, "/where/the/data/were/before/" + fs::path(first).parent_path().filename().string() + "/" +
                                     fs::path(first).filename().string());
    f.folders->tidy();
    CHECK(f.folders->of(kFirstRun) == first);
    CHECK(f.give(kSecond) == left);
    f.check_fresh(left);
    CHECK_FALSE(fs::exists(f.root / "0a/018f3c2e-0000-7000-8000-00000000dd0a"));
    CHECK_FALSE(fs::exists(f.root / "strays"));
    CHECK(f.give(third) != first);
}

TEST_CASE("a folder that the journal gives to two runs stays with the first") {
    Folders f;
    f.folders->recall(kFirstRun, "/data/runs/05/5");
    f.folders->recall(kSecond, "/data/runs/05/5");
    f.folders->make(kFirstRun);
    f.folders->release(kSecond);
    CHECK(fs::exists(f.root / "05/5/work"));
    CHECK(f.folders->of(kFirstRun) == f.root / "05/5");
}

TEST_CASE("a folder into which a package is being unpacked is not given away before that is over") {
    Folders f;
    const std::string folder = f.give(kFirstRun);
    f.folders->begin_unpacking(kFirstRun);
    f.write(folder + "/work/first", "data");
    f.folders->release(kFirstRun);  // the run was dropped
    f.write(folder + "/work/second", "data");
    CHECK(f.give(kSecond) != folder);
    f.folders->end_unpacking(kFirstRun);
    const std::string third = f.give("018f3c2e-0000-7000-8000-0000000000cc");
    CHECK(third == folder);
    f.check_fresh(third);
}

TEST_CASE("a folder that is tidied up as its run ends is given to one run") {
    Folders f;
    const std::string first = f.give(kFirstRun);
    LateWorker worker;
    RunFolders folders(worker, f.root.path(), kStep);
    folders.recall(kFirstRun, first);
    folders.tidy();
    folders.release(kFirstRun);
    worker.work();
    CHECK(folders.assign(kSecond));
    CHECK(folders.of(kSecond) == first);
    CHECK_FALSE(folders.assign(kFirstRun));
}

TEST_CASE("what is left to do of a folder is not done when it has another run") {
    test::TempFolder root;
    REQUIRE(RunFolders::make_shards(root.path()));
    LateWorker worker;
    RunFolders folders(worker, root.path());
    CHECK_FALSE(folders.assign(kFirstRun));
    folders.make(kFirstRun);
    worker.work();
    folders.clear_work(kFirstRun);
    folders.release(kFirstRun);
    std::swap(worker.jobs.front(), worker.jobs.back());  // two threads may take them so
    worker.jobs.front()();
    worker.jobs.pop_front();
    CHECK(folders.assign(kSecond));
    std::ofstream(folders.of(kSecond) + "/work/file") << "data";
    worker.work();
    CHECK(fs::exists(folders.of(kSecond) + "/work/file"));
}

TEST_CASE("a folder that is not as it was made is not used again") {
    Folders f;
    const bool known = GENERATE(false, true);
    std::string folder = f.give(kFirstRun);
    if (known) {
        // It was found clear before, and so long after it was made that a change would show.
        struct stat status{};
        REQUIRE(::stat((folder + "/stderr").c_str(), &status) == 0);
        const auto made = std::chrono::seconds{status.st_ctim.tv_sec} + std::chrono::nanoseconds{status.st_ctim.tv_nsec};
        while (std::chrono::system_clock::now().time_since_epoch() < made + kStep + std::chrono::milliseconds{10})
            std::this_thread::yield();
        f.folders->release(kFirstRun);
        f.folders->release(f.give(kSecond) == folder ? kSecond : "");
        REQUIRE(f.give(kFirstRun) == folder);
    }
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
    SECTION("there is something beside") { f.write(folder + "/beside", "x"); }
    SECTION("something is missing") { fs::remove(folder + "/stderr"); }
    f.folders->release(kFirstRun);
    CHECK_FALSE(fs::exists(folder));
    if (fs::exists(f.root / "precious")) CHECK(fs::file_size(f.root / "precious") == 4);
    if (held >= 0) ::close(held);
    CHECK(f.give(kSecond) != folder);
    f.check_fresh(f.folders->of(kSecond));
}
