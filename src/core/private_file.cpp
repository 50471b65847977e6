// Files that hold keys: see private_file.h.
#include "cloudtask/core/private_file.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>

#include "cloudtask/core/descriptor.h"

namespace cloudtask {

namespace {

constexpr std::size_t kLongestPrivateFile = 64 << 10;

tl::unexpected<Error> private_file_error(const std::string& what) { return tl::unexpected<Error>(system_error(errno, what)); }

}  // namespace

Result<std::optional<std::string>> read_private_file(const std::string& path) {
    const Descriptor file{::open(path.c_str(), O_RDONLY | O_CLOEXEC | O_NONBLOCK)};
    if (file.get() < 0 && errno == ENOENT) return std::optional<std::string>{};
    struct stat status{};
    if (file.get() < 0 || ::fstat(file.get(), &status) != 0) return private_file_error("cannot open " + path);
    if (!S_ISREG(status.st_mode)) return fail(Errc::io, "{} is not a file", path);
    if (status.st_uid != ::geteuid() || (status.st_mode & (S_IRWXG | S_IRWXO)) != 0) {
        return fail(Errc::permission_denied,
                    "{} holds keys, and may be read or written by others than the user of this program: make it that user's, mode 0600",
                    path);
    }
    std::string content(kLongestPrivateFile + 1, '\0');
    std::size_t size = 0;
    while (size < content.size()) {
        const ssize_t count = ::read(file.get(), content.data() + size, content.size() - size);
        if (count < 0 && errno == EINTR) continue;
        if (count < 0) return private_file_error("cannot read " + path);
        if (count == 0) break;
        size += static_cast<std::size_t>(count);
    }
    if (size > kLongestPrivateFile) return fail(Errc::too_large, "{} is too large to be a file of keys", path);
    content.resize(size);
    return std::optional(std::move(content));
}

Result<> make_private_file(const std::string& path, std::string_view content) {
    // A link cannot take the place of what is there, and is whole at once.
    const std::string temporary = path + ".new";
    ::unlink(temporary.c_str());
    const Descriptor file{::open(temporary.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0600)};
    if (file.get() < 0) return private_file_error("cannot make " + temporary);
    const bool written =
        ::write(file.get(), content.data(), content.size()) == static_cast<ssize_t>(content.size()) && ::fsync(file.get()) == 0;
    if (!written) {
        auto error = private_file_error("cannot write " + temporary);
        ::unlink(temporary.c_str());
        return error;
    }
    if (::link(temporary.c_str(), path.c_str()) != 0) {
        auto error =
            errno == EEXIST ? fail(Errc::already_exists, "there is a file {} already", path) : private_file_error("cannot make " + path);
        ::unlink(temporary.c_str());
        return error;
    }
    ::unlink(temporary.c_str());
    const std::string folder = std::filesystem::path(path).parent_path().string();
    const Descriptor directory{::open(folder.empty() ? "." : folder.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC)};
    if (directory.get() < 0 || ::fsync(directory.get()) != 0) return private_file_error("cannot write " + folder + " to disk");
    return {};
}

}  // namespace cloudtask
