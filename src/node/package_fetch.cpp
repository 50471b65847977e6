// Fetching a package. Its bytes are checked by the cache, which knows their SHA-256; its name is held against the rules by
// archive/archive.h.
#include "node/package_fetch.h"

#include <cctype>

#include "node/center_answer.h"
#include "node/center_link.h"

namespace cloudtask::node {

namespace {

// In all: 512 MiB at 0.6 MiB/s.
constexpr Duration kFetchTimeout = std::chrono::minutes{15};

int hex_value(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

std::string percent_decoded(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        const int high = text[i] == '%' && i + 2 < text.size() ? hex_value(text[i + 1]) : -1;
        const int low = high >= 0 ? hex_value(text[i + 2]) : -1;
        if (low < 0) {
            out += text[i];
            continue;
        }
        out += static_cast<char>(high * 16 + low);
        i += 2;
    }
    return out;
}

char lower(char c) { return static_cast<char>(std::tolower(static_cast<unsigned char>(c))); }

// One parameter `; name=value` of a header's value; a quoted value may hold `;` and escapes (RFC 9110, section 5.6.4).
std::string parameter(std::string_view header, std::string_view wanted) {
    std::size_t i = header.find(';');
    while (i < header.size()) {
        ++i;
        while (i < header.size() && (header[i] == ' ' || header[i] == '\t')) ++i;
        std::string name, value;
        for (; i < header.size() && header[i] != '=' && header[i] != ';'; ++i) name += lower(header[i]);
        if (i < header.size() && header[i] == '=') ++i;
        if (i < header.size() && header[i] == '"') {
            for (++i; i < header.size() && header[i] != '"'; ++i) {
                if (header[i] == '\\' && i + 1 < header.size()) ++i;
                value += header[i];
            }
            i = header.find(';', i);
        } else {
            for (; i < header.size() && header[i] != ';'; ++i) value += header[i];
        }
        if (name == wanted) return value;
    }
    return {};
}

}  // namespace

std::string package_filename(const http::Headers& headers) {
    if (headers.has("X-Package-Filename")) return percent_decoded(headers.get("X-Package-Filename"));
    const std::string_view disposition = headers.get("Content-Disposition");
    // RFC 8187: charset'language'percent-encoded.
    const std::string extended = parameter(disposition, "filename*");
    const std::size_t quote = extended.find('\'');
    const std::size_t encoded = quote == std::string::npos ? quote : extended.find('\'', quote + 1);
    if (encoded != std::string::npos) return percent_decoded(std::string_view{extended}.substr(encoded + 1));
    return parameter(disposition, "filename");
}

void fetch_package(http::Client& client, const std::string& sha256, const std::string& path,
                   std::function<void(Result<std::string>)> fetched) {
    http::ClientRequest request;
    request.target = "/api/v1/node/packages/" + http::encode_component(sha256);
    request.save_to = path;
    request.timeout = kFetchTimeout;
    client.send(std::move(request), [fetched = std::move(fetched), sha256](Result<http::Response> answer) {
        const auto good = judge_for_node(std::move(answer));
        if (!good) return fetched(fail(good.error().code, "package {} cannot be fetched: {}", sha256, good.error().message));
        fetched(package_filename(good->headers));
    });
}

}  // namespace cloudtask::node
