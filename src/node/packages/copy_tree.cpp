// Copying by openat(2) and its kin, part by part; blocks are shared by FICLONE or copied in the kernel where the file system can.
#include "node/packages/copy_tree.h"

#include <dirent.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <array>
#include <cerrno>
#include <climits>
#include <memory>
#include <string_view>
#include <utility>

#include "cloudtask/core/descriptor.h"

namespace cloudtask::node {
namespace {

tl::unexpected<Error> failed(std::string_view what, const std::string& path) {
    return tl::unexpected(system_error(errno, fmt::format("cannot {} {}", what, path)));
}

// Reads and writes, for file systems that copy_file_range(2) does not serve.
Result<> copy_through_memory(int from, int to, const std::string& path) {
    std::array<char, 64 << 10> buffer;
    for (;;) {
        const ssize_t count = ::read(from, buffer.data(), buffer.size());
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return failed("read", path);
        if (count == 0) return {};
        for (ssize_t done = 0; done < count;) {
            const ssize_t written = ::write(to, buffer.data() + done, static_cast<std::size_t>(count - done));
            if (written < 0 && errno != EINTR) return failed("write a copy of", path);
            if (written > 0) done += written;
        }
    }
}

Result<> copy_file(int from, int to, const std::string& path) {
    if (::ioctl(to, FICLONE, from) == 0) return {};
    for (;;) {
        const ssize_t count = ::copy_file_range(from, nullptr, to, nullptr, 1 << 30, 0);
        if (count == 0) return {};
        if (count > 0 || errno == EINTR) continue;
        if (errno == ENOSPC || errno == EDQUOT || errno == EIO) return failed("write a copy of", path);
        // Both files stand where the copying has stopped.
        return copy_through_memory(from, to, path);
    }
}

Result<> copy_folder(Descriptor from, int to, const std::string& path);

Result<> copy_entry(int from, int to, const char* name, const std::string& path) {
    struct stat status{};
    if (::fstatat(from, name, &status, AT_SYMLINK_NOFOLLOW) != 0) return failed("read", path);
    const mode_t mode = status.st_mode & 0777;
    if (S_ISDIR(status.st_mode)) {
        if (::mkdirat(to, name, mode | 0700) != 0) return failed("make a copy of", path);
        Descriptor inner(::openat(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        const Descriptor copy(::openat(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        if (inner.get() < 0 || copy.get() < 0) return failed("open", path);
        return copy_folder(std::move(inner), copy.get(), path);
    }
    if (S_ISLNK(status.st_mode)) {
        std::array<char, PATH_MAX> target{};
        const ssize_t length = ::readlinkat(from, name, target.data(), target.size() - 1);
        if (length < 0) return failed("read the link", path);
        if (::symlinkat(target.data(), to, name) != 0) return failed("make a copy of", path);
        return {};
    }
    if (!S_ISREG(status.st_mode)) return fail(Errc::corrupt, "{} is neither a file, a folder nor a link", path);

    const Descriptor source(::openat(from, name, O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
    if (source.get() < 0) return failed("open", path);
    const Descriptor copy(::openat(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode));
    if (copy.get() < 0) return failed("make a copy of", path);
    return copy_file(source.get(), copy.get(), path);
}

Result<> copy_folder(Descriptor from, int to, const std::string& path) {
    const std::unique_ptr<DIR, int (*)(DIR*)> folder(::fdopendir(from.get()), &::closedir);
    if (!folder) return failed("read the folder", path);
    const int source = from.release();  // closedir() closes it
    errno = 0;
    while (const dirent* entry = ::readdir(folder.get())) {
        const std::string_view name = entry->d_name;
        if (name == "." || name == "..") continue;
        if (Result<> copied = copy_entry(source, to, entry->d_name, fmt::format("{}/{}", path, name)); !copied) return copied;
        errno = 0;
    }
    if (errno != 0) return failed("read the folder", path);
    return {};
}

}  // namespace

Result<> copy_tree(const std::string& from, const std::string& to) {
    Descriptor source(::open(from.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (source.get() < 0) return failed("open", from);
    const Descriptor copy(::open(to.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    if (copy.get() < 0) return failed("open", to);
    return copy_folder(std::move(source), copy.get(), from);
}

}  // namespace cloudtask::node
