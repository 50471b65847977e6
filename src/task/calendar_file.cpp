// Files of holidays: CSV, and how the entries of a file become a calendar. Pure; any thread. iCalendar is read in ics.cpp.
#include "task/calendar_file.h"

#include <fmt/format.h>

#include <algorithm>
#include <charconv>
#include <utility>

#include "task/schedule_rule.h"
#include "task/time_of_day.h"

namespace cloudtask::task {

namespace {

constexpr std::size_t kMostFaults = 100;
constexpr std::string_view kAllowedLine = "a line such as 2026-12-25,Christmas Day or 2026-12-24,2027-01-02,Closed";

// The fields of a line of CSV: with quotes around a field those within it are doubled. Nothing if a quote is not closed.
std::optional<std::vector<std::string>> fields_of(std::string_view line) {
    std::vector<std::string> fields{""};
    bool quoted = false;
    for (std::size_t i = 0; i < line.size(); ++i) {
        const char c = line[i];
        if (quoted && c == '"' && i + 1 < line.size() && line[i + 1] == '"') {
            fields.back() += '"';
            ++i;
        } else if (c == '"' && (quoted || fields.back().empty())) {
            quoted = !quoted;
        } else if (c == ',' && !quoted) {
            fields.emplace_back();
        } else {
            fields.back() += c;
        }
    }
    if (quoted) return std::nullopt;
    for (std::string& field : fields) {
        field.erase(0, std::min(field.find_first_not_of(" \t"), field.size()));
        field.erase(field.find_last_not_of(" \t") + 1);
    }
    return fields;
}

bool is_head(const std::vector<std::string>& fields) {
    return fields == std::vector<std::string>{"date", "name"} || fields == std::vector<std::string>{"from", "to", "name"} ||
           fields == std::vector<std::string>{"date"};
}

std::optional<std::string> holiday_of(const std::vector<std::string>& fields, std::string& problem) {
    const auto from = parse_date(fields[0]);
    const bool second_is_date = fields.size() >= 2 && parse_date(fields[1]).has_value();
    if (!from) {
        problem = fmt::format("'{}' is not a date", fields[0].substr(0, 64));
    } else if (fields.size() > (second_is_date ? 3U : 2U)) {
        problem = fmt::format("has {} fields", fields.size());
    } else if (!second_is_date) {
        return holiday_json(*from, *from + 1, fields.size() > 1 ? fields[1] : "");
    } else if (const auto to = parse_date(fields[1]); *to <= *from) {
        problem = fmt::format("{} is not after {}: it is the first day after the holidays", fields[1], fields[0]);
    } else {
        return holiday_json(*from, *to, fields.size() > 2 ? fields[2] : "");
    }
    return std::nullopt;
}

std::optional<ImportedEntries> read_csv(std::string_view text, std::vector<LineFault>& faults) {
    ImportedEntries entries;
    int number = 0;
    for (const std::string_view line : lines_of(text)) {
        ++number;
        if (line.find_first_not_of(" \t") == std::string_view::npos || line.front() == '#') continue;
        const auto fields = fields_of(line);
        std::string problem = "has a quote that is not closed";
        if (fields && entries.holidays.empty() && is_head(*fields)) continue;
        const auto holiday = fields ? holiday_of(*fields, problem) : std::nullopt;
        if (holiday) {
            entries.holidays.push_back({number, *holiday});
        } else if (faults.size() < kMostFaults) {
            faults.push_back({number, problem, std::string{kAllowedLine}});
        }
    }
    if (!faults.empty()) return std::nullopt;
    return entries;
}

// "/holidays/12" is {"/holidays/", 12}.
std::optional<std::size_t> index_in(std::string_view pointer, std::string_view list) {
    if (!pointer.starts_with(list)) return std::nullopt;
    std::size_t index = 0;
    const std::string_view digits = pointer.substr(list.size());
    const auto [end, error] = std::from_chars(digits.data(), digits.data() + digits.size(), index);
    if (error != std::errc{}) return std::nullopt;
    return index;
}

// Pointers to entries within a sentence become lines.
std::string with_lines(std::string text, const ImportedEntries& entries) {
    using List = std::pair<std::string_view, const std::vector<ImportedEntries::Entry>*>;
    for (const auto& [list, of] : {List{"/holidays/", &entries.holidays}, List{"/blackouts/", &entries.blackouts}}) {
        for (std::size_t at = text.find(list); at != std::string::npos; at = text.find(list, at + 1)) {
            const auto index = index_in(std::string_view{text}.substr(at), list);
            if (!index || *index >= of->size()) continue;
            std::size_t end = at + list.size();
            while (end < text.size() && text[end] >= '0' && text[end] <= '9') ++end;
            text.replace(at, end - at, fmt::format("line {}", (*of)[*index].line));
        }
    }
    return text;
}

void write_entries(json::Writer& out, std::string_view name, const std::vector<ImportedEntries::Entry>& entries) {
    out.key(name).begin_array();
    for (const auto& entry : entries) out.raw(entry.json);
}

}  // namespace

std::vector<std::string_view> lines_of(std::string_view text) {
    if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
    std::vector<std::string_view> lines;
    while (!text.empty()) {
        const std::size_t end = std::min(text.find('\n'), text.size());
        std::string_view line = text.substr(0, end);
        if (line.ends_with('\r')) line.remove_suffix(1);
        lines.push_back(line);
        text.remove_prefix(std::min(end + 1, text.size()));
    }
    return lines;
}

std::string holiday_json(Date from, Date to, std::string_view name) {
    json::Writer out;
    out.begin_object();
    if (to == from + 1) {
        out.member("date", format_date(from));
    } else {
        out.member("from", format_date(from)).member("to", format_date(to));
    }
    if (!name.empty()) out.member("name", name);
    out.end_object();
    return out.text();
}

std::optional<ImportedEntries> read_calendar_file(std::string_view text, CalendarFormat format, std::string_view zone,
                                                  std::vector<LineFault>& faults) {
    const auto loaded = Zone::load(zone);
    if (!loaded) {
        faults.push_back({0, fmt::format("'{}' is not a zone of the IANA database", zone.substr(0, 64)), std::string{kAllowedZone}});
        return std::nullopt;
    }
    if (text.size() > kLargestImport) {
        faults.push_back({0, fmt::format("the file has {} bytes", text.size()), fmt::format("{} at most", kLargestImport)});
        return std::nullopt;
    }
    auto entries = format == CalendarFormat::ics ? read_ics(text, *loaded, faults) : read_csv(text, faults);
    if (entries && entries->holidays.empty() && entries->blackouts.empty()) {
        faults.push_back({0, "the file holds no entry", ""});
        return std::nullopt;
    }
    return entries;
}

CalendarPointer with_imported(const Calendar& base, const ImportedEntries& entries, std::vector<LineFault>& faults) {
    const auto before = json::parse(base.text());
    if (!before) return nullptr;
    json::Writer out;
    out.begin_object();
    for (const auto& member : before->GetObject()) {
        const std::string_view name{member.name.GetString(), member.name.GetStringLength()};
        if (name == "holidays") {
            write_entries(out, name, entries.holidays);
            out.end_array();
        } else if (name == "blackouts" && !entries.blackouts.empty()) {
            write_entries(out, name, entries.blackouts);
            for (const auto& blackout : member.value.GetArray()) {
                if (blackout.HasMember("cron")) out.value(blackout);
            }
            out.end_array();
        } else {
            out.key(name).value(member.value);
        }
    }
    out.end_object();
    Faults found;
    const auto document = json::parse(out.text());
    auto calendar = document ? Calendar::read(*document, "", found) : nullptr;
    for (const Fault& fault : found.list()) {
        if (faults.size() >= kMostFaults) break;
        const auto holiday = index_in(fault.pointer, "/holidays/"), blackout = index_in(fault.pointer, "/blackouts/");
        int line = 0;
        if (holiday && *holiday < entries.holidays.size()) line = entries.holidays[*holiday].line;
        if (blackout && *blackout < entries.blackouts.size()) line = entries.blackouts[*blackout].line;
        const std::string where = line == 0 && !fault.pointer.empty() ? fault.pointer.substr(1) + " " : "";
        faults.push_back({line, where + with_lines(fault.problem, entries), fault.allowed});
    }
    return calendar;
}

}  // namespace cloudtask::task
