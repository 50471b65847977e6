// PackageFiles: the uploaded programs on disk, <data-dir>/packages/<sha256>, and the uploads that are on their way, in packages/tmp.
//
// A file gets its name only when it is complete, checked and on disk; what is broken off leaves nothing. Blocking; any thread but the loop.
#pragma once

#include <memory>
#include <mutex>
#include <set>
#include <string>
#include <string_view>

#include "cloudtask/core/hash.h"
#include "cloudtask/core/random.h"
#include "cloudtask/core/result.h"

namespace cloudtask::center {

// One upload. Its file is removed with it, unless PackageFiles::keep() has given it a name. One thread at a time.
class PackageUpload {
  public:
    explicit PackageUpload(std::string path) : path_(std::move(path)) {}
    ~PackageUpload();
    PackageUpload(const PackageUpload&) = delete;
    PackageUpload& operator=(const PackageUpload&) = delete;

    // Errors: io (also: the disk is full).
    Result<> append(std::string_view bytes);
    // Ends the writing: all is on disk. Returns the SHA-256.
    Result<std::string> finish();

    const std::string& path() const { return path_; }
    std::uint64_t size() const { return size_; }

  private:
    friend class PackageFiles;

    std::string path_;
    int fd_ = -1;
    std::uint64_t size_ = 0;
    Sha256 hash_;
};

class PackageFiles {
  public:
    PackageFiles(std::string folder, Random& random);

    // Makes the folders, and removes what broken uploads left. Error: io.
    Result<> prepare();
    // Removes files that no row names (a crash between the file and its row). Call before the server listens.
    void remove_unknown(const std::set<std::string>& known);

    std::unique_ptr<PackageUpload> begin();
    // Gives a finished upload its name.
    Result<> keep(PackageUpload& upload, const std::string& sha256);
    void remove(const std::string& sha256);

    std::string path_of(const std::string& sha256) const { return folder_ + "/" + sha256; }

    // Held while a file and its row come or go together, so that an upload and a deletion of the same content do not cross.
    std::mutex& names() { return names_; }

  private:
    std::string folder_;
    Random& random_;
    std::mutex names_;
};

}  // namespace cloudtask::center
