// Packing: a program on this machine, as the file that is uploaded. A folder becomes a tar.gz that depends on nothing but its contents
// (names in order, no times, no owners), so that the same folder has the same SHA-256 on every machine and is uploaded once.
//
// Blocking file access; one thread. libarchive appears in pack.cpp only.
#pragma once

#include <cstdint>
#include <filesystem>
#include <memory>
#include <string>

#include "cloudtask/core/result.h"

namespace cloudtask::cli {

// A file that is removed with the last copy of this object.
class TemporaryFile {
  public:
    // Makes an empty file, mode 0600, in the system's folder for temporary files.
    static Result<std::shared_ptr<TemporaryFile>> make();
    ~TemporaryFile();
    TemporaryFile(const TemporaryFile&) = delete;
    TemporaryFile& operator=(const TemporaryFile&) = delete;

    const std::filesystem::path& path() const { return path_; }

  private:
    explicit TemporaryFile(std::filesystem::path path) : path_(std::move(path)) {}
    std::filesystem::path path_;
};

struct PackedProgram {
    std::filesystem::path file;  // what to upload
    std::string filename;        // as the center is to know it: "report.tar.gz"
    std::string sha256;
    std::uint64_t size = 0;
    std::shared_ptr<TemporaryFile> made;  // holds `file` if it was packed here
};

// `path`: a .tar.gz, .tgz or .zip file, a script, or a folder. In a folder only regular files, folders, and symbolic links that stay
// inside of it are packed; anything else is an error that names it.
Result<PackedProgram> pack_program(const std::filesystem::path& path);

}  // namespace cloudtask::cli
