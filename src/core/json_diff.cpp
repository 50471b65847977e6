// Comparing JSON values: see json_diff.h. Pure.
#include "cloudtask/core/json_diff.h"

#include <algorithm>

namespace cloudtask::json {

namespace {

bool holds_objects(const Value& list) {
    return std::any_of(list.Begin(), list.End(), [](const Value& item) { return item.IsObject(); });
}

class Comparer {
  public:
    void compare(const std::string& pointer, const Value& before, const Value& after) {
        if (before.IsObject() && after.IsObject()) return compare_objects(pointer, before, after);
        if (before.IsArray() && after.IsArray() && (holds_objects(before) || holds_objects(after))) {
            return compare_lists(pointer, before, after);
        }
        if (before != after) found.push_back({pointer, to_text(before), to_text(after)});
    }

    std::vector<Difference> found;

  private:
    void compare_objects(const std::string& pointer, const Value& before, const Value& after) {
        for (const auto& member : before.GetObject()) {
            const std::string inner = pointer_to(pointer, std::string_view{member.name.GetString(), member.name.GetStringLength()});
            const auto other = after.FindMember(member.name);
            if (other == after.MemberEnd()) {
                found.push_back({inner, to_text(member.value), std::nullopt});
            } else {
                compare(inner, member.value, other->value);
            }
        }
        for (const auto& member : after.GetObject()) {
            if (before.HasMember(member.name)) continue;
            found.push_back({pointer_to(pointer, std::string_view{member.name.GetString(), member.name.GetStringLength()}), std::nullopt,
                             to_text(member.value)});
        }
    }

    void compare_lists(const std::string& pointer, const Value& before, const Value& after) {
        const auto size = std::max(before.Size(), after.Size());
        for (rapidjson::SizeType i = 0; i < size; ++i) {
            const std::string inner = pointer_to(pointer, std::size_t{i});
            if (i >= after.Size()) {
                found.push_back({inner, to_text(before[i]), std::nullopt});
            } else if (i >= before.Size()) {
                found.push_back({inner, std::nullopt, to_text(after[i])});
            } else {
                compare(inner, before[i], after[i]);
            }
        }
    }
};

}  // namespace

std::vector<Difference> differences(const Value& before, const Value& after) {
    Comparer comparer;
    comparer.compare("", before, after);
    return std::move(comparer.found);
}

}  // namespace cloudtask::json
