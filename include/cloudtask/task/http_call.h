// HttpCall: what a task of the executor `http` does instead of starting a program: one request, and when its answer is a success.
// What each field means to a user is in docs/url-tasks.md.
//
// Pure data and pure functions: no I/O, no clock. Any thread.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "cloudtask/core/json.h"
#include "cloudtask/core/result.h"

namespace cloudtask::task {

// A set of HTTP status codes, as inclusive ranges within 100 to 599.
class StatusCodes {
  public:
    struct Range {
        int first = 0, last = 0;
        friend bool operator==(const Range&, const Range&) = default;
    };
    // "204", "200-299". Errors: invalid_argument.
    static Result<Range> parse(std::string_view text);
    static std::string to_string(const Range& range);

    StatusCodes() = default;
    explicit StatusCodes(std::vector<Range> ranges) : ranges_(std::move(ranges)) {}

    bool contains(int status) const;
    const std::vector<Range>& ranges() const { return ranges_; }
    friend bool operator==(const StatusCodes&, const StatusCodes&) = default;

  private:
    std::vector<Range> ranges_;
};

// When an answer is a success.
struct HttpExpect {
    StatusCodes status{{{200, 299}}};
    std::string pattern;  // a regular expression as RE2 has it, held against the beginning of the body; empty: none
    bool matches = true;  // the body has to match; false: it must not
    friend bool operator==(const HttpExpect&, const HttpExpect&) = default;
};

inline constexpr std::size_t kLongestCallHeader = 4096;    // bytes of a value
inline constexpr std::size_t kLongestCallBody = 32 << 10;  // bytes that are sent

// So much of the beginning of a body is kept, shown and looked at.
inline constexpr std::size_t kAnswerKept = 64 << 10;

struct HttpCall {
    std::string method = "GET";
    std::string url;                             // as HttpUrl::to_string() has it; with expressions as it was written
    std::map<std::string, std::string> headers;  // names in lower case
    std::string body;
    HttpExpect expect;
    std::string sign;            // the name of the secret by which it is signed; empty: it is not
    std::int64_t redirects = 0;  // so many are followed at the most
    friend bool operator==(const HttpCall&, const HttpCall&) = default;
};

// One line of ASCII, as a header may have.
bool is_header_value(std::string_view text);

// Reads the member `http` of a task. Each fault goes to `faults` with its pointer, below `pointer`; empty when there was one.
// `expressions`: the task has parameters, so that ${...} in an address is one, and check_expressions() looks at it.
std::optional<HttpCall> read_http_call(const json::Value& value, const std::string& pointer, Faults& faults, bool expressions = false);

// One JSON object. What is as it is without being said is left out, but for method and URL.
void write_http_call(json::Writer& out, const HttpCall& call);

// Why an answer is no success, as a sentence part ("it answered 503"); empty if it is one. `beginning`: the body's first kAnswerKept bytes.
std::string why_unexpected(const HttpExpect& expect, int status, std::string_view beginning);

}  // namespace cloudtask::task
