// Tables, JSON and YAML. Pure.
#include "cli/output.h"

#include <algorithm>
#include <map>
#include <ostream>

#include <rapidjson/prettywriter.h>
#include <yaml-cpp/yaml.h>

#include "cli/yaml.h"
#include "cloudtask/core/units.h"

namespace cloudtask::cli {

namespace {

std::string printable(std::string cell) {
    std::replace_if(cell.begin(), cell.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
    return cell.empty() ? "-" : cell;
}

// Counted in code points: UTF-8 continuation bytes take no column.
std::size_t columns(const std::string& text) {
    return static_cast<std::size_t>(
        std::count_if(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) & 0xC0U) != 0x80U; }));
}

// The SGR colour of a state (ECMA-48), or nothing.
std::string_view colour_of(const std::string& word) {
    static const std::map<std::string, std::string_view, std::less<>> kColours = {
        {"SUCCEEDED", "32"},        {"online", "32"},         {"RUNNING", "36"},  {"running", "36"}, {"FAILED", "31"},
        {"failed", "31"},           {"TIMED_OUT", "31"},      {"LOST", "31"},     {"offline", "31"}, {"STOPPED", "33"},
        {"SKIPPED", "33"},          {"reallocating", "33"},   {"disabled", "90"}, {"PENDING", "90"}, {"online,cordoned", "33"},
        {"offline,cordoned", "31"}, {"online,leaving", "33"},
    };
    const auto found = kColours.find(word);
    return found == kColours.end() ? std::string_view{} : found->second;
}

// Whether a literal block (|) is read back as `text`: it ends with one line end, and each line begins with what can be seen.
bool fits_literal(const std::string& text) {
    if (text.size() < 2 || text.back() != '\n' || text[text.size() - 2] == '\n') return false;
    if (text.front() == ' ' || text.front() == '\n') return false;
    return std::none_of(text.begin(), text.end(), [](char c) { return (static_cast<unsigned char>(c) < 0x20 && c != '\n') || c == 0x7f; });
}

void emit(YAML::Emitter& out, const json::Value& value) {
    switch (value.GetType()) {
        case rapidjson::kNullType:
            out << YAML::Null;
            return;
        case rapidjson::kTrueType:
            out << true;
            return;
        case rapidjson::kFalseType:
            out << false;
            return;
        case rapidjson::kNumberType:
            out << json::to_text(value);
            return;
        case rapidjson::kStringType: {
            const std::string text(value.GetString(), value.GetStringLength());
            if (fits_literal(text)) {
                out << YAML::Literal << text;
            } else if (is_plain_text(text)) {
                out << text;
            } else {
                out << YAML::DoubleQuoted << text;
            }
            return;
        }
        case rapidjson::kArrayType:
            if (value.Empty()) out << YAML::Flow;
            out << YAML::BeginSeq;
            for (const auto& item : value.GetArray()) emit(out, item);
            out << YAML::EndSeq;
            return;
        case rapidjson::kObjectType:
            if (value.ObjectEmpty()) out << YAML::Flow;
            out << YAML::BeginMap;
            for (const auto& member : value.GetObject()) {
                out << YAML::Key;
                emit(out, member.name);
                out << YAML::Value;
                emit(out, member.value);
            }
            out << YAML::EndMap;
            return;
    }
}

}  // namespace

void Table::print(std::ostream& out, bool colours) const {
    std::vector<std::size_t> widths;
    for (const std::string& head : heads_) widths.push_back(columns(head));
    for (const auto& row : rows_) {
        for (std::size_t i = 0; i < row.size(); ++i) widths[i] = std::max(widths[i], columns(printable(row[i])));
    }
    const auto line = [&](const std::vector<std::string>& cells, bool coloured) {
        std::string text;
        for (std::size_t i = 0; i < cells.size(); ++i) {
            const std::string cell = printable(cells[i]);
            const std::string_view colour = coloured ? colour_of(cell) : std::string_view{};
            text += colour.empty() ? cell : fmt::format("\x1b[{}m{}\x1b[0m", colour, cell);
            if (i + 1 < cells.size()) text += std::string(widths[i] - columns(cell) + 2, ' ');
        }
        out << text << '\n';
    };
    line(heads_, false);
    for (const auto& row : rows_) line(row, colours);
}

std::string short_time(const std::string& instant, Instant now) {
    const auto parsed = parse_instant(instant);
    if (!parsed) return "-";
    const bool future = *parsed > now;
    const auto seconds = std::chrono::duration_cast<std::chrono::seconds>(future ? *parsed - now : now - *parsed).count();
    std::string amount;
    if (seconds < 120) {
        amount = fmt::format("{}s", seconds);
    } else if (seconds < 2 * 3600) {
        amount = fmt::format("{}m", seconds / 60);
    } else if (seconds < 2 * 86400) {
        amount = fmt::format("{}h", seconds / 3600);
    } else {
        amount = fmt::format("{}d", seconds / 86400);
    }
    return future ? "in " + amount : amount + " ago";
}

std::string short_duration(const std::string& from, const std::string& to) {
    const auto begin = parse_instant(from);
    const auto end = parse_instant(to);
    if (!begin || !end || *end < *begin) return "-";
    const Duration length = *end - *begin;
    if (length < std::chrono::seconds{10}) return format_duration(std::chrono::duration_cast<std::chrono::milliseconds>(length));
    return format_duration(std::chrono::duration_cast<std::chrono::seconds>(length));
}

std::string pretty_json(const json::Value& value) {
    rapidjson::StringBuffer buffer;
    rapidjson::PrettyWriter<rapidjson::StringBuffer> writer(buffer);
    writer.SetIndent(' ', 2);
    value.Accept(writer);
    return std::string(buffer.GetString(), buffer.GetSize()) + "\n";
}

std::string to_yaml(const json::Value& value) {
    YAML::Emitter out;
    emit(out, value);
    return std::string(out.c_str(), out.size()) + "\n";
}

}  // namespace cloudtask::cli
