// HttpUrl: the address of an HTTP call, read strictly. What two programs could read differently (a user name, a backslash, an address
// written as one number) is refused and not repaired, so that what was checked is what is called.
//
// Whether the address that a name stands for may be connected to is not seen here: that is decided where the connection is made.
// Pure; any thread.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "cloudtask/core/result.h"

namespace cloudtask::task {

inline constexpr std::size_t kLongestUrl = 4096;

struct HttpUrl {
    bool secure = false;  // https
    std::string host;     // lower case; an IPv6 address without its brackets
    std::uint16_t port = 80;
    std::string target;  // path and query; begins with '/'

    // Errors: invalid_argument, as a part of a sentence that says what is wrong ("is neither http nor https").
    static Result<HttpUrl> parse(std::string_view text);

    // As it is called and signed: with the port only where it is not the scheme's.
    std::string to_string() const;

    bool same_origin(const HttpUrl& other) const { return secure == other.secure && host == other.host && port == other.port; }
    friend bool operator==(const HttpUrl&, const HttpUrl&) = default;
};

}  // namespace cloudtask::task
