// The expressions of an HTTP call: see call_templates.h. Pure; any thread.
#include "task/call_templates.h"

#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <optional>
#include <set>
#include <utility>

#include "cloudtask/core/json.h"
#include "cloudtask/task/http_url.h"
#include "task/template_check.h"

namespace cloudtask::task {

namespace {

constexpr std::string_view kSecretPrefix = "secrets.";
constexpr const char* kCallUrl = "/http/url";
constexpr const char* kCallHeaders = "/http/headers";
constexpr const char* kCallBody = "/http/body";
constexpr std::string_view kDotSegments =
    "has '.' or '..' between slashes of its path once values are put in, by which it would mean another path";
// They go along where a redirect leads (node/http/redirect.h).
constexpr std::array<std::string_view, 4> kTravellingHeaders{"accept", "accept-language", "content-type", "user-agent"};

using ValueOf = std::function<Result<std::string>(const Template& expression)>;
using Escape = std::string (*)(const std::string& value);

std::string as_it_is(const std::string& value) { return value; }

// For a part of a path or query (RFC 3986, section 2.3: all but the unreserved characters).
std::string percent_encoded(const std::string& value) {
    static constexpr std::string_view kUnreservedMarks = "-._~";
    std::string out;
    for (const char c : value) {
        const bool plain = (c >= 'A' && c <= 'Z') || (c >= 'a' && c <= 'z') || (c >= '0' && c <= '9') ||
                           kUnreservedMarks.find(c) != std::string_view::npos;
        out += plain ? std::string(1, c) : fmt::format("%{:02X}", static_cast<unsigned char>(c));
    }
    return out;
}

// For the inside of a text in JSON.
std::string json_escaped(const std::string& value) {
    json::Writer out;
    const std::string quoted = out.value(value).text();
    return quoted.substr(1, quoted.size() - 2);
}

// As the type of the body has values.
Escape escape_of(const HttpCall& call) {
    const auto found = call.headers.find("content-type");
    if (found == call.headers.end()) return as_it_is;
    std::string type = found->second.substr(0, found->second.find(';'));
    while (type.ends_with(' ')) type.pop_back();
    std::transform(type.begin(), type.end(), type.begin(), [](char c) { return c >= 'A' && c <= 'Z' ? static_cast<char>(c + 32) : c; });
    if (type == "application/json" || type.ends_with("+json")) return json_escaped;
    if (type == "application/x-www-form-urlencoded") return percent_encoded;
    return as_it_is;
}

// The text with the value of each expression, escaped, in its place. A template by itself would put them in as they are.
Result<std::string> with_values(std::string_view text, const ValueOf& value, Escape escape) {
    std::string out;
    for (std::size_t at = 0; at < text.size();) {
        if (!text.substr(at).starts_with("${")) {
            at += text.substr(at).starts_with("$$") ? 2 : 1;
            out += text[at - 1];
            continue;
        }
        const std::size_t end = std::min(text.find('}', at), text.size() - 1);
        TemplateFault fault;
        const auto expression = Template::parse(text.substr(at, end + 1 - at), fault);
        if (!expression) return fail(Errc::invalid_argument, "{}", fault.problem);
        const auto given = value(*expression);
        if (!given) return propagate(given);
        out += escape(*given);
        at = end + 1;
    }
    return out;
}

bool has_dot_segment(std::string_view path) {
    while (!path.empty()) {
        const std::size_t end = std::min(path.find('/'), path.size());
        std::string_view rest = path.substr(0, end);
        std::size_t dots = 0;
        for (; rest.starts_with('.') || rest.starts_with("%2e") || rest.starts_with("%2E"); ++dots) {
            rest.remove_prefix(rest.starts_with('.') ? 1 : 3);
        }
        if (rest.empty() && (dots == 1 || dots == 2)) return true;
        path.remove_prefix(std::min(end + 1, path.size()));
    }
    return false;
}

// Errors: invalid_argument, as a part of a sentence that says what is wrong with the address.
Result<std::string> url_with_values(const std::string& text, const ValueOf& value) {
    const std::size_t expression = text.find('$');
    if (expression == std::string::npos) return text;
    const std::size_t colon = text.find("://");
    const std::size_t path = colon == std::string::npos ? colon : text.find_first_of("/?", colon + 3);
    if (path == std::string::npos || path > expression) {
        return fail(Errc::invalid_argument, "has an expression before its path: the scheme, host and port that are called are fixed");
    }
    const auto out = with_values(text, value, percent_encoded);
    if (!out) return fail(out.error().code, "has an expression without a value: {}", out.error().message);
    const auto url = HttpUrl::parse(*out);
    if (!url) return propagate(url);
    if (has_dot_segment(std::string_view{url->target}.substr(0, url->target.find('?')))) {
        return fail(Errc::invalid_argument, "{}", kDotSegments);
    }
    return url->to_string();
}

// Errors: invalid_argument, too_large, as a part of a sentence.
Result<> check_header_value(const std::string& value) {
    if (value.size() > kLongestCallHeader) return fail(Errc::too_large, "is longer than {} bytes", kLongestCallHeader);
    if (is_header_value(value)) return {};
    return fail(Errc::invalid_argument, "has a control character or one outside of ASCII");
}

void check_secret_names(const HttpCall& call, const SecretUses& secrets, Faults& faults) {
    std::set<std::string, std::less<>> named;
    visit_call_texts(call, [&](const std::string& text, const std::string& pointer) {
        TemplateFault fault;
        const auto parsed = Template::parse(text, fault);
        if (!parsed) return;
        const bool travels = std::any_of(kTravellingHeaders.begin(), kTravellingHeaders.end(),
                                         [&](std::string_view name) { return pointer == pointer_to(kCallHeaders, name); });
        for (const std::string& name : parsed->parameters()) {
            const std::string secret{secret_of_expression(name)};
            if (secret.empty()) continue;
            named.insert(secret);
            if (pointer == kCallUrl) {
                faults.add(pointer, fmt::format("has the secret '{}', and addresses are written to logs", secret), "a header");
            } else if (travels) {
                faults.add(pointer, fmt::format("has the secret '{}', and goes along where a redirect leads", secret), "another header");
            } else if (!secrets.contains(secret)) {
                faults.add(pointer, fmt::format("names the secret '{}', which 'secrets' of the task does not have", secret),
                           "a name that 'secrets' has, as ${secrets.NAME}");
            }
        }
    });
    for (const auto& [name, use] : secrets) {
        const std::string pointer = pointer_to("/secrets", name);
        if (use.as_file) faults.add(pointer, "is a file, which no call has", "the name of the secret alone");
        if (!named.contains(name)) {
            faults.add(pointer, "is named neither in a header nor in the body", fmt::format("${{secrets.{}}} in one of them", name));
        }
    }
}

}  // namespace

std::string_view secret_of_expression(std::string_view name) {
    return name.starts_with(kSecretPrefix) ? name.substr(kSecretPrefix.size()) : std::string_view{};
}

void visit_call_texts(const HttpCall& call, const std::function<void(const std::string& text, const std::string& pointer)>& visit) {
    visit(call.url, kCallUrl);
    for (const auto& [name, value] : call.headers) visit(value, pointer_to(kCallHeaders, name));
    visit(call.body, kCallBody);
}

void check_call_templates(const HttpCall& call, const KnownNames& known, const SecretUses* secrets, Faults& faults) {
    KnownNames names = known;
    names.is_parameter = [&known](std::string_view name) { return !secret_of_expression(name).empty() || known.is_parameter(name); };
    const std::size_t before = faults.list().size();
    visit_call_texts(call, [&](const std::string& text, const std::string& pointer) { check_template(text, pointer, names, "", faults); });
    check_secret_names(call, secrets == nullptr ? SecretUses{} : *secrets, faults);
    if (faults.list().size() != before) return;
    // Whatever the values are.
    const auto url = url_with_values(call.url, [](const Template&) { return Result<std::string>("x"); });
    if (!url) faults.add(kCallUrl, url.error().message, "an address such as https://example.org/days/${fire_date}?full=1");
}

Result<WorkedOutCall> call_with_values(const HttpCall& call, const ValueOf& value) {
    WorkedOutCall out{call, false};
    auto url = url_with_values(call.url, value);
    if (!url) return fail(url.error().code, "the address {}", url.error().message);
    out.call.url = std::move(*url);
    for (auto& [name, text] : out.call.headers) {
        auto line = with_values(text, value, as_it_is);
        if (!line) return fail(line.error().code, "the header {}: {}", name, line.error().message);
        if (const auto right = check_header_value(*line); !right)
            return fail(right.error().code, "the header {} {}", name, right.error().message);
        text = std::move(*line);
    }
    const ValueOf noted = [&](const Template& expression) {
        const auto names = expression.parameters();
        if (!names.empty() && !secret_of_expression(names.front()).empty()) out.private_body = true;
        return value(expression);
    };
    auto body = with_values(call.body, noted, escape_of(out.call));
    if (!body) return fail(body.error().code, "the body: {}", body.error().message);
    if (body->size() > kLongestCallBody) return fail(Errc::too_large, "the body has more than {} bytes", kLongestCallBody);
    out.call.body = std::move(*body);
    return out;
}

}  // namespace cloudtask::task
