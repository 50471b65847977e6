// The JSON of calendar rules and of windows. Pure; any thread.
#include "task/calendar_json.h"

#include <fmt/format.h>

#include <algorithm>
#include <string>
#include <vector>

#include "task/codec_rules.h"
#include "task/cron_field.h"

namespace cloudtask::task {

namespace {

constexpr std::int64_t kMostInterval = 1000;
constexpr std::size_t kMostTimes = 96;
constexpr std::size_t kMostDays = 62;
constexpr std::uint16_t kAllMonths = 0x1FFE;
constexpr std::uint8_t kAllWeekdays = 0x7F;
constexpr std::string_view kAllowedTime = "a time such as 18:00 or 18:00:30, up to 23:59:59";
constexpr std::string_view kAllowedFrequencies = "daily, weekly, monthly";
constexpr std::string_view kAllowedWeekdays = "mon, tue, wed, thu, fri, sat, sun";
constexpr std::string_view kAllowedMonths = "jan, feb, mar, apr, may, jun, jul, aug, sep, oct, nov, dec";
constexpr std::string_view kAllowedDay =
    "1 to 31, or words such as 'last day', '2nd last day', '2nd tue', 'last fri', '1st working day', 'last working day'";
constexpr std::array<int, 7> kWeekdaysInOrder{1, 2, 3, 4, 5, 6, 0};  // as ISO 8601 has them: a week begins on Monday

void add_repeated(Faults& faults, const std::string& pointer, std::string_view text) {
    faults.add(pointer, fmt::format("'{}' is there twice", text), "each once");
}

// As ObjectReader::require(), and says what is wanted.
bool need(json::ObjectReader& reader, std::string_view name, std::string_view allowed) {
    if (!reader.has(name)) reader.faults().add(reader.pointer(name), "is missing", std::string{allowed});
    return reader.has(name);
}

// A list of names as the bits of `parse`'s numbers.
template <class Bits, class Parse>
void read_names(json::ObjectReader& reader, std::string_view name, std::size_t most, Parse parse, std::string_view allowed, Bits& out) {
    std::vector<std::string> texts;
    if (!reader.read(name, texts, {.min = 1, .max = most, .item = {.min = 1, .max = 16}})) return;
    Bits bits = 0;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const std::string pointer = pointer_to(reader.pointer(name), i);
        const auto number = parse(texts[i]);
        if (!number) {
            reader.faults().add(pointer, fmt::format("'{}' is not a name", texts[i]), std::string{allowed});
            continue;
        }
        const auto bit = static_cast<Bits>(1U << *number);
        if ((bits & bit) != 0) add_repeated(reader.faults(), pointer, texts[i]);
        bits = static_cast<Bits>(bits | bit);
    }
    out = bits;
}

std::optional<MonthDay> read_day(const json::Value& value) {
    if (value.IsString()) return parse_month_day({value.GetString(), value.GetStringLength()});
    if (!value.IsInt() || value.GetInt() < 1 || value.GetInt() > 31) return std::nullopt;
    return MonthDay{.ordinal = value.GetInt()};
}

void read_days(json::ObjectReader& reader, std::vector<MonthDay>& out) {
    const json::Value* list = reader.array("days", {.min = 1, .max = kMostDays});
    if (list == nullptr) return;
    for (rapidjson::SizeType i = 0; i < list->Size(); ++i) {
        const std::string pointer = pointer_to(reader.pointer("days"), i);
        const auto day = read_day((*list)[i]);
        if (!day) {
            reader.faults().add(pointer, fmt::format("{} is not a day of a month", json::to_text((*list)[i]).substr(0, 64)),
                                std::string{kAllowedDay});
        } else if (std::find(out.begin(), out.end(), *day) != out.end()) {
            add_repeated(reader.faults(), pointer, format_month_day(*day));
        } else {
            out.push_back(*day);
        }
    }
}

void read_times(json::ObjectReader& reader, std::vector<TimeOfDay>& out) {
    std::vector<std::string> texts;
    if (!need(reader, "times", kAllowedTime) || !reader.read("times", texts, {.min = 1, .max = kMostTimes, .item = {.min = 1, .max = 16}}))
        return;
    for (std::size_t i = 0; i < texts.size(); ++i) {
        const std::string pointer = pointer_to(reader.pointer("times"), i);
        const auto time = parse_time_of_day(texts[i]);
        if (!time) {
            reader.faults().add(pointer, fmt::format("'{}' is not a time of day", texts[i]), std::string{kAllowedTime});
        } else if (std::find(out.begin(), out.end(), *time) != out.end()) {
            add_repeated(reader.faults(), pointer, texts[i]);
        } else {
            out.push_back(*time);
        }
    }
    std::sort(out.begin(), out.end());
}

void read_counting(json::ObjectReader& reader, CalendarRule& rule) {
    std::int64_t interval = 1;
    reader.read("interval", interval, {.min = 1, .max = kMostInterval});
    rule.interval = static_cast<int>(interval);
    std::string text;
    if (reader.read("from", text, {.min = 1, .max = 16})) {
        rule.from = parse_date(text);
        if (!rule.from) {
            reader.faults().add(reader.pointer("from"), fmt::format("'{}' is not a date", text),
                                fmt::format("a date such as 2026-01-05, years {} to {}", kFirstCronYear, kLastCronYear));
        }
    } else if (interval > 1 && !reader.has("from")) {
        reader.faults().add(reader.pointer("from"), "is missing: an interval above 1 is counted from a date", "a date such as 2026-01-05");
    }
}

// A member that only one frequency has.
void refuse_unless(json::ObjectReader& reader, bool belongs, std::string_view name, std::string_view frequency) {
    if (belongs) return;
    if (reader.has(name)) {
        reader.faults().add(reader.pointer(name), fmt::format("belongs to the frequency '{}' only", frequency), "no such member");
    }
    reader.ignore(name);
}

void read_bound(json::ObjectReader& reader, std::string_view name, bool may_be_24, TimeOfDay& out) {
    std::string text;
    if (!need(reader, name, kAllowedTime) || !reader.read(name, text, {.min = 1, .max = 16})) return;
    const auto time = may_be_24 && text == "24:00" ? kWholeDay : parse_time_of_day(text);
    if (time) {
        out = *time;
    } else {
        reader.faults().add(reader.pointer(name), fmt::format("'{}' is not a time of day", text),
                            std::string{kAllowedTime} + (may_be_24 ? ", or 24:00" : ""));
    }
}

}  // namespace

