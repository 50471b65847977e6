// HttpExchange: one call in libcurl's terms: its easy handle, the request that it is at, and what has come of it. Lives on the loop; used
// by calls.cpp only, which drives the handle. It never waits.
#pragma once

#include <functional>
#include <memory>
#include <string>

#include <curl/curl.h>

#include "node/http/calls.h"
#include "node/http/redirect.h"

namespace cloudtask::node {

class HttpExchange {
  public:
    // Errors: see HttpCalls::start().
    static Result<std::unique_ptr<HttpExchange>> make(CallSpec spec, HttpCalls::OnEnd on_end, const Clock& clock);

    CURL* handle() const { return easy_.get(); }
    const CallSpec& spec() const { return spec_; }
    HttpCalls::OnEnd take_on_end() { return std::move(on_end_); }

    // The request that is at its end: true when another one has to be made (the handle is ready for it), false when the call is over.
    bool finish_request(CURLcode code);

    // The name that the next request is for has to be looked up: it is no address.
    bool needs_look_up() const;
    // The look-up begins; `done` is called when it is over, within a callback of libcurl's or by looked_up(), once.
    void look_up(std::function<void()> done) { look_up_done_ = std::move(done); }
    void looked_up();

    // The request has waited: its signature is to say when it is sent.
    Result<> sign_again();

    // The handle gets what is left of the call's time, before it is begun.
    void bound_time();
    // True when nothing is left, and the call is at its end.
    bool out_of_time();

    // The next request could not be begun.
    void fail_next(std::string why) { ended_.fault = std::move(why); }

    // What there is to tell. `stopped`: somebody ended it.
    CallEnded end(bool stopped);

  private:
    struct FreeEasy {
        void operator()(CURL* easy) const { curl_easy_cleanup(easy); }
    };
    struct FreeList {
        void operator()(curl_slist* list) const { curl_slist_free_all(list); }
    };

    HttpExchange(CallSpec spec, HttpCalls::OnEnd on_end, const Clock& clock);
    Result<> set_up();
    // Makes the handle ready for request_.
    Result<> prepare();
    Result<> add_line(const std::string& line);
    Duration time_left() const;

    static curl_socket_t open_socket(void* self, curlsocktype purpose, curl_sockaddr* address);
    static std::size_t take_body(char* data, std::size_t size, std::size_t count, void* self);
    static std::size_t take_header(char* data, std::size_t size, std::size_t count, void* self);
    static int note_sending(CURL*, curl_infotype kind, char*, std::size_t, void* self);

    CallSpec spec_;
    HttpCalls::OnEnd on_end_;
    const Clock& clock_;
    SteadyInstant deadline_;
    HttpRequest request_;
    CallEnded ended_;
    std::string refusal_;  // of the last address that no connection was made to
    std::uint64_t header_bytes_ = 0, body_bytes_ = 0;
    std::string too_large_;
    std::function<void()> look_up_done_;
    std::unique_ptr<curl_slist, FreeList> header_list_;
    // Last: the handle points at what is above.
    std::unique_ptr<CURL, FreeEasy> easy_;
};

}  // namespace cloudtask::node
