// Definitions among the JSON of resources: see definition.h. Pure.
#include "cloudtask/task/definition.h"

#include <fmt/format.h>

namespace cloudtask::task {

namespace {

constexpr std::size_t kSummarised = 3;
constexpr std::size_t kLongestSummarised = 40;

// Not in the middle of a character of UTF-8.
std::string shortened(const std::string& text, std::size_t longest) {
    if (text.size() <= longest) return text;
    std::size_t end = longest;
    while (end > 0 && (static_cast<unsigned char>(text[end]) & 0xC0U) == 0x80U) --end;
    return text.substr(0, end) + "...";
}

}  // namespace

void keep_definition(json::Value& resource) {
    if (!resource.IsObject()) return;
    for (const std::string_view name : kServerMembers) {
        resource.EraseMember(json::Value(name.data(), static_cast<rapidjson::SizeType>(name.size())));
    }
}

std::vector<json::Difference> compare_definitions(const json::Value& before, const json::Value& after) {
    json::Document old_one, new_one;
    old_one.CopyFrom(before, old_one.GetAllocator());
    new_one.CopyFrom(after, new_one.GetAllocator());
    keep_definition(old_one);
    keep_definition(new_one);
    return json::differences(old_one, new_one);
}

void write(json::Writer& out, const std::vector<json::Difference>& differences) {
    out.begin_array();
    for (const auto& difference : differences) {
        out.begin_object().member("pointer", difference.pointer);
        if (difference.before) out.key("before").raw(*difference.before);
        if (difference.after) out.key("after").raw(*difference.after);
        out.end_object();
    }
    out.end_array();
}

std::string describe(const json::Difference& difference, std::size_t longest_value) {
    const std::string name = difference.pointer.empty() ? "all of it" : difference.pointer.substr(1);
    if (!difference.before) return fmt::format("{} {} added", name, shortened(*difference.after, longest_value));
    if (!difference.after) return fmt::format("{} {} removed", name, shortened(*difference.before, longest_value));
    return fmt::format("{} {} -> {}", name, shortened(*difference.before, longest_value), shortened(*difference.after, longest_value));
}

std::string summarise(const std::vector<json::Difference>& differences) {
    if (differences.empty()) return "nothing";
    std::string text;
    for (std::size_t i = 0; i < differences.size() && i < kSummarised; ++i) {
        text += (i == 0 ? "" : "; ") + describe(differences[i], kLongestSummarised);
    }
    if (differences.size() > kSummarised) text += fmt::format("; and {} more", differences.size() - kSummarised);
    return text;
}

}  // namespace cloudtask::task
