// export: all definitions as one text that apply takes, the same text for the same definitions, at whichever center. One thread.
#include <algorithm>
#include <ostream>
#include <set>

#include "cli/commands/commands.h"
#include "cli/invocation.h"
#include "cli/manifest.h"
#include "cli/package_folder.h"

namespace cloudtask::cli {

namespace {

struct Exported {
    std::string key;
    json::Document value;             // `kind`, and the definition
    std::set<std::string> calendars;  // that a task uses
};

Result<Exported> exported(Kind kind, const json::Value& item) {
    auto definition = read_resource(kind, item);
    if (!definition) return propagate(definition);
    auto body = json::parse(definition->body);
    if (!body) return propagate(body);
    Exported one{definition->key(), json::Document(rapidjson::kObjectType), definition->calendars};
    // What only the values of its group or runtime name is in it, too.
    const auto carried = item.FindMember("calendars");
    if (kind == Kind::task && carried != item.MemberEnd() && carried->value.IsObject()) {
        for (const auto& member : carried->value.GetObject()) {
            one.calendars.emplace(member.name.GetString(), member.name.GetStringLength());
        }
    }
    auto& allocator = one.value.GetAllocator();
    const std::string_view name = to_string(kind);
    one.value.AddMember("kind", json::Value(name.data(), static_cast<rapidjson::SizeType>(name.size()), allocator), allocator);
    for (auto& member : body->GetObject()) {
        one.value.AddMember(json::Value(member.name, allocator), json::Value(member.value, allocator), allocator);
    }
    return one;
}

// The center's definitions of one kind, in the order of their keys.
Result<std::vector<Exported>> collect(Center& center, Kind kind, const Query& query) {
    auto items = center.list(fmt::format("/{}s", to_string(kind)), query, 0);
    if (!items) return propagate(items);
    std::vector<Exported> list;
    for (const auto& item : items->GetArray()) {
        auto one = exported(kind, item);
        if (!one) return propagate(one);
        list.push_back(std::move(*one));
    }
    std::sort(list.begin(), list.end(), [](const Exported& a, const Exported& b) { return a.key < b.key; });
    return list;
}

// Of the calendars those that a task of its runtime names.
void keep_used(std::vector<Exported>& calendars, const std::vector<Exported>& tasks) {
    std::set<std::string> used;
    for (const Exported& task : tasks) {
        for (const std::string& name : task.calendars) used.insert(text_member(task.value, "runtime") + "/" + name);
    }
    std::erase_if(calendars, [&](const Exported& one) { return !used.contains(one.key); });
}

// The packages that the tasks name, into the folder of --packages. Returns how many were downloaded.
Result<std::size_t> save_packages(Invocation& invocation, Center& center, const std::vector<Exported>& tasks) {
    const std::string folder = invocation.arguments().text("packages");
    std::size_t downloaded = 0;
    if (folder.empty()) return downloaded;
    for (const Exported& task : tasks) {
        const std::string sha256 = text_member(task.value, "package");
        if (sha256.empty()) continue;
        const auto saved = save_package(center, sha256, invocation.path(folder));
        if (!saved) return propagate(saved);
        downloaded += *saved ? 1 : 0;
    }
    return downloaded;
}

Result<> write_export(Invocation& invocation) {
    const std::string runtime = invocation.arguments().text("runtime"), group = invocation.arguments().text("group");
    auto center = invocation.center();
    if (!center) return propagate(center);
    auto runtimes = collect(**center, Kind::runtime, {{"name", runtime}});
    if (!runtimes) return propagate(runtimes);
    auto groups = collect(**center, Kind::group, {{"runtime", runtime}, {"name", group}});
    if (!groups) return propagate(groups);
    auto calendars = collect(**center, Kind::calendar, {{"runtime", runtime}});
    if (!calendars) return propagate(calendars);
    auto tasks = collect(**center, Kind::task, {{"runtime", runtime}, {"group", group}});
    if (!tasks) return propagate(tasks);
    if (!group.empty()) {
        std::set<std::string> used;
        for (const Exported& one : *groups) used.insert(text_member(one.value, "runtime"));
        std::erase_if(*runtimes, [&](const Exported& one) { return !used.contains(one.key); });
        keep_used(*calendars, *tasks);
    }

    auto packages = save_packages(invocation, **center, *tasks);
    if (!packages) return propagate(packages);

    json::Document array(rapidjson::kArrayType);
    std::string text;
    for (auto* list : {&*runtimes, &*groups, &*calendars, &*tasks}) {
        for (const Exported& one : *list) {
            if (invocation.format() == Format::json) {
                array.PushBack(json::Value(one.value, array.GetAllocator()), array.GetAllocator());
            } else {
                text += (text.empty() ? "" : "---\n") + to_yaml(one.value);
            }
        }
    }
    invocation.out() << (invocation.format() == Format::json ? pretty_json(array) : text);
    std::string remark =
        fmt::format("{} runtimes, {} groups, {} calendars, {} tasks", runtimes->size(), groups->size(), calendars->size(), tasks->size());
    if (invocation.arguments().has("packages")) remark += fmt::format(", {} packages downloaded", *packages);
    invocation.remark(remark);
    return {};
}

}  // namespace

std::vector<Command> export_commands() {
    return {{
        .name = "export",
        .summary = "Print all definitions as a file that apply takes",
        .details =
            "Prints YAML documents, or with -o json one array. Kinds, names and members are always in the same order, all defaults are "
            "written out, and what only the center writes is left out: the same definitions give the same text, at any center. "
            "Packages are named by their SHA-256; --packages puts them into a folder, for apply --packages at a center that does not "
            "have them.",
        .positionals = {},
        .options = {{"runtime", 'r', "NAME", "only this runtime"},
                    {"group", 'g', "NAME", "only groups of this name, and the calendars that their tasks use"},
                    {"packages", 0, "FOLDER", "download the packages of the tasks into this folder, too", {}, false, true}},
        .examples = {{"cloudtask export > all.yaml", "everything"},
                     {"cloudtask export --runtime demo -o json > demo.json", "one runtime, as JSON"},
                     {"cloudtask export --packages packages > all.yaml", "with the programs"},
                     {"cloudtask apply -f all.yaml --packages packages --server http://other:8080", "into another center"}},
        .run = write_export,
    }};
}

}  // namespace cloudtask::cli
