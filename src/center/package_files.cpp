// The uploaded programs on disk.
#include "center/package_files.h"

#include <fcntl.h>
#include <unistd.h>
#include <cerrno>
#include <filesystem>

#include "cloudtask/core/log.h"

namespace cloudtask::center {

namespace {

namespace fs = std::filesystem;

Error package_file_error(int error_number, std::string_view what) {
    log::error("{}: {}", what, system_error(error_number, what).message);
    // The code of all trouble with the disk: the API answers 507, whatever the disk's reason.
    return {make_error_code(Errc::io), error_number == ENOSPC || error_number == EDQUOT
                                           ? "the disk of the center is full; nothing was kept"
                                           : "the center cannot write to its disk; nothing was kept"};
}

Result<> sync_package_folder(const std::string& path) {
    const int fd = ::open(path.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd < 0) return tl::unexpected<Error>(package_file_error(errno, "open " + path));
    const int outcome = ::fsync(fd);
    const int error_number = errno;
    ::close(fd);
    if (outcome != 0) return tl::unexpected<Error>(package_file_error(error_number, "fsync " + path));
    return {};
}

}  // namespace

PackageUpload::~PackageUpload() {
    if (fd_ >= 0) ::close(fd_);
    if (!path_.empty()) ::unlink(path_.c_str());
}

Result<> PackageUpload::append(std::string_view bytes) {
    if (fd_ < 0) {
        fd_ = ::open(path_.c_str(), O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC | O_NOFOLLOW, 0640);
        if (fd_ < 0) return tl::unexpected<Error>(package_file_error(errno, "open " + path_));
    }
    while (!bytes.empty()) {
        const ssize_t written = ::write(fd_, bytes.data(), bytes.size());
        if (written < 0) {
            if (errno == EINTR) continue;
            return tl::unexpected<Error>(package_file_error(errno, "write " + path_));
        }
        const std::string_view part = bytes.substr(0, static_cast<std::size_t>(written));
        hash_.update(part);
        size_ += part.size();
        bytes.remove_prefix(part.size());
    }
    return {};
}

Result<std::string> PackageUpload::finish() {
    if (size_ == 0) return fail(Errc::invalid_argument, "the upload is empty");
    const bool good = ::fsync(fd_) == 0;
    const int error_number = errno;
    ::close(fd_);
    fd_ = -1;
    if (!good) return tl::unexpected<Error>(package_file_error(error_number, "fsync " + path_));
    return hash_.finish_hex();
}

PackageFiles::PackageFiles(std::string folder, Random& random) : folder_(std::move(folder)), random_(random) {}

Result<> PackageFiles::prepare() {
    std::error_code error;
    const fs::path uploads = fs::path{folder_} / "tmp";
    fs::remove_all(uploads, error);
    fs::create_directories(uploads, error);
    if (error) return fail(Errc::io, "cannot make the folder {}: {}", uploads.string(), error.message());
    return {};
}

void PackageFiles::remove_unknown(const std::set<std::string>& known) {
    std::error_code error;
    for (const auto& entry : fs::directory_iterator(folder_, error)) {
        const std::string name = entry.path().filename().string();
        if (!is_sha256_hex(name) || known.contains(name)) continue;
        log::warn("removing the package file {}, which no row names", name);
        fs::remove(entry.path(), error);
    }
    for (const auto& name : known) {
        if (!fs::exists(path_of(name), error)) log::error("the file of package {} is missing: upload it again", name);
    }
}

std::unique_ptr<PackageUpload> PackageFiles::begin() {
    return std::make_unique<PackageUpload>(fmt::format("{}/tmp/{:016x}{:016x}", folder_, random_.next(), random_.next()));
}

Result<> PackageFiles::keep(PackageUpload& upload, const std::string& sha256) {
    if (::rename(upload.path_.c_str(), path_of(sha256).c_str()) != 0) {
        return tl::unexpected<Error>(package_file_error(errno, "rename " + upload.path_));
    }
    upload.path_.clear();
    return sync_package_folder(folder_);
}

void PackageFiles::remove(const std::string& sha256) {
    if (::unlink(path_of(sha256).c_str()) != 0 && errno != ENOENT)
        log::warn("{}", system_error(errno, "unlink " + path_of(sha256)).message);
}

}  // namespace cloudtask::center
