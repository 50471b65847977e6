// iCalendar (RFC 5545) as far as calendars of holidays go: events of days or times, and those that come back each year. Pure; any thread.
//
// Written here, although libical reads the format, because libical does not tell in which line a property or a component stands, drops or
// mends what it does not understand, and takes far more than a calendar of ours can say. What is not known here is refused with its line.
#include <fmt/format.h>

#include <algorithm>
#include <array>
#include <map>
#include <utility>

#include "task/calendar_file.h"
#include "task/moment.h"
#include "task/time_of_day.h"
#include "task/yearly_day.h"

namespace cloudtask::task {

namespace {

constexpr std::size_t kMostIcsFaults = 100;
constexpr std::string_view kAllowedRule = "RRULE:FREQ=YEARLY, with BYMONTH and BYMONTHDAY or BYDAY such as -1MO";
constexpr std::array<std::string_view, 7> kIcsWeekdays{"SU", "MO", "TU", "WE", "TH", "FR", "SA"};
// They say nothing about when an event is.
constexpr std::array<std::string_view, 20> kOfNoMatter{
    "UID", "DTSTAMP",   "CREATED",  "LAST-MODIFIED", "SEQUENCE", "TRANSP", "DESCRIPTION", "LOCATION", "CATEGORIES", "CLASS",
    "URL", "ORGANIZER", "PRIORITY", "COMMENT",       "CONTACT",  "ATTACH", "ATTENDEE",    "GEO",      "RELATED-TO", "COLOR"};

// A content line: NAME;PARAM=VALUE:value, unfolded.
struct Property {
    int line = 0;
    std::string name;                           // upper case
    std::map<std::string, std::string> params;  // names in upper case
    std::string value;
};

std::string upper(std::string_view text) {
    std::string out{text};
    for (char& c : out) c = c >= 'a' && c <= 'z' ? static_cast<char>(c - 'a' + 'A') : c;
    return out;
}

// Nothing if there is no ':' outside of quotes.
std::optional<Property> property_of(int line, const std::string& text) {
    Property property{.line = line, .name = {}, .params = {}, .value = {}};
    std::vector<std::string> parts{""};
    bool quoted = false;
    std::size_t i = 0;
    for (; i < text.size() && (quoted || text[i] != ':'); ++i) {
        if (text[i] == '"') {
            quoted = !quoted;
        } else if (text[i] == ';' && !quoted) {
            parts.emplace_back();
        } else {
            parts.back() += text[i];
        }
    }
    if (i == text.size()) return std::nullopt;
    property.name = upper(parts[0]);
    property.value = text.substr(i + 1);
    for (std::size_t part = 1; part < parts.size(); ++part) {
        const std::size_t equals = parts[part].find('=');
        if (equals == std::string::npos) return std::nullopt;
        property.params[upper(std::string_view{parts[part]}.substr(0, equals))] = parts[part].substr(equals + 1);
    }
    return property;
}

// TEXT without its escapes (section 3.3.11); a line break becomes a blank, as names have one line.
std::string unescaped(std::string_view text) {
    std::string out;
    for (std::size_t i = 0; i < text.size(); ++i) {
        if (text[i] == '\\' && i + 1 < text.size()) {
            ++i;
            out += text[i] == 'n' || text[i] == 'N' ? ' ' : text[i];
        } else if (static_cast<unsigned char>(text[i]) >= 0x20) {
            out += text[i];
        }
    }
    return out;
}

// At most `most` bytes, whole characters.
std::string cut(std::string text, std::size_t most) {
    if (text.size() <= most) return text;
    while (most > 0 && (static_cast<unsigned char>(text[most]) & 0xC0) == 0x80) --most;
    return text.substr(0, most);
}

std::optional<Date> basic_date(std::string_view text) {
    if (text.size() != 8) return std::nullopt;
    return parse_date(fmt::format("{}-{}-{}", text.substr(0, 4), text.substr(4, 2), text.substr(6)));
}

class IcsReader {
  public:
    IcsReader(const Zone& zone, std::vector<LineFault>& faults) : zone_(zone), faults_(faults) {}

