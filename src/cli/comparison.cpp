// Holding definitions against the center's. One thread.
#include "cli/comparison.h"

#include "cli/exit.h"

namespace cloudtask::cli {

namespace {

// The resource that has the definition's natural key; null if there is none.
Result<json::Document> find(Center& center, const Definition& definition) {
    switch (definition.kind) {
        case Kind::runtime: {
            auto found = center.get("/runtimes/" + http::encode_component(definition.name), "runtime " + definition.name);
            if (!found && exit_for(found.error()) == Exit::not_found) return json::Document{};
            return found;
        }
        case Kind::group:
            return center.find("/groups", {{"runtime", definition.runtime}, {"name", definition.name}}, [&](const json::Value& item) {
                return text_member(item, "runtime") == definition.runtime && text_member(item, "name") == definition.name;
            });
        case Kind::calendar:
            return center.find("/calendars", {{"runtime", definition.runtime}, {"name", definition.name}}, [&](const json::Value& item) {
                return text_member(item, "runtime") == definition.runtime && text_member(item, "name") == definition.name;
            });
        case Kind::task:
            break;
    }
    return center.find("/tasks", {{"runtime", definition.runtime}, {"group", definition.group}, {"name", definition.name}},
                       [&](const json::Value& item) {
                           return text_member(item, "runtime") == definition.runtime && text_member(item, "group") == definition.group &&
                                  text_member(item, "name") == definition.name;
                       });
}

// The body with the center's word on whether the task is enabled.
std::string keep_enabled(const std::string& body, const json::Value& present) {
    auto document = json::parse(body);
    const auto enabled = present.FindMember("enabled");
    if (!document || enabled == present.MemberEnd() || !enabled->value.IsBool()) return body;
    (*document)["enabled"].SetBool(enabled->value.GetBool());
    return json::to_text(*document);
}

}  // namespace

Result<Comparison> compare(Center& center, const Definition& definition) {
    Comparison comparison;
    auto present = find(center, definition);
    // A list within a runtime that does not exist.
    if (!present && exit_for(present.error()) == Exit::not_found) present = json::Document{};
    if (!present) return propagate(present);
    comparison.present = std::move(*present);
    comparison.wanted = definition.body;
    if (comparison.missing()) return comparison;
    if (definition.kind == Kind::task && !definition.says_enabled) {
        comparison.wanted = keep_enabled(definition.body, comparison.present);
    }
    const auto held = normalised(definition.kind, comparison.present);
    if (!held) return propagate(held);
    const auto before = json::parse(*held), after = json::parse(comparison.wanted);
    if (!before) return propagate(before);
    if (!after) return propagate(after);
    comparison.differences = json::differences(*before, *after);
    return comparison;
}

}  // namespace cloudtask::cli
