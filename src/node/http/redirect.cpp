// The next request of a call that was sent elsewhere: see redirect.h. Pure; any thread.
#include "node/http/redirect.h"

#include <algorithm>
#include <array>

namespace cloudtask::node {

namespace {

constexpr std::array<std::string_view, 4> kHarmless{"accept", "accept-language", "content-type", "user-agent"};

}  // namespace

bool is_redirect(int status) { return status == 301 || status == 302 || status == 303 || status == 307 || status == 308; }

Result<HttpRequest> redirected(HttpRequest request, int status, std::string_view location) {
    if (location.empty()) return fail(Errc::permission_denied, "it was sent elsewhere ({}) without being told where", status);
    // The part after '#' is the reader's own and is not sent (RFC 9110, section 10.2.2).
    const auto url = task::HttpUrl::parse(location.substr(0, location.find('#')));
    if (!url) return fail(Errc::permission_denied, "it was sent to an address that {}", url.error().message);
    if (request.url.secure && !url->secure) {
        return fail(Errc::permission_denied, "it was sent from https to http, to {}", url->host);
    }
    const bool post = request.method == "POST";
    if ((status == 303 && request.method != "HEAD") || (post && (status == 301 || status == 302))) {
        request.method = "GET";
        request.body.clear();
        request.headers.erase("content-type");
    }
    if (!url->same_origin(request.url)) {
        if (request.private_body && !request.body.empty()) {
            return fail(Errc::permission_denied, "it was sent to another origin, {}, where a body with a secret does not go", url->host);
        }
        request.own_origin = false;
        std::erase_if(request.headers,
                      [](const auto& header) { return std::find(kHarmless.begin(), kHarmless.end(), header.first) == kHarmless.end(); });
    }
    request.url = *url;
    return request;
}

}  // namespace cloudtask::node
