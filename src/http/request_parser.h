// RequestParser: bytes of one HTTP/1.x request to a head and body chunks, on Beast's parser with the checks that Beast leaves out.
//
// No sockets and no time: it is fed what has come. One parser reads one request; what follows the request is left in the input
// (pipelining). Any one thread.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

#include "cloudtask/http/message.h"

namespace cloudtask::http {

struct RequestHead {
    std::string method;
    std::string target;
    bool http11 = false;
    Headers headers;  // repeated names are joined with ", " (RFC 9110, section 5.3)
    bool keep_alive = false;
    bool expects_continue = false;
    bool chunked = false;
    std::optional<std::uint64_t> content_length;
};

// Why a request is refused: the status to answer with and a sentence.
struct Refusal {
    int status = 400;
    std::string detail;
};

class RequestParser {
  public:
    // A head of more than `max_header_bytes` is refused with 431; so are a chunk's header and the trailers (400).
    explicit RequestParser(std::size_t max_header_bytes);
    ~RequestParser();
    RequestParser(const RequestParser&) = delete;
    RequestParser& operator=(const RequestParser&) = delete;

    // Reads what it can of `input` and returns how many bytes of it are done with. Stops at the end of the head, and at the end of the
    // request. Bytes of the body are appended to `body`; at most as many as the input has.
    std::size_t feed(std::string_view input, std::string& body);

    bool head_done() const;
    bool done() const;
    const std::optional<Refusal>& refusal() const;  // once set, feed() does nothing

    const RequestHead& head() const;
    // Bytes of the body that are still to come; nothing if it is chunked and so unknown.
    std::optional<std::uint64_t> remaining() const;

  private:
    class Impl;
    std::unique_ptr<Impl> impl_;
};

}  // namespace cloudtask::http
