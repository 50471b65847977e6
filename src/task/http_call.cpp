// The definition of an HTTP call: its JSON with bounds, and the verdict of an answer. See http_call.h. Pure; any thread.
#include "cloudtask/task/http_call.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <charconv>

#include "cloudtask/task/http_url.h"
#include "cloudtask/task/policies.h"
#include "task/codec_rules.h"

namespace cloudtask::task {

namespace {

constexpr int kLowestStatus = 100;
constexpr int kHighestStatus = 599;
constexpr std::size_t kMostStatusRanges = 32;
constexpr std::size_t kMostHeaders = 32;
constexpr std::int64_t kMostRedirects = 10;
constexpr std::array<std::string_view, 6> kMethods{"GET", "HEAD", "POST", "PUT", "PATCH", "DELETE"};
// They say where a message ends, whom it is for, or what becomes of the connection: that is the executor's business.
constexpr std::array<std::string_view, 12> kOwnHeaders{
    "connection", "content-length", "expect",  "host", "idempotency-key",   "keep-alive",
    "te",         "trailer",        "upgrade", "via",  "transfer-encoding", "http2-settings"};

bool is_header_character(char c) {  // tchar of RFC 9110, section 5.6.2, in lower case
    static constexpr std::string_view kMarks = "!#$%&'*+-.^_`|~";
    return (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') || kMarks.find(c) != std::string_view::npos;
}

bool is_own_header(std::string_view name) {
    return std::find(kOwnHeaders.begin(), kOwnHeaders.end(), name) != kOwnHeaders.end() || name.starts_with("cloudtask-") ||
           name.starts_with("proxy-");
}

void read_url(json::ObjectReader& reader, HttpCall& call, bool expressions) {
    std::string text;
    if (!reader.require("url") || !reader.read("url", text, {.min = 1, .max = kLongestUrl})) return;
    if (expressions && text.find('$') != std::string::npos) {
        call.url = text;
    } else if (const auto url = HttpUrl::parse(text)) {
        call.url = url->to_string();
    } else {
        reader.faults().add(reader.pointer("url"), url.error().message, "an address such as https://example.org/jobs/nightly?full=1");
    }
}

void read_headers(json::ObjectReader& reader, HttpCall& call) {
    std::map<std::string, std::string> given;
    if (!reader.read("headers", given, {.max = kMostHeaders, .item = {.max = kLongestCallHeader}})) return;
    for (const auto& [name, value] : given) {
        const std::string pointer = pointer_to(reader.pointer("headers"), name);
        std::string lower = name;
        std::transform(lower.begin(), lower.end(), lower.begin(),
                       [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
        if (lower.empty() || !std::all_of(lower.begin(), lower.end(), is_header_character)) {
            reader.faults().add(pointer, "is not the name of a header", "letters, digits and '-'");
        } else if (is_own_header(lower)) {
            reader.faults().add(pointer, "is a header that CloudTask sets itself");
        } else if (!is_header_value(value)) {
            reader.faults().add(pointer, "has a control character or one outside of ASCII", "one line of ASCII");
        } else if (!call.headers.emplace(std::move(lower), value).second) {
            reader.faults().add(pointer, "stands there twice, in different spellings");
        }
    }
}

void read_status(json::ObjectReader& reader, StatusCodes& out) {
    const json::Value* list = reader.array("status", {.min = 1, .max = kMostStatusRanges});
    if (list == nullptr) return;
    std::vector<StatusCodes::Range> ranges;
    for (rapidjson::SizeType i = 0; i < list->Size(); ++i) {
        const json::Value& item = (*list)[i];
        const std::string text = item.IsInt64()    ? std::to_string(item.GetInt64())
                                 : item.IsString() ? std::string(item.GetString(), item.GetStringLength())
                                                   : std::string{};
        if (const auto range = StatusCodes::parse(text)) {
            ranges.push_back(*range);
        } else {
            reader.faults().add(pointer_to(reader.pointer("status"), i), "is not a status of HTTP",
                                "a number from 100 to 599, or a range of them such as \"200-299\"");
        }
    }
    if (ranges.size() == list->Size()) out = StatusCodes(std::move(ranges));
}

void read_expect(json::ObjectReader& call_reader, HttpExpect& out) {
    const json::Value* value = call_reader.object("expect");
    if (value == nullptr) return;
    json::ObjectReader reader{*value, call_reader.pointer("expect"), call_reader.faults()};
    read_status(reader, out.status);
    if (reader.read("pattern", out.pattern, {.min = 1, .max = 1000})) {
        if (const auto checked = check_pattern(out.pattern); !checked) {
            reader.faults().add(reader.pointer("pattern"), checked.error().message, "a regular expression in the syntax of RE2");
        }
    }
    reader.read("matches", out.matches);
    reader.finish();
}

void write_expect(json::Writer& out, const HttpExpect& expect) {
    out.key("expect").begin_object();
    out.key("status").begin_array();
    for (const auto& range : expect.status.ranges()) {
        if (range.first == range.last) {
            out.value(range.first);
        } else {
            out.value(StatusCodes::to_string(range));
        }
    }
    out.end_array();
    if (!expect.pattern.empty()) out.member("pattern", expect.pattern).member("matches", expect.matches);
    out.end_object();
}

}  // namespace

Result<StatusCodes::Range> StatusCodes::parse(std::string_view text) {
    const auto read = [](std::string_view part) {
        int status = 0;
        const auto [end, error] = std::from_chars(part.data(), part.data() + part.size(), status);
        const bool right = error == std::errc{} && end == part.data() + part.size() && status >= kLowestStatus && status <= kHighestStatus;
        return right ? std::optional<int>{status} : std::nullopt;
    };
    const std::size_t dash = text.find('-');
    const auto first = read(text.substr(0, dash));
    const auto last = dash == std::string_view::npos ? first : read(text.substr(dash + 1));
    if (first && last && *first <= *last) return Range{*first, *last};
    return fail(Errc::invalid_argument, "'{}' is neither a status from {} to {} nor a range such as 200-299", text.substr(0, 64),
                kLowestStatus, kHighestStatus);
}

std::string StatusCodes::to_string(const Range& range) {
    return range.first == range.last ? fmt::format("{}", range.first) : fmt::format("{}-{}", range.first, range.last);
}

bool StatusCodes::contains(int status) const {
    return std::any_of(ranges_.begin(), ranges_.end(),
                       [status](const Range& range) { return status >= range.first && status <= range.last; });
}

bool is_header_value(std::string_view text) {
    return std::all_of(text.begin(), text.end(), [](char c) { return c >= 0x20 && c < 0x7f; });
}

std::optional<HttpCall> read_http_call(const json::Value& value, const std::string& pointer, Faults& faults, bool expressions) {
    const std::size_t before = faults.list().size();
    json::ObjectReader reader{value, pointer, faults};
    HttpCall call;
    reader.read_choice("method", call.method, {kMethods.begin(), kMethods.end()});
    read_url(reader, call, expressions);
    read_headers(reader, call);
    reader.read("body", call.body, {.max = kLongestCallBody, .multi_line = true});
    if (!call.body.empty() && (call.method == "GET" || call.method == "HEAD")) {
        reader.faults().add(reader.pointer("body"), fmt::format("stands beside the method {}, which sends none", call.method),
                            "POST, PUT, PATCH or DELETE");
    }
    read_expect(reader, call.expect);
    if (const json::Value* sign = reader.object("sign")) {
        json::ObjectReader sign_reader{*sign, reader.pointer("sign"), faults};
        read_slug(sign_reader, "secret", call.sign);
        sign_reader.finish();
    }
    reader.read("redirects", call.redirects, {.min = 0, .max = kMostRedirects});
    reader.finish();
    if (faults.list().size() != before) return std::nullopt;
    return call;
}

void write_http_call(json::Writer& out, const HttpCall& call) {
    out.begin_object();
    out.member("method", call.method).member("url", call.url);
    if (!call.headers.empty()) out.member("headers", call.headers);
    if (!call.body.empty()) out.member("body", call.body);
    if (!(call.expect == HttpExpect{})) write_expect(out, call.expect);
    if (!call.sign.empty()) out.key("sign").begin_object().member("secret", call.sign).end_object();
    if (call.redirects != 0) out.member("redirects", call.redirects);
    out.end_object();
}

std::string why_unexpected(const HttpExpect& expect, int status, std::string_view beginning) {
    if (!expect.status.contains(status)) return fmt::format("it answered {}", status);
    if (expect.pattern.empty()) return {};
    // The rule that the output of programs is held against: the same engine, the same bounds.
    const SuccessRule rule{ExitCodes{{{0, 0}}}, OutputRule{false, expect.pattern, expect.matches}};
    if (why_no_success(rule, 0, beginning.substr(0, kAnswerKept)).empty()) return {};
    return fmt::format("the body of its answer {} '{}'", expect.matches ? "does not match" : "matches", expect.pattern);
}

}  // namespace cloudtask::task
