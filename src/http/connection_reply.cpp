// Connection, third part: replies: bodies in memory, files, events, and the end of a connection. Lives on the loop.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include <fmt/format.h>
#include <boost/asio/buffer.hpp>

#include "cloudtask/core/log.h"
#include "http/connection.h"
#include "http/response_head.h"

namespace cloudtask::http {
namespace {

constexpr std::uint64_t kDrainBytes = 64 * 1024;  // an unread body up to this is read to its end to save the connection
constexpr std::size_t kFilePiece = 128 * 1024;
constexpr Duration kLinger = std::chrono::seconds{2};

}  // namespace

// A file on its way out. Opened and read on the file worker, one call at a time; closed with the last owner.
class FileSource {
  public:
    ~FileSource() {
        if (fd_ >= 0) ::close(fd_);
    }
    FileSource() = default;
    FileSource(const FileSource&) = delete;
    FileSource& operator=(const FileSource&) = delete;

    Result<> open(const std::string& path) {
        fd_ = ::open(path.c_str(), O_RDONLY | O_CLOEXEC);
        if (fd_ < 0) return tl::unexpected<Error>(system_error(errno, "cannot open " + path));
        struct stat status{};
        if (::fstat(fd_, &status) != 0) return tl::unexpected<Error>(system_error(errno, "cannot look at " + path));
        if (!S_ISREG(status.st_mode)) return fail(Errc::io, "{} is not a regular file", path);
        size_ = static_cast<std::uint64_t>(status.st_size);
        return {};
    }

    // Fails too when the file has become shorter than it was: its length is promised already.
    Result<std::string> read_piece() {
        std::string piece(static_cast<std::size_t>(std::min<std::uint64_t>(kFilePiece, size_ - offset_)), '\0');
        std::size_t got = 0;
        while (got < piece.size()) {
            const ssize_t n = ::pread(fd_, piece.data() + got, piece.size() - got, static_cast<off_t>(offset_ + got));
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) return tl::unexpected<Error>(system_error(errno, "cannot read a file that is being sent"));
            if (n == 0) return fail(Errc::io, "a file that is being sent has become shorter");
            got += static_cast<std::size_t>(n);
        }
        offset_ += got;
        return piece;
    }

    std::uint64_t size() const { return size_; }
    bool at_end() const { return offset_ == size_; }

  private:
    int fd_ = -1;
    std::uint64_t size_ = 0;
    std::uint64_t offset_ = 0;
};

// For requests that never got to a handler: what follows on this connection cannot be trusted.
void Connection::refuse(int status, std::string detail) {
    close_after_reply_ = true;
    phase_ = Phase::waiting;
    if (current_->request.method.empty()) current_->request.method = parser_->head().method;
    current_->replied = true;
    send_reply(current_, Response::problem(status, std::move(detail)));
}

// For a body that is not what it should be, while a handler holds the exchange.
void Connection::answer_in_place(int status, std::string detail) {
    // First of all, or the exchange that drop_body() lets go would answer for itself.
    const bool answered = current_->replied.exchange(true);
    drop_body();
    if (answered) return;  // the handler was faster; its reply is posted
    close_after_reply_ = close_after_reply_ || status != 413;
    send_reply(current_, Response::problem(status, std::move(detail)));
}

bool Connection::may_keep_alive() const {
    if (draining_ || close_after_reply_ || parser_->refusal() || !parser_->head_done() || !parser_->head().keep_alive) return false;
    if (parser_->done()) return true;
    // The client may or may not send the body that it announced.
    if (parser_->head().expects_continue && !continue_sent_) return false;
    const auto left = parser_->remaining();
    return left && *left <= kDrainBytes;
}

void Connection::begin_reply() {
    drop_body();
    disconnect_ = {};
    phase_ = Phase::replying;
    close_after_reply_ = !may_keep_alive();
}

