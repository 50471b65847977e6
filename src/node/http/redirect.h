// What is asked next when an answer sends an HTTP call elsewhere. Pure; any thread. It does not look at addresses: the next connection is
// checked like the first one.
#pragma once

#include <map>
#include <string>
#include <string_view>

#include "cloudtask/core/result.h"
#include "cloudtask/task/http_url.h"

namespace cloudtask::node {

// One request of a call.
struct HttpRequest {
    std::string method;
    task::HttpUrl url;
    std::map<std::string, std::string> headers;  // the task's, names in lower case
    std::string body;
    bool private_body = false;  // its body has a secret
    bool own_origin = true;     // it goes where the definition says: only then it is signed and has the headers of CloudTask
};

// 301, 302, 303, 307, 308 (RFC 9110, section 15.4).
bool is_redirect(int status);

// The request after `request`, which was answered with `status` and sent to `location` (an absolute URL). As RFC 9110 has it: 303, and a
// POST after 301 or 302, becomes a GET without a body. To another origin goes nothing that could be a credential: of the headers only
// accept, accept-language, content-type and user-agent; and no body that has a secret. Errors: permission_denied for what may not be
// called, as a sentence part.
Result<HttpRequest> redirected(HttpRequest request, int status, std::string_view location);

}  // namespace cloudtask::node
