// Request targets: percent-decoding, the query, and what a path may not contain. Pure. Any thread.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "cloudtask/core/result.h"

namespace cloudtask::http {

struct Target {
    std::string path;  // decoded, begins with '/'
    std::map<std::string, std::string> query;
};

// Reads a request target in origin form or absolute form (RFC 9112, section 3.2). Errc::invalid_argument, with a sentence, for bad escapes,
// control characters, text that is not UTF-8, `.` and `..` segments, escaped slashes (they would change what a segment is), and repeated
// query names.
Result<Target> parse_target(std::string_view target);

// Undoes percent-encoding (RFC 3986, section 2.1); in a query also '+' for space (WHATWG URL, urlencoded).
Result<std::string> decode_component(std::string_view text, bool plus_is_space);

}  // namespace cloudtask::http
