// Strict reading of http and https URLs (RFC 3986, RFC 9110 section 4.2): see http_url.h. Pure; any thread.
#include "cloudtask/task/http_url.h"

#include <arpa/inet.h>
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>
#include <optional>

namespace cloudtask::task {

namespace {

constexpr std::size_t kLongestHost = 253;  // RFC 1035, section 2.3.4, as text
constexpr std::size_t kLongestHostLabel = 63;

bool is_host_digit(char c) { return c >= '0' && c <= '9'; }
bool is_host_letter(char c) { return c >= 'a' && c <= 'z'; }

std::string lower_ascii(std::string_view text) {
    std::string out{text};
    for (char& c : out) {
        if (c >= 'A' && c <= 'Z') c = static_cast<char>(c - 'A' + 'a');
    }
    return out;
}

bool is_dotted_address(const std::string& host) {
    std::array<unsigned char, 4> bytes{};
    return ::inet_pton(AF_INET, host.c_str(), bytes.data()) == 1;
}

// Resolvers read "127.1", "0x7f000001" and "2130706433" as addresses, everybody in a way of their own: a last part that is a number means
// that an address is meant (WHATWG URL, "ends in a number").
bool ends_in_number(std::string_view host) {
    const std::size_t dot = host.rfind('.');
    const std::string_view last = dot == std::string_view::npos ? host : host.substr(dot + 1);
    if (last.starts_with("0x")) return true;
    return !last.empty() && std::all_of(last.begin(), last.end(), is_host_digit);
}

Result<std::string> read_name(std::string_view text) {
    std::string host = lower_ascii(text);
    if (host.empty()) return fail(Errc::invalid_argument, "has no host");
    if (host.size() > kLongestHost) return fail(Errc::invalid_argument, "has a host of more than {} characters", kLongestHost);
    if (ends_in_number(host)) {
        if (is_dotted_address(host)) return host;
        return fail(Errc::invalid_argument, "has a host that ends in a number and is no IPv4 address of four decimal numbers");
    }
    std::size_t begin = 0;
    while (begin <= host.size()) {
        const std::size_t end = std::min(host.find('.', begin), host.size());
        const std::string_view label = std::string_view{host}.substr(begin, end - begin);
        const bool known =
            std::all_of(label.begin(), label.end(), [](char c) { return is_host_letter(c) || is_host_digit(c) || c == '-' || c == '_'; });
        if (label.empty() || label.size() > kLongestHostLabel || !known) {
            return fail(Errc::invalid_argument, "has a host that is no name: letters, digits, '-' and '_' between single dots");
        }
        begin = end + 1;
    }
    return host;
}

Result<std::string> read_bracketed(std::string_view text) {
    const std::string address = lower_ascii(text);
    std::array<unsigned char, 16> bytes{};
    if (::inet_pton(AF_INET6, address.c_str(), bytes.data()) != 1) {
        return fail(Errc::invalid_argument, "has something other than an IPv6 address in its brackets");
    }
    // One spelling for each address, so that two of them can be compared.
    std::array<char, INET6_ADDRSTRLEN> spelled{};
    ::inet_ntop(AF_INET6, bytes.data(), spelled.data(), spelled.size());
    return std::string{spelled.data()};
}

Result<std::uint16_t> read_port(std::string_view text) {
    std::uint16_t port = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), port);
    if (error == std::errc{} && end == text.data() + text.size() && port != 0) return port;
    return fail(Errc::invalid_argument, "has a port that is no number from 1 to 65535");
}

// The bytes that a target may have (RFC 3986, appendix A), escapes included.
std::optional<std::string> fault_of_target(std::string_view target) {
    static constexpr std::string_view kMarks = "-._~!$&'()*+,;=:@/?%";
    for (std::size_t i = 0; i < target.size(); ++i) {
        const char c = target[i];
        const bool plain = is_host_digit(c) || is_host_letter(static_cast<char>(c | 0x20)) || kMarks.find(c) != std::string_view::npos;
        if (!plain) return "has a character in its path or query that has to be escaped (%20 for a blank)";
        if (c != '%') continue;
        const auto is_hex = [](char h) {
            return is_host_digit(h) || (static_cast<char>(h | 0x20) >= 'a' && static_cast<char>(h | 0x20) <= 'f');
        };
        if (i + 2 >= target.size() || !is_hex(target[i + 1]) || !is_hex(target[i + 2])) {
            return "has a '%' that two hexadecimal digits do not follow";
        }
    }
    return std::nullopt;
}

}  // namespace

Result<HttpUrl> HttpUrl::parse(std::string_view text) {
    if (text.size() > kLongestUrl) return fail(Errc::invalid_argument, "is longer than {} bytes", kLongestUrl);
    for (const char c : text) {
        if (static_cast<unsigned char>(c) <= 0x20 || static_cast<unsigned char>(c) >= 0x7f) {
            return fail(Errc::invalid_argument, "has a blank, a control character or one outside of ASCII");
        }
    }
    HttpUrl url;
    const std::size_t colon = text.find("://");
    const std::string scheme = lower_ascii(text.substr(0, colon));
    if (colon == std::string_view::npos || (scheme != "http" && scheme != "https")) {
        return fail(Errc::invalid_argument, "is neither http:// nor https://");
    }
    url.secure = scheme == "https";
    url.port = url.secure ? 443 : 80;
    text.remove_prefix(colon + 3);

    if (text.find('#') != std::string_view::npos) return fail(Errc::invalid_argument, "has a fragment ('#'), which is never sent");
    const std::size_t slash = std::min(text.find_first_of("/?"), text.size());
    std::string_view authority = text.substr(0, slash);
    if (authority.find('@') != std::string_view::npos) {
        return fail(Errc::invalid_argument, "has a user name or password; a header is the place for credentials");
    }
    const bool bracketed = authority.starts_with('[');
    const std::size_t bracket = authority.find(']');
    if (bracketed && bracket == std::string_view::npos) return fail(Errc::invalid_argument, "has a bracket that is not closed");
    const std::size_t host_end = bracketed ? bracket + 1 : std::min(authority.find(':'), authority.size());
    auto host = bracketed ? read_bracketed(authority.substr(1, bracket - 1)) : read_name(authority.substr(0, host_end));
    if (!host) return propagate(host);
    url.host = std::move(*host);
    if (const std::string_view rest = authority.substr(host_end); !rest.empty()) {
        const auto port = rest.front() == ':' ? read_port(rest.substr(1)) : read_port({});
        if (!port) return propagate(port);
        url.port = *port;
    }

    const std::string_view target = text.substr(slash);
    url.target = target.starts_with('/') ? std::string{target} : fmt::format("/{}", target);
    if (const auto fault = fault_of_target(url.target)) return fail(Errc::invalid_argument, "{}", *fault);
    return url;
}

std::string HttpUrl::to_string() const {
    const bool named = host.find(':') == std::string::npos;
    const bool own_port = port == (secure ? 443 : 80);
    return fmt::format("{}://{}{}{}{}{}", secure ? "https" : "http", named ? "" : "[", host, named ? "" : "]",
                       own_port ? std::string{} : fmt::format(":{}", port), target);
}

}  // namespace cloudtask::task
