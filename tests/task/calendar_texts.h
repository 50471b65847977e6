// Calendars from their JSON, for tests: with what is wrong where they must be right.
#pragma once

#include <catch2/catch.hpp>

#include <string>

#include "cloudtask/core/json.h"
#include "cloudtask/task/calendar.h"

namespace cloudtask::calendar_texts {

inline task::CalendarPointer read_calendar_text(const std::string& text, Faults& faults) {
    const auto document = json::parse(text);
    INFO(text);
    REQUIRE(document);
    return task::Calendar::read(*document, "/c", faults);
}

inline task::CalendarPointer calendar_of(const std::string& text) {
    Faults faults;
    auto calendar = read_calendar_text(text, faults);
    if (!calendar) FAIL(faults.summary() << " in " << text);
    return calendar;
}

inline Instant moment_of(std::string_view text) {
    const auto parsed = parse_instant(text);
    INFO(text);
    REQUIRE(parsed);
    return *parsed;
}

}  // namespace cloudtask::calendar_texts
