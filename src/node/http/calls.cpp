// HttpCalls on libcurl's multi interface: see calls.h. Lives on the loop.
//
// libcurl names the sockets that it waits for; they go into an epoll of ours, and the loop waits for that one descriptor. So no wait of the
// loop's can outlive a socket, whose number libcurl may use again at once.
#include <utility>  // Asio 1.74 uses std::exchange without it

#include "node/http/calls.h"

#include <sys/epoll.h>

#include <array>
#include <cerrno>
#include <deque>
#include <mutex>
#include <vector>

#include <curl/curl.h>
#include <boost/asio/io_context.hpp>
#include <boost/asio/posix/stream_descriptor.hpp>

#include "cloudtask/core/descriptor.h"
#include "node/http/exchange.h"

namespace cloudtask::node {

namespace {

constexpr std::size_t kEventsARound = 256;
// libcurl gives each name that it looks up a thread of its own. The others wait: what was looked up is known to them then, for a minute.
constexpr std::size_t kMostLookUps = 64;

class CurlCalls final : public HttpCalls {
  public:
    CurlCalls(AsioLoop& loop, CURLM* multi, Descriptor epoll)
        : loop_(loop), multi_(multi), epoll_number_(epoll.get()), epoll_(loop.context(), epoll.release()) {
        curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETFUNCTION, &CurlCalls::watch_socket);
        curl_multi_setopt(multi_.get(), CURLMOPT_SOCKETDATA, static_cast<void*>(this));
        curl_multi_setopt(multi_.get(), CURLMOPT_TIMERFUNCTION, &CurlCalls::set_timer);
        curl_multi_setopt(multi_.get(), CURLMOPT_TIMERDATA, static_cast<void*>(this));
        wait();
    }

    ~CurlCalls() override {
        for (const auto& [id, exchange] : exchanges_) curl_multi_remove_handle(multi_.get(), exchange->handle());
        exchanges_.clear();
        multi_.reset();  // it still calls watch_socket
        boost::system::error_code ignored;
        epoll_.close(ignored);
    }

    CurlCalls(const CurlCalls&) = delete;
    CurlCalls& operator=(const CurlCalls&) = delete;

    Result<> start(CallSpec spec, OnEnd on_end) override {
        loop_.assert_on_loop();
        const std::string id = spec.run_id;
        if (exchanges_.contains(id)) return fail(Errc::invalid_argument, "there is a call of the run {} already", id);
        auto made = HttpExchange::make(std::move(spec), std::move(on_end), loop_.clock());
        if (!made) return propagate(made);
        if (auto begun = begin(**made); !begun) return begun;
        exchanges_.emplace(id, std::move(*made));
        return {};
    }

    bool stop(std::string_view run_id) override {
        loop_.assert_on_loop();
        const auto found = exchanges_.find(run_id);
        if (found == exchanges_.end()) return false;
        take_away(*found->second);
        std::erase(waiting_, run_id);
        conclude(found, true);
        admit();
        return true;
    }

    std::size_t running() const override { return exchanges_.size(); }

  private:
    using Exchanges = std::map<std::string, std::unique_ptr<HttpExchange>, std::less<>>;
    struct FreeMulti {
        void operator()(CURLM* multi) const { curl_multi_cleanup(multi); }
    };

    // The exchange's next request. It waits while too many names are looked up.
    Result<> begin(HttpExchange& exchange) {
        const bool by_name = exchange.needs_look_up();
        if (by_name && look_ups_ >= kMostLookUps) {
            waiting_.push_back(exchange.spec().run_id);
            return {};
        }
        exchange.bound_time();
        if (const CURLMcode code = curl_multi_add_handle(multi_.get(), exchange.handle()); code != CURLM_OK) {
            return fail(Errc::unavailable, "libcurl does not take another call: {}", curl_multi_strerror(code));
        }
        if (by_name) {
            ++look_ups_;
            exchange.look_up([this] { --look_ups_; });
        }
        return {};
    }

    void take_away(HttpExchange& exchange) {
        curl_multi_remove_handle(multi_.get(), exchange.handle());
        exchange.looked_up();
    }

    // Not within a callback of libcurl's.
    void admit() {
        while (!waiting_.empty() && look_ups_ < kMostLookUps) {
            const auto which = exchanges_.find(waiting_.front());
            waiting_.pop_front();
            HttpExchange& exchange = *which->second;
            if (exchange.out_of_time()) {
                conclude(which, false);
                continue;
            }
            const auto signed_again = exchange.sign_again();
            if (const auto begun = signed_again ? begin(exchange) : signed_again; !begun) {
                exchange.fail_next(begun.error().message);
                conclude(which, false);
            }
        }
    }

