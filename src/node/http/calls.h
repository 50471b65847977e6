// HttpCalls: makes the requests of tasks of the executor `http`, beside the Supervisor, which starts programs.
//
// Lives on the loop: every method is called there, every callback is called there, never inline. Names are looked up on threads of
// libcurl's.
//
// Each connection is checked where it is made: the address that the socket is about to be connected to is held against the rules, so that a
// name which meant something else a moment ago gains nothing. Redirects are followed one at a time, each with a connection of its own.
// Connections are not kept, proxies and cookies are not used, answers are not decompressed.
//
// A call dies with its process: unlike a program it cannot be found again. Whether it had reached its receiver is then unknown.
//
// What it does not do: decide whether a run may start, keep a journal, try again.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cloudtask/core/asio_loop.h"
#include "cloudtask/core/result.h"
#include "cloudtask/task/http_call.h"
#include "cloudtask/task/networks.h"
#include "cloudtask/task/types.h"

namespace cloudtask::node {

struct CallSpec {
    std::string run_id;
    task::HttpCall call;
    std::map<std::string, std::string> run_headers;  // of the run: CloudTask-Run-Id, ...; only to the address of the definition
    std::string signing_key;                         // its secret's value; empty: the call is not signed
    bool private_body = false;                       // its body has a secret, and goes to no other origin
    std::shared_ptr<const task::NetworkRules> networks;
    Duration time_limit = std::chrono::hours{1};  // of all requests of the call together
};

// How a call ended.
struct CallEnded {
    std::string run_id;
    std::optional<int> status;  // of the last answer
    std::string body;           // its first task::kAnswerKept bytes
    bool body_cut = false;      // there was more
    std::string fault;          // why there is no (complete) answer that counts, as a sentence part; empty if there is one
    bool sent = false;          // at least one request may have reached its receiver
    bool timed_out = false;     // never a success, whatever was answered
    bool stopped = false;       // neither a success nor a failure
    std::string address;        // that the last connection was made to, or that it was refused to
    std::string url;            // that was asked last
    std::int64_t redirects = 0;
    Instant began_at{}, ended_at{};

    // SUCCEEDED only for a complete answer that is as expected.
    task::RunState state(const task::HttpExpect& expect) const;
    // Why it did not succeed, as a sentence part.
    std::string reason(const task::HttpExpect& expect) const;
};

class HttpCalls {
  public:
    using OnEnd = std::function<void(CallEnded)>;

    virtual ~HttpCalls() = default;  // ends all calls without a word

    // Begins the call; `on_end` is called exactly once, unless the HttpCalls is destroyed before. Errors, after which it is never called:
    // invalid_argument (run id in use, an address that may not be called, no key for a call that is to be signed), unavailable (no memory
    // or descriptors).
    virtual Result<> start(CallSpec spec, OnEnd on_end) = 0;

    // Ends the call at once. False when there is no such call.
    virtual bool stop(std::string_view run_id) = 0;

    virtual std::size_t running() const = 0;
};

// Errors: unavailable, when libcurl or the kernel cannot give what is needed.
Result<std::unique_ptr<HttpCalls>> make_http_calls(AsioLoop& loop);

}  // namespace cloudtask::node
