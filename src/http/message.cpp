// Values of an HTTP exchange: headers, ready-made responses, and the status that fits an error. No sockets, no state. Any thread.
#include "cloudtask/http/message.h"

#include <algorithm>

#include "cloudtask/core/json.h"
#include "http/text.h"

namespace cloudtask::http {

void Headers::set(std::string name, std::string value) {
    for (auto& [known, old] : list_) {
        if (equal_ignoring_case(known, name)) {
            old = std::move(value);
            return;
        }
    }
    list_.emplace_back(std::move(name), std::move(value));
}

std::string_view Headers::get(std::string_view name) const {
    for (const auto& [known, value] : list_) {
        if (equal_ignoring_case(known, name)) return value;
    }
    return {};
}

bool Headers::has(std::string_view name) const {
    return std::any_of(list_.begin(), list_.end(), [&](const auto& header) { return equal_ignoring_case(header.first, name); });
}

Response Response::json(int status, std::string body) { return text(status, std::move(body), "application/json"); }

Response Response::no_content() {
    Response response;
    response.status = 204;
    return response;
}

Response Response::text(int status, std::string body, std::string content_type) {
    Response response;
    response.status = status;
    response.headers.set("Content-Type", std::move(content_type));
    response.body = std::move(body);
    return response;
}

Response Response::problem(int status, std::string detail, const Faults& faults) {
    json::Writer writer;
    writer.begin_object();
    writer.member("type", std::string_view{"about:blank"});
    writer.member("title", reason_phrase(status));
    writer.member("status", status);
    if (!detail.empty()) writer.member("detail", std::string_view{detail});
    if (!faults.empty()) {
        writer.key("faults").begin_array();
        for (const Fault& fault : faults.list()) {
            writer.begin_object();
            writer.member("pointer", std::string_view{fault.pointer});
            writer.member("problem", std::string_view{fault.problem});
            if (!fault.allowed.empty()) writer.member("allowed", std::string_view{fault.allowed});
            writer.end_object();
        }
        writer.end_array();
    }
    writer.end_object();
    return text(status, writer.text(), "application/problem+json");
}

Response Response::problem(const Error& error) {
    const int status = status_for(error.code);
    // What went wrong inside (paths, SQL, host names) is for the log, not for whoever sent the request.
    if (status == 500) return problem(status, "The server could not do this because of a fault of its own; its log says more.");
    return problem(status, error.message);
}

int status_for(std::error_code code) {
    if (code.category() != core_category()) return 500;
    switch (static_cast<Errc>(code.value())) {
        case Errc::invalid_argument:
            return 400;
        case Errc::unauthenticated:
            return 401;
        case Errc::permission_denied:
            return 403;
        case Errc::not_found:
            return 404;
        case Errc::already_exists:
        case Errc::conflict:
            return 409;
        case Errc::stale_version:
            return 412;
        case Errc::too_large:
            return 413;
        case Errc::unsupported:
            return 422;
        case Errc::unavailable:
        case Errc::cancelled:
            return 503;
        case Errc::timeout:
            return 504;
        case Errc::io:
        case Errc::corrupt:
        case Errc::internal:
            return 500;
    }
    return 500;
}

std::string_view reason_phrase(int status) {
    switch (status) {
        case 100:
            return "Continue";
        case 200:
            return "OK";
        case 201:
            return "Created";
        case 202:
            return "Accepted";
        case 204:
            return "No Content";
        case 206:
            return "Partial Content";
        case 301:
            return "Moved Permanently";
        case 302:
            return "Found";
        case 303:
            return "See Other";
        case 304:
            return "Not Modified";
        case 307:
            return "Temporary Redirect";
        case 308:
            return "Permanent Redirect";
        case 400:
            return "Bad Request";
        case 401:
            return "Unauthorized";
        case 403:
            return "Forbidden";
        case 404:
            return "Not Found";
        case 405:
            return "Method Not Allowed";
        case 406:
            return "Not Acceptable";
        case 408:
            return "Request Timeout";
        case 409:
            return "Conflict";
        case 410:
            return "Gone";
        case 411:
            return "Length Required";
        case 412:
            return "Precondition Failed";
        case 413:
            return "Content Too Large";
        case 414:
            return "URI Too Long";
        case 415:
            return "Unsupported Media Type";
        case 416:
            return "Range Not Satisfiable";
        case 417:
            return "Expectation Failed";
        case 422:
            return "Unprocessable Content";
        case 428:
            return "Precondition Required";
        case 429:
            return "Too Many Requests";
        case 431:
            return "Request Header Fields Too Large";
        case 500:
            return "Internal Server Error";
        case 501:
            return "Not Implemented";
        case 502:
            return "Bad Gateway";
        case 503:
            return "Service Unavailable";
        case 504:
            return "Gateway Timeout";
        case 505:
            return "HTTP Version Not Supported";
        case 507:
            return "Insufficient Storage";
        default:
            return "Status";
    }
}

}  // namespace cloudtask::http