void Connection::send_reply(const State& state, Response response) {
    if (state != current_ || phase_ == Phase::closed || phase_ == Phase::replying || phase_ == Phase::events) return;
    const auto self = shared_from_this();
    begin_reply();
    if (phase_ == Phase::closed) return;
    clear_deadline();
    if (response.status < 200 || response.status > 599) {
        log::error("http: {} {} was answered with the impossible status {}", state->request.method, state->request.route, response.status);
        response = Response::problem(500, "The server failed on this request; its log says more.");
    }
    if (!response.file.empty()) {
        if (context_->files == nullptr) return abort();
        const auto source = std::make_shared<FileSource>();
        context_->files->submit([&loop = context_->loop, weak = weak_from_this(), state, source, response = std::move(response)]() mutable {
            auto opened = source->open(response.file);
            loop.post([weak, state, source, response = std::move(response), opened = std::move(opened)]() mutable {
                const auto connection = weak.lock();
                if (!connection || connection->phase_ == Phase::closed) return;
                if (opened) return connection->write_file(source, std::move(response));
                log::error("http: {} {}: {}", state->request.method, state->request.route, opened.error().message);
                connection->phase_ = Phase::waiting;
                connection->send_reply(state, Response::problem(500, "The server cannot read what it was to send; its log says more."));
            });
        });
        return;
    }
    status_ = response.status;
    const bool bodiless = response.status == 204 || response.status == 304;
    const Framing framing{response.body.size(), parser_->head().http11 || !parser_->head_done(), !close_after_reply_};
    std::string bytes = format_head(response, framing, context_->loop.clock().now());
    if (bodiless || state->request.method == "HEAD" || response.body.empty()) return write(std::move(bytes), [this] { finish_reply(); });
    if (response.body.size() <= kFilePiece) {
        bytes += response.body;
        return write(std::move(bytes), [this] { finish_reply(); });
    }
    write(std::move(bytes));
    write(std::move(response.body), [this] { finish_reply(); });
}

void Connection::write_file(std::shared_ptr<FileSource> source, Response response) {
    status_ = response.status;
    if (!response.headers.has("Content-Type")) response.headers.set("Content-Type", "application/octet-stream");
    const Framing framing{source->size(), parser_->head().http11, !close_after_reply_};
    const bool only_head = current_->request.method == "HEAD" || source->at_end();
    write(format_head(response, framing, context_->loop.clock().now()), [this, source, only_head] {
        if (only_head) return finish_reply();
        write_file_piece(source);
    });
}

void Connection::write_file_piece(const std::shared_ptr<FileSource>& source) {
    if (context_->files == nullptr) return abort();
    clear_deadline();
    context_->files->submit([&loop = context_->loop, weak = weak_from_this(), source] {
        auto piece = source->read_piece();
        const bool last = source->at_end();
        loop.post([weak, source, last, piece = std::move(piece)]() mutable {
            const auto self = weak.lock();
            if (!self || self->phase_ == Phase::closed) return;
            if (!piece) {
                log::error("http: {}", piece.error().message);
                return self->abort();
            }
            self->write(std::move(*piece), [connection = self.get(), source, last] {
                if (last) return connection->finish_reply();
                connection->write_file_piece(source);
            });
        });
    });
}

void Connection::on_disconnect(const State& state, std::function<void()> handler) {
    if (state != current_ || phase_ == Phase::closed) return call_handler(handler);
    if (phase_ == Phase::replying || phase_ == Phase::events || state->replied) return;
    if (end_of_input_) return call_handler(handler);
    disconnect_ = std::move(handler);
}

// Events -------------------------------------------------------------------------------------------------------------

std::string Connection::chunk_of(std::string bytes) const {
    return chunked_reply_ ? fmt::format("{:x}\r\n{}\r\n", bytes.size(), bytes) : std::move(bytes);
}

