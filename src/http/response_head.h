// The head of a response as bytes, with the headers that every response of the server carries. Pure. Any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>

#include "cloudtask/core/clock.h"
#include "cloudtask/http/message.h"

namespace cloudtask::http {

// How the body that follows is delimited (RFC 9112, section 6), and what becomes of the connection.
struct Framing {
    std::optional<std::uint64_t> length;  // absent: chunked, or up to the end of the connection for HTTP/1.0
    bool http11 = true;
    bool keep_alive = true;
};

// Adds Date, and, unless the response sets them, Cache-Control: no-store and X-Content-Type-Options: nosniff. Headers that would break the
// framing (line breaks in a value, Content-Length and kin set by a handler) are left out.
std::string format_head(const Response& response, const Framing& framing, Instant now);

// RFC 9110, section 5.6.7: "Sun, 06 Nov 1994 08:49:37 GMT".
std::string format_http_date(Instant now);

}  // namespace cloudtask::http
