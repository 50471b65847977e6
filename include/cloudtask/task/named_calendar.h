// NamedCalendar: a calendar as an object of a runtime, as users write and read it, with its JSON; and what a file of holidays says. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/faults.h"
#include "cloudtask/core/json.h"
#include "cloudtask/task/calendar.h"

namespace cloudtask::task {

// (runtime, name) is unique.
struct NamedCalendar {
    std::string id;             // UUID
    std::string runtime, name;  // slugs
    std::string description;
    CalendarPointer calendar;  // never null once read
    std::int64_t version = 1;  // grows by one with each change; the ETag
    Instant created_at{}, updated_at{};
};

// What a user may write; what only the server writes is accepted and ignored. Nothing, and at least one fault, if it is wrong.
std::optional<NamedCalendar> read_calendar_input(const json::Value& value, Faults& faults);
// What a center wrote.
Result<NamedCalendar> read_named_calendar(const json::Value& value);
void write(json::Writer& out, const NamedCalendar& calendar);

enum class CalendarFormat { ics, csv };

struct LineFault {
    int line = 0;  // from 1 on
    std::string problem;
    std::string allowed;
};

// The entries of a file, as members of a calendar's `holidays` and `blackouts`, each with the line that it begins on.
struct ImportedEntries {
    struct Entry {
        int line = 0;
        std::string json;
    };
    std::vector<Entry> holidays, blackouts;
};

inline constexpr std::size_t kLargestImport = 512 * 1024;

// Reads iCalendar (RFC 5545) or CSV (RFC 4180: "date,name" or "from,to,name", with or without that line on top; `to` is the first day
// after). Of iCalendar: events with days become holidays (those that RRULE repeats each year: yearly ones), events with times blackouts, on
// the wall of `zone` (of the IANA database). What it does not know, or cannot say as an entry, is a fault with its line, and then there are
// no entries.
std::optional<ImportedEntries> read_calendar_file(std::string_view text, CalendarFormat format, std::string_view zone,
                                                  std::vector<LineFault>& faults);

// `base` with the holidays of `entries` in place of its own, and, if they have blackouts, those in place of its ranges. Overlaps and
// repeated days are faults with the lines of both.
CalendarPointer with_imported(const Calendar& base, const ImportedEntries& entries, std::vector<LineFault>& faults);

}  // namespace cloudtask::task
