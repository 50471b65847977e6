// Connection: one client's TCP connection: reads requests one after the other, calls their handlers, writes their replies.
//
// Lives on the loop. It holds the one socket, one deadline and one buffer of a client; all bounds of ServerOptions are kept here, but for
// the number of connections, which is the acceptor's. Exchanges reach it through the loop and by a weak pointer, and may find it gone.
#pragma once

#include <cstddef>
#include <deque>
#include <functional>
#include <memory>
#include <string>
#include <unordered_set>
#include <utility>
#include <vector>

#include <boost/asio/ip/tcp.hpp>

#include "cloudtask/core/worker.h"
#include "http/exchange.h"
#include "http/request_parser.h"

namespace cloudtask::http {

// What the connections of one server share. Lives on the loop.
struct ServerContext {
    AsioLoop& loop;
    const ServerOptions options;
    const Router router;
    Server::Observe observe;
    Worker* files = nullptr;  // reads files that are sent; null once the server is gone
    std::unordered_set<std::shared_ptr<Connection>> connections;
    std::function<void()> on_closed;  // after a connection has left the set
};

class FileSource;

class Connection final : public std::enable_shared_from_this<Connection> {
  public:
    Connection(std::shared_ptr<ServerContext> context, boost::asio::ip::tcp::socket socket, std::string remote_address);
    ~Connection();
    Connection(const Connection&) = delete;
    Connection& operator=(const Connection&) = delete;

    void start();
    // Ends after the request in progress; at once if there is none, or only a stream of events, which would never end by itself.
    void drain();
    // Ends now; whoever waits for this connection is told.
    void abort();
    // Ends now and tells nobody: the server is being destroyed, and what would be told may be gone.
    void abandon();

    // For exchanges. `state` says which request is meant; calls for one that is past do nothing.
    using State = std::shared_ptr<ExchangeState>;
    void read_body(std::shared_ptr<Exchange> exchange, const State& state, std::uint64_t max_bytes, std::function<void()> ready);
    void stream_body(std::shared_ptr<Exchange> exchange, const State& state, std::uint64_t max_bytes, std::shared_ptr<BodySink> sink);
    void send_reply(const State& state, Response response);
    void on_disconnect(const State& state, std::function<void()> handler);
    void start_events(const State& state, std::shared_ptr<EventChannel> channel);
    void pump_events(const State& state);
    void cut_events(const State& state);

  private:
    enum class Phase {
        idle,       // waits for the first byte of a request
        head,       // reads a head
        waiting,    // a handler has the request; its body may be unread
        body,       // reads a body into the request
        stream,     // reads a body into a sink
        replying,   // writes the reply
        events,     // writes events
        draining,   // the reply is out; the rest of the body is read and thrown away, then the next request follows
        lingering,  // the reply is out and the sending side is shut; reads until the client hangs up, so that the reply is not lost by a
                    // reset
        closed,
    };
    struct Output {
        std::string bytes;
        std::function<void()> sent;  // may be empty
    };

    // Reading (connection.cpp)
    void start_read();
    void on_read(const boost::system::error_code& error, std::size_t bytes);
    void on_end_of_input();
    void progress();
    void read_head();
    void dispatch();
    void call_handler(const std::function<void()>& call);
    void next_request();
    std::string_view input() const { return {in_.data() + begin_, end_ - begin_}; }
    std::size_t input_limit() const;

    // Bodies (connection_body.cpp)
    void pump_body();
    void pump_stream();
    void resume_stream(const State& state, std::uint64_t turn, bool go_on);
    void end_stream(Result<> outcome, int fallback_status = 0);
    void drop_body();  // stops reading a body: the reply is there first
    void send_continue();
    void pump_drain();

    // Replies (connection_reply.cpp)
    void refuse(int status, std::string detail);
    void answer_in_place(int status, std::string detail);
    bool may_keep_alive() const;
    void begin_reply();
    void write_file(std::shared_ptr<FileSource> source, Response response);
    void write_file_piece(const std::shared_ptr<FileSource>& source);
    void write(std::string bytes, std::function<void()> sent = {});
    void pump_write();
    void finish_reply();
    void linger();
    std::string chunk_of(std::string bytes) const;

    // Time
    SteadyInstant now() const { return context_->loop.clock().steady_now(); }
    void set_deadline(SteadyInstant deadline);
    void clear_deadline() { set_deadline(SteadyInstant::max()); }
    void on_timer();
    void on_timeout();

    void close(bool tell);

    const std::shared_ptr<ServerContext> context_;
    boost::asio::ip::tcp::socket socket_;
    const std::string remote_address_;

    Phase phase_ = Phase::idle;
    bool draining_ = false;      // the server stops: no further request
    bool end_of_input_ = false;  // the client has shut its sending side

    std::vector<char> in_;  // bytes begin_..end_ have come and are not parsed yet; moved only while no read is under way
    std::size_t begin_ = 0;
    std::size_t end_ = 0;
    bool reading_ = false;
    std::unique_ptr<RequestParser> parser_;

    State current_;
    std::function<void()> disconnect_;
    bool continue_sent_ = false;
    bool close_after_reply_ = false;
    int status_ = 0;  // of the reply under way

    std::shared_ptr<Exchange> held_;  // while its body is read
    std::uint64_t max_body_ = 0;
    std::uint64_t received_ = 0;
    std::function<void()> ready_;
    std::shared_ptr<BodySink> sink_;
    std::uint64_t sink_turn_ = 0;  // counts the chunks given to sinks, so that `next` counts once
    bool sink_busy_ = false;
    Duration sink_waited_{0};  // for the client, since the last kMinUploadBytes
    std::uint64_t sink_window_bytes_ = 0;
    SteadyInstant read_began_{};

    std::shared_ptr<EventChannel> events_;
    bool chunked_reply_ = false;
    std::deque<Output> out_;
    std::size_t out_offset_ = 0;
    bool writing_ = false;
    std::uint64_t lingered_ = 0;

    SteadyInstant deadline_ = SteadyInstant::max();
    SteadyInstant timer_at_ = SteadyInstant::max();
    Timer timer_;  // fires at or before deadline_; moved only when it must be earlier
};

}  // namespace cloudtask::http
