// The data folder of a program.
#include "cloudtask/core/data_folder.h"

#include <fcntl.h>
#include <sys/file.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <utility>

namespace cloudtask {

namespace {

namespace fs = std::filesystem;

tl::unexpected<Error> failed(const std::string& what) { return tl::unexpected<Error>(system_error(errno, what)); }

}  // namespace

Result<DataFolder> DataFolder::open(const std::string& path) {
    std::error_code error;
    const bool made = fs::create_directories(path, error);
    if (error) return fail(Errc::io, "cannot make the data folder {}: {}", path, error.message());
    if (made) fs::permissions(path, fs::perms::owner_all | fs::perms::group_read | fs::perms::group_exec, error);
    const std::string lock_path = path + "/lock";
    const int lock = ::open(lock_path.c_str(), O_RDWR | O_CREAT | O_CLOEXEC, 0640);
    if (lock < 0) return failed("cannot open " + lock_path);
    if (::flock(lock, LOCK_EX | LOCK_NB) != 0) {
        ::close(lock);
        return fail(Errc::conflict, "the data folder {} is in use by another process; stop it, or choose another --data-dir", path);
    }
    DataFolder folder(path, lock);
    folder.remove_address();  // of a process that died: who waits for the file must not read the old one
    return folder;
}

DataFolder::DataFolder(DataFolder&& other) noexcept : path_(std::move(other.path_)), lock_(std::exchange(other.lock_, -1)) {}

DataFolder::~DataFolder() {
    if (lock_ >= 0) ::close(lock_);
}

Result<> DataFolder::write_address(const std::string& address) {
    const std::string path = file("address"), temporary = path + ".new", text = address + "\n";
    const int fd = ::open(temporary.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644);
    if (fd < 0) return failed("cannot write " + temporary);
    const bool good = ::write(fd, text.data(), text.size()) == static_cast<ssize_t>(text.size());
    ::close(fd);
    if (!good || ::rename(temporary.c_str(), path.c_str()) != 0) return failed("cannot write " + path);
    return {};
}

void DataFolder::remove_address() { ::unlink(file("address").c_str()); }

}  // namespace cloudtask
