// task: start, stop and clone. One thread.
#include <map>
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/invocation.h"
#include "cli/log_follower.h"
#include "cli/resources.h"
#include "cli/run_outcome.h"
#include "cli/task_call.h"

namespace cloudtask::cli {

namespace {

// The body of a start: what --param and --as-of say. Empty: nothing.
Result<std::string> start_body(const Arguments& arguments) {
    std::map<std::string, std::string> values;
    for (const std::string& each : arguments.list("param")) {
        const std::size_t equals = each.find('=');
        if (equals == std::string::npos || equals == 0) return fail(Exit::usage, "--param {}: not NAME=VALUE", each);
        if (!values.emplace(each.substr(0, equals), each.substr(equals + 1)).second) {
            return fail(Exit::usage, "--param {}: the name is there twice", each);
        }
    }
    if (values.empty() && !arguments.has("as-of")) return std::string{};
    json::Writer body;
    body.begin_object().member("parameters", values);
    if (arguments.has("as-of")) body.member("as_of", arguments.text("as-of"));
    return body.end_object().text();
}

// A task with pieces: one run for each.
Result<> started_pieces(Invocation& invocation, const json::Document& answer, const std::string& name) {
    const json::Value& runs = answer["items"];
    const bool wait = invocation.arguments().has("wait");
    json::Document ended(rapidjson::kArrayType);
    std::size_t bad = 0;
    for (const auto& run : runs.GetArray()) {
        const std::string id = text_member(run, "id"), node = text_member(run, "node_name");
        const std::string shard = run.HasMember("shard") ? fmt::format("shard {} of ", integer_member(run, "shard")) : std::string{};
        if (wait) {
            invocation.remark(fmt::format("run {} of {}{} started on {}", id, shard, name, node));
        } else if (invocation.format() == Format::table) {
            invocation.out() << (invocation.quiet() ? id : fmt::format("run {} of {}{} started on {}", id, shard, name, node)) << '\n';
        }
    }
    if (!wait) {
        if (invocation.format() != Format::table) print_item(invocation, runs, {}, {});
        return {};
    }
    Center& center = **invocation.center();
    for (const auto& run : runs.GetArray()) {
        auto end = wait_for_end(center, text_member(run, "id"));
        if (!end) return propagate(end);
        if (text_member(*end, "state") != "SUCCEEDED") ++bad;
        invocation.remark(describe_end(*end));
        ended.PushBack(json::Value(*end, ended.GetAllocator()), ended.GetAllocator());
    }
    if (invocation.format() != Format::table) print_item(invocation, ended, {}, {});
    if (bad > 0) return fail(Exit::failed, "{} of {} runs of {} did not succeed", bad, runs.Size(), name);
    return {};
}

Result<> start(Invocation& invocation) {
    const auto body = start_body(invocation.arguments());
    if (!body) return propagate(body);
    auto task = named_task(invocation);
    if (!task) return propagate(task);
    auto run = post_to_task(invocation, *task, "start", *body, 0, piece_query(invocation.arguments()));
    if (!run) return propagate(run);
    const std::string name = find_resource("task")->name(*task);
    if (run->IsObject() && run->HasMember("items") && (*run)["items"].IsArray()) return started_pieces(invocation, *run, name);
    const std::string id = text_member(*run, "id");
    if (id.empty()) return fail(Exit::failed, "start task: the center's answer names no run");
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

std::vector<Option> start_options() {
    std::vector<Option> options{{"wait", 'w', "", "follow the run to its end"},
                                {"param", 'p', "NAME=VALUE", "a value for a parameter that the task declares", {}, true},
                                {"as-of", 0, "TIME", "what stands for the fire time in parameters, RFC 3339 (default: now)"}};
    for (auto& option : piece_options()) options.push_back(std::move(option));
    return options;
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

Result<> clone(Invocation& invocation) {
    auto task = named_task(invocation);
    if (!task) return propagate(task);
    json::Writer body;
    body.begin_object().member("name", invocation.arguments().text("NEW-NAME"));
    for (const char* name : {"group", "runtime"}) {
        if (invocation.arguments().has(name)) body.member(name, invocation.arguments().text(name));
    }
    if (invocation.arguments().has("enabled")) body.member("enabled", true);
    body.end_object();
    auto made = post_to_task(invocation, *task, "clone", body.text());
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
         .details =
             "With --wait, prints the run's standard output while it is written, and exits with 0 only if the run succeeded. What "
             "--param gives counts more than the values of the task, its group and its runtime; docs/parameters.md has the rules. Of "
             "a task with pieces (shards, broadcast) each is started, and with --wait the end of each is told.",
         .positionals = {task},
         .options = start_options(),
         .examples = {{"cloudtask task start demo/reports/package-report --wait", "run it and see"},
                      {"cloudtask task start demo/reports/daily -p day=2026-01-02 -p region=us", "with other values"}},
         .run = start},
        {.name = "task stop",
         .summary = "Stop all runs of a task that are in progress",
         .details = "The schedule goes on; to end that, disable the task.",
         .positionals = {task},
         .options = {},
         .examples = {{"cloudtask task stop demo/reports/package-report", "whatever runs of it"}},
         .run = stop},
        {.name = "task clone",
         .summary = "Create a copy of a task",
         .details = "The copy is disabled unless --enabled is given, so that nothing fires twice before somebody has looked at it.",
         .positionals = {task, {"NEW-NAME", "the copy's name: 1 to 63 characters of a-z, 0-9 and -"}},
         .options = {{"group", 'g', "NAME", "in this group"},
                     {"runtime", 'r', "NAME", "in this runtime"},
                     {"enabled", 0, "", "let it fire"}},
         .examples = {{"cloudtask task clone demo/reports/package-report package-report-2", "the same under another name"},
                      {"cloudtask task clone demo/reports/package-report package-report --group trial", "in another group"}},
         .run = clone},
    };
}

}  // namespace cloudtask::cli
