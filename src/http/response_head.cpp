// The head of a response as bytes. Pure. Any thread.
#include "http/response_head.h"

#include <array>
#include <ctime>

#include <fmt/format.h>

#include "cloudtask/core/log.h"
#include "http/text.h"

namespace cloudtask::http {
namespace {

bool is_token(std::string_view name) {
    static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    if (name.empty()) return false;
    for (const char c : name) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && kMarks.find(c) == std::string_view::npos) return false;
    }
    return true;
}

bool is_value(std::string_view value) {
    for (const char c : value) {
        if ((static_cast<unsigned char>(c) < 0x20 && c != '\t') || c == 0x7f) return false;
    }
    return true;
}

bool frames_the_message(std::string_view name) {
    for (const std::string_view ours : {"Content-Length", "Transfer-Encoding", "Connection", "Keep-Alive", "Date"}) {
        if (equal_ignoring_case(name, ours)) return true;
    }
    return false;
}

}  // namespace

std::string format_http_date(Instant now) {
    static constexpr std::array kDays = {"Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"};
    static constexpr std::array kMonths = {"Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec"};
    const std::time_t seconds = std::chrono::floor<std::chrono::seconds>(now).time_since_epoch().count();
    std::tm utc{};
    gmtime_r(&seconds, &utc);
    return fmt::format("{}, {:02} {} {:04} {:02}:{:02}:{:02} GMT", kDays[static_cast<std::size_t>(utc.tm_wday)], utc.tm_mday,
                       kMonths[static_cast<std::size_t>(utc.tm_mon)], utc.tm_year + 1900, utc.tm_hour, utc.tm_min, utc.tm_sec);
}

std::string format_head(const Response& response, const Framing& framing, Instant now) {
    std::string out = fmt::format("HTTP/1.1 {} {}\r\nDate: {}\r\n", response.status, reason_phrase(response.status), format_http_date(now));
    for (const auto& [name, value] : response.headers.list()) {
        if (frames_the_message(name)) continue;
        if (!is_token(name) || !is_value(value)) {
            log::error("http: a handler set a response header that cannot be sent, named '{}'; it is left out",
                       is_token(name) ? name : "?");
            continue;
        }
        out.append(name).append(": ").append(value).append("\r\n");
    }
    if (!response.headers.has("Cache-Control")) out += "Cache-Control: no-store\r\n";
    if (!response.headers.has("X-Content-Type-Options")) out += "X-Content-Type-Options: nosniff\r\n";
    // RFC 9110, section 8.6: no length with 1xx and 204; 304 has none of ours either.
    const bool bodiless = response.status < 200 || response.status == 204 || response.status == 304;
    if (framing.length && !bodiless) {
        out += fmt::format("Content-Length: {}\r\n", *framing.length);
    } else if (!framing.length && framing.http11) {
        out += "Transfer-Encoding: chunked\r\n";
    }
    if (!framing.keep_alive) {
        out += "Connection: close\r\n";
    } else if (!framing.http11) {
        out += "Connection: keep-alive\r\n";
    }
    out += "\r\n";
    return out;
}

}  // namespace cloudtask::http
