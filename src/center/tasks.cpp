// The rules of tasks.
#include "center/tasks.h"

#include <algorithm>

#include "center/audit_store.h"
#include "center/package_store.h"
#include "center/runtime_store.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/task/codec.h"

namespace cloudtask::center {

namespace {

// A task that moves because its targets or labels changed does so at one instant, which both owners must have learnt of by then
// (docs/architecture.md, "Where this differs"): as long as the news of a change takes to reach every node, with much to spare.
constexpr Duration kMoveAhead = std::chrono::seconds{5};

void tell_nodes(const Context& context, WriteScope& scope, const task::Task& task, std::int64_t revision) {
    scope.after_commit([&context, runtime = task.runtime, revision] { context.hooks.fire_catalog_changed(runtime, revision); });
}

// What a definition refers to must be there. Returns the id of its group.
Result<std::string> resolve(soci::session& sql, const task::Task& task, Faults& faults) {
    std::string group_id;
    if (!runtime_exists(sql, task.runtime)) {
        faults.add("/runtime", "is not a runtime of this center", "the name of a runtime");
    } else {
        const auto group = find_group_by_name(sql, task.runtime, task.group);
        if (!group) return propagate(group);
        if (*group) {
            group_id = (*group)->id;
        } else {
            faults.add("/group", "is not a group of the runtime " + task.runtime, "the name of a group of that runtime");
        }
    }
    if (!task.package.empty() && !find_package(sql, task.package)) {
        faults.add("/package", "is not the SHA-256 of an uploaded package", "upload it first: POST /api/v1/packages");
    }
    if (!faults.empty()) return fail(Errc::unsupported, "{}", faults.summary());
    return group_id;
}

// A rule whose last fire is past would never fire again, which nobody means to save. What was there before may have come to its end.
Result<> need_fires_ahead(const std::vector<task::Schedule>& schedules, const std::vector<task::Schedule>& before, Instant now,
                          Faults& faults) {
    for (std::size_t i = 0; i < schedules.size(); ++i) {
        const task::Schedule& schedule = schedules[i];
        if (schedule.kind() == task::Schedule::Kind::manual || schedule.next(now)) continue;
        if (std::find(before.begin(), before.end(), schedule) != before.end()) continue;
        faults.add(fmt::format("/schedules/{}", i), "has no fire left: its last one is past, and it is " + format_instant(now) + " now",
                   "a rule that fires again, or no such schedule");
    }
    if (!faults.empty()) return fail(Errc::unsupported, "{}", faults.summary());
    return {};
}

Result<> need_free_task_name(soci::session& sql, const task::Task& task) {
    if (!task_name_taken(sql, task.runtime, task.group, task.name, task.id)) return {};
    return fail(Errc::already_exists, "the group {}/{} has a task named {} already", task.runtime, task.group, task.name);
}

// From when on the fires of `changed` count. Never earlier than those of `before`: where that is ahead, another node fires up to there.
Instant effective_from(const task::Task& before, const task::Task& changed, Instant now) {
    Instant from = before.effective_from;
    // Fires that only the new schedules would have had are not owed for the past.
    if (changed.schedules != before.schedules || (changed.enabled && !before.enabled)) from = std::max(from, now);
    if (changed.targets != before.targets || changed.labels != before.labels) from = std::max(from, now + kMoveAhead);
    return from;
}

// Who does not know of the change fires something else, or elsewhere.
bool owes_other_fires(const task::Task& before, const task::Task& changed) {
    return changed.schedules != before.schedules || changed.enabled != before.enabled || changed.targets != before.targets ||
           changed.labels != before.labels;
}

// Writes `changed` as the next version of `before`.
Result<StoredTask> store_change(const Context& context, WriteScope& scope, const StoredTask& before, task::Task changed,
                                const std::string& group_id, std::string_view action) {
    changed.version = before.task.version + 1;
    changed.effective_from = effective_from(before.task, changed, scope.now);
    changed.revision = next_revision(scope.sql);
    if (owes_other_fires(before.task, changed)) changed.effective_revision = changed.revision;
    changed.updated_at = scope.now;
    update_task_row(scope.sql, changed, group_id, scope.principal.name);
    StoredTask after = before;
    after.document = task::to_json(changed);
    after.task = std::move(changed);
    write_audit(scope, action, "task:" + after.task.id, before.document, after.document);
    tell_nodes(context, scope, after.task, after.task.revision);
    return after;
}

Result<StoredTask> store_new(const Context& context, WriteScope& scope, task::Task task, const std::string& group_id,
                             std::string_view action) {
    task.id = make_uuid(scope.now, context.random);
    task::adopt_schedules(task);
    if (auto free = need_free_task_name(scope.sql, task); !free) return propagate(free);
    task.version = 1;
    task.revision = task.created_revision = task.effective_revision = next_revision(scope.sql);
    task.created_at = task.updated_at = task.effective_from = scope.now;
    insert_task(scope.sql, task, group_id, scope.principal.name);
    StoredTask stored{task::to_json(task), task, {}, 0};
    write_audit(scope, action, "task:" + task.id, {}, stored.document);
    tell_nodes(context, scope, task, task.revision);
    return stored;
}

}  // namespace

std::optional<task::Task> read_task_definition(json::Document& document, Faults& faults) {
    if (document.IsObject()) {
        for (const char* name : {"next_fire", "owner", "running"}) document.RemoveMember(name);
    }
    return task::read_task_input(document, faults);
}

Result<StoredTask> need_task(soci::session& sql, const std::string& id) {
    auto found = find_task(sql, id);
    if (!found) return propagate(found);
    if (!*found) return fail(Errc::not_found, "there is no task {}", id);
    return std::move(**found);
}

Result<StoredTask> create_task(const Context& context, WriteScope& scope, task::Task input, Faults& faults) {
    if (auto ahead = need_fires_ahead(input.schedules, {}, scope.now, faults); !ahead) return propagate(ahead);
    const auto group_id = resolve(scope.sql, input, faults);
    if (!group_id) return propagate(group_id);
    return store_new(context, scope, std::move(input), *group_id, "task.create");
}

Result<StoredTask> update_task(const Context& context, WriteScope& scope, const std::string& id, std::int64_t expected, task::Task input,
                               Faults& faults) {
    const auto before = need_task(scope.sql, id);
    if (!before) return propagate(before);
    if (auto same = check_version(expected, before->task.version); !same) return propagate(same);
    if (input.runtime != before->task.runtime) {
        faults.add("/runtime", "cannot change: a task stays in its runtime", before->task.runtime);
        return fail(Errc::unsupported, "{}", faults.summary());
    }
    const auto group_id = resolve(scope.sql, input, faults);
    if (!group_id) return propagate(group_id);

    const task::Task& old = before->task;
    input.id = id;
    task::adopt_schedules(input);
    input.version = old.version;
    input.revision = old.revision;
    input.created_revision = old.created_revision;
    input.created_at = old.created_at;
    input.updated_at = old.updated_at;
    input.effective_from = old.effective_from;
    input.effective_revision = old.effective_revision;
    if (task::to_json(input) == task::to_json(old)) return *before;
    if (auto ahead = need_fires_ahead(input.schedules, old.schedules, scope.now, faults); !ahead) return propagate(ahead);
    if (auto free = need_free_task_name(scope.sql, input); !free) return propagate(free);
    return store_change(context, scope, *before, std::move(input), *group_id, "task.update");
}

Result<StoredTask> set_task_enabled(const Context& context, WriteScope& scope, const std::string& id, std::int64_t expected, bool enabled) {
    const auto before = need_task(scope.sql, id);
    if (!before) return propagate(before);
    if (auto same = check_version(expected, before->task.version); !same) return propagate(same);
    if (before->task.enabled == enabled) return *before;
    Faults faults;
    const auto group_id = resolve(scope.sql, before->task, faults);
    if (!group_id) return propagate(group_id);
    task::Task changed = before->task;
    changed.enabled = enabled;
    return store_change(context, scope, *before, std::move(changed), *group_id, enabled ? "task.enable" : "task.disable");
}

Result<StoredTask> clone_task(const Context& context, WriteScope& scope, const std::string& id, const std::string& name, Faults& faults) {
    const auto original = need_task(scope.sql, id);
    if (!original) return propagate(original);
    task::Task copy = original->task;
    copy.name = name;
    copy.enabled = false;
    const auto group_id = resolve(scope.sql, copy, faults);
    if (!group_id) return propagate(group_id);
    return store_new(context, scope, std::move(copy), *group_id, "task.clone");
}

Result<> delete_task(const Context& context, WriteScope& scope, const std::string& id, std::int64_t expected) {
    const auto before = need_task(scope.sql, id);
    if (!before) return propagate(before);
    if (auto same = check_version(expected, before->task.version); !same) return propagate(same);
    const std::int64_t revision = next_revision(scope.sql);
    erase_task(scope.sql, before->task, revision, scope.principal.name, scope.now);
    write_audit(scope, "task.delete", "task:" + id, before->document, {});
    tell_nodes(context, scope, before->task, revision);
    return {};
}

}  // namespace cloudtask::center
