// The center's API over Api: encoding, paging, problems. One thread.
#include "cli/center.h"

#include <algorithm>

#include "cli/exit.h"

namespace cloudtask::cli {

namespace {

constexpr Duration kPauseBeforeRepeat = std::chrono::milliseconds{300};
constexpr std::size_t kPage = 200;  // the most that the center gives at once
// A page of 200 definitions of 64 KiB each.
constexpr json::Limits kAnswerLimits{.max_bytes = 16U << 20, .max_depth = 32};

Exit exit_for_status(int status) {
    switch (status) {
        case 401:
        case 403:
            return Exit::denied;
        case 404:
            return Exit::not_found;
        case 409:
        case 412:
            return Exit::conflict;
        case 502:
        case 503:
        case 504:
            return Exit::unreachable;
        default:
            return Exit::failed;
    }
}

Result<json::Document> parse_answer(const http::Response& response) {
    if (response.body.empty()) return json::Document{};
    auto document = json::parse(response.body, kAnswerLimits);
    if (!document) {
        return fail(Exit::failed, "the server's answer is not JSON ({}); is this address a CloudTask center?", document.error().message);
    }
    return document;
}

std::string fault_lines(const json::Value& problem) {
    std::string lines;
    const auto faults = problem.FindMember("faults");
    if (faults == problem.MemberEnd() || !faults->value.IsArray()) return lines;
    for (const auto& fault : faults->value.GetArray()) {
        if (!fault.IsObject()) continue;
        const std::string pointer = text_member(fault, "pointer");
        const std::string allowed = text_member(fault, "allowed");
        lines += fmt::format("\n  {} {}", pointer.empty() ? "the definition" : pointer, text_member(fault, "problem"));
        if (!allowed.empty()) lines += fmt::format(" (allowed: {})", allowed);
    }
    return lines;
}

}  // namespace

std::string text_member(const json::Value& object, const char* name) {
    if (!object.IsObject()) return {};
    const auto member = object.FindMember(name);
    if (member == object.MemberEnd() || !member->value.IsString()) return {};
    return {member->value.GetString(), member->value.GetStringLength()};
}

std::int64_t integer_member(const json::Value& object, const char* name) {
    if (!object.IsObject()) return 0;
    const auto member = object.FindMember(name);
    return member != object.MemberEnd() && member->value.IsInt64() ? member->value.GetInt64() : 0;
}

std::string target(const std::string& path, const Query& query) {
    std::string text = "/api/v1" + path;
    char separator = '?';
    for (const auto& [name, value] : query) {
        if (value.empty()) continue;
        text += separator + http::encode_component(name) + "=" + http::encode_component(value);
        separator = '&';
    }
    return text;
}

Center::Center(std::unique_ptr<Api> api, std::string server, Random& random)
    : api_(std::move(api)), server_(std::move(server)), random_(random) {}

Result<json::Document> Center::get(const std::string& path, const std::string& what, const Query& query, std::optional<Duration> timeout) {
    http::ClientRequest request = make_request("GET", target(path, query));
    if (timeout) request.timeout = timeout;
    auto response = api_->call(std::move(request));
    if (!response) return tl::unexpected(no_answer(response.error()));
    if (response->status >= 400) return tl::unexpected(refusal(*response, "get " + what));
    return parse_answer(*response);
}

Result<json::Document> Center::write(const Write& write) {
    http::ClientRequest request = make_request(write.method, target(write.path, write.query));
    request.body = write.body;
    if (write.version != 0) request.headers.set("If-Match", fmt::format("\"{}\"", write.version));
    request.headers.set("Idempotency-Key", fmt::format("{:016x}{:016x}", random_.next(), random_.next()));
    auto response = api_->call(request);
    if (!response && exit_for(response.error()) == Exit::unreachable) {
        api_->wait(kPauseBeforeRepeat);
        response = api_->call(std::move(request));
    }
    if (!response) return tl::unexpected(no_answer(response.error()));
    if (response->status >= 400) return tl::unexpected(refusal(*response, write.doing));
    return parse_answer(*response);
}

Result<> Center::walk(const std::string& path, const Query& query, std::size_t page, const OnItem& on_item) {
    std::string cursor;
    do {
        Query with_cursor = query;
        with_cursor.emplace_back("limit", std::to_string(page));
        with_cursor.emplace_back("cursor", cursor);
        auto response = api_->call(make_request("GET", target(path, with_cursor)));
        if (!response) return tl::unexpected(no_answer(response.error()));
        if (response->status >= 400) return tl::unexpected(refusal(*response, "list " + path.substr(1)));
        auto answer = parse_answer(*response);
        if (!answer) return propagate(answer);
        const auto items = answer->IsObject() ? answer->FindMember("items") : json::Value::MemberIterator{};
        if (!answer->IsObject() || items == answer->MemberEnd() || !items->value.IsArray()) {
            return fail(Exit::failed, "list {}: the server's answer is not a list; is this address a CloudTask center?", path.substr(1));
        }
        for (const auto& item : items->value.GetArray()) {
            if (!on_item(item)) return {};
        }
        std::string next = text_member(*answer, "next");
        if (!next.empty() && next == cursor) return fail(Exit::failed, "list {}: the cursor does not advance", path.substr(1));
        cursor = std::move(next);
    } while (!cursor.empty());
    return {};
}

Result<json::Document> Center::list(const std::string& path, const Query& query, std::size_t limit) {
    json::Document items(rapidjson::kArrayType);
    const std::size_t page = limit == 0 ? kPage : std::min(limit, kPage);
    auto walked = walk(path, query, page, [&](const json::Value& item) {
        items.PushBack(json::Value(item, items.GetAllocator()), items.GetAllocator());
        return limit == 0 || items.Size() < limit;
    });
    if (!walked) return propagate(walked);
    return items;
}

Result<json::Document> Center::find(const std::string& path, const Query& query, const std::function<bool(const json::Value&)>& matches) {
    json::Document found;
    auto walked = walk(path, query, kPage, [&](const json::Value& item) {
        if (!item.IsObject() || !matches(item)) return true;
        found.CopyFrom(item, found.GetAllocator());
        return false;
    });
    if (!walked) return propagate(walked);
    return found;
}

Error Center::refusal(const http::Response& response, const std::string& doing) const {
    std::string sentence;
    std::string lines;
    if (auto problem = json::parse(response.body); problem && problem->IsObject()) {
        sentence = text_member(*problem, "detail");
        if (sentence.empty()) sentence = text_member(*problem, "title");
        lines = fault_lines(*problem);
    }
    if (sentence.empty()) sentence = fmt::format("the server answered {} {}", response.status, http::reason_phrase(response.status));
    std::string message = fmt::format("{}: {}{}", doing, sentence, lines);
    if (response.status == 401) message += fmt::format("\n  log in again: cloudtask login --server {} --user NAME", server_);
    if (response.status == 412) message += "\n  somebody else changed it in between; look at it and run the same command again";
    return {exit_for_status(response.status), std::move(message)};
}

Error Center::no_answer(const Error& error) const {
    if (exit_for(error) != Exit::unreachable) return error;
    return {Exit::unreachable,
            fmt::format("cannot reach the center at {}: {}\n  is it running, and is --server right?", server_, error.message)};
}

}  // namespace cloudtask::cli
