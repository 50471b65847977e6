// get, owner and delete: looking at what the center holds, and removing it. One thread.
#include <algorithm>
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/invocation.h"
#include "cli/manifest.h"
#include "cli/resources.h"

namespace cloudtask::cli {

namespace {

constexpr std::int64_t kDefaultLimit = 50;
constexpr std::int64_t kMaxLimit = 1'000'000;

std::vector<std::string> names(bool plural) {
    std::vector<std::string> all;
    for (const Resource& resource : resources()) {
        if (plural || resource.singular != "run") all.push_back(plural ? resource.plural : resource.singular);
    }
    return all;
}

// Runtimes, groups, calendars and tasks in YAML are documents that `apply` takes; other things as they are.
Result<std::string> yaml_text(const Resource& resource, const json::Value& items) {
    std::string text;
    for (const Kind kind : {Kind::runtime, Kind::group, Kind::calendar, Kind::task}) {
        if (to_string(kind) != resource.singular) continue;
        for (const auto& item : items.GetArray()) {
            auto body = normalised(kind, item);
            if (!body) return propagate(body);
            auto document = json::parse(*body);
            if (!document) return propagate(document);
            text += fmt::format("{}kind: {}\n{}", text.empty() ? "" : "---\n", resource.singular, to_yaml(*document));
        }
        return text;
    }
    return to_yaml(items);
}

Result<> print(Invocation& invocation, const Resource& resource, const json::Document& items, bool single) {
    Context& context = invocation.context();
    if (invocation.quiet()) {
        for (const auto& item : items.GetArray()) context.out << resource.name(item) << '\n';
        return {};
    }
    switch (invocation.format()) {
        case Format::json:
            context.out << pretty_json(single ? items[0] : static_cast<const json::Value&>(items));
            return {};
        case Format::yaml: {
            auto text = yaml_text(resource, items);
            if (!text) return propagate(text);
            context.out << *text;
            return {};
        }
        case Format::table:
            break;
    }
    if (items.Empty()) {
        invocation.remark(fmt::format("there are no {}", resource.plural));
        return {};
    }
    print_table(context.out, resource, items, context.clock.now(), context.out_is_terminal && context.variable("NO_COLOR").empty());
    return {};
}

// The list's query from the options; --task may be a name, the center wants the id.
Result<Query> filters(Invocation& invocation, Center& center, const Resource& resource) {
    Query query;
    for (const char* name : {"runtime", "group", "task", "state"}) {
        std::string value = invocation.arguments().text(name);
        if (value.empty()) continue;
        if (std::find(resource.filters.begin(), resource.filters.end(), name) == resource.filters.end()) {
            return fail(Exit::usage, "{} cannot be filtered by --{}", resource.plural, name);
        }
        if (std::string_view(name) == "task") {
            auto task = resolve(center, *find_resource("task"), value);
            if (!task) return propagate(task);
            value = text_member(*task, "id");
        }
        query.emplace_back(name, value);
    }
    if (invocation.arguments().has("tag")) {
        if (resource.singular != "task") return fail(Exit::usage, "{} have no tags", resource.plural);
        query.emplace_back("tag", joined(invocation.arguments().list("tag"), ","));
    }
    return query;
}

Result<> get(Invocation& invocation) {
    const Arguments& arguments = invocation.arguments();
    const Resource& resource = *find_resource(arguments.text("KIND"));
    auto limit = arguments.integer("limit", 1, kMaxLimit, kDefaultLimit);
    if (!limit) return propagate(limit);
    auto center = invocation.center();
    if (!center) return propagate(center);

    json::Document items(rapidjson::kArrayType);
    if (arguments.has("NAME")) {
        auto item = resolve(**center, resource, arguments.text("NAME"));
        if (!item) return propagate(item);
        items.PushBack(json::Value(*item, items.GetAllocator()), items.GetAllocator());
        return print(invocation, resource, items, true);
    }
    auto query = filters(invocation, **center, resource);
    if (!query) return propagate(query);
    // One more than is shown tells whether there are more.
    auto listed = (*center)->list("/" + resource.plural, *query, arguments.has("all") ? 0 : static_cast<std::size_t>(*limit) + 1);
    if (!listed) return propagate(listed);
    const bool more = !arguments.has("all") && listed->Size() > static_cast<std::size_t>(*limit);
    if (more) listed->PopBack();
    if (auto printed = print(invocation, resource, *listed, false); !printed) return printed;
    if (more) invocation.remark(fmt::format("there are more than {} {}; see them with --all or --limit", *limit, resource.plural));
    return {};
}

Result<> owner(Invocation& invocation) {
    auto center = invocation.center();
    if (!center) return propagate(center);
    const std::string reference = invocation.arguments().text("TASK");
    auto task = resolve(**center, *find_resource("task"), reference);
    if (!task) return propagate(task);
    auto answer = (*center)->get(path_of(*find_resource("task"), *task) + "/owner", "owner of task " + reference);
    if (!answer) return propagate(answer);

    const std::string node = text_member(*answer, "node_name");
    const auto owners = answer->FindMember("owners");  // of a task with pieces
    const bool pieces = owners != answer->MemberEnd() && owners->value.IsArray() && !owners->value.Empty();
    const bool owned = pieces || !text_member(*answer, "node_id").empty();
    if (invocation.format() == Format::json) {
        invocation.out() << pretty_json(*answer);
    } else if (invocation.format() == Format::yaml) {
        invocation.out() << to_yaml(*answer);
    } else if (pieces) {
        Table table({"TASK", "SHARD", "NODE", "EPOCH", "NODE ID"});
        for (const auto& piece : owners->value.GetArray()) {
            const std::string shard = piece.HasMember("shard") ? std::to_string(integer_member(piece, "shard")) : "";
            if (invocation.quiet()) invocation.out() << text_member(piece, "node_name") << '\n';
            table.add({reference, shard, text_member(piece, "node_name"), std::to_string(integer_member(*answer, "epoch")),
                       text_member(piece, "node_id")});
        }
        if (!invocation.quiet()) table.print(invocation.out(), false);
    } else if (owned && invocation.quiet()) {
        invocation.out() << node << '\n';
    } else if (owned) {
        Table table({"TASK", "NODE", "EPOCH", "NODE ID", "REASON"});
        table.add({reference, node, std::to_string(integer_member(*answer, "epoch")), text_member(*answer, "node_id"),
                   text_member(*answer, "reason")});
        table.print(invocation.out(), false);
    }
    if (!owned) return fail(Exit::failed, "no node can take task {}: {}", reference, text_member(*answer, "reason"));
    return {};
}

Result<> remove(Invocation& invocation) {
    const Resource& resource = *find_resource(invocation.arguments().text("KIND"));
    const std::string reference = invocation.arguments().text("NAME");
    auto center = invocation.center();
    if (!center) return propagate(center);
    std::string path = "/join-tokens/" + http::encode_component(reference);
    if (resource.singular != "join-token") {
        auto item = resolve(**center, resource, reference);
        if (!item) return propagate(item);
        path = path_of(resource, *item);
    }
    auto removed = (*center)->write(
        {.method = "DELETE", .path = path, .body = "", .doing = fmt::format("delete {} {}", resource.singular, reference)});
    if (!removed) return propagate(removed);
    if (!invocation.quiet()) invocation.out() << resource.singular << ' ' << reference << " deleted\n";
    return {};
}

}  // namespace

std::vector<Command> get_commands() {
    return {
        {.name = "get",
         .summary = "List what the center holds, or show one of it",
         .details = "Prints a table, or with -o json or -o yaml everything that is known. With -o yaml, runtimes, groups, calendars and "
                    "tasks are printed as "
                    "definitions that apply takes.",
         .positionals = {{"KIND", "what to list", names(true)},
                         {"NAME",
                          "only this one: a name, RUNTIME/NAME for groups, calendars and nodes, RUNTIME/GROUP/NAME for tasks, or an id",
                          {},
                          false}},
         .options = {{"runtime", 'r', "NAME", "only of this runtime"},
                     {"group", 'g', "NAME", "only of this group"},
                     {"tag", 0, "KEY=VALUE", "only tasks with this tag, or with some value of KEY", {}, true},
                     {"task", 't', "TASK", "only runs of this task: RUNTIME/GROUP/NAME or an id"},
                     {"state",
                      's',
                      "STATE",
                      "only runs in this state",
                      {"PENDING", "RUNNING", "SUCCEEDED", "FAILED", "TIMED_OUT", "STOPPED", "LOST", "SKIPPED"}},
                     {"limit", 'n', "N", "at most this many (default 50)"},
                     {"all", 'a', "", "all of them, however many"}},
         .examples = {{"cloudtask get tasks --runtime demo", "the tasks of a runtime"},
                      {"cloudtask get runs --task demo/reports/package-report --state FAILED", "what went wrong?"},
                      {"cloudtask get tasks --tag team=payroll", "those with a tag"},
                      {"cloudtask get nodes -o json | jq -r '.[] | select(.online | not) | .name'", "for scripts"}},
         .run = get},
        {.name = "owner",
         .summary = "Show which node runs a task, or each shard of it",
         .details = "Exits with 1 when no node of the runtime can take the task.",
         .positionals = {{"TASK", "RUNTIME/GROUP/NAME or an id"}},
         .options = {},
         .examples = {{"cloudtask owner demo/reports/package-report", "where does it run?"}},
         .run = owner},
        {.name = "delete",
         .summary = "Remove one thing from the center",
         .details = "A runtime with groups, and a group with tasks, are not removed; neither is a node that is online.",
         .positionals = {{"KIND", "what to remove", names(false)}, {"NAME", "which one; written as for get"}},
         .options = {},
         .examples = {{"cloudtask delete task demo/reports/package-report", "a task"},
                      {"cloudtask delete runtime demo", "an empty runtime"}},
         .run = remove},
    };
}

}  // namespace cloudtask::cli
