// The signature of an HTTP call, by which its receiver knows that it comes from CloudTask, unchanged and just now. How to check it is in
// docs/url-tasks.md. Pure; the time is passed in. Any thread.
#pragma once

#include <string>
#include <string_view>

#include "cloudtask/core/clock.h"

namespace cloudtask::node {

// HMAC-SHA256 (RFC 2104, FIPS 180-4), as 32 bytes.
std::string hmac_sha256(std::string_view key, std::string_view text);

// The value of the header CloudTask-Signature: "t=<seconds since 1970>,v1=<64 hexadecimal digits>", the HMAC of time, method, URL and body
// with a newline after each of the first three, none of which can have one.
std::string call_signature(std::string_view key, Instant now, std::string_view method, std::string_view url, std::string_view body);

}  // namespace cloudtask::node
