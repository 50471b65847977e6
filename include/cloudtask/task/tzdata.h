// The system's time zone database: where its files are, which version they say they have, and the rules of one of them.
//
// A program reads the file of a zone once (cctz keeps it), so what is asked here is what the files say now, and may be newer than what the
// schedules of this process go by. Reads files; any thread.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cloudtask/task/schedule.h"

namespace cloudtask::task {

// $TZDIR, or /usr/share/zoneinfo.
std::string zoneinfo_folder();

// "2025b": from the first line of tzdata.zi, or the file +VERSION. Empty: the folder does not say.
std::string tzdata_version();

// The compiled rules of a zone (RFC 8536); nothing if there is no such zone.
std::optional<std::string> read_zone_file(std::string_view zone);

// The same schedule by the rules in the file at `path` (absolute), which stand for those of its own zone. A path is read once in the life
// of the process, so other rules need another path. Nothing if it holds no rules.
std::optional<Schedule> by_zone_file(const Schedule& schedule, const std::string& path);

}  // namespace cloudtask::task
