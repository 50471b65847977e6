// Connection, first part: its life, its time, reading heads and calling handlers. Bodies and replies are in the files beside. Lives on the
// loop.
#include "http/connection.h"

#include <algorithm>
#include <cstring>
#include <exception>

#include <boost/asio/buffer.hpp>
#include <boost/asio/error.hpp>

#include "cloudtask/core/check.h"
#include "cloudtask/core/log.h"
#include "http/url.h"

namespace cloudtask::http {
namespace {

constexpr std::size_t kHeadBuffer = 8 * 1024;
constexpr std::size_t kBodyBuffer = 64 * 1024;  // and so the largest chunk that a sink is given

}  // namespace

Connection::Connection(std::shared_ptr<ServerContext> context, boost::asio::ip::tcp::socket socket, std::string remote_address)
    : context_(std::move(context)), socket_(std::move(socket)), remote_address_(std::move(remote_address)) {}

Connection::~Connection() = default;

void Connection::start() {
    context_->loop.assert_on_loop();
    next_request();
}

void Connection::drain() {
    draining_ = true;
    if (phase_ == Phase::idle || phase_ == Phase::lingering || phase_ == Phase::draining) return close(true);
    if (phase_ == Phase::events) events_->close();
}

void Connection::abort() { close(true); }
void Connection::abandon() { close(false); }

void Connection::close(bool tell) {
    if (phase_ == Phase::closed) return;
    const auto self = shared_from_this();
    const Phase before = std::exchange(phase_, Phase::closed);
    boost::system::error_code ignored;
    socket_.close(ignored);
    timer_.cancel();
    out_.clear();
    // Taken out first: what they hold may come back here.
    const auto disconnect = std::exchange(disconnect_, {});
    const auto ready = std::exchange(ready_, {});
    const auto sink = std::exchange(sink_, {});
    const auto held = std::exchange(held_, {});
    const auto events = std::exchange(events_, {});
    const auto current = std::exchange(current_, {});
    if (events) events->cut();
    context_->connections.erase(self);
    if (!tell) return;
    if (before != Phase::replying && before != Phase::events && disconnect) call_handler(disconnect);
    if (sink) call_handler([&] { sink->on_end(fail(Errc::unavailable, "The upload broke off before its end.")); });
    if (context_->on_closed) context_->on_closed();
}

// Time ---------------------------------------------------------------------------------------------------------------

void Connection::set_deadline(SteadyInstant deadline) {
    deadline_ = deadline;
    // Most deadlines only move away; the timer is then left as it is and looks again when it fires.
    if (deadline_ >= timer_at_) return;
    timer_at_ = deadline_;
    timer_ = context_->loop.after(std::max(deadline_ - now(), Duration::zero()), [weak = weak_from_this()] {
        if (const auto self = weak.lock()) self->on_timer();
    });
}

void Connection::on_timer() {
    timer_at_ = SteadyInstant::max();
    if (phase_ == Phase::closed || deadline_ == SteadyInstant::max()) return;
    if (now() < deadline_) return set_deadline(deadline_);
    deadline_ = SteadyInstant::max();
    on_timeout();
}

void Connection::on_timeout() {
    switch (phase_) {
        case Phase::head:
            return refuse(408, "The request's header did not come in time.");
        case Phase::body:
            return answer_in_place(408, "The request's body did not come in time.");
        case Phase::stream:
            return end_stream(fail(Errc::timeout, "The upload is too slow, or stands still."), 408);
        case Phase::events:
            if (writing_) return abort();
            // A comment, so that both sides learn of a connection that is dead without a word.
            return write(chunk_of(":\n\n"), [this] { pump_events(current_); });
        case Phase::idle:
        case Phase::replying:
        case Phase::draining:
        case Phase::lingering:
            return abort();
        case Phase::waiting:
        case Phase::closed:
            return;
    }
}

// Reading ------------------------------------------------------------------------------------------------------------

std::size_t Connection::input_limit() const {
    // One more than a head may have, so that one that is too long shows.
    const std::size_t head = std::max(kHeadBuffer, context_->options.max_header_bytes + 1);
    const bool body = phase_ == Phase::body || phase_ == Phase::stream || phase_ == Phase::draining;
    return body ? std::max(head, kBodyBuffer) : head;
}

void Connection::start_read() {
    if (reading_ || end_of_input_ || phase_ == Phase::closed) return;
    if (begin_ > 0) {
        std::memmove(in_.data(), in_.data() + begin_, end_ - begin_);
        end_ -= begin_;
        begin_ = 0;
    }
    if (in_.empty()) in_.resize(kHeadBuffer);
    const std::size_t limit = input_limit();
    if (limit >= kBodyBuffer && in_.size() < limit) in_.resize(limit);
    if (end_ == in_.size() && in_.size() < limit) in_.resize(std::min(limit, 2 * in_.size()));
    if (end_ == in_.size()) return;  // full: what follows stays in the kernel
    reading_ = true;
    read_began_ = now();
    socket_.async_read_some(
        boost::asio::buffer(in_.data() + end_, in_.size() - end_),
        [self = shared_from_this()](const boost::system::error_code& error, std::size_t n) { self->on_read(error, n); });
}

void Connection::on_read(const boost::system::error_code& error, std::size_t bytes) {
    reading_ = false;
    if (phase_ == Phase::closed) return;
    if (error == boost::asio::error::eof) {
        end_of_input_ = true;
        return on_end_of_input();
    }
    if (error) return abort();
    end_ += bytes;
    if (phase_ == Phase::stream) {
        sink_waited_ += std::chrono::duration_cast<Duration>(now() - read_began_);
        sink_window_bytes_ += bytes;
    }
    progress();
}

void Connection::on_end_of_input() {
    switch (phase_) {
        case Phase::idle:
        case Phase::head:
        case Phase::events:
        case Phase::draining:
        case Phase::lingering:
            return abort();
        case Phase::body:
        case Phase::stream:
            return progress();
        case Phase::waiting:
            // It may have shut only its sending side, so the reply is still tried; for a long poll it is as good as gone.
            if (const auto handler = std::exchange(disconnect_, {})) call_handler(handler);
            return;
        case Phase::replying:
        case Phase::closed:
            return;
    }
}

void Connection::progress() {
    switch (phase_) {
        case Phase::idle:
        case Phase::head:
            return read_head();
        case Phase::waiting:
            return start_read();  // only to see a client hang up
        case Phase::body:
            return pump_body();
        case Phase::stream:
            return pump_stream();
        case Phase::draining:
            return pump_drain();
        case Phase::events:
            begin_ = end_;
            return start_read();
        case Phase::lingering:
            lingered_ += end_ - begin_;
            begin_ = end_;
            return lingered_ > (16U << 20) ? abort() : start_read();
        case Phase::replying:
        case Phase::closed:
            return;
    }
}

void Connection::next_request() {
    if (phase_ == Phase::closed) return;
    parser_ = std::make_unique<RequestParser>(context_->options.max_header_bytes);
    current_.reset();
    continue_sent_ = false;
    close_after_reply_ = false;
    phase_ = Phase::idle;
    if (begin_ == end_) {
        if (draining_ || end_of_input_) return close(true);
        // A large upload's buffer is not kept while nothing happens.
        if (!reading_ && in_.size() > kHeadBuffer) {
            in_ = std::vector<char>(kHeadBuffer);
            begin_ = end_ = 0;
        }
        set_deadline(now() + context_->options.idle_timeout);
        return start_read();
    }
    read_head();
}

void Connection::read_head() {
    const auto& options = context_->options;
    if (phase_ == Phase::idle) {
        phase_ = Phase::head;
        current_ = std::make_shared<ExchangeState>(context_->loop, now());
        current_->connection = weak_from_this();
        current_->request.remote_address = remote_address_;
    }
    std::string none;
    begin_ += parser_->feed(input(), none);
    if (const auto& refusal = parser_->refusal()) return refuse(refusal->status, refusal->detail);
    if (parser_->head_done()) return dispatch();
    if (end_of_input_) return abort();
    set_deadline(std::min(current_->started + options.request_timeout, now() + options.idle_timeout));
    start_read();
}

void Connection::dispatch() {
    const RequestHead& head = parser_->head();
    const auto state = current_;
    Request& request = state->request;
    request.method = head.method;
    request.headers = head.headers;
    auto target = parse_target(head.target);
    if (!target) return refuse(400, target.error().message);
    request.path = std::move(target->path);
    request.query = std::move(target->query);

    phase_ = Phase::waiting;
    clear_deadline();
    auto match = context_->router.match(request.method, request.path);
    if (match.handler == nullptr) {
        state->replied = true;
        if (match.allow.empty()) return send_reply(state, Response::problem(404, "There is nothing at this address."));
        auto response = Response::problem(405, "This address takes " + match.allow + ".");
        response.headers.set("Allow", match.allow);
        return send_reply(state, std::move(response));
    }
    request.route = std::move(match.pattern);
    request.params = std::move(match.params);
    call_handler([&] { (*match.handler)(std::make_shared<ConnectionExchange>(state)); });
    if (phase_ == Phase::waiting) start_read();
}

// A handler that throws costs its request, not the process.
void Connection::call_handler(const std::function<void()>& call) {
    const auto state = current_;
    std::string what;
    try {
        return call();
    } catch (const std::exception& error) {
        what = error.what();
    } catch (...) {
        what = "something that is not an exception";
    }
    log::error("http: a handler of {} threw: {}", state ? state->request.route : "a request that is over", what);
    if (!state || state->replied.exchange(true)) return;
    context_->loop.post([self = shared_from_this(), state] {
        self->send_reply(state, Response::problem(500, "The server failed on this request; its log says more."));
    });
}

}  // namespace cloudtask::http
