// PackageCache: the package store on the loop.
#include <filesystem>
#include <map>
#include <utility>

#include "cloudtask/core/hash.h"
#include "node/packages/package_store.h"

namespace cloudtask::node {

struct PackageCache::Impl : std::enable_shared_from_this<Impl> {
    Impl(Loop& loop_in, Worker& worker_in, PackageStore& store_in, Fetch fetch_in)
        : loop(loop_in), worker(worker_in), store(store_in), fetch(std::move(fetch_in)) {}

    Loop& loop;
    Worker& worker;
    PackageStore& store;
    const Fetch fetch;
    bool closed = false;
    std::map<std::string, std::vector<Done>> waiting;  // by SHA-256; an entry is there as long as its fetch goes on

    // Runs `work` on the worker, and `then` with its result on the loop if the cache is still there.
    template <class Work, class Then>
    void on_worker(Work work, Then then) {
        worker.submit([&to = loop, weak = weak_from_this(), work = std::move(work), then = std::move(then)] {
            to.post([weak, then, result = work()] {
                const std::shared_ptr<Impl> self = weak.lock();
                if (self && !self->closed) then(*self, result);
            });
        });
    }

    void looked(const std::string& sha256, bool there) {
        if (!is_sha256_hex(sha256))
            return finish(sha256, fail(Errc::invalid_argument, "'{}' is not a SHA-256 in hexadecimal digits", sha256));
        if (there) return finish(sha256, {});
        const std::string path = store.incoming_path(sha256);
        fetch(sha256, path, [weak = weak_from_this(), sha256, path](Result<std::string> filename) {
            const std::shared_ptr<Impl> self = weak.lock();
            if (self && !self->closed) self->fetched(sha256, path, std::move(filename));
        });
    }

    void fetched(const std::string& sha256, const std::string& path, Result<std::string> filename) {
        on_worker(
            [&to = store, sha256, path, filename = std::move(filename)]() -> Result<> {
                if (filename) return to.install(sha256, *filename, path);
                std::error_code ignored;
                std::filesystem::remove(path, ignored);
                return propagate(filename);
            },
            [sha256](Impl& self, const Result<>& result) { self.finish(sha256, result); });
    }

    void finish(const std::string& sha256, const Result<>& result) {
        const auto found = waiting.extract(sha256);
        const std::shared_ptr<Impl> self = shared_from_this();
        for (const Done& done : found.mapped()) {
            if (closed) return;
            done(result);
        }
    }
};

PackageCache::PackageCache(Loop& loop, Worker& worker, PackageStore& store, Fetch fetch)
    : impl_(std::make_shared<Impl>(loop, worker, store, std::move(fetch))) {}

PackageCache::~PackageCache() { impl_->closed = true; }

void PackageCache::ensure(const std::string& sha256, Done done) {
    impl_->loop.assert_on_loop();
    const auto [entry, first] = impl_->waiting.try_emplace(sha256);
    entry->second.push_back(std::move(done));
    if (!first) return;
    impl_->on_worker([&to = impl_->store, sha256] { return to.has(sha256); },
                     [sha256](Impl& self, bool there) { self.looked(sha256, there); });
}

void PackageCache::materialise(const std::string& sha256, const std::string& run_folder, Done done) {
    impl_->loop.assert_on_loop();
    impl_->on_worker([&to = impl_->store, sha256, run_folder] { return to.materialise(sha256, run_folder); },
                     [done = std::move(done)](Impl&, const Result<>& result) { done(result); });
}

}  // namespace cloudtask::node
