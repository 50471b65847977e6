// Routes of join tokens: what lets a node join a runtime, as often as asked until it expires. The token itself is shown once.
#include "center/audit_store.h"
#include "center/auth.h"
#include "center/join_token_store.h"
#include "center/runtime_store.h"
#include "center/store.h"
#include "cloudtask/core/ids.h"

namespace cloudtask::center {

namespace {

using http::Response;

constexpr Duration kDefaultLifetime = std::chrono::hours{24};
constexpr json::DurationRule kLifetimeRule{.min = std::chrono::minutes{1}, .max = std::chrono::hours{24 * 365}};

std::string join_token_json(const JoinToken& token, const std::string& secret = {}) {
    json::Writer out;
    out.begin_object();
    out.member("id", token.id).member("runtime", token.runtime).member("description", token.description);
    if (!secret.empty()) out.member("token", secret);
    out.member("created_by", token.created_by).member("created_at", token.created_at).member("expires_at", token.expires_at);
    out.end_object();
    return out.text();
}

Result<Response> list_join_tokens_route(Call& call) {
    Faults faults;
    const auto query = call.list_query(kJoinTokenList, faults);
    if (!query) return faulty_query(faults);
    std::vector<JoinToken> tokens;
    std::string next;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        next = list_join_tokens(sql, *query, tokens);
        return {};
    });
    if (!read) return propagate(read);
    std::vector<std::string> items;
    items.reserve(tokens.size());
    for (const auto& token : tokens) items.push_back(join_token_json(token));
    return Response::json(200, list_body(items, next));
}

Result<Response> create_join_token_route(Call& call) {
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    json::ObjectReader reader{*document, "", faults};
    JoinToken token;
    Duration lifetime = kDefaultLifetime;
    if (reader.require("runtime")) reader.read("runtime", token.runtime);
    reader.read("description", token.description);
    reader.read_duration("expires_in", lifetime, kLifetimeRule);
    reader.finish();
    if (!faults.empty()) return faulty("join token", faults);
    const std::string secret = make_token(call.context.random);
    token.token_hash = hash_token(secret);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        if (!runtime_exists(scope.sql, token.runtime)) {
            faults.add("/runtime", "is not a runtime of this center", "the name of a runtime");
            return faulty("join token", faults);
        }
        token.id = make_uuid(scope.now, call.context.random);
        token.created_by = scope.principal.name;
        token.created_at = scope.now;
        token.expires_at = scope.now + lifetime;
        insert_join_token(scope.sql, token);
        write_audit(scope, "join-token.create", "join-token:" + token.id, {}, join_token_json(token));
        scope.remember_body(join_token_json(token));
        auto response = Response::json(201, join_token_json(token, secret));
        response.headers.set("Cache-Control", "no-store");
        return response;
    });
}

Result<Response> erase_join_token_route(Call& call) {
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto token = find_join_token(scope.sql, call.param("id"));
        if (!token) return fail(Errc::not_found, "there is no join token {}", call.param("id"));
        erase_join_token(scope.sql, token->id);
        write_audit(scope, "join-token.delete", "join-token:" + token->id, join_token_json(*token), {});
        return Response::no_content();
    });
}

}  // namespace

void add_join_token_routes(RouteTable& table, const Context&) {
    table.add("GET", "/api/v1/join-tokens", Access::user_read, list_join_tokens_route);
    table.add("POST", "/api/v1/join-tokens", Access::user_write, create_join_token_route);
    table.add("DELETE", "/api/v1/join-tokens/{id}", Access::user_write, erase_join_token_route);
}

}  // namespace cloudtask::center
