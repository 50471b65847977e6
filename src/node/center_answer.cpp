// Reading an answer's status: see center_answer.h.
#include "node/center_answer.h"

#include "cloudtask/core/json.h"

namespace cloudtask::node {

namespace {

// The `detail` of application/problem+json (RFC 9457) and its faults; of other bodies nothing.
std::string detail_of(const http::Response& response) {
    const auto body = json::parse(response.body);
    if (!body || !body->IsObject()) return {};
    const auto text = [](const json::Value& object, const char* name) -> std::string {
        const auto found = object.FindMember(name);
        if (found == object.MemberEnd() || !found->value.IsString()) return {};
        return {found->value.GetString(), found->value.GetStringLength()};
    };
    std::string detail = text(*body, "detail");
    const auto faults = body->FindMember("faults");
    if (faults != body->MemberEnd() && faults->value.IsArray()) {
        for (const auto& fault : faults->value.GetArray()) {
            if (fault.IsObject()) detail += fmt::format(" ({} {})", text(fault, "pointer"), text(fault, "problem"));
        }
    }
    return detail;
}

Errc code_for(int status) {
    switch (status) {
        case 401:
            return Errc::unauthenticated;
        case 403:
            return Errc::permission_denied;
        case 404:
            return Errc::not_found;
        case 409:
            return Errc::conflict;
        case 413:
            return Errc::too_large;
        case 408:
        case 429:
            return Errc::unavailable;
        default:
            return status >= 500 ? Errc::unavailable : Errc::invalid_argument;
    }
}

}  // namespace

Result<http::Response> judge(Result<http::Response> answer) {
    if (!answer) {
        if (answer.error().is(Errc::timeout)) return fail(Errc::unavailable, "{}", answer.error().message);
        return answer;
    }
    if (answer->status / 100 == 2) return answer;
    const std::string detail = detail_of(*answer);
    return fail(code_for(answer->status), "the center answered {} {}{}{}", answer->status, http::reason_phrase(answer->status),
                detail.empty() ? "" : ": ", detail);
}

Result<http::Response> judge_for_node(Result<http::Response> answer) {
    auto judged = judge(std::move(answer));
    if (!judged && judged.error().is(Errc::unauthenticated)) {
        return fail(Errc::unauthenticated, "this node's token is not valid any more, the node must join again ({})",
                    judged.error().message);
    }
    return judged;
}

}  // namespace cloudtask::node
