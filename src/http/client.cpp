// Client over cpprestsdk's http_client. Lives on the loop; what runs on cpprestsdk's threads reaches it by Gate only, which closes with the
// client.
//
// cpprestsdk's sockets are not close-on-exec; children of this program are started with all descriptors above 2 closed. It reads a chunk of
// a chunked answer whole before it hands it on, so max_response_bytes holds to within one chunk.
#include "cloudtask/http/client.h"

#include <fcntl.h>
#include <unistd.h>

#include <atomic>
#include <cerrno>
#include <exception>
#include <filesystem>
#include <mutex>
#include <stdexcept>
#include <unordered_map>
#include <utility>

#include <cpprest/filestream.h>
#include <cpprest/http_client.h>
#include <pplx/threadpool.h>

#include "cloudtask/core/log.h"
#include "http/event_parser.h"
#include "http/response_sink.h"
#include "http/text.h"

namespace cloudtask::http {
namespace {

namespace rest = web::http;

// cpprestsdk's own time-out counts silence and cannot be set per request; the loop's timers decide, and this only ends what is forgotten.
constexpr auto kLibraryTimeout = std::chrono::hours{1};
constexpr Duration kFollowSilence = std::chrono::seconds{60};  // servers send a comment much more often

// The way from any thread to the loop; closed by the client's end, after which the loop may go.
class Gate {
  public:
    explicit Gate(Loop& loop) : loop_(&loop) {}

    // False when the client is gone.
    bool post(Loop::Function function) {
        const std::lock_guard lock(mutex_);
        if (loop_ == nullptr) return false;
        loop_->post(std::move(function));
        return true;
    }
    void close() {
        const std::lock_guard lock(mutex_);
        loop_ = nullptr;
    }

  private:
    std::mutex mutex_;
    Loop* loop_;  // guarded by mutex_
};

// Whatever the disk's reason, it is Errc::io to the caller; the sentence says more.
Error disk_error(int error_number, std::string_view what) { return {Errc::io, system_error(error_number, what).message}; }

// Where the body of an answer goes. Called on cpprestsdk's threads, one call at a time.
class File {
  public:
    explicit File(const std::string& path) : fd_(::open(path.c_str(), O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0644)) {
        if (fd_ < 0) error_ = disk_error(errno, "cannot write " + path);
    }
    ~File() {
        if (fd_ >= 0) ::close(fd_);
    }
    File(const File&) = delete;
    File& operator=(const File&) = delete;

    bool write(const std::uint8_t* bytes, std::size_t count) {
        while (!error_ && count > 0) {
            const ssize_t n = ::write(fd_, bytes, count);
            if (n < 0 && errno == EINTR) continue;
            if (n < 0) {
                error_ = disk_error(errno, "cannot save a download");
                break;
            }
            bytes += n;
            count -= static_cast<std::size_t>(n);
        }
        return !error_;
    }
    bool close() {
        if (const int fd = std::exchange(fd_, -1); fd >= 0 && ::close(fd) != 0 && !error_)
            error_ = disk_error(errno, "cannot save a download");
        return !error_;
    }
    const std::optional<Error>& error() const { return error_; }

  private:
    int fd_;
    std::optional<Error> error_;
};

// One request under way.
struct Call {
    std::uint64_t id = 0;
    ClientRequest request;
    std::uint64_t max_response_bytes = 0;
    std::shared_ptr<ResponseSink> sink = std::make_shared<ResponseSink>();
    pplx::cancellation_token_source cancel;
    bool follows = false;            // server-sent events are wanted
    std::atomic<bool> heard{false};  // something came since the last look

    // On the loop.
    std::function<void(Result<Response>)> done;
    std::function<void(std::string, std::string, std::string)> on_event;
    Timer timer;

    // On cpprestsdk's threads, one after the other.
    Response response;
    std::unique_ptr<File> file;
    std::uint64_t received = 0;
    std::unique_ptr<EventParser> events;

