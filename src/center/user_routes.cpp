// Routes of logins and users. Thin: the rules are in users.h and auth.h.
#include "center/auth.h"
#include "center/store.h"
#include "center/users.h"

namespace cloudtask::center {

namespace {

using http::Response;

// Both take a password, and hash it before the transaction begins.
constexpr RouteOptions kHashes{.slow = true, .secret_body = true};

Result<Response> log_in(Call& call) {
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    json::ObjectReader reader{*document, "", faults};
    std::string name, password;
    if (reader.require("name")) reader.read("name", name);
    if (reader.require("password")) reader.read("password", password);
    reader.finish();
    if (!faults.empty()) return faulty("login", faults);
    std::chrono::seconds wait{};
    auto login = call.context.auth.login(name, password, call.request.remote_address, &wait);
    if (!login) {
        auto refused = problem_for(login.error());
        if (wait > wait.zero()) refused.headers.set("Retry-After", std::to_string(wait.count()));
        return refused;
    }
    std::optional<User> user;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        user = find_user(sql, login->user_id);
        if (!user) return fail(Errc::unauthenticated, "the name or the password is wrong");
        return {};
    });
    if (!read) return propagate(read);
    json::Writer out;
    out.begin_object().member("token", login->token).member("expires_at", login->expires_at).key("user").raw(user_json(*user)).end_object();
    auto response = Response::json(200, out.text());
    response.headers.set("Cache-Control", "no-store");
    return response;
}

Result<Response> log_out(Call& call) {
    if (auto ended = call.context.auth.logout(call.principal); !ended) return propagate(ended);
    return Response::no_content();
}

Result<Response> list_users_route(Call& call) {
    Faults faults;
    const auto query = call.list_query(kUserList, faults);
    if (!query) return faulty_query(faults);
    std::vector<User> users;
    std::string next;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        next = list_users(sql, *query, users);
        return {};
    });
    if (!read) return propagate(read);
    std::vector<std::string> items;
    items.reserve(users.size());
    for (const auto& user : users) items.push_back(user_json(user));
    return Response::json(200, list_body(items, next));
}

Result<Response> get_user_route(Call& call) {
    std::optional<User> user;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        user = find_user(sql, call.param("id"));
        return {};
    });
    if (!read) return propagate(read);
    if (!user) return fail(Errc::not_found, "there is no user {}", call.param("id"));
    return versioned_json(200, user_json(*user), user->version);
}

Result<Response> create_user_route(Call& call) {
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    const auto input = read_user_input(*document, true, faults);
    if (!input) return faulty("user", faults);
    const auto hash = call.context.auth.hash_password(*input->password);
    if (!hash) return propagate(hash);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        auto user = create_user(call.context, scope, *input, *hash);
        if (!user) return propagate(user);
        auto response = versioned_json(201, user_json(*user), user->version);
        response.headers.set("Location", "/api/v1/users/" + user->id);
        return response;
    });
}

Result<Response> update_user_route(Call& call) {
    const auto expected = call.if_match();
    if (!expected) return propagate(expected);
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    const auto input = read_user_input(*document, false, faults);
    if (!input) return faulty("user", faults);
    std::string hash;
    if (input->password) {
        auto made = call.context.auth.hash_password(*input->password);
        if (!made) return propagate(made);
        hash = std::move(*made);
    }
    return call.write([&](WriteScope& scope) -> Result<Response> {
        auto user = update_user(scope, call.param("id"), *expected, *input, hash);
        if (!user) return propagate(user);
        return versioned_json(200, user_json(*user), user->version);
    });
}

Result<Response> erase_user_route(Call& call) {
    const auto expected = call.if_match_or_any();
    if (!expected) return propagate(expected);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        if (auto deleted = delete_user(scope, call.param("id"), *expected); !deleted) return propagate(deleted);
        return Response::no_content();
    });
}

}  // namespace

void add_login_routes(RouteTable& table, const Context&) {
    table.add("POST", "/api/v1/login", Access::anonymous, log_in, kHashes);
    table.add("DELETE", "/api/v1/login", Access::user_read, log_out);
}

void add_user_routes(RouteTable& table, const Context&) {
    table.add("GET", "/api/v1/users", Access::user_read, list_users_route);
    table.add("POST", "/api/v1/users", Access::user_write, create_user_route, kHashes);
    table.add("GET", "/api/v1/users/{id}", Access::user_read, get_user_route);
    table.add("PUT", "/api/v1/users/{id}", Access::user_write, update_user_route, kHashes);
    table.add("DELETE", "/api/v1/users/{id}", Access::user_write, erase_user_route);
}

}  // namespace cloudtask::center
