// Routes of groups. Thin: the rules are in runtimes.h.
#include "center/runtime_store.h"
#include "center/runtimes.h"
#include "center/store.h"
#include "cloudtask/task/codec.h"

namespace cloudtask::center {

namespace {

using http::Response;

Result<Response> list_groups_route(Call& call) {
    Faults faults;
    const auto query = call.list_query(kGroupList, faults);
    if (!query) return faulty_query(faults);
    std::vector<std::string> items;
    std::string next;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        next = list_groups(sql, *query, items);
        return {};
    });
    if (!read) return propagate(read);
    return Response::json(200, list_body(items, next));
}

Result<Response> get_group_route(Call& call) {
    Response response;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        const auto group = find_group(sql, call.param("id"));
        if (!group) return propagate(group);
        if (!*group) return fail(Errc::not_found, "there is no group {}", call.param("id"));
        response = versioned_json(200, group_json(**group), (*group)->version);
        return {};
    });
    if (!read) return propagate(read);
    return response;
}

Result<Response> create_group_route(Call& call) {
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    const auto input = task::read_group_input(*document, faults);
    if (!input) return faulty("group", faults);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto group = create_group(call.context, scope, *input, faults);
        if (!faults.empty()) return faulty("group", faults);
        if (!group) return propagate(group);
        auto response = versioned_json(201, group_json(*group), group->version);
        response.headers.set("Location", "/api/v1/groups/" + group->id);
        return response;
    });
}

Result<Response> update_group_route(Call& call) {
    const auto expected = call.if_match();
    if (!expected) return propagate(expected);
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    const auto input = task::read_group_input(*document, faults);
    if (!input) return faulty("group", faults);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto group = update_group(scope, call.param("id"), *expected, *input, faults);
        if (!faults.empty()) return faulty("group", faults);
        if (!group) return propagate(group);
        return versioned_json(200, group_json(*group), group->version);
    });
}

Result<Response> erase_group_route(Call& call) {
    const auto expected = call.if_match_or_any();
    if (!expected) return propagate(expected);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        if (auto deleted = delete_group(scope, call.param("id"), *expected); !deleted) return propagate(deleted);
        return Response::no_content();
    });
}

}  // namespace

void add_group_routes(RouteTable& table, const Context&) {
    table.add("GET", "/api/v1/groups", Access::user_read, list_groups_route);
    table.add("POST", "/api/v1/groups", Access::user_write, create_group_route, {.dry_run = true});
    table.add("GET", "/api/v1/groups/{id}", Access::user_read, get_group_route);
    table.add("PUT", "/api/v1/groups/{id}", Access::user_write, update_group_route, {.dry_run = true});
    table.add("DELETE", "/api/v1/groups/{id}", Access::user_write, erase_group_route);
}

}  // namespace cloudtask::center