    // Why it fails, if that is known better than the library says; the first reason stays.
    void fail_with(Error error) {
        const std::lock_guard lock(mutex);
        if (!reason) reason = std::move(error);
    }
    std::optional<Error> failure() {
        const std::lock_guard lock(mutex);
        return reason;
    }
    std::mutex mutex;
    std::optional<Error> reason;  // guarded by mutex
};

Error make_error(Errc code, std::string message) { return {code, std::move(message)}; }

Error error_of(const std::string& base_url, const std::exception_ptr& exception) {
    try {
        std::rethrow_exception(exception);
    } catch (const rest::http_exception& error) {
        if (error.error_code() == std::errc::timed_out)
            return make_error(Errc::timeout, fmt::format("{} did not answer in time", base_url));
        return make_error(Errc::unavailable, fmt::format("cannot reach {}: {}", base_url, error.what()));
    } catch (const std::exception& error) {
        return make_error(Errc::unavailable, fmt::format("the exchange with {} broke off: {}", base_url, error.what()));
    } catch (...) {
        return make_error(Errc::unavailable, fmt::format("the exchange with {} broke off", base_url));
    }
}

bool is_event_stream(const Response& response) {
    const std::string_view type = response.headers.get("Content-Type");
    return response.status == 200 && equal_ignoring_case(trim(type.substr(0, type.find(';'))), "text/event-stream");
}

}  // namespace

struct Client::Impl : std::enable_shared_from_this<Client::Impl> {
    Impl(Loop& the_loop, ClientOptions the_options)
        : loop(the_loop), options(std::move(the_options)), gate(std::make_shared<Gate>(the_loop)) {
        try {
            rest::client::http_client_config config;
            config.set_timeout(kLibraryTimeout);
            config.set_max_redirects(0);  // a token must not travel to where an answer points
            library = std::make_unique<rest::client::http_client>(options.base_url, config);
        } catch (const std::exception& error) {
            log::error("http: '{}' is not the address of a server: {}", options.base_url, error.what());
        }
    }

    std::uint64_t begin(std::shared_ptr<Call> call, Duration timeout);
    void submit(const std::shared_ptr<Call>& call);
    void finish(std::uint64_t id, Result<Response> result);
    void give_up(std::uint64_t id, Error error);
    void watch_silence(std::uint64_t id, Duration limit);
    void deliver(std::uint64_t id, std::vector<Event> events);
    void close();

