// The node's cache of packages.
#include <sys/stat.h>

#include <atomic>
#include <filesystem>
#include <thread>

#include "cloudtask/core/fake_loop.h"
#include "cloudtask/core/hash.h"
#include "node/packages/package_store.h"
#include "process_support.h"
#include "tests/archive/archive_support.h"

namespace cloudtask::node::test {
namespace {

namespace fs = std::filesystem;
using archive::test::Item;
using archive::test::write_archive;

struct PackageFolder {
    TempFolder folder;
    std::string upload = folder / "upload.tar.gz";
    std::string sha256;
    std::unique_ptr<PackageStore> store;

    PackageFolder() {
        write_archive(upload, {{"run.sh", AE_IFREG, "#!/bin/sh\necho ran\n", 0755},
                               {"data/x", AE_IFREG, std::string(100'000, 'x'), 0640},
                               {"data/link", AE_IFLNK, "x"}});
        sha256 = sha256_hex(read_file(upload));
        reopen();
    }
    void reopen() {
        Result<std::unique_ptr<PackageStore>> opened = PackageStore::open(folder / "packages");
        REQUIRE(opened);
        store = std::move(*opened);
    }
    Result<std::string> fetch(const std::string& path) const {
        fs::copy_file(upload, path);
        return std::string{"upload.tar.gz"};
    }
    PackageStore::Fetch fetcher() const {
        return [this](const std::string& path) { return fetch(path); };
    }
    bool nothing_incoming() const { return fs::is_empty(folder / "packages/incoming"); }
};

TEST_CASE("a package is fetched once, kept, and copied for each run") {
    PackageFolder f;
    CHECK_FALSE(f.store->has(f.sha256));
    CHECK(f.store->materialise(f.sha256, f.folder / "early").error().is(Errc::not_found));
    REQUIRE(f.store->ensure(f.sha256, f.fetcher()));
    CHECK(f.store->has(f.sha256));
    CHECK(f.nothing_incoming());
    REQUIRE(f.store->ensure(f.sha256, [](const std::string&) -> Result<std::string> { return fail(Errc::internal, "fetched again"); }));

    REQUIRE(f.store->materialise(f.sha256, f.folder / "run1"));
    CHECK(read_file(f.folder / "run1/work/data/link").size() == 100'000);
    struct stat status{};
    REQUIRE(::stat((f.folder / "run1/work/run.sh").c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0755);
    CHECK(f.store->materialise(f.sha256, f.folder / "run1").error().is(Errc::already_exists));

    // What one run does to its copy, no other run sees.
    write_file(f.folder / "run1/work/data/x", "changed");
    write_file(f.folder / "run1/work/run.sh", "changed");
    REQUIRE(f.store->materialise(f.sha256, f.folder / "run2"));
    CHECK(read_file(f.folder / "run2/work/data/x").size() == 100'000);
    CHECK(read_file(f.folder / "run2/work/run.sh") == "#!/bin/sh\necho ran\n");

    f.reopen();
    CHECK(f.store->list() == std::vector<std::string>{f.sha256});
    REQUIRE(f.store->erase(f.sha256));
    REQUIRE(f.store->erase(f.sha256));
    CHECK_FALSE(f.store->has(f.sha256));
    CHECK(f.store->list().empty());
}

TEST_CASE("what is not the package is never taken for it") {
    PackageFolder f;
    const auto expect_refused = [&f](const PackageStore::Fetch& fetch, std::error_code code) {
        const Result<> result = f.store->ensure(f.sha256, fetch);
        REQUIRE_FALSE(result);
        INFO(result.error().message);
        CHECK(result.error().is(code));
        CHECK_FALSE(f.store->has(f.sha256));
        CHECK(f.nothing_incoming());
    };
    expect_refused([](const std::string&) -> Result<std::string> { return fail(Errc::unavailable, "no center"); }, Errc::unavailable);
    expect_refused(
        [&f](const std::string& path) -> Result<std::string> {
            const std::string bytes = read_file(f.upload);
            write_file(path, bytes.substr(0, bytes.size() - 1));
            return std::string{"upload.tar.gz"};
        },
        Errc::corrupt);
    expect_refused(
        [](const std::string& path) -> Result<std::string> {
            write_file(path, "half");
            return fail(Errc::timeout, "broken off");
        },
        Errc::timeout);
    // Its content is right, but it is not safe.
    write_archive(f.upload, {{"../evil", AE_IFREG, "x"}});
    f.sha256 = sha256_hex(read_file(f.upload));
    expect_refused(f.fetcher(), Errc::invalid_argument);
    CHECK_FALSE(fs::exists(f.folder / "packages/incoming/evil"));
    CHECK_FALSE(f.store->ensure("../../etc", f.fetcher()));
}

TEST_CASE("a download that a crash broke off is erased at the next start") {
    PackageFolder f;
    write_file(f.store->incoming_path(f.sha256), "half");
    CHECK_FALSE(f.nothing_incoming());
    f.reopen();
    CHECK(f.nothing_incoming());
}

TEST_CASE("threads that ask for one package are joined") {
    PackageFolder f;
    constexpr int kThreads = 8;
    std::atomic<int> fetches{0}, good{0}, asked{0};
    std::vector<std::thread> threads;
    for (int i = 0; i < kThreads; ++i) {
        threads.emplace_back([&] {
            ++asked;
            const Result<> result = f.store->ensure(f.sha256, [&](const std::string& path) {
                ++fetches;
                while (asked < kThreads) std::this_thread::yield();
                return f.fetch(path);
            });
            if (result) ++good;
        });
    }
    for (std::thread& thread : threads) thread.join();
    CHECK(fetches == 1);
    CHECK(good == kThreads);
}

TEST_CASE("on the loop, requests are joined, failures are told, and the next request tries again") {
    PackageFolder f;
    FakeLoop loop;
    LoopWorker worker(loop);
    int fetches = 0;
    bool center_up = false;
    std::vector<std::pair<std::string, std::function<void(Result<std::string>)>>> open;
    auto cache = std::make_unique<PackageCache>(
        loop, worker, *f.store, [&](const std::string& sha256, const std::string& path, std::function<void(Result<std::string>)> fetched) {
            ++fetches;
            CHECK(sha256 == f.sha256);
            open.emplace_back(path, std::move(fetched));
        });
    const auto answer = [&] {
        for (auto& [path, fetched] : std::exchange(open, {})) {
            if (center_up) {
                fetched(f.fetch(path));
            } else {
                fetched(fail(Errc::unavailable, "no center"));
            }
        }
        loop.settle();
    };

    int good = 0, bad = 0;
    const auto count = [&](Result<> result) { ++(result ? good : bad); };
    cache->ensure(f.sha256, count);
    cache->ensure(f.sha256, count);
    loop.settle();
    CHECK(fetches == 1);
    answer();
    CHECK(bad == 2);

    center_up = true;
    cache->ensure(f.sha256, count);
    loop.settle();
    cache->ensure(f.sha256, count);
    answer();
    CHECK(fetches == 2);
    CHECK(good == 2);
    cache->ensure(f.sha256, count);
    cache->materialise(f.sha256, f.folder / "run", count);
    loop.settle();
    CHECK(good == 4);
    CHECK(fetches == 2);
    CHECK(fs::exists(f.folder / "run/work/run.sh"));

    cache->ensure("not a hash", count);
    loop.settle();
    CHECK(bad == 3);

    // Nobody is called after the end of the cache.
    cache->ensure(f.sha256, count);
    cache.reset();
    loop.settle();
    CHECK(good == 4);
}

TEST_CASE("a package's program runs from its fresh copy") {
    PackageFolder f;
    REQUIRE(f.store->ensure(f.sha256, f.fetcher()));
    Bench bench;
    REQUIRE(f.store->materialise(f.sha256, bench.folder / "a"));
    CHECK(bench.run(bench.command("a", {"./run.sh"})).exit_code == 0);
    CHECK(bench.output("a") == "ran\n");
}

}  // namespace
}  // namespace cloudtask::node::test
