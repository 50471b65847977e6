// One call in libcurl's terms: see exchange.h. Lives on the loop.
#include "node/http/exchange.h"

#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string_view>
#include <utility>

#include "node/http/signature.h"

namespace cloudtask::node {

namespace {

constexpr std::uint64_t kMostHeaderBytes = 64 << 10;
constexpr std::uint64_t kMostBodyBytes = 16 << 20;  // read in all, so that a receiver that says much is not cut off in its work
constexpr Duration kConnectLimit = std::chrono::seconds{10};

long milliseconds_up(Duration duration) { return static_cast<long>(std::chrono::ceil<std::chrono::milliseconds>(duration).count()); }

}  // namespace

task::RunState CallEnded::state(const task::HttpExpect& expect) const {
    if (stopped) return task::RunState::stopped;
    if (timed_out) return task::RunState::timed_out;
    return reason(expect).empty() ? task::RunState::succeeded : task::RunState::failed;
}

std::string CallEnded::reason(const task::HttpExpect& expect) const {
    if (stopped) return "it was stopped";
    if (!fault.empty()) return fault;
    if (!status) return "it was not answered";
    return task::why_unexpected(expect, *status, body);
}

HttpExchange::HttpExchange(CallSpec spec, HttpCalls::OnEnd on_end, const Clock& clock)
    : spec_(std::move(spec)), on_end_(std::move(on_end)), clock_(clock), deadline_(clock.steady_now() + spec_.time_limit) {
    ended_.run_id = spec_.run_id;
    ended_.began_at = clock.now();
}

Result<std::unique_ptr<HttpExchange>> HttpExchange::make(CallSpec spec, HttpCalls::OnEnd on_end, const Clock& clock) {
    std::unique_ptr<HttpExchange> made(new HttpExchange(std::move(spec), std::move(on_end), clock));
    if (const auto set = made->set_up(); !set) return propagate(set);
    return made;
}

Result<> HttpExchange::set_up() {
    const auto url = task::HttpUrl::parse(spec_.call.url);
    if (!url) return fail(Errc::invalid_argument, "the address {}", url.error().message);
    if (!spec_.call.sign.empty() && spec_.signing_key.empty()) {
        return fail(Errc::invalid_argument, "the call is to be signed, and there is no key for it");
    }
    if (spec_.networks == nullptr) return fail(Errc::invalid_argument, "the call has no rules of networks");
    request_ = {spec_.call.method, *url, spec_.call.headers, spec_.call.body, spec_.private_body, true};
    easy_.reset(curl_easy_init());
    if (easy_ == nullptr) return fail(Errc::unavailable, "libcurl has no memory for another call");
    return prepare();
}

Duration HttpExchange::time_left() const { return deadline_ - clock_.steady_now(); }

Result<> HttpExchange::add_line(const std::string& line) {
    curl_slist* longer = curl_slist_append(header_list_.get(), line.c_str());
    if (longer == nullptr) return fail(Errc::unavailable, "libcurl has no memory for another header");
    static_cast<void>(header_list_.release());
    header_list_.reset(longer);
    return {};
}

Result<> HttpExchange::prepare() {
    CURL* easy = easy_.get();
    curl_easy_reset(easy);
    header_list_.reset();
    header_bytes_ = body_bytes_ = 0;
    refusal_.clear();
    ended_.status.reset();
    ended_.body.clear();
    ended_.body_cut = false;
    ended_.url = request_.url.to_string();

    auto headers = request_.headers;
    if (request_.own_origin) {
        headers.insert(spec_.run_headers.begin(), spec_.run_headers.end());
        if (!spec_.signing_key.empty()) {
            headers.insert_or_assign("CloudTask-Signature",
                                     call_signature(spec_.signing_key, clock_.now(), request_.method, ended_.url, request_.body));
        }
    }
    for (const auto& [name, value] : headers) {
        // In libcurl's list "name;" is a header without a value, "name:" takes the header away.
        if (auto added = add_line(value.empty() ? name + ";" : name + ": " + value); !added) return added;
    }
    // libcurl would wait for a permission to send a body (100 Continue), and names a type for it that nobody has given.
    if (auto added = add_line("Expect:"); !added) return added;
    if (!headers.contains("content-type")) {
        if (auto added = add_line("Content-Type:"); !added) return added;
    }

    bool all_set = true;
    const auto set = [&](CURLoption option, auto value) { all_set = curl_easy_setopt(easy, option, value) == CURLE_OK && all_set; };
    set(CURLOPT_PRIVATE, static_cast<void*>(this));
    set(CURLOPT_URL, ended_.url.c_str());
    set(CURLOPT_PATH_AS_IS, 1L);
    set(CURLOPT_PROTOCOLS_STR, "http,https");
    set(CURLOPT_PROXY, "");  // also none from the environment
    set(CURLOPT_FOLLOWLOCATION, 0L);
    set(CURLOPT_NOSIGNAL, 1L);
    set(CURLOPT_QUICK_EXIT, 1L);  // else libcurl waits on the loop for the end of a look-up that nobody waits for any more
    set(CURLOPT_FRESH_CONNECT, 1L);
    set(CURLOPT_FORBID_REUSE, 1L);
    set(CURLOPT_HTTP_VERSION, static_cast<long>(CURL_HTTP_VERSION_1_1));
    set(CURLOPT_SSL_VERIFYPEER, 1L);
    set(CURLOPT_SSL_VERIFYHOST, 2L);
    set(CURLOPT_SSLVERSION, static_cast<long>(CURL_SSLVERSION_TLSv1_2));
    set(CURLOPT_CONNECTTIMEOUT_MS, milliseconds_up(kConnectLimit));
    set(CURLOPT_USERAGENT, "CloudTask");
    set(CURLOPT_HTTPHEADER, header_list_.get());
    set(CURLOPT_OPENSOCKETFUNCTION, &HttpExchange::open_socket);
    set(CURLOPT_OPENSOCKETDATA, static_cast<void*>(this));
    set(CURLOPT_WRITEFUNCTION, &HttpExchange::take_body);
    set(CURLOPT_WRITEDATA, static_cast<void*>(this));
    set(CURLOPT_HEADERFUNCTION, &HttpExchange::take_header);
    set(CURLOPT_HEADERDATA, static_cast<void*>(this));
    set(CURLOPT_DEBUGFUNCTION, &HttpExchange::note_sending);
    set(CURLOPT_DEBUGDATA, static_cast<void*>(this));
    set(CURLOPT_VERBOSE, 1L);
    if (request_.method == "HEAD") {
        set(CURLOPT_NOBODY, 1L);
    } else if (request_.method != "GET") {
        set(CURLOPT_POSTFIELDSIZE_LARGE, static_cast<curl_off_t>(request_.body.size()));
        set(CURLOPT_POSTFIELDS, request_.body.data());  // not copied: request_ stays as it is until the end of the request
        set(CURLOPT_CUSTOMREQUEST, request_.method.c_str());
    }
    if (!all_set) return fail(Errc::unavailable, "libcurl does not take an option of the call");
    return {};
}

bool HttpExchange::needs_look_up() const { return !task::IpAddress::parse(request_.url.host); }

void HttpExchange::looked_up() {
    if (const auto done = std::exchange(look_up_done_, nullptr)) done();
}

Result<> HttpExchange::sign_again() {
    if (spec_.signing_key.empty()) return {};
    return prepare();
}

void HttpExchange::bound_time() {
    curl_easy_setopt(easy_.get(), CURLOPT_TIMEOUT_MS, std::max(1L, milliseconds_up(time_left())));  // 0 would be none
}

bool HttpExchange::out_of_time() {
    if (time_left() > Duration::zero()) return false;
    ended_.timed_out = true;
    ended_.fault = "its time limit has passed";
    return true;
}

curl_socket_t HttpExchange::open_socket(void* self, curlsocktype, curl_sockaddr* address) {
    auto& exchange = *static_cast<HttpExchange*>(self);
    exchange.looked_up();
    const auto target = task::IpAddress::from(address->addr, address->addrlen);
    std::string refusal = target ? exchange.spec_.networks->why_refused(*target) : "an address that is none of IP";
    if (target) exchange.ended_.address = target->to_string();
    if (!refusal.empty()) {
        exchange.refusal_ = std::move(refusal);
        return CURL_SOCKET_BAD;
    }
    const int made = ::socket(address->family, address->socktype | SOCK_CLOEXEC, address->protocol);
    if (made < 0) exchange.refusal_ = system_error(errno, "there is no socket for it").message;
    return made;
}

std::size_t HttpExchange::take_body(char* data, std::size_t size, std::size_t count, void* self) {
    auto& exchange = *static_cast<HttpExchange*>(self);
    const std::size_t length = size * count;
    exchange.body_bytes_ += length;
    if (exchange.body_bytes_ > kMostBodyBytes) {
        exchange.too_large_ = fmt::format("its answer is larger than {} MiB", kMostBodyBytes >> 20);
        return 0;
    }
    std::string& kept = exchange.ended_.body;
    const std::size_t room = task::kAnswerKept - kept.size();
    kept.append(data, std::min(room, length));
    exchange.ended_.body_cut = exchange.ended_.body_cut || length > room;
    return length;
}

std::size_t HttpExchange::take_header(char*, std::size_t size, std::size_t count, void* self) {
    auto& exchange = *static_cast<HttpExchange*>(self);
    exchange.header_bytes_ += size * count;
    if (exchange.header_bytes_ <= kMostHeaderBytes) return size * count;
    exchange.too_large_ = fmt::format("the head of its answer is larger than {} KiB", kMostHeaderBytes >> 10);
    return 0;
}

int HttpExchange::note_sending(CURL*, curl_infotype kind, char*, std::size_t, void* self) {
    // Only that, never what: requests have credentials in them.
    if (kind == CURLINFO_HEADER_OUT || kind == CURLINFO_DATA_OUT) static_cast<HttpExchange*>(self)->ended_.sent = true;
    return 0;
}

bool HttpExchange::finish_request(CURLcode code) {
    long status = 0;
    curl_easy_getinfo(easy_.get(), CURLINFO_RESPONSE_CODE, &status);
    if (status != 0) ended_.status = static_cast<int>(status);
    // Where several addresses were tried, that which was connected to.
    const char* connected = nullptr;
    if (curl_easy_getinfo(easy_.get(), CURLINFO_PRIMARY_IP, &connected) == CURLE_OK && connected != nullptr && *connected != '\0') {
        ended_.address = connected;
    }
    if (code != CURLE_OK) {
        if (!too_large_.empty()) {
            ended_.fault = too_large_;
        } else if (code == CURLE_OPERATION_TIMEDOUT && out_of_time()) {
            return false;
        } else if (!refusal_.empty() && !ended_.status && code == CURLE_COULDNT_CONNECT) {
            ended_.fault = (ended_.redirects == 0 ? "not called: " : "sent on, but not called there: ") + refusal_;
        } else {
            ended_.fault = fmt::format("{}: {}", ended_.sent ? "it was not answered" : "not called", curl_easy_strerror(code));
        }
        return false;
    }
    if (spec_.call.redirects == 0 || !is_redirect(static_cast<int>(status))) return false;

    if (ended_.redirects == spec_.call.redirects) {
        ended_.fault = fmt::format("it was sent elsewhere more than {} times", spec_.call.redirects);
        return false;
    }
    const char* location = nullptr;
    curl_easy_getinfo(easy_.get(), CURLINFO_REDIRECT_URL, &location);
    auto next = redirected(request_, static_cast<int>(status), location == nullptr ? "" : location);
    if (!next) {
        ended_.fault = next.error().message;
        return false;
    }
    if (out_of_time()) return false;
    request_ = std::move(*next);
    ++ended_.redirects;
    if (const auto prepared = prepare(); !prepared) {
        ended_.fault = prepared.error().message;
        return false;
    }
    return true;
}

CallEnded HttpExchange::end(bool stopped) {
    ended_.stopped = stopped;
    ended_.ended_at = clock_.now();
    return std::move(ended_);
}

}  // namespace cloudtask::node