void Connection::start_events(const State& state, std::shared_ptr<EventChannel> channel) {
    if (state != current_ || phase_ == Phase::closed || phase_ == Phase::replying || phase_ == Phase::events) return channel->cut();
    begin_reply();
    if (phase_ == Phase::closed) return channel->cut();
    close_after_reply_ = true;
    status_ = 200;
    Response response;
    response.headers.set("Content-Type", "text/event-stream; charset=utf-8");
    response.headers.set("X-Accel-Buffering", "no");
    chunked_reply_ = parser_->head().http11;
    const Framing framing{std::nullopt, chunked_reply_, false};
    std::string head = format_head(response, framing, context_->loop.clock().now());
    if (state->request.method == "HEAD") {
        channel->cut();
        return write(std::move(head), [this] { finish_reply(); });
    }
    phase_ = Phase::events;
    events_ = std::move(channel);
    if (draining_) events_->close();
    write(std::move(head), [this, state] { pump_events(state); });
    start_read();
}

void Connection::pump_events(const State& state) {
    if (state != current_ || phase_ != Phase::events || writing_) return;
    bool ended = false;
    std::string text = events_->take(ended);
    if (ended) {
        phase_ = Phase::replying;
        events_.reset();
        if (!chunked_reply_) return finish_reply();
        return write("0\r\n\r\n", [this] { finish_reply(); });
    }
    if (text.empty()) return set_deadline(now() + context_->options.event_heartbeat);
    const std::size_t bytes = text.size();
    write(chunk_of(std::move(text)), [this, state, bytes] {
        events_->written(bytes);
        pump_events(state);
    });
}

void Connection::cut_events(const State& state) {
    if (state == current_ && phase_ == Phase::events) abort();
}

// Writing ------------------------------------------------------------------------------------------------------------

void Connection::write(std::string bytes, std::function<void()> sent) {
    out_.push_back({std::move(bytes), std::move(sent)});
    if (!writing_) pump_write();
}

void Connection::pump_write() {
    writing_ = true;
    // A client that takes nothing for that long is gone. While a body is read, the deadline is the reader's.
    if (phase_ == Phase::replying || phase_ == Phase::events) set_deadline(now() + context_->options.idle_timeout);
    const Output& front = out_.front();
    socket_.async_write_some(boost::asio::buffer(front.bytes.data() + out_offset_, front.bytes.size() - out_offset_),
                             [self = shared_from_this()](const boost::system::error_code& error, std::size_t n) {
                                 self->writing_ = false;
                                 if (self->phase_ == Phase::closed) return;
                                 if (error) return self->abort();
                                 self->out_offset_ += n;
                                 if (self->out_offset_ == self->out_.front().bytes.size()) {
                                     const auto sent = std::move(self->out_.front().sent);
                                     self->out_.pop_front();
                                     self->out_offset_ = 0;
                                     if (sent) sent();
                                 }
                                 if (!self->writing_ && !self->out_.empty() && self->phase_ != Phase::closed) self->pump_write();
                             });
}

void Connection::finish_reply() {
    const auto state = current_;
    if (context_->observe) {
        const double seconds = std::chrono::duration<double>(now() - state->started).count();
        call_handler([&] { context_->observe(state->request, status_, seconds); });
        if (phase_ == Phase::closed) return;
    }
    if (close_after_reply_) return linger();
    if (parser_->done()) return next_request();
    phase_ = Phase::draining;
    set_deadline(now() + context_->options.request_timeout);
    pump_drain();
}

// RFC 9112, section 9.6: closing with unread input resets the connection, and the client may lose the reply.
void Connection::linger() {
    if (end_of_input_ || (draining_ && parser_->done())) return close(true);
    boost::system::error_code ignored;
    socket_.shutdown(boost::asio::ip::tcp::socket::shutdown_send, ignored);
    phase_ = Phase::lingering;
    lingered_ = 0;
    current_.reset();
    set_deadline(now() + kLinger);
    progress();
}

}  // namespace cloudtask::http
