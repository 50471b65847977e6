// The rules of runtimes and groups.
#include "center/runtimes.h"

#include "center/audit_store.h"
#include "center/parameters.h"
#include "center/runtime_store.h"
#include "center/secret_store.h"
#include "center/task_changes.h"
#include "center/task_store.h"
#include "center/tasks.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/networks.h"
#include "cloudtask/task/parameters.h"

namespace cloudtask::center {

namespace {

// Tasks of one group that a change of it changes, in one transaction: nobody else can write meanwhile.
constexpr std::size_t kMostTold = 10'000;

// What a fault of content that only the database shows is answered with; the faults say more.
auto refuse(Faults& faults, std::string pointer, std::string problem, std::string allowed) {
    faults.add(std::move(pointer), std::move(problem), std::move(allowed));
    return fail(Errc::unsupported, "{}", faults.summary());
}

Result<task::Group> need_group(soci::session& sql, const std::string& id) {
    auto found = find_group(sql, id);
    if (!found) return propagate(found);
    if (!*found) return fail(Errc::not_found, "there is no group {}", id);
    return std::move(**found);
}

Result<task::Runtime> need_runtime(soci::session& sql, const std::string& name) {
    auto found = find_runtime(sql, name);
    if (!found) return propagate(found);
    if (!*found) return fail(Errc::not_found, "there is no runtime {}", name);
    return std::move(**found);
}

bool same_networks(const task::Runtime& one, const task::Runtime& other) {
    return one.http == nullptr || other.http == nullptr ? one.http == other.http : *one.http == *other.http;
}

Result<> need_free_group_name(soci::session& sql, const task::Group& group) {
    const auto other = find_group_by_name(sql, group.runtime, group.name);
    if (!other) return propagate(other);
    if (*other) return fail(Errc::already_exists, "the runtime {} has a group named {} already", group.runtime, group.name);
    return {};
}

std::string parameters_text(const std::shared_ptr<const task::Parameters>& parameters) {
    if (!parameters) return {};
    json::Writer out;
    out.begin_object();
    task::write_parameters(out, "parameters", *parameters);
    out.end_object();
    return out.text();
}

// Each task of a group that has become exclusive, or is no more, gets a next version, which says so.
Result<> tell_tasks(WriteScope& scope, const task::Group& group, Faults& faults) {
    const auto ids = tasks_of_group(scope.sql, group.id, kMostTold + 1);
    if (ids.size() > kMostTold) {
        return refuse(faults, "/exclusive", fmt::format("cannot change: the group has more than {} tasks", kMostTold), "a smaller group");
    }
    const ChangeName name{"task.update", fmt::format("version {} of the group {}", group.version, group.name)};
    for (const auto& id : ids) {
        const auto before = need_task(scope.sql, id);
        if (!before) return propagate(before);
        Faults of_task;
        const auto told = store_task_definition(scope, *before, before->task, name, of_task);
        if (!of_task.empty()) {
            const std::string problem = fmt::format("does not go with the task {}: {}", before->task.name, of_task.summary());
            return refuse(faults, "/exclusive", problem, "tasks with the same targets and labels, that queue or forbid, and have no mutex");
        }
        if (!told) return propagate(told);
    }
    return {};
}

}  // namespace

Result<task::Runtime> create_runtime(const Context& context, WriteScope& scope, task::Runtime input) {
    if (runtime_exists(scope.sql, input.name)) return fail(Errc::already_exists, "there is a runtime named {} already", input.name);
    input.version = 1;
    input.created_at = input.updated_at = scope.now;
    insert_runtime(scope.sql, input);
    write_audit(scope, "runtime.create", "runtime:" + input.name, {}, runtime_json(input));
    scope.after_commit([&context] { context.hooks.fire_runtimes_changed(); });
    return input;
}

Result<task::Runtime> update_runtime(WriteScope& scope, const std::string& name, std::int64_t expected, task::Runtime input,
                                     Faults& faults) {
    const auto before = need_runtime(scope.sql, name);
    if (!before) return propagate(before);
    if (auto same = check_version(expected, before->version); !same) return propagate(same);
    input.version = before->version + 1;
    input.created_at = before->created_at;
    input.updated_at = scope.now;
    update_runtime_row(scope.sql, input);
    if (!same_networks(*before, input)) {
        // Nodes learn of it as they do of tasks.
        const std::int64_t revision = next_revision(scope.sql);
        set_networks_revision(scope.sql, name, revision);
        scope.catalog_changed(name, revision);
    }
    write_audit(scope, "runtime.update", "runtime:" + name, runtime_json(*before), runtime_json(input));
    if (parameters_text(input.parameters) == parameters_text(before->parameters)) return input;
    const ParameterChange change{name, {}, fmt::format("version {} of the runtime {}", input.version, name)};
    if (auto given = give_parameters(scope, change, faults); !given) return propagate(given);
    return input;
}

Result<> delete_runtime(const Context& context, WriteScope& scope, const std::string& name, std::int64_t expected) {
    const auto before = need_runtime(scope.sql, name);
    if (!before) return propagate(before);
    if (auto same = check_version(expected, before->version); !same) return propagate(same);
    if (runtime_has_groups(scope.sql, name)) return fail(Errc::conflict, "the runtime {} still has groups; delete them first", name);
    const auto view = context.cluster.get();
    const auto live = view->runtimes.find(name);
    if (live != view->runtimes.end() && !live->second.nodes.empty()) {
        return fail(Errc::conflict, "the runtime {} still has {} online nodes; stop them first", name, live->second.nodes.size());
    }
    erase_runtime(scope.sql, name);
    write_audit(scope, "runtime.delete", "runtime:" + name, runtime_json(*before), {});
    scope.after_commit([&context] { context.hooks.fire_runtimes_changed(); });
    return {};
}

Result<task::Group> create_group(const Context& context, WriteScope& scope, task::Group input, Faults& faults) {
    if (!runtime_exists(scope.sql, input.runtime))
        return refuse(faults, "/runtime", "is not a runtime of this center", "the name of a runtime");
    if (auto free = need_free_group_name(scope.sql, input); !free) return propagate(free);
    input.id = make_uuid(scope.now, context.random);
    input.version = 1;
    input.created_at = input.updated_at = scope.now;
    insert_group(scope.sql, input);
    write_audit(scope, "group.create", "group:" + input.id, {}, group_json(input));
    return input;
}

Result<task::Group> update_group(WriteScope& scope, const std::string& id, std::int64_t expected, task::Group input, Faults& faults) {
    const auto before = need_group(scope.sql, id);
    if (!before) return propagate(before);
    if (auto same = check_version(expected, before->version); !same) return propagate(same);
    if (input.runtime != before->runtime) return refuse(faults, "/runtime", "cannot change: a group stays in its runtime", before->runtime);
    if (input.name != before->name) {
        if (group_has_tasks(scope.sql, id))
            return fail(Errc::conflict, "the group {} has tasks, which carry its name: it cannot be renamed", before->name);
        if (group_has_secrets(scope.sql, before->runtime, before->name))
            return fail(Errc::conflict, "the group {} has secrets, which are bound to its name: it cannot be renamed", before->name);
        if (auto free = need_free_group_name(scope.sql, input); !free) return propagate(free);
    }
    input.id = id;
    input.version = before->version + 1;
    input.created_at = before->created_at;
    input.updated_at = scope.now;
    update_group_row(scope.sql, input);
    write_audit(scope, "group.update", "group:" + id, group_json(*before), group_json(input));
    if (input.exclusive != before->exclusive) {
        if (auto told = tell_tasks(scope, input, faults); !told) return propagate(told);
    }
    if (parameters_text(input.parameters) == parameters_text(before->parameters)) return input;
    const ParameterChange change{input.runtime, input.name, fmt::format("version {} of the group {}", input.version, input.name)};
    if (auto given = give_parameters(scope, change, faults); !given) return propagate(given);
    return input;
}

Result<> delete_group(WriteScope& scope, const std::string& id, std::int64_t expected) {
    const auto before = need_group(scope.sql, id);
    if (!before) return propagate(before);
    if (auto same = check_version(expected, before->version); !same) return propagate(same);
    if (group_has_tasks(scope.sql, id)) return fail(Errc::conflict, "the group {} still has tasks; delete them first", before->name);
    erase_secrets_of_group(scope.sql, before->runtime, before->name);
    erase_group(scope.sql, id);
    write_audit(scope, "group.delete", "group:" + id, group_json(*before), {});
    return {};
}

std::string runtime_json(const task::Runtime& runtime) { return task::to_json(runtime); }

std::string group_json(const task::Group& group) { return task::to_json(group); }

}  // namespace cloudtask::center
