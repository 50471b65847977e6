// Differences in and out. Pure, but for the stream.
#include "cli/differences.h"

#include <limits>
#include <ostream>

#include "cli/center.h"
#include "cloudtask/task/definition.h"

namespace cloudtask::cli {

std::vector<json::Difference> read_differences(const json::Value& list) {
    std::vector<json::Difference> differences;
    if (!list.IsArray()) return differences;
    const auto value_of = [](const json::Value& item, const char* name) -> std::optional<std::string> {
        const auto found = item.FindMember(name);
        if (found == item.MemberEnd()) return std::nullopt;
        return json::to_text(found->value);
    };
    for (const auto& item : list.GetArray()) {
        if (!item.IsObject()) continue;
        json::Difference difference{text_member(item, "pointer"), value_of(item, "before"), value_of(item, "after")};
        if (difference.before || difference.after) differences.push_back(std::move(difference));
    }
    return differences;
}

void print_differences(std::ostream& out, const std::vector<json::Difference>& differences) {
    for (const auto& difference : differences) {
        out << "  " << task::describe(difference, std::numeric_limits<std::size_t>::max()) << '\n';
    }
}

}  // namespace cloudtask::cli
