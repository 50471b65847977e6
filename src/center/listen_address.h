// Where the center listens: its address as a URL, and free ports. Blocking; used at start and end only.
#pragma once

#include <cstdint>
#include <string>

#include "cloudtask/core/result.h"

namespace cloudtask::center {

// "http://127.0.0.1:8080" of a server that listens there; an address that means "all of them" becomes the loopback one.
std::string http_url(const std::string& address, std::uint16_t port);

// A port of the address that nobody listens on now. Errors: io.
Result<std::uint16_t> free_port(const std::string& address);

}  // namespace cloudtask::center
