// The tables calendars and task_calendars. Functions that take a session throw SOCI's errors, which Store maps.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "center/listing.h"
#include "cloudtask/task/named_calendar.h"
#include "cloudtask/task/types.h"

namespace soci {
class session;
}

namespace cloudtask::center {

// Error: corrupt, when what is stored cannot be read.
Result<std::optional<task::NamedCalendar>> find_calendar(soci::session& sql, const std::string& id);
Result<std::optional<task::NamedCalendar>> find_calendar_by_name(soci::session& sql, const std::string& runtime, const std::string& name);

void insert_calendar(soci::session& sql, const task::NamedCalendar& calendar);
void update_calendar_row(soci::session& sql, const task::NamedCalendar& calendar);
void erase_calendar(soci::session& sql, const std::string& id);
void erase_calendars_of(soci::session& sql, const std::string& runtime);

extern const ListSpec kCalendarList;
// Documents; returns the cursor of the next page, or "".
std::string list_calendars(soci::session& sql, const ListQuery& query, std::vector<std::string>& out);

// Notes which calendars a task uses; for each write of a task's row.
void note_calendars(soci::session& sql, const task::Task& task);
void forget_calendars(soci::session& sql, const std::string& task_id);
// The documents of up to `limit` tasks that use it, in the order of their ids, from the one after `after` on.
std::vector<std::string> tasks_using(soci::session& sql, const std::string& runtime, const std::string& calendar, int limit,
                                     const std::string& after);
std::int64_t count_using(soci::session& sql, const std::string& runtime, const std::string& calendar);
// "group/name" of some of them.
std::vector<std::string> names_using(soci::session& sql, const std::string& runtime, const std::string& calendar, int limit);

}  // namespace cloudtask::center
