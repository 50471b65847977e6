// The center's folder on disk.
#include "center/data_folder.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <sys/file.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>
#include <filesystem>

#include "cloudtask/core/log.h"

namespace cloudtask::center {

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
        return fail(Errc::conflict, "the data folder {} is in use by another center; stop it, or choose another --data-dir", path);
    }
    DataFolder folder(path, lock);
    folder.remove_address();  // of a center that died: who waits for the file must not read the old one
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

std::string http_url(const std::string& address, std::uint16_t port) {
    std::string host = address;
    if (host == "0.0.0.0") host = "127.0.0.1";
    if (host == "::") host = "::1";
    if (host.find(':') != std::string::npos) host = "[" + host + "]";
    return fmt::format("http://{}:{}", host, port);
}

Result<std::uint16_t> free_port(const std::string& address) {
    sockaddr_storage storage{};
    socklen_t length = 0;
    auto* v4 = reinterpret_cast<sockaddr_in*>(&storage);
    auto* v6 = reinterpret_cast<sockaddr_in6*>(&storage);
    if (::inet_pton(AF_INET, address.c_str(), &v4->sin_addr) == 1) {
        v4->sin_family = AF_INET;
        length = sizeof(sockaddr_in);
    } else if (::inet_pton(AF_INET6, address.c_str(), &v6->sin6_addr) == 1) {
        v6->sin6_family = AF_INET6;
        length = sizeof(sockaddr_in6);
    } else {
        return fail(Errc::invalid_argument, "'{}' is not an IP address to listen on", address);
    }
    const int fd = ::socket(storage.ss_family, SOCK_STREAM | SOCK_CLOEXEC, 0);
    if (fd < 0) return failed("cannot open a socket");
    const bool bound = ::bind(fd, reinterpret_cast<sockaddr*>(&storage), length) == 0 &&
                       ::getsockname(fd, reinterpret_cast<sockaddr*>(&storage), &length) == 0;
    const int error_number = errno;
    ::close(fd);
    if (!bound) return tl::unexpected<Error>(system_error(error_number, "cannot listen on " + address));
    return ntohs(storage.ss_family == AF_INET ? v4->sin_port : v6->sin6_port);
}

}  // namespace cloudtask::center