    std::optional<ImportedEntries> read(std::string_view text) {
        int number = 0, begin = 0;
        std::string unfolded;
        for (const std::string_view line : lines_of(text)) {
            ++number;
            if (!line.empty() && (line.front() == ' ' || line.front() == '\t') && begin > 0) {
                unfolded += line.substr(1);
                continue;
            }
            take(begin, unfolded);
            begin = number;
            unfolded = line;
        }
        take(begin, unfolded);
        if (!open_.empty())
            fault(number, fmt::format("the {} that begins in line {} has no end", open_.back().second, open_.back().first), "");
        if (!seen_calendar_) fault(1, "does not begin with BEGIN:VCALENDAR", "an iCalendar file");
        if (!faults_.empty()) return std::nullopt;
        return std::move(entries_);
    }

  private:
    void fault(int line, std::string problem, std::string_view allowed) {
        if (faults_.size() < kMostIcsFaults) faults_.push_back({line, std::move(problem), std::string{allowed}});
    }

    bool within(std::string_view component) const {
        return std::any_of(open_.begin(), open_.end(), [component](const auto& each) { return each.second == component; });
    }

    void take(int line, const std::string& text) {
        if (text.empty()) return;
        auto property = property_of(line, text);
        if (!property) return fault(line, fmt::format("'{}' is not a property", cut(text, 64)), "NAME:value");
        const std::string component = upper(property->value);
        if (property->name == "BEGIN") {
            begin(line, component);
        } else if (property->name == "END") {
            if (open_.empty() || open_.back().second != component)
                return fault(line, fmt::format("ends a {} that is not open", component), "");
            open_.pop_back();
            if (component == "VEVENT") finish_event();
        } else if (!seen_calendar_) {
            fault(line, "stands before BEGIN:VCALENDAR", "an iCalendar file");
            seen_calendar_ = true;  // said once
        } else if (!open_.empty() && open_.back().second == "VEVENT") {
            take_of_event(std::move(*property));
        } else if (!open_.empty() && open_.back().second == "VCALENDAR" && property->name == "CALSCALE" && component != "GREGORIAN") {
            fault(line, fmt::format("the calendar scale {} is not known", component), "GREGORIAN");
        }
    }

    void begin(int line, const std::string& component) {
        const bool known = component == "VCALENDAR"                            ? open_.empty()
                           : component == "VEVENT" || component == "VTIMEZONE" ? !open_.empty() && open_.back().second == "VCALENDAR"
                                                                               : within("VTIMEZONE") || within("VEVENT");
        if (!known) fault(line, fmt::format("a {} cannot be taken over", component), "VEVENT in a VCALENDAR");
        if (component == "VCALENDAR") seen_calendar_ = true;
        open_.emplace_back(line, component);
        if (component != "VEVENT") return;
        event_.clear();
        event_line_ = line;
        event_is_good_ = true;
    }

    void refuse_event(int line, std::string problem, std::string_view allowed) {
        event_is_good_ = false;
        fault(line, std::move(problem), allowed);
    }

    void take_of_event(Property property) {
        const std::string& name = property.name;
        if (name.starts_with("X-") || std::find(kOfNoMatter.begin(), kOfNoMatter.end(), name) != kOfNoMatter.end()) return;
        if (name == "STATUS") {
            if (upper(property.value) == "CANCELLED") refuse_event(property.line, "the event is cancelled", "leave it out");
            return;
        }
        if (name != "DTSTART" && name != "DTEND" && name != "SUMMARY" && name != "RRULE") {
            return refuse_event(property.line, fmt::format("{} of an event cannot be taken over", cut(name, 64)),
                                "DTSTART, DTEND, SUMMARY and RRULE");
        }
        const int line = property.line;
        if (!event_.emplace(name, std::move(property)).second) refuse_event(line, "is the second of its kind in the event", "one");
    }