    static int watch_socket(CURL*, curl_socket_t socket, int what, void* self, void* known) {
        auto& calls = *static_cast<CurlCalls*>(self);
        if (what == CURL_POLL_REMOVE) {
            ::epoll_ctl(calls.epoll_number_, EPOLL_CTL_DEL, socket, nullptr);
            return 0;
        }
        epoll_event event{};
        event.data.fd = socket;
        if ((what & CURL_POLL_IN) != 0) event.events |= EPOLLIN;
        if ((what & CURL_POLL_OUT) != 0) event.events |= EPOLLOUT;
        const int error = ::epoll_ctl(calls.epoll_number_, known == nullptr ? EPOLL_CTL_ADD : EPOLL_CTL_MOD, socket, &event);
        // Closed and opened again under the same number, without a word to us: the kernel has forgotten the former one.
        if (error != 0 && known != nullptr && errno == ENOENT) ::epoll_ctl(calls.epoll_number_, EPOLL_CTL_ADD, socket, &event);
        curl_multi_assign(calls.multi_.get(), socket, self);  // anything but null: it is watched
        return 0;
    }

    static int set_timer(CURLM*, long milliseconds, void* self) {
        auto& calls = *static_cast<CurlCalls*>(self);
        if (milliseconds < 0) {
            calls.timer_.cancel();
        } else {
            calls.timer_ = calls.loop_.after(std::chrono::milliseconds{milliseconds}, [&calls] { calls.act(CURL_SOCKET_TIMEOUT, 0); });
        }
        return 0;
    }

    void wait() {
        epoll_.async_wait(boost::asio::posix::stream_descriptor::wait_read,
                          [this, weak = std::weak_ptr(alive_)](const boost::system::error_code& error) {
                              if (error || weak.expired()) return;
                              take_events();
                              wait();
                          });
    }

    void take_events() {
        std::array<epoll_event, kEventsARound> events{};
        const int count = ::epoll_wait(epoll_number_, events.data(), static_cast<int>(events.size()), 0);
        for (int i = 0; i < count; ++i) {
            const epoll_event& event = events[static_cast<std::size_t>(i)];
            int what = 0;
            if ((event.events & (EPOLLIN | EPOLLHUP)) != 0) what |= CURL_CSELECT_IN;
            if ((event.events & EPOLLOUT) != 0) what |= CURL_CSELECT_OUT;
            if ((event.events & EPOLLERR) != 0) what |= CURL_CSELECT_ERR;
            act(event.data.fd, what);
        }
    }

    void act(curl_socket_t socket, int what) {
        int still_running = 0;
        curl_multi_socket_action(multi_.get(), socket, what, &still_running);
        int in_queue = 0;
        while (const CURLMsg* message = curl_multi_info_read(multi_.get(), &in_queue)) {
            if (message->msg == CURLMSG_DONE) finish_request(message->easy_handle, message->data.result);
        }
        admit();
    }

    void finish_request(CURL* easy, CURLcode code) {
        HttpExchange* exchange = nullptr;
        curl_easy_getinfo(easy, CURLINFO_PRIVATE, &exchange);
        take_away(*exchange);  // `message` is gone with it
        if (exchange->finish_request(code)) {
            const auto begun = begin(*exchange);
            if (begun) return;
            exchange->fail_next(begun.error().message);
        }
        conclude(exchanges_.find(exchange->spec().run_id), false);
    }

    void conclude(Exchanges::iterator which, bool stopped) {
        loop_.post([weak = std::weak_ptr(alive_), on_end = which->second->take_on_end(), ended = which->second->end(stopped)]() mutable {
            if (!weak.expired()) on_end(std::move(ended));
        });
        exchanges_.erase(which);
    }

    AsioLoop& loop_;
    std::unique_ptr<CURLM, FreeMulti> multi_;
    int epoll_number_;
    boost::asio::posix::stream_descriptor epoll_;
    Timer timer_;
    Exchanges exchanges_;
    std::size_t look_ups_ = 0;                                    // names that are being looked up
    std::deque<std::string> waiting_;                             // run ids, for the end of one
    std::shared_ptr<bool> alive_ = std::make_shared<bool>(true);  // what is posted or waits asks whether there is still somebody
};

}  // namespace

Result<std::unique_ptr<HttpCalls>> make_http_calls(AsioLoop& loop) {
    static std::once_flag once;
    static CURLcode initialised = CURLE_OK;
    std::call_once(once, [] { initialised = curl_global_init(CURL_GLOBAL_DEFAULT); });
    if (initialised != CURLE_OK) return fail(Errc::unavailable, "libcurl cannot be used: {}", curl_easy_strerror(initialised));

    Descriptor epoll{::epoll_create1(EPOLL_CLOEXEC)};
    if (epoll.get() < 0) return tl::unexpected<Error>(system_error(errno, "cannot wait for the sockets of HTTP calls"));
    CURLM* multi = curl_multi_init();
    if (multi == nullptr) return fail(Errc::unavailable, "libcurl has no memory for calls");
    return std::make_unique<CurlCalls>(loop, multi, std::move(epoll));
}

}  // namespace cloudtask::node
