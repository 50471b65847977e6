// The rules of calendars. A change of one is one transaction with a new version of every task that uses it, so that each version of a task
// is complete in itself: nodes, ledger and history need no calendar but those in the task. Worker threads, within a transaction; rows are
// in calendar_store.h.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "center/api_routes.h"
#include "cloudtask/task/named_calendar.h"

namespace cloudtask::center {

// Puts the calendars that the task's schedules and expressions name into it, in place of what is there; its schedules are to be adopted
// afterwards. Adds a fault for each that its runtime does not have, and for too many of them. Error: the store's.
Result<> embed_calendars(soci::session& sql, task::Task& task, Faults& faults);
// The same for schedules that belong to no task: what they name. `pointer_of` is the pointer of each, by its index.
Result<task::Calendars> find_calendars(soci::session& sql, const std::string& runtime, const std::vector<task::Schedule>& schedules,
                                       const std::function<std::string(std::size_t index)>& pointer_of, Faults& faults);

// Adds a fault when the runtime does not exist, or the change would leave nothing of a schedule; the error then is Errc::unsupported.
Result<task::NamedCalendar> create_calendar(const Context& context, WriteScope& scope, task::NamedCalendar input, Faults& faults);
// It stays in its runtime and keeps its name, by which schedules name it.
Result<task::NamedCalendar> update_calendar(WriteScope& scope, const std::string& id, std::int64_t expected, task::NamedCalendar input,
                                            Faults& faults);
// Refused while tasks use it; the sentence names some of them.
Result<> delete_calendar(WriteScope& scope, const std::string& id, std::int64_t expected);

}  // namespace cloudtask::center