void read_weekday_list(json::ObjectReader& reader, std::string_view name, std::uint8_t& out) {
    read_names(reader, name, 7, parse_weekday, kAllowedWeekdays, out);
}

void write_weekday_list(json::Writer& out, std::string_view name, std::uint8_t weekdays) {
    out.key(name).begin_array();
    for (const int weekday : kWeekdaysInOrder) {
        if ((weekdays >> weekday & 1) != 0) out.value(weekday_name(weekday));
    }
    out.end_array();
}

std::optional<CalendarRule> read_calendar(const json::Value& value, const std::string& pointer, Faults& faults) {
    const FaultCount count{faults};
    json::ObjectReader reader{value, pointer, faults};
    CalendarRule rule;
    std::string frequency;
    const bool is_known =
        need(reader, "frequency", kAllowedFrequencies) && reader.read_choice("frequency", frequency, {"daily", "weekly", "monthly"});
    rule.frequency = frequency == "monthly" ? Frequency::monthly : frequency == "weekly" ? Frequency::weekly : Frequency::daily;
    read_counting(reader, rule);
    const bool weekly = !is_known || rule.frequency == Frequency::weekly;
    const bool monthly = !is_known || rule.frequency == Frequency::monthly;
    refuse_unless(reader, weekly, "weekdays", "weekly");
    refuse_unless(reader, monthly, "months", "monthly");
    refuse_unless(reader, monthly, "days", "monthly");
    if (weekly && is_known) need(reader, "weekdays", kAllowedWeekdays);
    if (monthly && is_known) need(reader, "days", kAllowedDay);
    if (weekly) read_weekday_list(reader, "weekdays", rule.weekdays);
    if (monthly) read_names(reader, "months", 12, parse_month, kAllowedMonths, rule.months);
    if (monthly) read_days(reader, rule.days);
    read_times(reader, rule.times);
    reader.finish();
    if (!count.none_since()) return std::nullopt;
    return rule;
}

void write_calendar(json::Writer& out, const CalendarRule& rule) {
    out.begin_object();
    out.member("frequency", rule.frequency == Frequency::monthly ? "monthly" : rule.frequency == Frequency::weekly ? "weekly" : "daily");
    if (rule.interval != 1) out.member("interval", rule.interval);
    if (rule.from) out.member("from", format_date(*rule.from));
    if (rule.frequency == Frequency::weekly) write_weekday_list(out, "weekdays", rule.weekdays);
    if (rule.months != kAllMonths) {
        out.key("months").begin_array();
        for (int month = 1; month <= 12; ++month) {
            if ((rule.months >> month & 1) != 0) out.value(month_name(month));
        }
        out.end_array();
    }
    if (rule.frequency == Frequency::monthly) {
        out.key("days").begin_array();
        for (const MonthDay& day : rule.days) {
            if (day.unit == MonthDay::Unit::day && !day.from_end) {
                out.value(day.ordinal);
            } else {
                out.value(format_month_day(day));
            }
        }
        out.end_array();
    }
    out.key("times").begin_array();
    for (const TimeOfDay time : rule.times) out.value(format_time_of_day(time));
    out.end_array().end_object();
}

std::optional<WindowRule> read_window(const json::Value& value, const std::string& pointer, Faults& faults) {
    const FaultCount count{faults};
    json::ObjectReader reader{value, pointer, faults};
    WindowRule rule;
    read_bound(reader, "from", false, rule.from);
    read_bound(reader, "to", true, rule.to);
    read_weekday_list(reader, "weekdays", rule.weekdays);
    reader.finish();
    if (!count.none_since()) return std::nullopt;
    return rule;
}

void write_window(json::Writer& out, const WindowRule& rule) {
    out.begin_object().member("from", format_time_of_day(rule.from)).member("to", format_time_of_day(rule.to));
    if (rule.weekdays != kAllWeekdays) write_weekday_list(out, "weekdays", rule.weekdays);
    out.end_object();
}

}  // namespace cloudtask::task
