// Addresses and ports to listen on.
#include "center/listen_address.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>
#include <unistd.h>
#include <cerrno>

namespace cloudtask::center {

namespace {

tl::unexpected<Error> failed(const std::string& what) { return tl::unexpected<Error>(system_error(errno, what)); }

}  // namespace

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
