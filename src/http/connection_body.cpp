// Connection, second part: bodies of requests, collected, streamed or thrown away. Lives on the loop.
#include <algorithm>

#include <fmt/format.h>

#include "http/connection.h"

namespace cloudtask::http {
namespace {

// A stream may take as long as it needs, but not dribble: so many bytes must come within each idle_timeout that the server waits for the
// client.
constexpr std::uint64_t kMinUploadBytes = 64 * 1024;

std::string too_large(std::uint64_t max_bytes) {
    return fmt::format("The body is larger than the {} bytes that are taken here.", max_bytes);
}

}  // namespace

void Connection::send_continue() {
    // RFC 9110, section 10.1.1: not needed once the body has begun to come.
    if (!parser_->head().expects_continue || continue_sent_ || parser_->done() || begin_ != end_) return;
    continue_sent_ = true;
    write("HTTP/1.1 100 Continue\r\n\r\n");
}

void Connection::read_body(std::shared_ptr<Exchange> exchange, const State& state, std::uint64_t max_bytes, std::function<void()> ready) {
    if (state != current_ || phase_ != Phase::waiting || state->replied) return;
    max_body_ = max_bytes;
    if (const auto length = parser_->remaining(); length && *length > max_bytes) return answer_in_place(413, too_large(max_bytes));
    held_ = std::move(exchange);
    ready_ = std::move(ready);
    phase_ = Phase::body;
    send_continue();
    pump_body();
}

void Connection::pump_body() {
    std::string& body = current_->request.body;
    if (!parser_->done()) begin_ += parser_->feed(input(), body);
    if (const auto& refusal = parser_->refusal()) return answer_in_place(refusal->status, refusal->detail);
    if (body.size() > max_body_) return answer_in_place(413, too_large(max_body_));
    if (parser_->done()) {
        phase_ = Phase::waiting;
        clear_deadline();
        const auto held = std::exchange(held_, {});
        const auto ready = std::exchange(ready_, {});
        call_handler(ready);
        if (phase_ == Phase::waiting) start_read();
        return;
    }
    if (end_of_input_) return abort();
    set_deadline(std::min(current_->started + context_->options.request_timeout, now() + context_->options.idle_timeout));
    start_read();
}

void Connection::stream_body(std::shared_ptr<Exchange> exchange, const State& state, std::uint64_t max_bytes,
                             std::shared_ptr<BodySink> sink) {
    if (state != current_ || phase_ != Phase::waiting || state->replied) {
        return call_handler([&] { sink->on_end(fail(Errc::cancelled, "The request is over.")); });
    }
    held_ = std::move(exchange);
    sink_ = std::move(sink);
    sink_busy_ = false;
    max_body_ = max_bytes;
    received_ = 0;
    sink_waited_ = Duration::zero();
    sink_window_bytes_ = 0;
    phase_ = Phase::stream;
    if (const auto length = parser_->remaining(); length && *length > max_bytes) {
        return end_stream(fail(Errc::too_large, "{}", too_large(max_bytes)), 413);
    }
    send_continue();
    pump_stream();
}

void Connection::pump_stream() {
    if (sink_busy_) return;
    std::string chunk;
    if (!parser_->done()) begin_ += parser_->feed(input(), chunk);
    if (const auto& refusal = parser_->refusal()) return end_stream(fail(Errc::invalid_argument, "{}", refusal->detail), refusal->status);
    received_ += chunk.size();
    if (received_ > max_body_) return end_stream(fail(Errc::too_large, "{}", too_large(max_body_)), 413);
    if (!chunk.empty()) {
        sink_busy_ = true;
        clear_deadline();
        const auto sink = sink_;
        auto next = [&loop = context_->loop, weak = weak_from_this(), state = current_, turn = ++sink_turn_](bool go_on) {
            loop.post([weak, state, turn, go_on] {
                if (const auto self = weak.lock()) self->resume_stream(state, turn, go_on);
            });
        };
        return call_handler([&] { sink->on_chunk(std::move(chunk), std::move(next)); });
    }
    if (parser_->done()) return end_stream({});
    if (end_of_input_) return abort();
    if (sink_window_bytes_ >= kMinUploadBytes) {
        sink_window_bytes_ = 0;
        sink_waited_ = Duration::zero();
    }
    set_deadline(now() + context_->options.idle_timeout - sink_waited_);
    start_read();
}

void Connection::resume_stream(const State& state, std::uint64_t turn, bool go_on) {
    if (state != current_ || phase_ != Phase::stream || turn != sink_turn_ || !sink_busy_) return;
    sink_busy_ = false;
    if (!go_on) return end_stream(fail(Errc::cancelled, "The upload was stopped by its receiver."));
    pump_stream();
}

void Connection::end_stream(Result<> outcome, int fallback_status) {
    phase_ = Phase::waiting;
    clear_deadline();
    if (fallback_status != 0) {
        current_->fallback = Response::problem(fallback_status, outcome.error().message);
        close_after_reply_ = close_after_reply_ || fallback_status != 413;
    }
    const auto held = std::exchange(held_, {});
    const auto sink = std::exchange(sink_, {});
    call_handler([&] { sink->on_end(std::move(outcome)); });
    if (phase_ == Phase::waiting) start_read();
}

void Connection::drop_body() {
    if (phase_ == Phase::stream) end_stream(fail(Errc::cancelled, "The request was answered before its body had come."));
    if (phase_ == Phase::body) {
        phase_ = Phase::waiting;
        ready_ = {};
        held_ = {};
    }
}

void Connection::pump_drain() {
    std::string thrown_away;
    if (!parser_->done()) begin_ += parser_->feed(input(), thrown_away);
    if (parser_->refusal()) return linger();
    if (parser_->done()) return next_request();
    if (end_of_input_) return abort();
    start_read();
}

}  // namespace cloudtask::http