    Loop& loop;
    ClientOptions options;
    std::shared_ptr<Gate> gate;
    std::unique_ptr<rest::client::http_client> library;  // null: the base address is no address
    std::unordered_map<std::uint64_t, std::shared_ptr<Call>> calls;
    std::uint64_t next_id = 1;
};

namespace {

// What becomes of the body, once the head is there. Throws when the transfer is to end here.
void accept_head(const std::shared_ptr<Call>& call, const rest::http_response& from,
                 const std::function<bool(std::vector<Event>, Loop::Function)>& deliver) {
    Response& response = call->response;
    response.status = from.status_code();
    for (const auto& [name, value] : from.headers()) response.headers.set(name, value);
    call->heard = true;

    const bool save = !call->request.save_to.empty() && response.status / 100 == 2;
    const std::uint64_t limit = save ? call->request.max_save_bytes : call->max_response_bytes;
    const auto too_large = [call, limit] {
        call->fail_with(make_error(Errc::too_large, fmt::format("the answer is larger than {} bytes", limit)));
        throw std::length_error("too large");
    };
    if (call->request.method != "HEAD" && from.headers().content_length() > limit) too_large();

    if (call->follows && is_event_stream(response)) {
        call->events = std::make_unique<EventParser>(limit);
        return call->sink->accept([call, deliver, too_large](const std::uint8_t* bytes, std::size_t count) {
            call->heard = true;
            std::vector<Event> events;
            if (!call->events->feed({reinterpret_cast<const char*>(bytes), count}, events)) too_large();
            if (events.empty()) return pplx::task_from_result(count);
            // The next bytes are read when the loop is done with these: a slow loop slows the server down, and memory stays flat.
            pplx::task_completion_event<std::size_t> delivered;
            if (!deliver(std::move(events), [delivered, count] { delivered.set(count); })) throw std::runtime_error("the client is gone");
            return pplx::create_task(delivered);
        });
    }
    if (save) {
        call->file = std::make_unique<File>(call->request.save_to);
        if (call->file->error()) {
            call->fail_with(*call->file->error());
            throw std::runtime_error("cannot save");
        }
    }
    call->sink->accept([call, limit, too_large](const std::uint8_t* bytes, std::size_t count) {
        call->heard = true;
        call->received += count;
        if (call->received > limit) too_large();
        if (!call->file) {
            call->response.body.append(reinterpret_cast<const char*>(bytes), count);
        } else if (!call->file->write(bytes, count)) {
            call->fail_with(*call->file->error());
            throw std::runtime_error("cannot save");
        }
        return pplx::task_from_result(count);
    });
}

}  // namespace

void Client::Impl::submit(const std::shared_ptr<Call>& call) {
    const ClientRequest& from = call->request;
    const auto token = call->cancel.get_token();
    const auto end = [gate = gate, weak = weak_from_this(), id = call->id](Result<Response> result) {
        gate->post([weak, id, result = std::move(result)]() mutable {
            if (const auto self = weak.lock()) self->finish(id, std::move(result));
        });
    };
    try {
        if (!library) return end(fail(Errc::invalid_argument, "'{}' is not the address of a server", options.base_url));
        rest::http_request request(from.method);
        request.set_request_uri(web::uri(from.target));
        request.set_response_stream(concurrency::streams::ostream(concurrency::streams::streambuf<std::uint8_t>(call->sink)));
        if (!options.bearer_token.empty()) request.headers().add("Authorization", "Bearer " + options.bearer_token);
        for (const auto& [name, value] : from.headers.list()) {
            request.headers().remove(name);
            request.headers().add(name, value);
        }

        pplx::task<rest::http_request> prepared;
        if (!from.body_file.empty()) {
            std::error_code error;
            const std::uint64_t size = std::filesystem::file_size(from.body_file, error);
            if (error) return end(tl::unexpected<Error>(disk_error(error.value(), "cannot read " + from.body_file)));
            prepared = concurrency::streams::fstream::open_istream(from.body_file)
                           .then([call, request, size](pplx::task<concurrency::streams::istream> opened) mutable {
                               try {
                                   request.set_body(opened.get(), size, call->request.content_type);
                               } catch (const std::exception&) {
                                   call->fail_with(make_error(Errc::io, "cannot read " + call->request.body_file));
                                   throw;
                               }
                               return request;
                           });
        } else {
            const bool has_body = !from.body.empty() || from.method == "POST" || from.method == "PUT" || from.method == "PATCH";
            if (has_body) request.set_body(from.body, from.content_type);
            prepared = pplx::task_from_result(request);
        }

        const auto deliver = [gate = gate, weak = weak_from_this(), id = call->id](std::vector<Event> events, Loop::Function delivered) {
            return gate->post([weak, id, events = std::move(events), delivered = std::move(delivered)]() mutable {
                if (const auto self = weak.lock()) self->deliver(id, std::move(events));
                delivered();
            });
        };
        prepared.then([client = *library, token](rest::http_request ready) mutable { return client.request(ready, token); })
            .then([call, deliver](rest::http_response answer) {
                try {
                    accept_head(call, answer, deliver);
                } catch (...) {
                    call->sink->stop();
                    call->cancel.cancel();
                    throw;
                }
                return answer.content_ready();
            })
            .then([call, end, base_url = options.base_url](pplx::task<rest::http_response> ended) {
                std::exception_ptr exception;
                try {
                    ended.get();
                } catch (...) {
                    exception = std::current_exception();
                }
                call->sink->stop();
                if (call->file && !call->file->close()) call->fail_with(*call->file->error());
                if (auto reason = call->failure()) return end(tl::unexpected<Error>(std::move(*reason)));
                if (exception) return end(tl::unexpected<Error>(error_of(base_url, exception)));
                end(std::move(call->response));
            });
    } catch (const std::exception& error) {
        end(fail(Errc::invalid_argument, "the request {} {} cannot be sent: {}", from.method, from.target, error.what()));
    }
}

std::uint64_t Client::Impl::begin(std::shared_ptr<Call> call, Duration timeout) {
    loop.assert_on_loop();
    call->id = next_id++;
    call->max_response_bytes = options.max_response_bytes;
    calls.emplace(call->id, call);
    if (call->follows) {
        watch_silence(call->id, timeout);
    } else {
        call->timer = loop.after(timeout, [this, id = call->id] {
            give_up(id, make_error(Errc::timeout, fmt::format("{} did not answer in time", options.base_url)));
        });
    }
    submit(call);
    return call->id;
}

void Client::Impl::watch_silence(std::uint64_t id, Duration limit) {
    const auto found = calls.find(id);
    if (found == calls.end()) return;
    found->second->timer = loop.after(limit, [this, id, limit] {
        const auto call = calls.find(id);
        if (call == calls.end()) return;
        if (call->second->heard.exchange(false)) return watch_silence(id, limit);
        give_up(id, make_error(Errc::timeout, fmt::format("{} has gone silent", options.base_url)));
    });
}

void Client::Impl::finish(std::uint64_t id, Result<Response> result) {
    const auto found = calls.find(id);
    if (found == calls.end()) return;
    const auto call = std::move(found->second);
    calls.erase(found);
    call->timer.cancel();
    call->on_event = {};
    const auto done = std::exchange(call->done, {});
    done(std::move(result));
}

// Ends a call whose end the library may not tell for long (a name that does not resolve, a peer that is silent).
void Client::Impl::give_up(std::uint64_t id, Error error) {
    const auto found = calls.find(id);
    if (found == calls.end()) return;
    const auto call = found->second;
    call->fail_with(error);
    call->timer.cancel();
    call->cancel.cancel();
    // Not on the loop: a piece may be on its way to a slow disk. Afterwards nothing writes to the caller's file any more.
    pplx::create_task([call, gate = gate, weak = weak_from_this(), id, error = std::move(error)] {
        call->sink->stop();
        gate->post([weak, id, error] {
            if (const auto self = weak.lock()) self->finish(id, tl::unexpected<Error>(error));
        });
    });
}

void Client::Impl::deliver(std::uint64_t id, std::vector<Event> events) {
    for (Event& event : events) {
        const auto found = calls.find(id);
        if (found == calls.end() || found->second->failure()) return;
        const auto on_event = found->second->on_event;  // a copy: it may cancel, or destroy the client
        on_event(std::move(event.name), std::move(event.data), std::move(event.id));
    }
}

void Client::Impl::close() {
    gate->close();
    const auto left = std::exchange(calls, {});
    for (const auto& [id, call] : left) {
        call->fail_with(make_error(Errc::cancelled, "the client is closed"));
        call->timer.cancel();
        call->on_event = {};
        loop.post([done = std::exchange(call->done, {})] { done(fail(Errc::cancelled, "the client is closed")); });
        call->cancel.cancel();
        pplx::create_task([call = call] { call->sink->stop(); });
    }
}

void init_client_threads() {
    static std::once_flag once;
    std::call_once(once, [] {
        try {
            crossplat::threadpool::initialize_with_threads(4);
        } catch (const std::exception& error) {
            log::warn("http: the client's threads were started before their number was set: {}", error.what());
        }
    });
}

Client::Client(Loop& loop, ClientOptions options) : impl_(std::make_shared<Impl>(loop, std::move(options))) {}

Client::~Client() { impl_->close(); }

void Client::set_bearer_token(std::string token) { impl_->options.bearer_token = std::move(token); }

void Client::send(ClientRequest request, std::function<void(Result<Response>)> done) {
    auto call = std::make_shared<Call>();
    call->request = std::move(request);
    call->done = std::move(done);
    const Duration timeout = call->request.timeout.value_or(impl_->options.timeout);
    impl_->begin(std::move(call), timeout);
}

std::function<void()> Client::follow(ClientRequest request,
                                     std::function<void(std::string event, std::string data, std::string id)> on_event,
                                     std::function<void(Result<Response>)> done) {
    auto call = std::make_shared<Call>();
    call->request = std::move(request);
    call->request.headers.set("Accept", "text/event-stream");
    call->follows = true;
    call->on_event = std::move(on_event);
    call->done = std::move(done);
    const Duration silence = call->request.timeout.value_or(kFollowSilence);
    const auto id = impl_->begin(std::move(call), silence);
    return [weak = std::weak_ptr(impl_), id] {
        if (const auto impl = weak.lock()) impl->give_up(id, make_error(Errc::cancelled, "cancelled"));
    };
}

}  // namespace cloudtask::http
