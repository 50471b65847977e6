// task versions, task diff, task rollback: the versions that a task had. One thread.
#include <charconv>
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/differences.h"
#include "cli/exit.h"
#include "cli/resources.h"
#include "cli/task_call.h"

namespace cloudtask::cli {

namespace {

constexpr std::int64_t kUsualVersions = 20;
constexpr std::int64_t kMostVersions = 1'000'000;

Result<> versions(Invocation& invocation) {
    const Arguments& arguments = invocation.arguments();
    auto limit = arguments.integer("limit", 1, kMostVersions, kUsualVersions);
    if (!limit) return propagate(limit);
    auto center = invocation.center();
    if (!center) return propagate(center);
    auto id = named_task_id(invocation);
    if (!id) return propagate(id);
    auto listed = (*center)->list("/tasks/" + *id + "/versions", {}, arguments.has("all") ? 0 : static_cast<std::size_t>(*limit));
    if (!listed) return propagate(listed);
    if (invocation.format() != Format::table) {
        invocation.out() << (invocation.format() == Format::json ? pretty_json(*listed) : to_yaml(*listed));
        return {};
    }
    Table table({"VERSION", "WHEN", "BY", "CHANGE"});
    for (const auto& item : listed->GetArray()) {
        const std::string number = std::to_string(integer_member(item, "version")), note = text_member(item, "note");
        if (invocation.quiet()) {
            invocation.out() << number << '\n';
            continue;
        }
        const std::string change = text_member(item, "change");
        table.add({number, short_time(text_member(item, "at"), invocation.context().clock.now()), text_member(item, "by"),
                   note.empty() ? change : note + ": " + change});
    }
    if (!invocation.quiet()) table.print(invocation.out(), false);
    return {};
}

// A version as the command line names it. 0: it does not.
Result<std::int64_t> version_argument(const Arguments& arguments, const std::string& name) {
    if (!arguments.has(name)) return 0;
    const std::string text = arguments.text(name);
    std::int64_t version = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), version);
    if (error != std::errc{} || end != text.data() + text.size() || version < 1) {
        return fail(Exit::usage, "\"{}\" is not a version; versions are numbered from 1", text);
    }
    return version;
}

Result<> diff(Invocation& invocation) {
    auto from = version_argument(invocation.arguments(), "FROM"), to = version_argument(invocation.arguments(), "TO");
    if (!from) return propagate(from);
    if (!to) return propagate(to);
    auto center = invocation.center();
    if (!center) return propagate(center);
    auto id = named_task_id(invocation);
    if (!id) return propagate(id);
    const std::string path = "/tasks/" + *id + "/versions";
    if (*to == 0) {
        auto newest = (*center)->list(path, {}, 1);
        if (!newest) return propagate(newest);
        if (newest->Empty()) return fail(Exit::not_found, "task {} has no version", *id);
        *to = integer_member((*newest)[0], "version");
    }
    if (*from == 0) *from = *to - 1;
    if (*from == 0) return fail(Exit::failed, "version 1 is the first: there is nothing to compare it with");
    auto answer = (*center)->get(fmt::format("{}/{}/diff/{}", path, *from, *to), "versions of the task");
    if (!answer) return propagate(answer);
    if (invocation.format() != Format::table) {
        invocation.out() << (invocation.format() == Format::json ? pretty_json(*answer) : to_yaml(*answer));
        return {};
    }
    const auto list = answer->FindMember("differences");
    const auto differences = list == answer->MemberEnd() ? std::vector<json::Difference>{} : read_differences(list->value);
    if (!invocation.quiet()) invocation.out() << fmt::format("version {} -> version {}\n", *from, *to);
    print_differences(invocation.out(), differences);
    if (differences.empty()) invocation.remark("the two versions say the same");
    return {};
}

Result<> rollback(Invocation& invocation) {
    auto version = version_argument(invocation.arguments(), "VERSION");
    if (!version) return propagate(version);
    auto task = named_task(invocation);
    if (!task) return propagate(task);
    const std::int64_t seen = integer_member(*task, "version");
    if (!invocation.arguments().has("VERSION")) {
        if (seen == 1) return fail(Exit::failed, "the task is at its first version: there is none to go back to");
        *version = seen - 1;
    }
    json::Writer body;
    body.begin_object().member("version", *version).end_object();
    auto changed = post_to_task(invocation, *task, "rollback", body.text(), seen);
    if (!changed) return propagate(changed);
    const std::string name = find_resource("task")->name(*changed);
    const std::int64_t now = integer_member(*changed, "version");
    print_item(invocation, *changed,
               now == seen ? fmt::format("task {} says what version {} said already", name, *version)
                           : fmt::format("task {} is at version {} now, which says what version {} said", name, now, *version),
               name);
    return {};
}

}  // namespace

std::vector<Command> version_commands() {
    const Positional task{"TASK", "RUNTIME/GROUP/NAME or an id"};
    return {
        {.name = "task versions",
         .summary = "List the versions of a task: who changed what, and when",
         .details = "The newest come first. A task that was deleted is asked for by its id.",
         .positionals = {task},
         .options = {{"limit", 'n', "N", "at most this many (default 20)"}, {"all", 'a', "", "all of them, however many"}},
         .examples = {{"cloudtask task versions demo/reports/package-report", "its history"}},
         .run = versions},
        {.name = "task diff",
         .summary = "Show what differs between two versions of a task",
         .details = "What the files of a folder would change is shown by cloudtask diff.",
         .positionals = {task,
                         {"FROM", "a version; the one before TO if it is not given", {}, false},
                         {"TO", "a version; the newest if it is not given", {}, false}},
         .options = {},
         .examples = {{"cloudtask task diff demo/reports/package-report", "the last change"},
                      {"cloudtask task diff demo/reports/package-report 1 4", "all changes from version 1 to version 4"}},
         .run = diff},
        {.name = "task rollback",
         .summary = "Go back to an earlier version of a task",
         .details = "Its definition becomes the next version. Whether the task is enabled stays as it is.",
         .positionals = {task, {"VERSION", "a version; the one before the newest if it is not given", {}, false}},
         .options = {},
         .examples = {{"cloudtask task rollback demo/reports/package-report", "undo the last change"},
                      {"cloudtask task rollback demo/reports/package-report 3", "to version 3"}},
         .run = rollback},
    };
}

}  // namespace cloudtask::cli
