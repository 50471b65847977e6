// Routes of secrets. Thin: the rules are in secrets.h. Values are written only.
#include <fmt/format.h>

#include "center/audit_store.h"
#include "center/runtime_store.h"
#include "center/secrets.h"
#include "center/store.h"
#include "cloudtask/core/hash.h"
#include "cloudtask/task/codec.h"

namespace cloudtask::center {

namespace {

using http::Response;

// The longest value in base64, or with every byte as six in a text, and what stands around it.
constexpr RouteOptions kValueBody{.max_body_bytes = 6 * task::kLongestSecret + 4096, .secret_body = true};

Response unstored(std::string json, int status = 200) {
    auto response = Response::json(status, std::move(json));
    response.headers.set("Cache-Control", "no-store");
    return response;
}

// Of the path and `group` of the query. Error: invalid_argument.
Result<SecretPlace> place_of(const Call& call) {
    SecretPlace place{.runtime = call.param("name"), .group = {}, .name = call.param("secret"), .version = 0};
    for (const auto& [name, value] : call.request.query) {
        if (name != "group") return fail(Errc::invalid_argument, "`group` is the group of the secret; nothing else is asked for");
        place.group = value;
    }
    if (!task::is_slug(place.name) || (!place.group.empty() && !task::is_slug(place.group))) {
        return fail(Errc::invalid_argument, "the name of a secret, as that of a group, is 1 to 63 characters of a-z, 0-9 and '-'");
    }
    return place;
}

Result<> need_keys(const Call& call) {
    if (call.context.secret_keys != nullptr) return {};
    return fail(Errc::unavailable, "this center has no file of keys, so that it keeps no secrets: see secrets.key-file");
}

// No fault says anything of the value.
std::optional<std::string> read_value(const json::Value& document, Faults& faults) {
    json::ObjectReader reader{document, "", faults};
    std::string value, encoding = "text";
    reader.require("value");
    reader.read_choice("encoding", encoding, {"text", "base64"});
    if (const json::Value* given = reader.any("value"); given != nullptr && given->IsString()) {
        value.assign(given->GetString(), given->GetStringLength());
    } else if (given != nullptr) {
        faults.add("/value", "is not a text", "the value as a text");
    }
    reader.finish();
    if (faults.empty() && encoding == "base64") {
        auto bytes = from_base64(value);
        if (!bytes) faults.add("/value", "is not base64", "base64 with padding");
        value = bytes.value_or("");
    }
    if (faults.empty() && (value.size() < task::kShortestSecret || value.size() > task::kLongestSecret)) {
        faults.add("/value", fmt::format("has {} bytes", value.size()),
                   fmt::format("{} to {} bytes: a shorter one could not be told from other text in a log", task::kShortestSecret,
                               task::kLongestSecret));
    }
    return faults.empty() ? std::optional(std::move(value)) : std::nullopt;
}

Result<Response> list_secrets_route(Call& call) {
    Faults faults;
    const auto query = call.list_query(kSecretList, faults);
    if (!query) return faulty_query(faults);
    std::vector<SecretRow> rows;
    std::string next;
    const std::string* group = query->filter("group");
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        if (!runtime_exists(sql, call.param("name"))) return fail(Errc::not_found, "there is no runtime {}", call.param("name"));
        next = list_secrets(sql, call.param("name"), group == nullptr ? std::nullopt : std::optional(*group), *query, rows);
        return {};
    });
    if (!read) return propagate(read);
    std::vector<std::string> items;
    items.reserve(rows.size());
    for (const auto& row : rows) items.push_back(secret_json(row));
    return Response::json(200, list_body(items, next));
}

Result<Response> put_secret_route(Call& call) {
    if (auto ready = need_keys(call); !ready) return propagate(ready);
    auto place = place_of(call);
    if (!place) return propagate(place);
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    const auto value = read_value(*document, faults);
    if (!value) return faulty("secret", faults);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto put = put_secret(call.context, scope, *place, *value);
        if (!put) return propagate(put);
        return unstored(secret_json(put->row), put->is_new ? 201 : 200);
    });
}

Result<Response> erase_secret_route(Call& call) {
    const auto place = place_of(call);
    if (!place) return propagate(place);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        if (auto deleted = delete_secret(scope, *place); !deleted) return propagate(deleted);
        return Response::no_content();
    });
}

Result<Response> rotate_secrets_route(Call& call) {
    if (auto ready = need_keys(call); !ready) return propagate(ready);
    const auto rotated = rotate_secrets(call.context);
    if (!rotated) return propagate(rotated);
    const auto keys = call.context.secret_keys->keys();
    return call.write([&](WriteScope& scope) -> Result<Response> {
        auto counts = count_by_key(scope.sql);
        json::Writer out;
        out.begin_object().member("encrypted", *rotated).member("file", call.context.secret_keys->path());
        out.key("keys").begin_array();
        for (const auto& id : keys->ids()) {
            out.begin_object().member("id", id).member("secrets", counts[id]);
            out.member("needed", id == keys->primary() || counts[id] > 0).end_object();
        }
        out.end_array().end_object();
        write_audit(scope, "secret.rotate", "secrets", {}, out.text());
        return Response::json(200, out.text());
    });
}

Result<Response> post_node_secrets(Call& call) {
    if (auto ready = need_keys(call); !ready) return propagate(ready);
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    const auto request = read_node_secrets_request(*document, faults);
    if (!request) return Response::problem(400, "This is no request for secrets.", faults);
    NodeSecrets found;
    const auto keys = call.context.secret_keys->keys();
    const auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        auto answer = secrets_for_node(sql, *keys, call.principal, *request);
        if (!answer) return propagate(answer);
        found = std::move(*answer);
        return {};
    });
    if (!read) return propagate(read);
    json::Writer out;
    out.begin_object().member("revision", found.revision).key("secrets").begin_array();
    for (const auto& item : found.items) {
        out.begin_object().member("group", item.place.group).member("name", item.place.name).member("version", item.place.version);
        if (!item.sealed.empty()) out.member("sealed", to_base64(item.sealed));
        out.end_object();
    }
    out.end_array().member("more", found.more).end_object();
    return unstored(out.text());
}

}  // namespace

void add_secret_routes(RouteTable& table, const Context&) {
    table.add("GET", "/api/v1/runtimes/{name}/secrets", Access::user_read, list_secrets_route);
    table.add("PUT", "/api/v1/runtimes/{name}/secrets/{secret}", Access::user_write, put_secret_route, kValueBody);
    table.add("DELETE", "/api/v1/runtimes/{name}/secrets/{secret}", Access::user_write, erase_secret_route);
    table.add("POST", "/api/v1/secrets/rotate", Access::user_write, rotate_secrets_route);
    table.add("POST", "/api/v1/node/secrets", Access::node, post_node_secrets, {.max_body_bytes = 512 * 1024});
}

}  // namespace cloudtask::center
