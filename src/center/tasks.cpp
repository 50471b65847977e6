// The rules of tasks.
#include "center/tasks.h"

#include <algorithm>

#include "center/calendars.h"
#include "center/canary.h"
#include "center/task_changes.h"
#include "center/version_store.h"
#include "cloudtask/task/codec.h"

namespace cloudtask::center {

namespace {

// A rule whose last fire is past would never fire again, which nobody means to save; nor does anybody one of which calendars leave nothing.
// What was there before may have come to its end.
Result<> need_fires_ahead(const std::vector<task::Schedule>& schedules, const std::vector<task::Schedule>& before, Ended ended, Instant now,
                          Faults& faults) {
    for (std::size_t i = 0; i < schedules.size() && ended == Ended::refused; ++i) {
        const task::Schedule& schedule = schedules[i];
        if (schedule.kind() == task::Schedule::Kind::manual || schedule.next(now)) continue;
        if (std::find(before.begin(), before.end(), schedule) != before.end()) continue;
        if (schedule.with_calendars({}).next(now)) {
            const bool drops = schedule.on_excluded() == task::OnExcluded::drop;
            faults.add(pointer_to("/schedules", i),
                       drops ? "never fires: its calendars drop all that it would" : "never fires: its calendars leave no time free",
                       drops ? "other times, or 'on_excluded': 'defer'" : "calendars that leave time free");
            continue;
        }
        faults.add(pointer_to("/schedules", i), "has no fire left: its last one is past, and it is " + format_instant(now) + " now",
                   "a rule that fires again, or no such schedule");
    }
    if (!faults.empty()) return fail(Errc::unsupported, "{}", faults.summary());
    return {};
}

Result<task::Task> read_version(const VersionRow& row, const std::string& id) {
    const auto document = json::parse(row.document);
    auto task = document ? task::read_task(*document) : Result<task::Task>(propagate(document));
    if (!task) return fail(Errc::unsupported, "version {} of task {} cannot be read: {}", row.version, id, task.error().message);
    return task;
}

}  // namespace

Result<StoredTask> need_task(soci::session& sql, const std::string& id) {
    auto found = find_task(sql, id);
    if (!found) return propagate(found);
    if (!*found) return fail(Errc::not_found, "there is no task {}", id);
    return std::move(**found);
}

Result<StoredTask> need_task_at(soci::session& sql, const std::string& id, std::int64_t expected) {
    auto found = need_task(sql, id);
    if (!found) return found;
    if (auto same = check_version(expected, found->task.version); !same) return propagate(same);
    return found;
}

Result<StoredTask> create_task(const Context& context, WriteScope& scope, task::Task input, Faults& faults, Ended ended) {
    const auto group_id = resolve_references(scope.sql, input, faults);
    if (!group_id) return propagate(group_id);
    task::adopt_schedules(input);
    if (auto ahead = need_fires_ahead(input.schedules, {}, ended, scope.now, faults); !ahead) return propagate(ahead);
    return store_new_task(scope, context.random, std::move(input), *group_id, {"task.create"});
}

Result<StoredTask> update_task(WriteScope& scope, const std::string& id, std::int64_t expected, task::Task input, std::int64_t canary,
                               Faults& faults, Ended ended) {
    const auto before = need_task_at(scope.sql, id, expected);
    if (!before) return propagate(before);
    if (input.runtime != before->task.runtime) {
        faults.add("/runtime", "cannot change: a task stays in its runtime", before->task.runtime);
        return fail(Errc::unsupported, "{}", faults.summary());
    }
    input.id = id;
    if (auto embedded = embed_calendars(scope.sql, input, faults); !embedded) return propagate(embedded);
    task::adopt_schedules(input);
    if (auto ahead = need_fires_ahead(input.schedules, before->task.schedules, ended, scope.now, faults); !ahead) return propagate(ahead);
    auto after = store_task_definition(scope, *before, std::move(input), {"task.update"}, faults);
    if (!after || canary == 0) return after;
    if (auto begun = begin_canary(scope, *before, *after, canary); !begun) {
        faults.add("/canary", begun.error().message);
        return propagate(begun);
    }
    return after;
}

Result<StoredTask> set_task_enabled(WriteScope& scope, const std::string& id, std::int64_t expected, bool enabled) {
    const auto before = need_task_at(scope.sql, id, expected);
    if (!before) return propagate(before);
    Faults faults;
    task::Task changed = before->task;
    changed.enabled = enabled;
    return store_task_definition(scope, *before, std::move(changed), {enabled ? "task.enable" : "task.disable"}, faults);
}

Result<StoredTask> roll_back_task(WriteScope& scope, const std::string& id, std::int64_t expected, std::int64_t version, Faults& faults) {
    const auto before = need_task_at(scope.sql, id, expected);
    if (!before) return propagate(before);
    const auto row = find_version(scope.sql, id, version);
    if (!row) {
        faults.add("/version", fmt::format("is not a version of this task, which is at version {}", before->task.version));
        return fail(Errc::unsupported, "{}", faults.summary());
    }
    auto old = read_version(*row, id);
    if (!old) return propagate(old);
    old->enabled = before->task.enabled;
    return store_task_definition(scope, *before, std::move(*old), {"task.rollback", fmt::format("rolled back to version {}", version)},
                                 faults);
}

Result<StoredTask> clone_task(const Context& context, WriteScope& scope, const std::string& id, const CloneRequest& wanted,
                              Faults& faults) {
    const auto original = need_task(scope.sql, id);
    if (!original) return propagate(original);
    task::Task copy = original->task;
    copy.id.clear();
    copy.name = wanted.name;
    if (!wanted.group.empty()) copy.group = wanted.group;
    if (!wanted.runtime.empty()) copy.runtime = wanted.runtime;
    copy.enabled = wanted.enabled;
    const auto group_id = resolve_references(scope.sql, copy, faults);
    if (!group_id) return propagate(group_id);
    return store_new_task(scope, context.random, std::move(copy), *group_id, {"task.clone", fmt::format("a copy of {}", id)});
}

Result<> delete_task(WriteScope& scope, const std::string& id, std::int64_t expected) {
    const auto before = need_task_at(scope.sql, id, expected);
    if (!before) return propagate(before);
    store_task_end(scope, *before);
    return {};
}

}  // namespace cloudtask::center
