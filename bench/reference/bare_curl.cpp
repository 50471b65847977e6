// The reference for URL tasks: libcurl's multi interface on its own, with no history, journal or claims around it; and the server that both
// are measured at.
//
//   bare_curl --serve                     answers every request with 200, and notes when it came
//   bare_curl URL COUNT DUE [--spread]    COUNT calls that are due at DUE (microseconds since 1970), or within the second from then on
//
// The server prints its port; for each line on its standard input it prints the times of the requests since the line before, in
// microseconds since 1970. A call has a connection of its own, as CloudTask's have. One thread.
#include <curl/curl.h>
#include <netinet/in.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <unordered_map>
#include <vector>

#include "bare.h"

namespace {

constexpr int kBacklog = 4096;
constexpr int kEvents = 256;
constexpr std::string_view kAnswer = "HTTP/1.1 200 OK\r\nConnection: close\r\nContent-Length: 2\r\n\r\nok";

using bare::give_up;

std::int64_t wall_now() { return bare::wall_ns() / 1000; }

class Server {
  public:
    int run() {
        listener_ = ::socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
        epoll_ = ::epoll_create1(EPOLL_CLOEXEC);
        sockaddr_in address{};
        address.sin_family = AF_INET;
        address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
        socklen_t length = sizeof address;
        auto* const generic = reinterpret_cast<sockaddr*>(&address);
        if (::bind(listener_, generic, length) != 0 || ::listen(listener_, kBacklog) != 0 ||
            ::getsockname(listener_, generic, &length) != 0) {
            give_up("cannot listen");
        }
        std::printf("%d\n", ntohs(address.sin_port));
        std::fflush(stdout);
        watch(listener_);
        watch(STDIN_FILENO);
        epoll_event events[kEvents];
        while (true) {
            const int count = ::epoll_wait(epoll_, events, kEvents, -1);
            for (int i = 0; i < count; ++i) {
                const int socket = events[i].data.fd;
                if (socket == listener_) {
                    accept_all();
                } else if (socket == STDIN_FILENO) {
                    if (!report()) return 0;
                } else {
                    serve(socket);
                }
            }
        }
    }

  private:
    void watch(int socket) const {
        epoll_event event{};
        event.events = EPOLLIN;
        event.data.fd = socket;
        if (::epoll_ctl(epoll_, EPOLL_CTL_ADD, socket, &event) != 0) give_up("cannot watch");
    }

    void accept_all() const {
        for (int socket = 0; (socket = ::accept4(listener_, nullptr, nullptr, SOCK_NONBLOCK | SOCK_CLOEXEC)) >= 0;) watch(socket);
    }

    void serve(int socket) {
        char buffer[4096];
        std::string& request = requests_[socket];
        const ssize_t count = ::read(socket, buffer, sizeof buffer);
        if (count > 0) request.append(buffer, static_cast<std::size_t>(count));
        const bool whole = request.find("\r\n\r\n") != std::string::npos;
        if (count > 0 && !whole) return;
        if (whole) {
            times_.push_back(wall_now());
            if (::write(socket, kAnswer.data(), kAnswer.size()) < 0) std::perror("cannot answer");
        }
        requests_.erase(socket);
        ::close(socket);
    }

    bool report() {
        char line[64];
        if (::read(STDIN_FILENO, line, sizeof line) <= 0) return false;
        for (const std::int64_t time : times_) std::printf("%lld ", static_cast<long long>(time));
        std::printf("\n");
        std::fflush(stdout);
        times_.clear();
        return true;
    }

    int listener_ = -1, epoll_ = -1;
    std::unordered_map<int, std::string> requests_;
    std::vector<std::int64_t> times_;
};

std::size_t drop(char*, std::size_t size, std::size_t count, void*) { return size * count; }

int call(const std::string& url, int count, std::int64_t due, bool spread) {
    curl_global_init(CURL_GLOBAL_DEFAULT);
    CURLM* multi = curl_multi_init();
    std::vector<std::pair<std::int64_t, int>> order;
    for (int n = 0; n < count; ++n) order.emplace_back(due + (spread ? bare::offset_us(static_cast<std::uint32_t>(n)) : 0), n);
    if (spread) std::sort(order.begin(), order.end());
    int begun = 0, ended = 0, failed = 0;
    while (ended < count) {
        for (const std::int64_t now = wall_now(); begun < count && order[static_cast<std::size_t>(begun)].first <= now; ++begun) {
            CURL* easy = curl_easy_init();
            curl_easy_setopt(easy, CURLOPT_URL, url.c_str());
            curl_easy_setopt(easy, CURLOPT_PROXY, "");
            curl_easy_setopt(easy, CURLOPT_NOSIGNAL, 1L);
            curl_easy_setopt(easy, CURLOPT_FRESH_CONNECT, 1L);
            curl_easy_setopt(easy, CURLOPT_FORBID_REUSE, 1L);
            curl_easy_setopt(easy, CURLOPT_WRITEFUNCTION, &drop);
            curl_multi_add_handle(multi, easy);
        }
        int running = 0, queued = 0;
        curl_multi_perform(multi, &running);
        while (const CURLMsg* message = curl_multi_info_read(multi, &queued)) {
            if (message->msg != CURLMSG_DONE) continue;
            ++ended;
            if (message->data.result != CURLE_OK) ++failed;
            CURL* easy = message->easy_handle;
            curl_multi_remove_handle(multi, easy);
            curl_easy_cleanup(easy);
        }
        std::int64_t wait = 100'000;
        if (begun < count) wait = std::min(wait, std::max<std::int64_t>(0, order[static_cast<std::size_t>(begun)].first - wall_now()));
        curl_multi_poll(multi, nullptr, 0, static_cast<int>(wait / 1000), nullptr);
    }
    curl_multi_cleanup(multi);
    std::printf("{\"calls\": %d, \"failed\": %d}\n", count, failed);
    return 0;
}

}  // namespace

int main(int argc, char** argv) {
    const std::vector<std::string_view> words(argv + 1, argv + argc);
    if (words.size() == 1 && words[0] == "--serve") return Server{}.run();
    if (words.size() >= 3)
        return call(std::string{words[0]}, std::atoi(argv[2]), std::atoll(argv[3]), words.size() > 3 && words[3] == "--spread");
    std::fprintf(stderr, "bare_curl --serve | bare_curl URL COUNT DUE [--spread]\n");
    return 2;
}
