// What a handler holds of a connection: the Exchange, and the EventStream that a reply may become.
//
// Both may be used and dropped on any thread. They never touch the connection themselves: they post to the loop, where the connection may
// be gone by then. The loop outlives them.
#pragma once

#include <atomic>
#include <memory>
#include <mutex>
#include <optional>
#include <string>

#include "cloudtask/http/server.h"

namespace cloudtask::http {

class Connection;

// What Exchange and Connection share of one request.
struct ExchangeState {
    ExchangeState(Loop& the_loop, SteadyInstant start) : loop(the_loop), started(start) {}

    Loop& loop;
    const SteadyInstant started;
    std::weak_ptr<Connection> connection;  // locked on the loop only, so that a connection dies there
    Request request;                       // written on the loop before the handler, or `ready`, is called
    std::atomic<bool> replied{false};      // who sets it may send the reply
    std::optional<Response> fallback;      // on the loop: the answer for a dropped exchange where a better one than 500 is known
};

class ConnectionExchange final : public Exchange, public std::enable_shared_from_this<ConnectionExchange> {
  public:
    explicit ConnectionExchange(std::shared_ptr<ExchangeState> state) : state_(std::move(state)) {}
    ~ConnectionExchange() override;
    ConnectionExchange(const ConnectionExchange&) = delete;
    ConnectionExchange& operator=(const ConnectionExchange&) = delete;

    const Request& request() const override { return state_->request; }
    void read_body(std::uint64_t max_bytes, std::function<void()> ready) override;
    void stream_body(std::uint64_t max_bytes, std::shared_ptr<BodySink> sink) override;
    void reply(Response response) override;
    std::shared_ptr<EventStream> reply_events() override;
    void on_disconnect(std::function<void()> handler) override;

  private:
    std::shared_ptr<ExchangeState> state_;
};

// The queue between whoever sends events and the connection that writes them.
class EventChannel {
  public:
    explicit EventChannel(std::shared_ptr<ExchangeState> state) : state_(std::move(state)) {}

    // Any thread.
    bool send(std::string text);
    bool open() const;
    void close();  // what is queued still goes out
    void cut();    // nothing more goes out

    // For the connection, on the loop: the text to write now (it counts as waiting until written() is told); empty when there is none, and
    // then the next send() wakes the connection again. `ended`: close() was called and all is out.
    std::string take(bool& ended);
    void written(std::size_t bytes);

  private:
    void wake();  // mutex_ is held

    static constexpr std::size_t kMaxWaiting = 1 << 20;

    const std::shared_ptr<ExchangeState> state_;
    mutable std::mutex mutex_;
    std::string pending_;      // guarded by mutex_
    std::size_t waiting_ = 0;  // guarded by mutex_; bytes pending or being written
    bool open_ = true;         // guarded by mutex_
    bool cut_ = false;         // guarded by mutex_
    bool awake_ = true;        // guarded by mutex_; the connection will call take() again
};

class ChannelEventStream final : public EventStream {
  public:
    explicit ChannelEventStream(std::shared_ptr<EventChannel> channel) : channel_(std::move(channel)) {}
    ~ChannelEventStream() override { channel_->close(); }
    ChannelEventStream(const ChannelEventStream&) = delete;
    ChannelEventStream& operator=(const ChannelEventStream&) = delete;

    bool send(std::string_view event, std::string_view data, std::string_view id) override;
    bool open() const override { return channel_->open(); }
    void close() override { channel_->close(); }

  private:
    std::shared_ptr<EventChannel> channel_;
};

}  // namespace cloudtask::http
