// The tables calendars and task_calendars.
#include "center/calendar_store.h"

#include "center/sql.h"
#include "cloudtask/core/json.h"
#include "cloudtask/task/codec.h"

namespace cloudtask::center {

namespace {

Result<std::optional<task::NamedCalendar>> read_calendar_row(const std::string& text) {
    const auto document = json::parse(text);
    if (!document) return fail(Errc::corrupt, "a stored calendar cannot be read: {}", document.error().message);
    auto calendar = task::read_named_calendar(*document);
    if (!calendar) return fail(Errc::corrupt, "a stored calendar cannot be read: {}", calendar.error().message);
    return std::optional{std::move(*calendar)};
}

}  // namespace

const ListSpec kCalendarList{
    .id_column = "id", .sort = {{"name", "name"}, {"created_at", "id"}}, .default_sort = "name", .filters = {"runtime", "name"}};

Result<std::optional<task::NamedCalendar>> find_calendar(soci::session& sql, const std::string& id) {
    std::string document;
    sql << "SELECT document FROM calendars WHERE id = :id", soci::use(id), soci::into(document);
    if (!sql.got_data()) return std::optional<task::NamedCalendar>{};
    return read_calendar_row(document);
}

Result<std::optional<task::NamedCalendar>> find_calendar_by_name(soci::session& sql, const std::string& runtime, const std::string& name) {
    std::string document;
    sql << "SELECT document FROM calendars WHERE runtime = :runtime AND name = :name", soci::use(runtime), soci::use(name),
        soci::into(document);
    if (!sql.got_data()) return std::optional<task::NamedCalendar>{};
    return read_calendar_row(document);
}

void insert_calendar(soci::session& sql, const task::NamedCalendar& calendar) {
    const std::string document = task::to_json(calendar);
    const long long version = calendar.version, created_at = to_db(calendar.created_at), updated_at = to_db(calendar.updated_at);
    sql << "INSERT INTO calendars (id, runtime, name, document, version, created_at, updated_at) "
           "VALUES (:id, :runtime, :name, :document, :version, :created, :updated)",
        soci::use(calendar.id), soci::use(calendar.runtime), soci::use(calendar.name), soci::use(document), soci::use(version),
        soci::use(created_at), soci::use(updated_at);
}

void update_calendar_row(soci::session& sql, const task::NamedCalendar& calendar) {
    const std::string document = task::to_json(calendar);
    const long long version = calendar.version, updated_at = to_db(calendar.updated_at);
    sql << "UPDATE calendars SET document = :document, version = :version, updated_at = :updated WHERE id = :id", soci::use(document),
        soci::use(version), soci::use(updated_at), soci::use(calendar.id);
}

void erase_calendar(soci::session& sql, const std::string& id) { sql << "DELETE FROM calendars WHERE id = :id", soci::use(id); }

void erase_calendars_of(soci::session& sql, const std::string& runtime) {
    sql << "DELETE FROM calendars WHERE runtime = :runtime", soci::use(runtime);
}

std::string list_calendars(soci::session& sql, const ListQuery& query, std::vector<std::string>& out) {
    return list_named(sql, "calendars", query, kCalendarList.id_column, out);
}

void note_calendars(soci::session& sql, const task::Task& task) {
    forget_calendars(sql, task.id);
    for (const auto& [name, calendar] : task.calendars) {
        sql << "INSERT INTO task_calendars (task_id, runtime, calendar) VALUES (:id, :runtime, :calendar)", soci::use(task.id),
            soci::use(task.runtime), soci::use(name);
    }
}

void forget_calendars(soci::session& sql, const std::string& task_id) {
    sql << "DELETE FROM task_calendars WHERE task_id = :id", soci::use(task_id);
}

std::vector<std::string> tasks_using(soci::session& sql, const std::string& runtime, const std::string& calendar, int limit,
                                     const std::string& after) {
    std::vector<std::string> documents;
    std::string document;
    soci::statement statement = (sql.prepare << "SELECT t.document FROM task_calendars AS u JOIN tasks AS t ON t.id = u.task_id WHERE "
                                                "u.runtime = :runtime AND u.calendar = :calendar AND u.task_id > :after ORDER BY u.task_id "
                                                "LIMIT :limit",
                                 soci::into(document), soci::use(runtime), soci::use(calendar), soci::use(after), soci::use(limit));
    statement.execute();
    while (statement.fetch()) documents.push_back(document);
    return documents;
}

std::int64_t count_using(soci::session& sql, const std::string& runtime, const std::string& calendar) {
    long long count = 0;
    sql << "SELECT count(*) FROM task_calendars WHERE runtime = :runtime AND calendar = :calendar", soci::use(runtime), soci::use(calendar),
        soci::into(count);
    return count;
}

std::vector<std::string> names_using(soci::session& sql, const std::string& runtime, const std::string& calendar, int limit) {
    std::vector<std::string> names;
    std::string group, name;
    soci::statement statement = (sql.prepare << "SELECT t.group_name, t.name FROM task_calendars u JOIN tasks t ON t.id = u.task_id WHERE "
                                                "u.runtime = :runtime AND u.calendar = :calendar ORDER BY u.task_id LIMIT :limit",
                                 soci::into(group), soci::into(name), soci::use(runtime), soci::use(calendar), soci::use(limit));
    statement.execute();
    while (statement.fetch()) names.push_back(group + "/" + name);
    return names;
}

}  // namespace cloudtask::center
