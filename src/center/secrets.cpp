// The rules of secrets.
#include "center/secrets.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>
#include <utility>

#include "center/audit_store.h"
#include "center/runtime_store.h"
#include "center/store.h"
#include "center/task_store.h"
#include "cloudtask/core/hash.h"
#include "cloudtask/core/log.h"
#include "cloudtask/core/sealed_box.h"
#include "cloudtask/task/task_secrets.h"

namespace cloudtask::center {

namespace {

constexpr int kTasksNamed = 5;

std::string name_of(const SecretPlace& place) {
    return place.group.empty() ? place.runtime + "/" + place.name : place.runtime + "/" + place.group + "/" + place.name;
}

Result<> need_place(soci::session& sql, const SecretPlace& place) {
    if (!runtime_exists(sql, place.runtime)) return fail(Errc::not_found, "there is no runtime {}", place.runtime);
    if (place.group.empty()) return {};
    const auto group = find_group_by_name(sql, place.runtime, place.group);
    if (!group) return propagate(group);
    if (!*group) return fail(Errc::not_found, "the runtime {} has no group {}", place.runtime, place.group);
    return {};
}

// Nodes learn of it as they learn of a changed task.
std::int64_t note_change(WriteScope& scope, const std::string& runtime) {
    const std::int64_t revision = next_revision(scope.sql);
    set_secrets_revision(scope.sql, runtime, revision);
    scope.catalog_changed(runtime, revision);
    return revision;
}

// The places of the secrets that a node may come to need, each once.
std::vector<SecretPlace> needed_by(soci::session& sql, const std::string& runtime, const ring::Member& node) {
    std::vector<SecretPlace> needed;
    std::set<std::pair<std::string, std::string>> named;  // group, name: as tasks name them
    visit_secret_uses(sql, runtime, [&](const std::string& group, const std::string& name, const ring::Placement& placement) {
        if (placement.accepts(node)) named.emplace(group, name);
    });
    std::set<std::string> of_runtime;
    for (const auto& [group, name] : named) {
        if (const auto version = secret_version(sql, runtime, group, name)) {
            needed.push_back({runtime, group, name, *version});
        } else if (of_runtime.insert(name).second) {
            if (const auto common = secret_version(sql, runtime, "", name)) needed.push_back({runtime, "", name, *common});
        }
    }
    return needed;
}

}  // namespace

std::string secret_json(const SecretRow& row) {
    json::Writer out;
    out.begin_object().member("runtime", row.place.runtime).member("group", row.place.group).member("name", row.place.name);
    out.member("version", row.place.version).member("created_at", row.created_at).member("updated_at", row.updated_at);
    return out.member("updated_by", row.updated_by).end_object().text();
}

void check_secrets(soci::session& sql, const task::Task& task, Faults& faults) {
    for (const auto& [pointer, secret] : task::named_secrets(task)) {
        if (secret_known(sql, task.runtime, task.group, secret)) continue;
        faults.add(
            pointer,
            fmt::format("names '{}', which is a secret neither of the group {} nor of the runtime {}", secret, task.group, task.runtime),
            "the name of a secret (cloudtask secret set)");
    }
}

Result<PutSecret> put_secret(const Context& context, WriteScope& scope, SecretPlace place, std::string_view value) {
    if (auto there = need_place(scope.sql, place); !there) return propagate(there);
    const auto before = find_secret(scope.sql, place.runtime, place.group, place.name);
    if (!before && count_secrets(scope.sql, place.runtime) >= kMostSecrets) {
        return fail(Errc::conflict, "the runtime {} has {} secrets already, which is the most there can be", place.runtime, kMostSecrets);
    }
    place.version = note_change(scope, place.runtime);
    const SecretRow row{place, context.secret_keys->keys()->encrypt(value, place, context.random), before ? before->created_at : scope.now,
                        scope.now, scope.principal.name};
    put_secret_row(scope.sql, row);
    write_audit(scope, "secret.set", "secret:" + name_of(place), before ? std::optional(secret_json(*before)) : std::nullopt,
                secret_json(row));
    return PutSecret{row, !before};
}

Result<> delete_secret(WriteScope& scope, const SecretPlace& place) {
    const auto before = find_secret(scope.sql, place.runtime, place.group, place.name);
    if (!before) return fail(Errc::not_found, "there is no secret {}", name_of(place));
    const auto tasks = tasks_given(scope.sql, place, kTasksNamed + 1);
    if (!tasks.empty()) {
        const auto shown = std::min<std::size_t>(tasks.size(), kTasksNamed);
        return fail(Errc::conflict, "the secret {} is given to {}{}; change these tasks first", name_of(place),
                    fmt::join(tasks.begin(), tasks.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
                    tasks.size() > shown ? " and others" : "");
    }
    erase_secret(scope.sql, place);
    note_change(scope, place.runtime);
    write_audit(scope, "secret.delete", "secret:" + name_of(place), secret_json(*before), {});
    return {};
}

std::optional<NodeSecretsRequest> read_node_secrets_request(const json::Value& document, Faults& faults) {
    json::ObjectReader reader{document, "", faults};
    NodeSecretsRequest request;
    std::string key;
    for (const std::string_view needed : {"key", "have"}) reader.require(needed);
    reader.read("key", key, {.min = 1, .max = 64});
    reader.read("labels", request.labels, {.min = 0, .max = 1000, .item = {.min = 0, .max = 1024}});
    if (const json::Value* have = reader.array("have", {.min = 0, .max = 10'000})) {
        for (rapidjson::SizeType i = 0; i < have->Size(); ++i) {
            if ((*have)[i].IsInt64()) request.have.push_back((*have)[i].GetInt64());
        }
    }
    reader.finish();
    auto bytes = from_base64(key);
    if (bytes && bytes->size() == 32) {
        request.public_key = std::move(*bytes);
    } else if (reader.has("key")) {
        faults.add("/key", "is not a public key", "32 bytes in base64");
    }
    return faults.empty() ? std::optional(std::move(request)) : std::nullopt;
}

std::string sealed_text(const SecretPlace& place, std::string_view value) {
    return fmt::format("{}/{}@{}\n{}", place.group, place.name, place.version, value);
}

Result<NodeSecrets> secrets_for_node(soci::session& sql, const SecretKeys& keys, const Principal& node, const NodeSecretsRequest& request) {
    ring::Member member;
    member.id = node.id;
    member.name = node.name;
    member.labels = request.labels;
    NodeSecrets answer;
    answer.revision = secrets_revision(sql, node.runtime);
    const std::set<std::int64_t> have(request.have.begin(), request.have.end());
    std::size_t bytes = 0;
    for (const SecretPlace& place : needed_by(sql, node.runtime, member)) {
        NodeSecrets::Item item{place, {}};
        if (!have.contains(place.version)) {
            if (bytes >= kSecretsPageBytes) {
                answer.more = true;
            } else {
                const auto row = find_secret(sql, place.runtime, place.group, place.name);
                const auto value =
                    row ? keys.decrypt(row->encrypted, place) : Result<std::string>(fail(Errc::not_found, "it is not there"));
                if (!value) {
                    log::error("the secret {} cannot be given to nodes: {}", name_of(place), value.error().message);
                    continue;
                }
                bytes += value->size();
                auto sealed = seal(request.public_key, sealed_text(place, *value));
                if (!sealed) return propagate(sealed);
                item.sealed = std::move(*sealed);
            }
        }
        answer.items.push_back(std::move(item));
    }
    return answer;
}

Result<std::int64_t> rotate_secrets(const Context& context) {
    if (auto read = context.secret_keys->reload(); !read) return propagate(read);
    const auto keys = context.secret_keys->keys();
    std::int64_t rotated = 0;
    for (std::size_t count = 1; count > 0; rotated += static_cast<std::int64_t>(count)) {
        const auto written = context.store.write([&](soci::session& sql) -> Result<> {
            const auto rows = secrets_by_other_keys(sql, keys->primary(), kRotatedAtOnce);
            count = rows.size();
            for (SecretRow row : rows) {
                const auto value = keys->decrypt(row.encrypted, row.place);
                if (!value)
                    return fail(Errc::conflict, "the secret {} cannot be encrypted anew: {}", name_of(row.place), value.error().message);
                row.encrypted = keys->encrypt(*value, row.place, context.random);
                put_secret_row(sql, row);
            }
            return {};
        });
        if (!written) return propagate(written);
    }
    return rotated;
}

}  // namespace cloudtask::center
