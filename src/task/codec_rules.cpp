// Checks that the JSON of several value types share. Pure; any thread.
#include "task/codec_rules.h"

#include <fmt/format.h>

#include <algorithm>
#include <set>

#include "cloudtask/core/ids.h"
#include "cloudtask/task/codec.h"

namespace cloudtask::task {

namespace {

constexpr std::size_t kLongestSlug = 63;
constexpr std::size_t kLongestMailAddress = 254;  // RFC 5321, section 4.5.3.1.3, without the angle brackets
constexpr std::size_t kLongestVariable = 16 * 1024;
constexpr std::string_view kAllowedVariable = "letters, digits and '_', not beginning with a digit; 1 to 128 characters";
constexpr std::string_view kAllowedLabel = "letters, digits and . _ - /, beginning with a letter or digit; 1 to 63 characters";

bool is_letter(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z'); }
bool is_digit(char c) { return c >= '0' && c <= '9'; }

bool is_variable_name(std::string_view text) {
    return !text.empty() && text.size() <= 128 && !is_digit(text.front()) &&
           std::all_of(text.begin(), text.end(), [](char c) { return is_letter(c) || is_digit(c) || c == '_'; });
}

bool is_label_key(std::string_view text) {
    const auto belongs = [](char c) { return is_letter(c) || is_digit(c) || c == '.' || c == '_' || c == '-' || c == '/'; };
    return !text.empty() && text.size() <= 63 && (is_letter(text.front()) || is_digit(text.front())) &&
           std::all_of(text.begin(), text.end(), belongs);
}

template <class Check>
void check_items(json::ObjectReader& reader, std::string_view name, const std::vector<std::string>& items, Check is_right,
                 std::string_view problem, std::string_view allowed) {
    std::set<std::string_view> seen;
    for (std::size_t i = 0; i < items.size(); ++i) {
        const std::string pointer = pointer_to(reader.pointer(name), i);
        if (!is_right(items[i])) reader.faults().add(pointer, fmt::format("'{}' {}", items[i], problem), std::string{allowed});
        if (!seen.insert(items[i]).second) reader.faults().add(pointer, fmt::format("'{}' is there twice", items[i]));
    }
}

}  // namespace

bool is_slug(std::string_view text) {
    const auto belongs = [](char c) { return (c >= 'a' && c <= 'z') || is_digit(c) || c == '-'; };
    return !text.empty() && text.size() <= kLongestSlug && text.front() != '-' && std::all_of(text.begin(), text.end(), belongs);
}

bool is_mail_address(std::string_view text) {
    const std::size_t at = text.find('@');
    if (at == std::string_view::npos || at == 0 || at + 1 == text.size() || text.size() > kLongestMailAddress) return false;
    if (text.find('@', at + 1) != std::string_view::npos) return false;
    return std::none_of(text.begin(), text.end(), [](char c) {
        const auto byte = static_cast<unsigned char>(c);
        return byte <= 0x20 || byte == 0x7f || c == ',' || c == ';' || c == '<' || c == '>' || c == '"';
    });
}

void read_slug(json::ObjectReader& reader, std::string_view name, std::string& out) {
    if (!reader.require(name) || !reader.read(name, out) || is_slug(out)) return;
    reader.faults().add(reader.pointer(name), fmt::format("'{}' is not a name", out), std::string{kAllowedSlug});
}

void read_uuid(json::ObjectReader& reader, std::string_view name, std::string& out) {
    if (!reader.require(name) || !reader.read(name, out, {.min = 1, .max = 64}) || is_uuid(out)) return;
    reader.faults().add(reader.pointer(name), fmt::format("'{}' is not a UUID", out), "a UUID in lower case");
}

void read_notify(json::ObjectReader& reader, std::vector<std::string>& out) {
    if (!reader.read("notify", out, {.min = 0, .max = 100, .item = {.min = 1, .max = kLongestMailAddress}})) return;
    check_items(reader, "notify", out, is_mail_address, "is not a mail address", "one address such as ops@example.org");
}

void read_targets(json::ObjectReader& reader, std::vector<std::string>& out) {
    if (!reader.read("targets", out, {.min = 0, .max = 100, .item = {.min = 1, .max = kLongestSlug}})) return;
    check_items(reader, "targets", out, is_slug, "is not the name of a node", kAllowedSlug);
}

void read_labels(json::ObjectReader& reader, std::map<std::string, std::string>& out) {
    if (!reader.read("labels", out, {.min = 0, .max = 32, .item = {.min = 0, .max = 255}})) return;
    for (const auto& [key, value] : out) {
        if (is_label_key(key)) continue;
        reader.faults().add(pointer_to(reader.pointer("labels"), key), "is not the key of a label", std::string{kAllowedLabel});
    }
}

void read_tags(json::ObjectReader& reader, std::map<std::string, std::string>& out) {
    if (!reader.read("tags", out, {.min = 0, .max = 32, .item = {.min = 0, .max = 63}})) return;
    for (const auto& [key, value] : out) {
        const std::string pointer = pointer_to(reader.pointer("tags"), key);
        if (!is_label_key(key)) reader.faults().add(pointer, "is not the key of a tag", std::string{kAllowedLabel});
        if (value.find(',') != std::string::npos) reader.faults().add(pointer, "has a comma", "up to 63 bytes of text without a comma");
    }
}

void check_variable(std::string_view name, const std::string& pointer, Faults& faults) {
    if (!is_variable_name(name)) {
        faults.add(pointer, "is not the name of a variable", std::string{kAllowedVariable});
    } else if (name.starts_with("CLOUDTASK_")) {
        faults.add(pointer, "is reserved: CloudTask sets the variables that begin with CLOUDTASK_", "another name");
    }
}

void read_environment(json::ObjectReader& reader, std::map<std::string, std::string>& out) {
    if (!reader.read("environment", out, {.min = 0, .max = 100, .item = {.min = 0, .max = kLongestVariable, .multi_line = true}})) return;
    for (const auto& [name, value] : out) check_variable(name, pointer_to(reader.pointer("environment"), name), reader.faults());
}

}  // namespace cloudtask::task
