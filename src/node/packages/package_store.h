// PackageStore: the node's cache of packages, by SHA-256; and PackageCache, its face on the loop.
//
// On disk: <folder>/<sha256>/archive (the bytes) and <folder>/<sha256>/tree (unpacked). A package's folder appears by one rename, after its
// bytes were checked against the SHA-256, unpacked and synced: what is there is whole. Downloads and half-made folders live in
// <folder>/incoming and are erased when the store is opened.
//
// Threads: PackageStore blocks (disk) and may be used from several worker threads at once. PackageCache lives on the loop.
// What it does not do: fetch. The caller brings a function for that.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cloudtask/archive/archive.h"
#include "cloudtask/core/loop.h"
#include "cloudtask/core/result.h"
#include "cloudtask/core/worker.h"

namespace cloudtask::node {

class PackageStore {
  public:
    // Makes the folder if missing, and erases what earlier downloads left. `limits` bounds what is unpacked.
    static Result<std::unique_ptr<PackageStore>> open(std::string folder, archive::Limits limits = {});
    ~PackageStore();

    bool has(std::string_view sha256) const;

    // Saves the package's bytes to `path` and returns its file name (which tells the format; empty if unknown). Blocks.
    using Fetch = std::function<Result<std::string>(const std::string& path)>;

    // Makes sure that the package is there. Callers that ask for one package at once are joined: one fetches, all get its result.
    // Errors: the fetch's own; Errc::corrupt (the bytes are not those of the SHA-256); invalid_argument (not a safe archive); io.
    Result<> ensure(const std::string& sha256, const Fetch& fetch);

    // A path below the store for one download; and the second half of ensure(): checks, unpacks and installs what was saved there. The file
    // is gone afterwards, whatever the result.
    std::string incoming_path(std::string_view sha256);
    Result<> install(const std::string& sha256, const std::string& filename, const std::string& path);

    // Makes run_folder/work (and run_folder) with a fresh copy of the package's tree in it: a run may change its files, so nothing is
    // shared but blocks that the file system copies on write. run_folder/work must not be there yet, or be empty. On an error nothing is
    // left in it.
    Result<> materialise(const std::string& sha256, const std::string& run_folder);

    // The packages that are there, and the end of one. Erasing one that is not there is a success.
    std::vector<std::string> list() const;
    Result<> erase(const std::string& sha256);

  private:
    struct Impl;
    explicit PackageStore(std::unique_ptr<Impl> impl);
    std::unique_ptr<Impl> impl_;
};

// Lives on the loop; the store's blocking work runs on `worker`. Callbacks are called on the loop, never inline, and not after the cache is
// destroyed.
class PackageCache {
  public:
    using Done = std::function<void(Result<>)>;
    // Called on the loop: saves the package's bytes to `path`, then calls `fetched` on the loop with its file name (empty if unknown).
    using Fetch = std::function<void(const std::string& sha256, const std::string& path, std::function<void(Result<std::string>)> fetched)>;

    // The store and the worker must outlive the cache and the worker's jobs.
    PackageCache(Loop& loop, Worker& worker, PackageStore& store, Fetch fetch);
    ~PackageCache();

    // As PackageStore::ensure(): requests for one package are joined. A failure is told to those who wait; the next request tries again.
    void ensure(const std::string& sha256, Done done);

    // As PackageStore::materialise(); the package must be there.
    void materialise(const std::string& sha256, const std::string& run_folder, Done done);

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::node
