// RawClient: a blocking TCP client that sends exactly the bytes that a test wants, well-formed or not.
#pragma once

#include <arpa/inet.h>
#include <netinet/in.h>
#include <poll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <chrono>
#include <stdexcept>
#include <string>
#include <string_view>

namespace cloudtask::http::testing {

class RawClient {
  public:
    explicit RawClient(std::uint16_t port) : fd_(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0)) {
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_port = htons(port);
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        if (::connect(fd_, reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) throw std::runtime_error("cannot connect");
    }
    ~RawClient() { hang_up(); }
    RawClient(const RawClient&) = delete;
    RawClient& operator=(const RawClient&) = delete;

    // False when the server has closed.
    bool send(std::string_view bytes) {
        while (!bytes.empty()) {
            const ssize_t n = ::send(fd_, bytes.data(), bytes.size(), MSG_NOSIGNAL);
            if (n <= 0) return false;
            bytes.remove_prefix(static_cast<std::size_t>(n));
        }
        return true;
    }

    void shut_sending() { ::shutdown(fd_, SHUT_WR); }

    void hang_up() {
        if (fd_ >= 0) ::close(fd_);
        fd_ = -1;
    }

    // What comes until `text` stands in it, the server closes, or the limit passes.
    std::string read_until(std::string_view text, std::chrono::milliseconds limit = std::chrono::seconds{10}) {
        const auto deadline = std::chrono::steady_clock::now() + limit;
        while (received_.find(text) == std::string::npos && read_some(deadline)) {
        }
        return received_;
    }

    // All that comes until the server closes. `closed()` tells whether it did.
    std::string read_to_end(std::chrono::milliseconds limit = std::chrono::seconds{10}) {
        const auto deadline = std::chrono::steady_clock::now() + limit;
        while (read_some(deadline)) {
        }
        return received_;
    }

    bool closed() const { return closed_; }
    void forget() { received_.clear(); }
    int fd() const { return fd_; }

  private:
    bool read_some(std::chrono::steady_clock::time_point deadline) {
        if (closed_) return false;
        const auto left = std::chrono::duration_cast<std::chrono::milliseconds>(deadline - std::chrono::steady_clock::now()).count();
        pollfd poll_for{fd_, POLLIN, 0};
        if (left <= 0 || ::poll(&poll_for, 1, static_cast<int>(left)) <= 0) return false;
        char buffer[65536];
        const ssize_t n = ::recv(fd_, buffer, sizeof buffer, 0);
        if (n <= 0) {
            closed_ = true;
            return false;
        }
        received_.append(buffer, static_cast<std::size_t>(n));
        return true;
    }

    int fd_;
    bool closed_ = false;
    std::string received_;
};

}  // namespace cloudtask::http::testing
