// HTTP messages as values: what a handler gets and what it answers. No sockets. Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cloudtask/core/faults.h"
#include "cloudtask/core/result.h"

namespace cloudtask::http {

// Names compare without regard to case (RFC 9110, section 5.1).
class Headers {
  public:
    void set(std::string name, std::string value);
    std::string_view get(std::string_view name) const;  // empty when absent
    bool has(std::string_view name) const;
    const std::vector<std::pair<std::string, std::string>>& list() const { return list_; }

  private:
    std::vector<std::pair<std::string, std::string>> list_;
};

struct Request {
    std::string method;                         // upper case
    std::string path;                           // decoded, without the query
    std::map<std::string, std::string> query;   // decoded; a repeated name is refused with 400
    std::map<std::string, std::string> params;  // from the route's pattern: {id}
    Headers headers;
    std::string body;  // empty until read
    std::string remote_address;
    std::string route;  // the pattern that matched, for metrics
};

struct Response {
    int status = 200;
    Headers headers;
    std::string body;
    std::string file;  // if not empty: the path of a file that is sent as the body (flat memory)

    static Response json(int status, std::string body);
    static Response no_content();
    static Response text(int status, std::string body, std::string content_type = "text/plain; charset=utf-8");
    // RFC 9457 application/problem+json: {"type":"about:blank","title","status","detail","faults":[{pointer,problem,allowed}]}
    static Response problem(int status, std::string detail, const Faults& faults = {});
    // The problem for an Error: the status that fits its code (500 hides the message of errors that are not the client's).
    static Response problem(const Error& error);
};

int status_for(std::error_code code);
std::string_view reason_phrase(int status);

}  // namespace cloudtask::http