    void finish_event() {
        if (!event_is_good_) return;
        const auto start = event_.find("DTSTART");
        if (start == event_.end()) return fault(event_line_, "the event has no DTSTART", "DTSTART;VALUE=DATE:20261225");
        const auto summary = event_.find("SUMMARY");
        const std::string name = summary == event_.end() ? "" : cut(unescaped(summary->second.value), 128);
        const bool is_date = start->second.value.size() == 8;
        if (is_date) {
            finish_days(start->second, name);
        } else {
            finish_times(start->second, name);
        }
    }

    void finish_days(const Property& start, const std::string& name) {
        const auto from = basic_date(start.value);
        if (!from) return fault(start.line, fmt::format("'{}' is not a date", cut(start.value, 64)), "a date such as 20261225");
        Date to = *from + 1;
        if (const auto end = event_.find("DTEND"); end != event_.end()) {
            const auto date = basic_date(end->second.value);
            if (!date)
                return fault(end->second.line, fmt::format("'{}' is not a date", cut(end->second.value, 64)), "a date, as DTSTART is one");
            if (*date <= *from) return fault(end->second.line, "DTEND is not after DTSTART", "the first day after the event");
            to = *date;
        }
        const auto rule = event_.find("RRULE");
        if (rule == event_.end()) return entries_.holidays.push_back({event_line_, holiday_json(*from, to, name)});
        if (to != *from + 1) return fault(rule->second.line, "repeats an event of more than one day", "events of one day");
        if (const auto yearly = yearly_of(rule->second, *from)) {
            json::Writer out;
            out.begin_object().member("yearly", format_yearly_day(*yearly));
            if (!name.empty()) out.member("name", name);
            entries_.holidays.push_back({event_line_, out.end_object().text()});
        }
    }

    // FREQ=YEARLY on the day of DTSTART, or the one that BYMONTH with BYMONTHDAY or BYDAY names.
    std::optional<YearlyDay> yearly_of(const Property& rule, Date start) {
        std::map<std::string, std::string> parts;
        std::string_view rest = rule.value;
        while (!rest.empty()) {
            const std::size_t end = std::min(rest.find(';'), rest.size());
            const std::string_view part = rest.substr(0, end);
            const std::size_t equals = std::min(part.find('='), part.size());
            parts[upper(part.substr(0, equals))] = upper(part.substr(std::min(equals + 1, part.size())));
            rest.remove_prefix(std::min(end + 1, rest.size()));
        }
        parts.erase("WKST");
        const bool is_each_year = parts["FREQ"] == "YEARLY" && (!parts.contains("INTERVAL") || parts["INTERVAL"] == "1");
        std::string text;
        const std::string month = parts.contains("BYMONTH") ? parts["BYMONTH"] : std::to_string(start.month());
        const int number =
            month.size() <= 2 && !month.empty() && month.find_first_not_of("0123456789") == std::string::npos ? std::stoi(month) : 0;
        if (parts.contains("BYDAY") && parts.contains("BYMONTH") && number >= 1 && number <= 12) {
            text = words_of(parts["BYDAY"], number);
        } else if (!parts.contains("BYDAY")) {
            const std::string day = parts.contains("BYMONTHDAY") ? parts["BYMONTHDAY"] : std::to_string(start.day());
            text = fmt::format("{:0>2}-{:0>2}", month, day);
        }
        for (const char* known : {"FREQ", "INTERVAL", "BYMONTH", "BYMONTHDAY", "BYDAY"}) parts.erase(known);
        const auto day = parse_yearly_day(text);
        if (is_each_year && parts.empty() && day && day->in(start.year()) == start) return day;
        const std::string_view problem = is_each_year && parts.empty() && day ? "does not name the day of DTSTART" : "cannot be taken over";
        fault(rule.line, fmt::format("'{}' {}", cut(rule.value, 64), problem), kAllowedRule);
        return std::nullopt;
    }

