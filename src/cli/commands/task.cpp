// task: start, stop, enable, disable and clone. One thread.
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/invocation.h"
#include "cli/log_follower.h"
#include "cli/resources.h"
#include "cli/run_outcome.h"

namespace cloudtask::cli {

namespace {

Result<json::Document> named_task(Invocation& invocation) {
    auto center = invocation.center();
    if (!center) return propagate(center);
    return resolve(**center, *find_resource("task"), invocation.arguments().text("TASK"));
}

Result<json::Document> post(Invocation& invocation, const json::Value& task, const std::string& action, const std::string& body = "") {
    auto center = invocation.center();
    if (!center) return propagate(center);
    const Resource& resource = *find_resource("task");
    return (*center)->write({.method = "POST",
                             .path = path_of(resource, task) + "/" + action,
                             .body = body,
                             .doing = fmt::format("{} task {}", action, resource.name(task))});
}

void print_item(Invocation& invocation, const json::Value& item, const std::string& sentence, const std::string& quiet) {
    if (invocation.quiet()) {
        invocation.out() << quiet << std::endl;
    } else if (invocation.format() == Format::json) {
        invocation.out() << pretty_json(item);
    } else if (invocation.format() == Format::yaml) {
        invocation.out() << to_yaml(item);
    } else {
        invocation.out() << sentence << std::endl;
    }
}

Result<> start(Invocation& invocation) {
    auto task = named_task(invocation);
    if (!task) return propagate(task);
    auto run = post(invocation, *task, "start");
    if (!run) return propagate(run);
    const std::string id = text_member(*run, "id");
    if (id.empty()) return fail(Exit::failed, "start task: the center's answer names no run");
    const std::string name = find_resource("task")->name(*task);
    if (!invocation.arguments().has("wait")) {
        print_item(invocation, *run, fmt::format("run {} of {} started", id, name), id);
        return {};
    }
    Center& center = **invocation.center();
    const bool show_output = invocation.format() == Format::table && !invocation.quiet();
    invocation.remark(fmt::format("run {} of {} started", id, name));
    if (show_output) {
        LogFollower follower(center, id, "stdout", 0, invocation.out());
        if (auto followed = follower.follow(); !followed) return propagate(followed);
    }
    auto ended = wait_for_end(center, id);
    if (!ended) return propagate(ended);
    if (!show_output) print_item(invocation, *ended, {}, id);
    if (text_member(*ended, "state") != "SUCCEEDED") return fail(Exit::failed, "{}", describe_end(*ended));
    invocation.remark(describe_end(*ended));
    return {};
}

Result<> stop(Invocation& invocation) {
    auto task = named_task(invocation);
    if (!task) return propagate(task);
    Center& center = **invocation.center();
    std::size_t stopped = 0;
    for (const char* state : {"PENDING", "RUNNING"}) {
        auto runs = center.list("/runs", {{"task", text_member(*task, "id")}, {"state", state}}, 0);
        if (!runs) return propagate(runs);
        for (const auto& run : runs->GetArray()) {
            const std::string id = text_member(run, "id");
            auto answer = center.write({.method = "POST", .path = "/runs/" + id + "/stop", .body = "", .doing = "stop run " + id});
            // It ended by itself in between, which is what was wanted.
            if (!answer && exit_for(answer.error()) == Exit::conflict) continue;
            if (!answer) return propagate(answer);
            invocation.out() << (invocation.quiet() ? id : "run " + id + " is being stopped") << std::endl;
            ++stopped;
        }
    }
    if (stopped == 0) invocation.remark(fmt::format("no run of {} is in progress", find_resource("task")->name(*task)));
    return {};
}

Result<> set_enabled(Invocation& invocation, const std::string& action) {
    auto task = named_task(invocation);
    if (!task) return propagate(task);
    auto changed = post(invocation, *task, action);
    if (!changed) return propagate(changed);
    const std::string name = find_resource("task")->name(*task);
    print_item(invocation, *changed, fmt::format("task {} {}d", name, action), name);
    return {};
}

Result<> enable(Invocation& invocation) { return set_enabled(invocation, "enable"); }
Result<> disable(Invocation& invocation) { return set_enabled(invocation, "disable"); }

Result<> clone(Invocation& invocation) {
    auto task = named_task(invocation);
    if (!task) return propagate(task);
    json::Writer body;
    body.begin_object().member("name", invocation.arguments().text("NEW-NAME")).end_object();
    auto made = post(invocation, *task, "clone", body.text());
    if (!made) return propagate(made);
    const std::string name = find_resource("task")->name(*made);
    print_item(invocation, *made, fmt::format("task {} created", name), name);
    return {};
}

}  // namespace

std::vector<Command> task_commands() {
    const Positional task{"TASK", "RUNTIME/GROUP/NAME or an id"};
    return {
        {.name = "task start",
         .summary = "Start a run of a task now",
         .details = "With --wait, prints the run's standard output while it is written, and exits with 0 only if the run succeeded.",
         .positionals = {task},
         .options = {{"wait", 'w', "", "follow the run to its end"}},
         .examples = {{"cloudtask task start demo/reports/package-report --wait", "run it and see"}},
         .run = start},
        {.name = "task stop",
         .summary = "Stop all runs of a task that are in progress",
         .details = "The schedule goes on; to end that, disable the task.",
         .positionals = {task},
         .options = {},
         .examples = {{"cloudtask task stop demo/reports/package-report", "whatever runs of it"}},
         .run = stop},
        {.name = "task enable",
         .summary = "Let a task's schedules fire again",
         .details = "",
         .positionals = {task},
         .options = {},
         .examples = {{"cloudtask task enable demo/reports/package-report", "from now on"}},
         .run = enable},
        {.name = "task disable",
         .summary = "Keep a task's schedules from firing",
         .details = "Runs in progress go on, and the task can still be started by hand.",
         .positionals = {task},
         .options = {},
         .examples = {{"cloudtask task disable demo/reports/package-report", "until it is enabled"}},
         .run = disable},
        {.name = "task clone",
         .summary = "Create a copy of a task in its group",
         .details = "",
         .positionals = {task, {"NEW-NAME", "the copy's name: 1 to 63 characters of a-z, 0-9 and -"}},
         .options = {},
         .examples = {{"cloudtask task clone demo/reports/package-report package-report-2", "the same under another name"}},
         .run = clone},
    };
}

}  // namespace cloudtask::cli
