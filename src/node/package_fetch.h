// The name of a fetched package, out of the answer's headers. Pure.
#pragma once

#include <string>

#include "cloudtask/http/message.h"

namespace cloudtask::node {

// `X-Package-Filename` (percent-encoded UTF-8), else the file name of `Content-Disposition` (RFC 6266: filename*, else filename); empty if
// neither is there.
std::string package_filename(const http::Headers& headers);

}  // namespace cloudtask::node
