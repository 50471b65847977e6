// What the readers of holiday files share. Pure; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/task/named_calendar.h"
#include "task/month_day.h"
#include "task/zone.h"

namespace cloudtask::task {

// Lines without their ends (LF or CRLF), and without the mark of UTF-8 in front.
std::vector<std::string_view> lines_of(std::string_view text);

// {"date": ...}, or a range if it is longer than one day.
std::string holiday_json(Date from, Date to, std::string_view name);

std::optional<ImportedEntries> read_ics(std::string_view text, const Zone& zone, std::vector<LineFault>& faults);

}  // namespace cloudtask::task
