// task enable, disable, delete and move: of one task, or of all that options select. One thread.
#include <istream>
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/resources.h"
#include "cli/task_call.h"

namespace cloudtask::cli {

namespace {

constexpr std::size_t kNamesShown = 20;

struct BulkWords {
    std::string action;  // as the API calls it
    std::string done;    // "disabled"
};

bool selects_many(const Arguments& arguments) {
    return arguments.has("runtime") || arguments.has("group") || arguments.has("name") || arguments.has("tag");
}

struct Selection {
    std::string member;  // of the request: `"select": {...}`, without the braces around
};

Selection selection_of(const Arguments& arguments) {
    json::Writer out;
    out.begin_object();
    for (const char* name : {"runtime", "group", "name"}) {
        if (arguments.has(name)) out.member(name, arguments.text(name));
    }
    if (arguments.has("tag")) out.member("tag", joined(arguments.list("tag"), ","));
    return {out.end_object().text()};
}

Selection selection_of(const std::vector<std::string>& ids) {
    json::Writer out;
    out.begin_object().member("ids", ids).end_object();
    return {out.text()};
}

Result<json::Document> ask_center(Invocation& invocation, const BulkWords& words, const Selection& selection, bool dry_run) {
    auto center = invocation.center();
    if (!center) return propagate(center);
    json::Writer body;
    body.begin_object().key("select").raw(selection.member).member("action", words.action);
    if (words.action == "move") body.member("group", invocation.arguments().text("to"));
    body.member("dry_run", dry_run).end_object();
    return (*center)->write({.method = "POST", .path = "/tasks/bulk", .body = body.text(), .doing = words.action + " tasks"});
}

const json::Value& list_in(const json::Value& answer, const char* name) {
    static const json::Value kNone(rapidjson::kArrayType);
    const auto found = answer.FindMember(name);
    return found == answer.MemberEnd() || !found->value.IsArray() ? kNone : found->value;
}

std::string tasks_text(std::size_t count) { return fmt::format("{} {}", count, count == 1 ? "task" : "tasks"); }

// Prints what was done, or would be, and ends as the refusals make it.
Result<> show(Invocation& invocation, const BulkWords& words, const json::Value& answer) {
    const bool would = invocation.arguments().has("dry-run");
    const json::Value &changed = list_in(answer, "changed"), &refused = list_in(answer, "refused");
    if (invocation.format() != Format::table) {
        invocation.out() << (invocation.format() == Format::json ? pretty_json(answer) : to_yaml(answer));
    } else {
        for (const auto& task : changed.GetArray()) {
            const std::string name = find_resource("task")->name(task);
            invocation.out() << (invocation.quiet() ? name : fmt::format("task {} {}{}", name, would ? "would be " : "", words.done))
                             << '\n';
        }
        invocation.out().flush();
    }
    const std::int64_t unchanged = integer_member(answer, "unchanged");
    if (unchanged > 0) invocation.remark(fmt::format("{} need no change", tasks_text(static_cast<std::size_t>(unchanged))));
    if (changed.Empty() && refused.Empty() && unchanged == 0) invocation.remark("no task is selected");
    if (refused.Empty()) return {};
    std::string message = fmt::format("{} cannot be {}", tasks_text(refused.Size()), words.done);
    for (const auto& task : refused.GetArray()) {
        const std::string name = text_member(task, "task");
        message += fmt::format("\n  {}: {}", name.empty() ? text_member(task, "id") : name, text_member(task, "reason"));
    }
    return fail(Exit::failed, "{}", message);
}

// Shows what would change, and asks. True: go on.
Result<bool> confirmed(Invocation& invocation, const BulkWords& words, const json::Value& preview) {
    Context& context = invocation.context();
    if (!context.in_is_terminal) {
        return fail(Exit::usage, "this changes every task that is selected: add --yes, or see with --dry-run which those are");
    }
    const json::Value& changed = list_in(preview, "changed");
    for (rapidjson::SizeType i = 0; i < changed.Size() && i < kNamesShown; ++i) {
        context.err << "  " << find_resource("task")->name(changed[i]) << '\n';
    }
    if (changed.Size() > kNamesShown) context.err << "  and " << changed.Size() - kNamesShown << " more\n";
    context.err << tasks_text(changed.Size()) << " will be " << words.done << ". Go on? [yes/no] " << std::flush;
    std::string answer;
    std::getline(context.in, answer);
    return answer == "yes" || answer == "y";
}

Result<> change_many(Invocation& invocation, const BulkWords& words) {
    const Arguments& arguments = invocation.arguments();
    Selection selection = selection_of(arguments);
    if (!arguments.has("yes") || arguments.has("dry-run")) {
        auto preview = ask_center(invocation, words, selection, true);
        if (!preview) return propagate(preview);
        const json::Value& changed = list_in(*preview, "changed");
        if (arguments.has("dry-run") || changed.Empty()) return show(invocation, words, *preview);
        auto go_on = confirmed(invocation, words, *preview);
        if (!go_on) return propagate(go_on);
        if (!*go_on) return fail(Exit::failed, "nothing was changed");
        // What was shown, and nothing that has come to it since.
        std::vector<std::string> ids;
        for (const auto& task : changed.GetArray()) ids.push_back(text_member(task, "id"));
        selection = selection_of(ids);
    }
    auto answer = ask_center(invocation, words, selection, false);
    if (!answer) return propagate(answer);
    return show(invocation, words, *answer);
}

Result<> change(Invocation& invocation, const BulkWords& words) {
    const Arguments& arguments = invocation.arguments();
    if (arguments.has("TASK") == selects_many(arguments)) {
        return fail(Exit::usage, "name one task, or select some by --runtime, --group, --name and --tag");
    }
    if (!arguments.has("TASK")) return change_many(invocation, words);
    auto task = named_task(invocation);
    if (!task) return propagate(task);
    auto answer = ask_center(invocation, words, selection_of({text_member(*task, "id")}), arguments.has("dry-run"));
    if (!answer) return propagate(answer);
    return show(invocation, words, *answer);
}

Result<> enable(Invocation& invocation) { return change(invocation, {"enable", "enabled"}); }
Result<> disable(Invocation& invocation) { return change(invocation, {"disable", "disabled"}); }
Result<> erase(Invocation& invocation) { return change(invocation, {"delete", "deleted"}); }

Result<> move(Invocation& invocation) {
    if (!invocation.arguments().has("to")) return fail(Exit::usage, "--to is missing: the group that they go to");
    return change(invocation, {"move", "moved to " + invocation.arguments().text("to")});
}

}  // namespace

std::vector<Command> bulk_commands() {
    const Positional task{"TASK", "RUNTIME/GROUP/NAME or an id; without it, options select tasks", {}, false};
    const std::vector<Option> selecting = {{"runtime", 'r', "NAME", "all tasks of this runtime"},
                                           {"group", 'g', "NAME", "of this group"},
                                           {"name", 0, "NAME", "of this name; with * at its end, all that begin so"},
                                           {"tag", 0, "KEY=VALUE", "with this tag, or with some value of KEY", {}, true},
                                           {"yes", 'y', "", "do not ask"},
                                           {"dry-run", 0, "", "show what would change, and change nothing"}};
    const auto with = [&](const Option& option) {
        auto all = selecting;
        all.insert(all.begin(), option);
        return all;
    };
    const std::string many =
        " Several options select what all of them name, 10,000 tasks at the most, and they change together: either all "
        "that can are changed, or none. What cannot be changed is named, and the exit code is 1.";
    return {
        {.name = "task enable",
         .summary = "Let schedules fire again",
         .details = "Fires that were missed meanwhile are not made up for." + many,
         .positionals = {task},
         .options = selecting,
         .examples = {{"cloudtask task enable demo/reports/package-report", "from now on"},
                      {"cloudtask task enable --tag team=payroll --yes", "all tasks of a team"}},
         .run = enable},
        {.name = "task disable",
         .summary = "Keep schedules from firing",
         .details = "Runs in progress go on, and a disabled task can still be started by hand." + many,
         .positionals = {task},
         .options = selecting,
         .examples = {{"cloudtask task disable demo/reports/package-report", "until it is enabled"},
                      {"cloudtask task disable --runtime demo --name 'night*' --dry-run", "which would that be?"}},
         .run = disable},
        {.name = "task delete",
         .summary = "Remove tasks",
         .details = "Their runs and versions stay." + many,
         .positionals = {task},
         .options = selecting,
         .examples = {{"cloudtask task delete --runtime demo --group old", "after a question"}},
         .run = erase},
        {.name = "task move",
         .summary = "Move tasks to another group of their runtime",
         .details = "Which node runs a task does not change by that." + many,
         .positionals = {task},
         .options = with({"to", 0, "GROUP", "the group"}),
         .examples = {{"cloudtask task move demo/reports/package-report --to archive", "one task"},
                      {"cloudtask task move --tag quarter=1 --to archive --yes", "those with a tag"}},
         .run = move},
    };
}

}  // namespace cloudtask::cli
