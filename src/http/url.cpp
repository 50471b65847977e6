// Request targets: percent-encoding, the query, and what a path may not contain. Pure. Any thread.
#include "http/url.h"

#include <algorithm>

#include "cloudtask/http/client.h"
#include "http/text.h"

namespace cloudtask::http {
namespace {

int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    if (c >= 'a' && c <= 'f') return c - 'a' + 10;
    if (c >= 'A' && c <= 'F') return c - 'A' + 10;
    return -1;
}

bool has_control(std::string_view text) {
    return std::any_of(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; });
}

Result<std::string> parse_path(std::string_view raw) {
    auto path = decode_component(raw, false);
    if (!path) return path;
    if (has_control(*path)) return fail(Errc::invalid_argument, "The path contains a control character.");
    for (std::size_t i = 0; i + 2 < raw.size(); ++i) {
        if (raw[i] == '%' && raw[i + 1] == '2' && (raw[i + 2] | 0x20) == 'f') {
            return fail(Errc::invalid_argument, "The path contains an escaped slash (%2F); names in paths cannot contain slashes.");
        }
    }
    std::string_view rest = *path;
    while (!rest.empty()) {
        rest.remove_prefix(1);
        const std::string_view segment = rest.substr(0, rest.find('/'));
        if (segment == "." || segment == "..") return fail(Errc::invalid_argument, "The path contains a '{}' segment.", segment);
        rest.remove_prefix(segment.size());
    }
    return path;
}

}  // namespace

Result<std::string> decode_component(std::string_view text, bool plus_is_space) {
    std::string out;
    out.reserve(text.size());
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '%') {
            const int high = i + 2 < text.size() ? hex_digit(text[i + 1]) : -1;
            const int low = i + 2 < text.size() ? hex_digit(text[i + 2]) : -1;
            if (high < 0 || low < 0)
                return fail(Errc::invalid_argument, "The address has a '%' that two hexadecimal digits do not follow.");
            out += static_cast<char>(high * 16 + low);
            i += 2;
        } else if (text[i] == '+' && plus_is_space) {
            out += ' ';
        } else {
            out += text[i];
        }
    }
    if (out.find('\0') != std::string::npos) return fail(Errc::invalid_argument, "The address contains a NUL character.");
    if (!is_utf8(out)) return fail(Errc::invalid_argument, "The address is not UTF-8 once its escapes are undone.");
    return out;
}

Result<Target> parse_target(std::string_view target) {
    for (const std::string_view scheme : {"http://", "https://"}) {
        if (target.size() >= scheme.size() && equal_ignoring_case(target.substr(0, scheme.size()), scheme)) {
            target.remove_prefix(scheme.size());
            const auto end = target.find_first_of("/?#");
            target = end == std::string_view::npos ? std::string_view{"/"} : target.substr(end);
            break;
        }
    }
    if (target.empty() || target[0] != '/') return fail(Errc::invalid_argument, "The request's target does not begin with a slash.");
    if (target.find('#') != std::string_view::npos) return fail(Errc::invalid_argument, "The request's target contains a fragment ('#').");

    const auto question = target.find('?');
    auto path = parse_path(target.substr(0, question));
    if (!path) return propagate(path);
    Target out;
    out.path = std::move(*path);
    std::string_view rest = question == std::string_view::npos ? std::string_view{} : target.substr(question + 1);
    while (!rest.empty()) {
        const auto end = rest.find('&');
        const std::string_view pair = rest.substr(0, end);
        rest = end == std::string_view::npos ? std::string_view{} : rest.substr(end + 1);
        if (pair.empty()) continue;
        const auto equals = pair.find('=');
        auto name = decode_component(pair.substr(0, equals), true);
        if (!name) return propagate(name);
        auto value = equals == std::string_view::npos ? Result<std::string>{} : decode_component(pair.substr(equals + 1), true);
        if (!value) return propagate(value);
        if (!out.query.emplace(*name, std::move(*value)).second) {
            return fail(Errc::invalid_argument, "The query names '{}' more than once.", *name);
        }
    }
    return out;
}

std::string encode_component(std::string_view text) {
    static constexpr char kHex[] = "0123456789ABCDEF";
    std::string out;
    out.reserve(text.size());
    for (const char c : text) {
        const bool unreserved =
            (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || c == '-' || c == '.' || c == '_' || c == '~';
        if (unreserved) {
            out += c;
        } else {
            const auto byte = static_cast<unsigned char>(c);
            out += '%';
            out += kHex[byte >> 4];
            out += kHex[byte & 15];
        }
    }
    return out;
}

}  // namespace cloudtask::http
