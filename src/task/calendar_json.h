// The JSON of calendar rules and of windows; each fault with its pointer and what is allowed. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>

#include "cloudtask/core/json.h"
#include "task/calendar_rule.h"
#include "task/window_rule.h"

namespace cloudtask::task {

// {"frequency": "monthly", "days": ["last working day"], "times": ["18:00"]}
std::optional<CalendarRule> read_calendar(const json::Value& value, const std::string& pointer, Faults& faults);
void write_calendar(json::Writer& out, const CalendarRule& rule);

// {"from": "22:00", "to": "06:00", "weekdays": ["mon"]}; the interval stands beside it.
std::optional<WindowRule> read_window(const json::Value& value, const std::string& pointer, Faults& faults);
void write_window(json::Writer& out, const WindowRule& rule);

// A list of days of the week as bits, bit 0 Sunday; absent, `out` stays.
void read_weekday_list(json::ObjectReader& reader, std::string_view name, std::uint8_t& out);
void write_weekday_list(json::Writer& out, std::string_view name, std::uint8_t weekdays);

}  // namespace cloudtask::task
