// How tasks change: see task_changes.h.
#include "center/task_changes.h"

#include <algorithm>

#include "center/audit_store.h"
#include "center/calendars.h"
#include "center/canary.h"
#include "center/package_store.h"
#include "center/parameters.h"
#include "center/runtime_store.h"
#include "center/secrets.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/ring/placement.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/mutex.h"

namespace cloudtask::center {

namespace {

// A task that moves because its targets, labels or mode changed does so at one instant, which both owners must have learnt of by then
// (docs/architecture.md, "Where this differs"): as long as the news of a change takes to reach every node, with much to spare.
constexpr Duration kMoveAhead = std::chrono::seconds{5};

Result<> need_free_task_name(soci::session& sql, const task::Task& task) {
    if (!task_name_taken(sql, task.runtime, task.group, task.name, task.id)) return {};
    return fail(Errc::already_exists, "the group {}/{} has a task named {} already", task.runtime, task.group, task.name);
}

// Other nodes own it, or other pieces of it.
bool goes_elsewhere(const task::Task& before, const task::Task& changed) {
    return !ring::same_place(before, changed) || changed.mode != before.mode || changed.shards != before.shards;
}

// From when on the fires of `changed` count. Never earlier than those of `before`: where that is ahead, another node fires up to there.
Instant effective_from(const task::Task& before, const task::Task& changed, Instant now) {
    Instant from = before.effective_from;
    // Fires that only the new schedules would have had are not owed for the past.
    if (changed.schedules != before.schedules || (changed.enabled && !before.enabled)) from = std::max(from, now);
    if (goes_elsewhere(before, changed)) from = std::max(from, now + kMoveAhead);
    return from;
}

// Who does not know of the change fires something else, or elsewhere.
bool owes_other_fires(const task::Task& before, const task::Task& changed) {
    return changed.schedules != before.schedules || changed.enabled != before.enabled || goes_elsewhere(before, changed);
}

// Tasks under one mutex have one owner: only so is it the owner's own business which of them runs.
void check_mutex(soci::session& sql, const task::Task& task, Faults& faults) {
    if (!task::has_mutex(task)) return;
    const std::string words = task::mutex_words(task::mutex_key(task));
    if (task.exclusive_group) {
        if (task.mutex) faults.add("/mutex", fmt::format("does not go with the group {}, which is exclusive", task.group), "no mutex");
        task::check_under_mutex(task, "an exclusive group", faults);
    }
    if (const auto other = task_placed_apart(sql, task)) {
        faults.add("/targets", fmt::format("or the labels are not those of {}, which goes under {}, too", *other, words),
                   "the same targets and labels for all that go under it; to change them, give each task another mutex with them");
    }
}

}  // namespace

Result<std::string> resolve_references(soci::session& sql, task::Task& task, Faults& faults) {
    std::string group_id;
    if (auto embedded = embed_parameters(sql, task, faults); !embedded) return propagate(embedded);
    if (auto embedded = embed_calendars(sql, task, faults); !embedded) return propagate(embedded);
    if (!runtime_exists(sql, task.runtime)) {
        faults.add("/runtime", "is not a runtime of this center", "the name of a runtime");
    } else {
        const auto group = find_group_by_name(sql, task.runtime, task.group);
        if (!group) return propagate(group);
        if (*group) {
            group_id = (*group)->id;
            task.exclusive_group = (*group)->exclusive;
            check_mutex(sql, task, faults);
            check_secrets(sql, task, faults);
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

Result<StoredTask> store_new_task(WriteScope& scope, Random& random, task::Task task, const std::string& group_id, const ChangeName& name) {
    task.id = make_uuid(scope.now, random);
    task::adopt_schedules(task);
    if (auto free = need_free_task_name(scope.sql, task); !free) return propagate(free);
    task.version = 1;
    task.revision = task.created_revision = task.effective_revision = next_revision(scope.sql);
    task.created_at = task.updated_at = task.effective_from = scope.now;
    insert_task(scope.sql, task, group_id, {scope.principal.name, name.note});
    StoredTask stored{task::to_json(task), task, {}, 0};
    write_audit(scope, name.action, "task:" + task.id, {}, stored.document);
    scope.catalog_changed(task.runtime, task.revision);
    return stored;
}

Result<StoredTask> store_task_definition(WriteScope& scope, const StoredTask& before, task::Task input, const ChangeName& name,
                                         Faults& faults) {
    const task::Task& old = before.task;
    input.id = old.id;
    const auto group_id = resolve_references(scope.sql, input, faults);
    if (!group_id) return propagate(group_id);
    task::adopt_schedules(input);
    input.version = old.version;
    input.revision = old.revision;
    input.created_revision = old.created_revision;
    input.created_at = old.created_at;
    input.updated_at = old.updated_at;
    input.effective_from = old.effective_from;
    input.effective_revision = old.effective_revision;
    if (task::to_json(input) == task::to_json(old)) return before;
    if (auto free = need_free_task_name(scope.sql, input); !free) return propagate(free);

    input.version = old.version + 1;
    input.effective_from = effective_from(old, input, scope.now);
    input.revision = next_revision(scope.sql);
    if (owes_other_fires(old, input)) input.effective_revision = input.revision;
    input.updated_at = scope.now;
    const auto canary = follow_canary(scope.sql, before, input, scope.now);
    update_task_row(scope.sql, input, *group_id, {scope.principal.name, name.note});
    StoredTask after = before;
    after.canary = canary;
    after.document = task::to_json(input);
    after.task = std::move(input);
    write_audit(scope, name.action, "task:" + after.task.id, before.document, after.document);
    scope.catalog_changed(after.task.runtime, after.task.revision);
    return after;
}

void store_task_end(WriteScope& scope, const StoredTask& before) {
    const std::int64_t revision = next_revision(scope.sql);
    erase_canary(scope.sql, before.task.id);
    erase_task(scope.sql, before.task, revision, scope.principal.name, scope.now);
    write_audit(scope, "task.delete", "task:" + before.task.id, before.document, {});
    scope.catalog_changed(before.task.runtime, revision);
}

}  // namespace cloudtask::center
