// Exchange and EventStream of a connection: calls from any thread, carried to the loop.
#include "http/exchange.h"

#include <utility>

#include "cloudtask/core/log.h"
#include "http/connection.h"
#include "http/event_format.h"

namespace cloudtask::http {

ConnectionExchange::~ConnectionExchange() {
    if (state_->replied.exchange(true)) return;
    state_->loop.post([state = state_] {
        const auto connection = state->connection.lock();
        if (!connection) return;
        if (state->fallback) return connection->send_reply(state, std::move(*state->fallback));
        log::error("http: {} {} was dropped without a reply; it is answered with 500", state->request.method, state->request.route);
        connection->send_reply(state, Response::problem(500, "The server dropped this request by mistake; its log says more."));
    });
}

void ConnectionExchange::read_body(std::uint64_t max_bytes, std::function<void()> ready) {
    state_->loop.post([self = shared_from_this(), max_bytes, ready = std::move(ready)]() mutable {
        if (const auto connection = self->state_->connection.lock()) connection->read_body(self, self->state_, max_bytes, std::move(ready));
    });
}

void ConnectionExchange::stream_body(std::uint64_t max_bytes, std::shared_ptr<BodySink> sink) {
    state_->loop.post([self = shared_from_this(), max_bytes, sink = std::move(sink)]() mutable {
        if (const auto connection = self->state_->connection.lock()) {
            connection->stream_body(self, self->state_, max_bytes, std::move(sink));
        } else {
            sink->on_end(fail(Errc::unavailable, "The client hung up."));
        }
    });
}

void ConnectionExchange::reply(Response response) {
    if (state_->replied.exchange(true)) {
        log::error("http: a second reply ({}) to {} {} is dropped", response.status, state_->request.method, state_->request.route);
        return;
    }
    state_->loop.post([state = state_, response = std::move(response)]() mutable {
        if (const auto connection = state->connection.lock()) connection->send_reply(state, std::move(response));
    });
}

std::shared_ptr<EventStream> ConnectionExchange::reply_events() {
    auto channel = std::make_shared<EventChannel>(state_);
    if (state_->replied.exchange(true)) {
        log::error("http: a stream of events after the reply to {} {} is dropped", state_->request.method, state_->request.route);
        channel->cut();
    } else {
        state_->loop.post([state = state_, channel] {
            if (const auto connection = state->connection.lock()) {
                connection->start_events(state, channel);
            } else {
                channel->cut();
            }
        });
    }
    return std::make_shared<ChannelEventStream>(std::move(channel));
}

void ConnectionExchange::on_disconnect(std::function<void()> handler) {
    state_->loop.post([state = state_, handler = std::move(handler)]() mutable {
        if (state->replied) return;
        if (const auto connection = state->connection.lock()) return connection->on_disconnect(state, std::move(handler));
        handler();
    });
}

bool ChannelEventStream::send(std::string_view event, std::string_view data, std::string_view id) {
    return channel_->send(format_event(event, data, id));
}

bool EventChannel::send(std::string text) {
    const std::lock_guard lock(mutex_);
    if (!open_) return false;
    if (waiting_ + text.size() > kMaxWaiting) {
        open_ = false;
        cut_ = true;
        wake();
        return false;
    }
    waiting_ += text.size();
    pending_ += text;
    wake();
    return true;
}

bool EventChannel::open() const {
    const std::lock_guard lock(mutex_);
    return open_;
}

void EventChannel::close() {
    const std::lock_guard lock(mutex_);
    if (!std::exchange(open_, false)) return;
    wake();
}

void EventChannel::cut() {
    const std::lock_guard lock(mutex_);
    open_ = false;
    cut_ = true;
    pending_.clear();
}

void EventChannel::wake() {
    // A cut must reach a connection whose client reads nothing, though it is in the middle of a write.
    if (awake_ && !cut_) return;
    awake_ = true;
    state_->loop.post([state = state_, cut = cut_] {
        const auto connection = state->connection.lock();
        if (!connection) return;
        if (cut) {
            connection->cut_events(state);
        } else {
            connection->pump_events(state);
        }
    });
}

std::string EventChannel::take(bool& ended) {
    const std::lock_guard lock(mutex_);
    ended = !open_ && pending_.empty();
    if (pending_.empty()) awake_ = false;
    return std::exchange(pending_, {});
}

void EventChannel::written(std::size_t bytes) {
    const std::lock_guard lock(mutex_);
    waiting_ -= bytes;
}

}  // namespace cloudtask::http
