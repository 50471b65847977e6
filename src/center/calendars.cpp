// The rules of calendars.
#include "center/calendars.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "center/audit_store.h"
#include "center/calendar_store.h"
#include "center/canary_store.h"
#include "center/runtime_store.h"
#include "center/task_store.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/task_parameters.h"

namespace cloudtask::center {

namespace {

constexpr int kUsersPerPage = 500;
constexpr int kUsersNamed = 5;

Result<task::NamedCalendar> need_calendar(soci::session& sql, const std::string& id) {
    auto found = find_calendar(sql, id);
    if (!found) return propagate(found);
    if (!*found) return fail(Errc::not_found, "there is no calendar {}", id);
    return std::move(**found);
}

// What names a calendar: a schedule or an expression, and where it stands.
struct CalendarUser {
    std::string name, pointer;
};

Result<task::Calendars> find_used(soci::session& sql, const std::string& runtime, const std::vector<CalendarUser>& users, Faults& faults) {
    task::Calendars calendars;
    std::set<std::string> missing;
    for (const auto& [name, pointer] : users) {
        if (calendars.contains(name) || missing.contains(name)) continue;
        auto found = find_calendar_by_name(sql, runtime, name);
        if (!found) return propagate(found);
        if (*found) {
            calendars.emplace(name, (*found)->calendar);
        } else {
            missing.insert(name);
            faults.add(pointer, fmt::format("uses '{}', which is not a calendar of the runtime {}", name, runtime),
                       "the name of a calendar of that runtime");
        }
    }
    if (calendars.size() > task::kMostCalendars) {
        faults.add("/schedules", fmt::format("use {} calendars", calendars.size()), fmt::format("{} at most", task::kMostCalendars));
    }
    return calendars;
}

// The next version of a task, with what the calendar is now. Faults: it would leave nothing of a schedule.
Result<task::Task> with_calendar(const std::string& document, const task::NamedCalendar& calendar, Instant now, Faults& faults) {
    const auto parsed = json::parse(document);
    const auto old = parsed ? task::read_task(*parsed) : Result<task::Task>(propagate(parsed));
    if (!old) return fail(Errc::corrupt, "a stored task cannot be read: {}", old.error().message);
    task::Task changed = *old;
    changed.calendars[calendar.name] = calendar.calendar;
    task::adopt_schedules(changed);
    for (std::size_t i = 0; i < changed.schedules.size() && changed.enabled; ++i) {
        if (changed.schedules[i].next(now) || !old->schedules[i].next(now)) continue;
        faults.add("", fmt::format("would leave nothing of {} of the task {}/{}", pointer_to("/schedules", i), old->group, old->name),
                   "disable that task first, or give it another schedule");
        return fail(Errc::unsupported, "{}", faults.summary());
    }
    changed.version = old->version + 1;
    changed.updated_at = now;
    // As with every change of a schedule: what only the new one would have had is not owed for the past.
    changed.effective_from = std::max(old->effective_from, now);
    return changed;
}

// Each task that uses the calendar gets the new one, as its next version. They may be ten thousand: who made the versions and why stands
// in these, and the audit has the entry of the calendar alone.
Result<> give_to_tasks(WriteScope& scope, const task::NamedCalendar& calendar, Faults& faults) {
    const VersionStamp stamp{scope.principal.name, fmt::format("version {} of the calendar {}", calendar.version, calendar.name)};
    const std::int64_t users = count_using(scope.sql, calendar.runtime, calendar.name);
    if (users == 0) return {};
    std::int64_t revision = take_revisions(scope.sql, users);
    for (std::string last;;) {
        std::vector<task::Task> changed;
        for (const std::string& document : tasks_using(scope.sql, calendar.runtime, calendar.name, kUsersPerPage, last)) {
            auto task = with_calendar(document, calendar, scope.now, faults);
            if (!task) return propagate(task);
            task->revision = task->effective_revision = revision++;
            changed.push_back(std::move(*task));
        }
        if (changed.empty()) break;
        last = changed.back().id;
        update_documents(scope.sql, changed, stamp);
    }
    extend_canaries(scope.sql, calendar.runtime, calendar.name);
    scope.catalog_changed(calendar.runtime, revision - 1);
    return {};
}

}  // namespace

Result<task::Calendars> find_calendars(soci::session& sql, const std::string& runtime, const std::vector<task::Schedule>& schedules,
                                       const std::function<std::string(std::size_t index)>& pointer_of, Faults& faults) {
    std::vector<CalendarUser> users;
    for (std::size_t i = 0; i < schedules.size(); ++i) {
        for (std::string& name : schedules[i].calendar_names()) users.push_back({std::move(name), pointer_of(i)});
    }
    return find_used(sql, runtime, users, faults);
}

Result<> embed_calendars(soci::session& sql, task::Task& task, Faults& faults) {
    std::vector<CalendarUser> users;
    for (std::size_t i = 0; i < task.schedules.size(); ++i) {
        for (std::string& name : task.schedules[i].calendar_names()) users.push_back({std::move(name), pointer_to("/schedules", i)});
    }
    if (task.parameters) {
        for (auto& [name, pointer] : task::expression_calendars(task)) users.push_back({name, pointer});
    }
    auto calendars = find_used(sql, task.runtime, users, faults);
    if (!calendars) return propagate(calendars);
    task.calendars = std::move(*calendars);
    return {};
}

Result<task::NamedCalendar> create_calendar(const Context& context, WriteScope& scope, task::NamedCalendar input, Faults& faults) {
    if (!runtime_exists(scope.sql, input.runtime)) {
        faults.add("/runtime", "is not a runtime of this center", "the name of a runtime");
        return fail(Errc::unsupported, "{}", faults.summary());
    }
    const auto other = find_calendar_by_name(scope.sql, input.runtime, input.name);
    if (!other) return propagate(other);
    if (*other) return fail(Errc::already_exists, "the runtime {} has a calendar named {} already", input.runtime, input.name);
    input.id = make_uuid(scope.now, context.random);
    input.version = 1;
    input.created_at = input.updated_at = scope.now;
    insert_calendar(scope.sql, input);
    write_audit(scope, "calendar.create", "calendar:" + input.id, {}, task::to_json(input));
    return input;
}

Result<task::NamedCalendar> update_calendar(WriteScope& scope, const std::string& id, std::int64_t expected, task::NamedCalendar input,
                                            Faults& faults) {
    const auto before = need_calendar(scope.sql, id);
    if (!before) return propagate(before);
    if (auto same = check_version(expected, before->version); !same) return propagate(same);
    if (input.runtime != before->runtime) faults.add("/runtime", "cannot change: a calendar stays in its runtime", before->runtime);
    if (input.name != before->name) faults.add("/name", "cannot change: schedules name the calendar by it", before->name);
    if (!faults.empty()) return fail(Errc::unsupported, "{}", faults.summary());
    if (input.calendar == before->calendar && input.description == before->description) return *before;
    input.id = id;
    input.version = before->version + 1;
    input.created_at = before->created_at;
    input.updated_at = scope.now;
    update_calendar_row(scope.sql, input);
    write_audit(scope, "calendar.update", "calendar:" + id, task::to_json(*before), task::to_json(input));
    if (input.calendar == before->calendar) return input;
    if (auto given = give_to_tasks(scope, input, faults); !given) return propagate(given);
    return input;
}

Result<> delete_calendar(WriteScope& scope, const std::string& id, std::int64_t expected) {
    const auto before = need_calendar(scope.sql, id);
    if (!before) return propagate(before);
    if (auto same = check_version(expected, before->version); !same) return propagate(same);
    const auto users = names_using(scope.sql, before->runtime, before->name, kUsersNamed + 1);
    if (!users.empty()) {
        const auto shown = std::min<std::size_t>(users.size(), kUsersNamed);
        return fail(Errc::conflict, "the calendar {} is used by {}{}; change their schedules first", before->name,
                    fmt::join(users.begin(), users.begin() + static_cast<std::ptrdiff_t>(shown), ", "),
                    users.size() > shown ? " and others" : "");
    }
    erase_calendar(scope.sql, id);
    write_audit(scope, "calendar.delete", "calendar:" + id, task::to_json(*before), {});
    return {};
}

}  // namespace cloudtask::center
