// The rules of calendars.
#include "center/calendars.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "center/audit_store.h"
#include "center/calendar_store.h"
#include "center/runtime_store.h"
#include "center/task_changes.h"
#include "center/tasks.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/task/codec.h"

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

// Each task that uses the calendar gets the new one, as its next version.
Result<> give_to_tasks(WriteScope& scope, const task::NamedCalendar& calendar, Faults& faults) {
    std::string last;
    for (;;) {
        const auto ids = tasks_using(scope.sql, calendar.runtime, calendar.name, kUsersPerPage, last);
        for (const std::string& id : ids) {
            const auto before = need_task(scope.sql, id);
            if (!before) return propagate(before);
            if (auto stored = store_calendar_of_task(scope, *before, calendar, faults); !stored) return stored;
            last = id;
        }
        if (ids.size() < static_cast<std::size_t>(kUsersPerPage)) return {};
    }
}

}  // namespace

Result<task::Calendars> find_calendars(soci::session& sql, const std::string& runtime, const std::vector<task::Schedule>& schedules,
                                       const std::function<std::string(std::size_t index)>& pointer_of, Faults& faults) {
    task::Calendars calendars;
    std::set<std::string> missing;
    for (std::size_t i = 0; i < schedules.size(); ++i) {
        for (const std::string& name : schedules[i].calendar_names()) {
            if (calendars.contains(name) || missing.contains(name)) continue;
            auto found = find_calendar_by_name(sql, runtime, name);
            if (!found) return propagate(found);
            if (*found) {
                calendars.emplace(name, (*found)->calendar);
            } else {
                missing.insert(name);
                faults.add(pointer_of(i), fmt::format("uses '{}', which is not a calendar of the runtime {}", name, runtime),
                           "the name of a calendar of that runtime");
            }
        }
    }
    if (calendars.size() > task::kMostCalendars) {
        faults.add("/schedules", fmt::format("use {} calendars", calendars.size()), fmt::format("{} at most", task::kMostCalendars));
    }
    return calendars;
}

Result<> embed_calendars(soci::session& sql, task::Task& task, Faults& faults) {
    const auto pointer_of = [](std::size_t index) { return pointer_to("/schedules", index); };
    auto calendars = find_calendars(sql, task.runtime, task.schedules, pointer_of, faults);
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
