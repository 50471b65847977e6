// Server: listens, accepts, bounds the number of connections, and stops in order. What a connection does is in connection.h. Lives on the
// loop.
#include <sys/socket.h>
#include <unistd.h>

#include <cerrno>
#include <utility>

#include <boost/asio/ip/address.hpp>
#include <boost/asio/ip/tcp.hpp>

#include "cloudtask/core/check.h"
#include "cloudtask/core/log.h"
#include "cloudtask/http/server.h"
#include "http/connection.h"
#include "http/response_head.h"

namespace cloudtask::http {
namespace {

using boost::asio::ip::tcp;

constexpr int kAcceptBatch = 64;  // then others on the loop have their turn
constexpr Duration kAcceptPause = std::chrono::milliseconds{100};

// A nonblocking listening socket that children do not inherit, not even for a moment: Asio's own would.
Result<int> listen_on(const tcp::endpoint& endpoint) {
    const int fd = ::socket(endpoint.data()->sa_family, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0);
    if (fd < 0) return tl::unexpected<Error>(system_error(errno, "cannot make a listening socket"));
    const int on = 1;
    ::setsockopt(fd, SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
    if (::bind(fd, endpoint.data(), static_cast<socklen_t>(endpoint.size())) != 0 || ::listen(fd, SOMAXCONN) != 0) {
        const int error = errno;
        ::close(fd);
        if (error == EADDRINUSE) {
            return fail(Errc::already_exists, "cannot listen on {} port {}: another program does", endpoint.address().to_string(),
                        endpoint.port());
        }
        return tl::unexpected<Error>(
            system_error(error, fmt::format("cannot listen on {} port {}", endpoint.address().to_string(), endpoint.port())));
    }
    return fd;
}

}  // namespace

struct Server::Impl : std::enable_shared_from_this<Server::Impl> {
    Impl(AsioLoop& the_loop, ServerOptions options, Router router, Observe observe) : loop(the_loop), acceptor(the_loop.context()) {
        context = std::make_shared<ServerContext>(
            ServerContext{the_loop, std::move(options), std::move(router), std::move(observe), &files, {}, {}});
    }

    Result<std::uint16_t> start();
    void wait();
    void accept_ready();
    void turn_away(int fd);
    void stop(Duration grace, std::function<void()> done);
    void finish_stop();
    void shut();

    AsioLoop& loop;
    std::shared_ptr<ServerContext> context;
    tcp::acceptor acceptor;
    Timer accept_again;
    Timer grace_over;
    bool stopping = false;
    std::function<void()> stopped;
    SteadyInstant last_complaint{};
    ThreadWorker files{"http-files"};
};

Result<std::uint16_t> Server::Impl::start() {
    boost::system::error_code error;
    const auto address = boost::asio::ip::make_address(context->options.address, error);
    if (error) return fail(Errc::invalid_argument, "'{}' is not an address to listen on", context->options.address);
    const tcp::endpoint endpoint(address, context->options.port);
    const auto fd = listen_on(endpoint);
    if (!fd) return propagate(fd);
    acceptor.assign(endpoint.protocol(), *fd, error);
    if (error) {
        ::close(*fd);
        return fail(Errc::io, "cannot watch the listening socket: {}", error.message());
    }
    const auto local = acceptor.local_endpoint(error);
    if (error) return fail(Errc::io, "cannot tell the port of the listening socket: {}", error.message());
    wait();
    return local.port();
}

void Server::Impl::wait() {
    acceptor.async_wait(tcp::acceptor::wait_read, [weak = weak_from_this()](const boost::system::error_code& error) {
        const auto self = weak.lock();
        if (!self || error || !self->acceptor.is_open()) return;
        self->accept_ready();
    });
}

void Server::Impl::accept_ready() {
    for (int i = 0; i < kAcceptBatch; ++i) {
        tcp::endpoint peer;
        auto length = static_cast<socklen_t>(peer.capacity());
        const int fd = ::accept4(acceptor.native_handle(), peer.data(), &length, SOCK_CLOEXEC | SOCK_NONBLOCK);
        if (fd < 0) {
            if (errno == EAGAIN || errno == EWOULDBLOCK) break;
            if (errno == EINTR || errno == ECONNABORTED || errno == EPROTO) continue;
            // Out of descriptors or memory: the client waits in the backlog; asking again at once would only spin.
            if (const auto now = loop.clock().steady_now(); now - last_complaint > std::chrono::seconds{10}) {
                last_complaint = now;
                log::error("http: {}", system_error(errno, "cannot accept a connection").message);
            }
            accept_again = loop.after(kAcceptPause, [this] { wait(); });
            return;
        }
        peer.resize(length);
        if (context->connections.size() >= context->options.max_connections) {
            turn_away(fd);
            continue;
        }
        tcp::socket socket(loop.context());
        boost::system::error_code error;
        socket.assign(peer.protocol(), fd, error);
        if (error) {
            ::close(fd);
            continue;
        }
        socket.set_option(tcp::no_delay(true), error);
        socket.set_option(tcp::socket::keep_alive(true), error);
        auto connection = std::make_shared<Connection>(context, std::move(socket), peer.address().to_string());
        context->connections.insert(connection);
        connection->start();
    }
    wait();
}

void Server::Impl::turn_away(int fd) {
    auto response = Response::problem(503, "The server has as many connections as it takes; try again in a moment.");
    response.headers.set("Retry-After", "1");
    const std::string bytes = format_head(response, {response.body.size(), true, false}, loop.clock().now()) + response.body;
    ::send(fd, bytes.data(), bytes.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    ::shutdown(fd, SHUT_WR);
    // Closing with unread input would reset the connection and take the answer along.
    char thrown_away[4096];
    for (int i = 0; i < 16 && ::recv(fd, thrown_away, sizeof thrown_away, MSG_DONTWAIT) > 0; ++i) {
    }
    ::close(fd);
}

void Server::Impl::stop(Duration grace, std::function<void()> done) {
    loop.assert_on_loop();
    CLOUDTASK_CHECK(!stopping, "a server is stopped once");
    stopping = true;
    stopped = std::move(done);
    boost::system::error_code ignored;
    acceptor.close(ignored);
    accept_again.cancel();
    context->on_closed = [weak = weak_from_this()] {
        if (const auto self = weak.lock(); self && self->context->connections.empty()) self->finish_stop();
    };
    const auto connections = context->connections;
    for (const auto& connection : connections) connection->drain();
    if (context->connections.empty()) return finish_stop();
    grace_over = loop.after(grace, [this] {
        const auto left = context->connections;
        for (const auto& connection : left) connection->abort();
    });
}

void Server::Impl::finish_stop() {
    grace_over.cancel();
    if (auto done = std::exchange(stopped, {})) loop.post(std::move(done));
}

void Server::Impl::shut() {
    boost::system::error_code ignored;
    acceptor.close(ignored);
    accept_again.cancel();
    grace_over.cancel();
    context->on_closed = {};
    context->observe = {};
    context->files = nullptr;
    const auto connections = context->connections;
    for (const auto& connection : connections) connection->abandon();
}

Server::Server(AsioLoop& loop, ServerOptions options, Router router, Observe observe)
    : impl_(std::make_shared<Impl>(loop, std::move(options), std::move(router), std::move(observe))) {}

Server::~Server() { impl_->shut(); }

Result<std::uint16_t> Server::start() { return impl_->start(); }
void Server::stop(Duration grace, std::function<void()> done) { impl_->stop(grace, std::move(done)); }

}  // namespace cloudtask::http