    // "-1MO" in May is "last mon of may".
    static std::string words_of(std::string_view by_day, int month) {
        if (by_day.size() < 3) return {};
        const auto* weekday = std::find(kIcsWeekdays.begin(), kIcsWeekdays.end(), by_day.substr(by_day.size() - 2));
        std::string_view ordinal = by_day.substr(0, by_day.size() - 2);
        const bool from_end = ordinal.starts_with('-');
        if (from_end || ordinal.starts_with('+')) ordinal.remove_prefix(1);
        if (weekday == kIcsWeekdays.end() || ordinal.size() != 1 || ordinal[0] < '1' || ordinal[0] > '5') return {};
        const MonthDay day{.unit = MonthDay::Unit::weekday,
                           .ordinal = ordinal[0] - '0',
                           .from_end = from_end,
                           .weekday = static_cast<int>(weekday - kIcsWeekdays.begin())};
        return fmt::format("{} of {}", format_month_day(day), month_name(month));
    }

    void finish_times(const Property& start, const std::string& name) {
        const auto end = event_.find("DTEND");
        if (event_.contains("RRULE"))
            return fault(event_.at("RRULE").line, "repeats an event with times", "a blackout with 'cron' and 'lasting'");
        if (end == event_.end()) return fault(event_line_, "the event has no DTEND", "DTSTART and DTEND with times");
        const auto from = local_text(start), to = local_text(end->second);
        if (!from || !to) return;
        json::Writer out;
        out.begin_object().member("from", *from).member("to", *to);
        if (!name.empty()) out.member("name", name);
        entries_.blackouts.push_back({event_line_, out.end_object().text()});
    }

    // A DATE-TIME as the wall of the calendar's zone shows it.
    std::optional<std::string> local_text(const Property& property) {
        const std::string& value = property.value;
        const bool utc = value.size() == 16 && value.back() == 'Z';
        const std::string allowed = "a time such as 20261224T180000, with Z or TZID or as the wall of the calendar's zone shows it";
        if ((value.size() != 15 && !utc) || value[8] != 'T') {
            fault(property.line, fmt::format("'{}' is not a date and time", cut(value, 64)), allowed);
            return std::nullopt;
        }
        const std::string text = fmt::format("{}-{}-{}T{}:{}:{}", value.substr(0, 4), value.substr(4, 2), value.substr(6, 2),
                                             value.substr(9, 2), value.substr(11, 2), value.substr(13, 2));
        const auto tzid = property.params.find("TZID");
        const auto zone = utc ? Zone::load("UTC") : tzid == property.params.end() ? std::optional{zone_} : Zone::load(tzid->second);
        if (!zone) {
            fault(property.line, fmt::format("'{}' is not a zone of the IANA database", cut(tzid->second, 64)),
                  "a TZID such as Europe/Berlin");
            return std::nullopt;
        }
        const auto instant = parse_moment(text, *zone);
        if (!instant) {
            fault(property.line, fmt::format("'{}' is not a date and time", value), allowed);
            return std::nullopt;
        }
        const LocalTime local = zone_.local(std::chrono::floor<std::chrono::seconds>(*instant));
        if (instant_of(local, zone_) != *instant) {
            fault(property.line, fmt::format("{} comes twice on the wall of {}, and this is the second", text, zone_.name()),
                  "another time");
            return std::nullopt;
        }
        return fmt::format("{:04}-{:02}-{:02}T{:02}:{:02}:{:02}", local.year(), local.month(), local.day(), local.hour(), local.minute(),
                           local.second());
    }

    const Zone& zone_;
    std::vector<LineFault>& faults_;
    ImportedEntries entries_;
    std::vector<std::pair<int, std::string>> open_;  // components, with the line that each begins on
    std::map<std::string, Property> event_;          // of the event that is open
    int event_line_ = 0;
    bool event_is_good_ = true, seen_calendar_ = false;
};

}  // namespace

std::optional<ImportedEntries> read_ics(std::string_view text, const Zone& zone, std::vector<LineFault>& faults) {
    return IcsReader{zone, faults}.read(text);
}

}  // namespace cloudtask::task
