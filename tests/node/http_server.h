// A server for tests of HTTP calls, and rules that let them go there.
#pragma once

#include <utility>  // Asio 1.74 uses std::exchange without it

#include <fmt/format.h>

#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include <boost/asio/ip/tcp.hpp>
#include <boost/asio/read.hpp>
#include <boost/asio/read_until.hpp>
#include <boost/asio/write.hpp>

#include "cloudtask/core/asio_loop.h"
#include "cloudtask/task/networks.h"

namespace cloudtask::node::test {

using boost::asio::ip::tcp;

// Answers each connection once, on the loop of the calls. It listens on all of 127.0.0.0/8, and goes before its loop does.
class HttpServer {
  public:
    using Answer = std::function<std::string(const std::string& request)>;

    HttpServer(AsioLoop& loop, Answer answer)
        : answer_(std::move(answer)), acceptor_(loop.context(), tcp::endpoint(boost::asio::ip::address_v4::any(), 0)) {
        acceptor_.listen(4096);
        accept();
    }

    std::string url(const std::string& path = "/", const std::string& host = "127.0.0.1") const {
        return fmt::format("http://{}:{}{}", host, acceptor_.local_endpoint().port(), path);
    }
    int hits() const { return hits_; }

  private:
    struct Connection {
        explicit Connection(tcp::socket&& accepted) : socket(std::move(accepted)) {}
        tcp::socket socket;
        std::string in, out;
    };

    void accept() {
        acceptor_.async_accept([this](const boost::system::error_code& error, tcp::socket socket) {
            if (error) return;
            serve(std::make_shared<Connection>(std::move(socket)));
            accept();
        });
    }
    void serve(const std::shared_ptr<Connection>& connection) {
        boost::asio::async_read_until(connection->socket, boost::asio::dynamic_buffer(connection->in), "\r\n\r\n",
                                      [this, connection](const boost::system::error_code& error, std::size_t head) {
                                          if (!error) read_body(connection, head);
                                      });
    }
    void read_body(const std::shared_ptr<Connection>& connection, std::size_t head) {
        static constexpr std::string_view kName = "Content-Length: ";
        const std::size_t at = connection->in.find(kName);
        const std::size_t length = at < head ? std::stoul(connection->in.substr(at + kName.size())) : 0;
        const std::size_t there = connection->in.size() - head;
        boost::asio::async_read(connection->socket, boost::asio::dynamic_buffer(connection->in),
                                boost::asio::transfer_exactly(length > there ? length - there : 0),
                                [this, connection](const boost::system::error_code&, std::size_t) { reply(connection); });
    }
    void reply(const std::shared_ptr<Connection>& connection) {
        ++hits_;
        connection->out = answer_(connection->in);
        if (connection->out.empty()) {  // no answer: it is kept open
            silent_.push_back(connection);
            return;
        }
        boost::asio::async_write(connection->socket, boost::asio::buffer(connection->out),
                                 [connection](const boost::system::error_code&, std::size_t) {});
    }

    Answer answer_;
    tcp::acceptor acceptor_;
    int hits_ = 0;
    std::vector<std::shared_ptr<Connection>> silent_;
};

inline std::string answer_of(int status, const std::string& body, const std::string& headers = "") {
    return fmt::format("HTTP/1.1 {} X\r\nContent-Length: {}\r\nConnection: close\r\n{}\r\n{}", status, body.size(), headers, body);
}

inline std::shared_ptr<const task::NetworkRules> rules_allowing(std::initializer_list<const char*> texts) {
    std::vector<task::Network> list;
    for (const char* text : texts) list.push_back(*task::Network::parse(text));
    return std::make_shared<const task::NetworkRules>(std::move(list), std::vector<task::Network>{});
}

}  // namespace cloudtask::node::test
