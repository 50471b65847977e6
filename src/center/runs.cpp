// Starting and stopping by hand: see runs.h.
#include "center/runs.h"

#include <algorithm>

#include "center/audit_store.h"
#include "center/commands_store.h"
#include "center/log_hub.h"
#include "center/run_metrics.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/pieces.h"
#include "cloudtask/task/task_parameters.h"

namespace cloudtask::center {

using task::RunState;

namespace {

// As docs/wire.md gives it: {"id", "kind", "run_id", "task_id", "task_version", "started_by", "parameters", "as_of", "task"}.
std::string command_document(const std::string& id, std::string_view kind, const task::Run& run, std::string_view task_document) {
    json::Writer out;
    out.begin_object();
    out.member("id", id).member("kind", kind).member("run_id", run.id).member("task_id", run.task_id);
    out.member("task_version", run.task_version).member("started_by", run.started_by);
    if (run.parameters) task::write_run_parameters(out, *run.parameters);
    if (!task_document.empty()) out.key("task").raw(task_document);
    out.end_object();
    return out.text();
}

void count_state(const Context& context, WriteScope& scope, RunState state) {
    if (context.run_metrics != nullptr) scope.after_commit([metrics = context.run_metrics, state] { metrics->run_became(state); });
}

// What the run goes by: what was given, once it is sure that values come out of it.
Result<> give_at_start(const task::Task& task, const StartRequest& request, Instant now, task::Run& run, Faults& faults) {
    if (task.parameters) {
        task::check_start(task, request.parameters, faults);
    } else {
        for (const auto& [name, value] : request.parameters) {
            faults.add(pointer_to("/parameters", name), "is not a parameter of the task", "the task has no 'parameters'");
        }
        if (request.as_of)
            faults.add("/as_of", "is given for a task without parameters", "a task with 'parameters', which may depend on it");
    }
    if (!faults.empty()) return fail(Errc::unsupported, "{}", faults.summary());
    if (!task.parameters) return {};
    task::RunParameters given;
    given.as_of = request.as_of.value_or(now);
    for (const auto& [name, value] : request.parameters) {
        if (value) given.values[name] = {value->text, task::ParameterOrigin::manual};
    }
    run.parameters = std::make_shared<const task::RunParameters>(std::move(given));
    task::Run tried = run;
    if (task.mode == task::Mode::shards && !tried.shard) tried.shard = 0;  // values come out for each shard, or for none
    if (auto done = task::work_out_parameters(task, tried); !done) {
        faults.add("/parameters", done.error().message);
        return fail(Errc::unsupported, "{}", faults.summary());
    }
    return {};
}

}  // namespace

MailSettings mail_settings(const Options& options) { return {options.mail_to, options.mail_from, options.site_url}; }

std::string run_json(const StoredRun& stored) {
    task::Run run = stored.run;
    if (!stored.log_note.empty()) {
        run.reason += (run.reason.empty() ? "" : "; ") + stored.log_note;
        run.output_truncated = true;
    }
    std::string text = task::to_json(run);
    if (stored.late_report.empty()) return text;
    const auto report = json::parse(stored.late_report);
    if (!report || !report->IsObject() || !report->HasMember("run")) return text;
    text.back() = ',';
    return text + fmt::format(R"("late_report":{}}})", json::to_text((*report)["run"]));
}

StartRequest read_start_request(const json::Value& document, Faults& faults) {
    StartRequest request;
    json::ObjectReader reader{document, "", faults};
    request.parameters = task::read_parameters(reader, "parameters", task::ParameterOrigin::manual).value_or(task::Parameters{});
    Instant as_of{};
    if (reader.read_instant("as_of", as_of)) request.as_of = as_of;
    reader.finish();
    return request;
}

namespace {

// By the present ring: what is started, and who starts it.
struct Start {
    task::Task task;  // a piece, or a single task
    const ring::Member* owner = nullptr;
};

Result<std::vector<Start>> starts_of(const ClusterView& cluster, const task::Task& task, const StartRequest& which) {
    if (which.shard && !task::has_shard(task, *which.shard)) {
        return fail(Errc::invalid_argument, "the task {} has no shard {}", task.name, *which.shard);
    }
    if (!which.node.empty() && task.mode != task::Mode::broadcast) {
        return fail(Errc::invalid_argument, "the task {} is no broadcast: its nodes cannot be chosen", task.name);
    }
    std::vector<Start> starts;
    const auto runtime = cluster.runtimes.find(task.runtime);
    const bool known = runtime != cluster.runtimes.end() && runtime->second.ring;
    switch (known ? task.mode : task::Mode::single) {
        case task::Mode::single:
            if (known) starts.push_back({task, cluster.owner(task)});
            break;
        case task::Mode::shards:
            for (std::int64_t shard = 0; shard < task.shards; ++shard) {
                if (which.shard && *which.shard != shard) continue;
                task::Task piece = task::shard_of(task, shard);
                const ring::Member* owner = cluster.owner(piece);
                starts.push_back({std::move(piece), owner});
            }
            break;
        case task::Mode::broadcast:
            for (const auto& member : runtime->second.ring->members()) {
                const bool chosen = which.node.empty() || which.node == member.name || which.node == member.id;
                if (!chosen || !placement_of(task).nodes.accepts(member)) continue;
                starts.push_back({task::piece_on(task, {member.id, member.name}), &member});
            }
            break;
    }
    const bool all = std::all_of(starts.begin(), starts.end(), [](const Start& start) { return start.owner != nullptr; });
    if (all && !starts.empty()) return starts;
    if (known && !which.node.empty()) {
        return fail(Errc::conflict,
                    "the task {} cannot be started on the node {}: it is not in the ring of runtime {}, or not one that the "
                    "task's targets and labels name",
                    task.name, which.node, task.runtime);
    }
    return fail(Errc::conflict, "no node of runtime {} can take the task {} now{}", task.runtime, task.name,
                cluster.connected ? "" : " (the center has no contact with ZooKeeper)");
}

Result<task::Run> start_piece(const Context& context, WriteScope& scope, const Start& start, const std::string& document,
                              std::int64_t epoch, const StartRequest& request, Faults& faults) {
    const task::Task& task = start.task;
    task::Run run;
    run.id = make_uuid(scope.now, context.random);
    run.task_id = task::definition_id(task);
    if (task.piece) {
        run.piece = task.id;
        run.shard = task.piece->shard;
    }
    run.task_version = task.version;
    run.runtime = task.runtime;
    run.group = task.group;
    run.task_name = task.name;
    run.trigger = task::Trigger::manual;
    run.state = RunState::pending;
    run.package = task.package;
    run.node_id = start.owner->id;
    run.node_name = start.owner->name;
    run.incarnation = start.owner->incarnation;
    run.epoch = epoch;
    run.started_by = scope.principal.name;
    if (auto given = give_at_start(task, request, scope.now, run, faults); !given) return propagate(given);

    RunWriter runs(scope.sql);
    runs.insert(run);
    runs.update_task(run, std::nullopt);
    Command command{.id = make_uuid(scope.now, context.random),
                    .node_id = run.node_id,
                    .kind = "start",
                    .run_id = run.id,
                    .document = {},
                    .state = "open",
                    .delivered = std::nullopt};
    command.document = command_document(command.id, "start", run, document);
    insert_command(scope.sql, command, scope.now);
    write_audit(scope, "task.start", "task:" + run.task_id, std::nullopt, task::to_json(run));
    count_state(context, scope, RunState::pending);
    scope.after_commit([&hooks = context.hooks, node_id = run.node_id] { hooks.fire_commands_waiting(node_id); });
    return run;
}

}  // namespace

Result<std::vector<task::Run>> start_task(const Context& context, WriteScope& scope, const StoredTask& stored, const StartRequest& request,
                                          Faults& faults) {
    const auto cluster = context.cluster.get();
    const auto starts = starts_of(*cluster, stored.task, request);
    if (!starts) return propagate(starts);
    const std::int64_t epoch = cluster->runtimes.at(stored.task.runtime).epoch;
    std::vector<task::Run> runs;
    for (const Start& start : *starts) {
        const std::string document = start.task.piece ? task::to_json(start.task) : stored.document;
        auto run = start_piece(context, scope, start, document, epoch, request, faults);
        if (!run) return propagate(run);
        runs.push_back(std::move(*run));
    }
    return runs;
}

Result<StoredRun> stop_run(const Context& context, WriteScope& scope, const std::string& run_id) {
    auto stored = find_run(scope.sql, run_id);
    if (!stored) return fail(Errc::not_found, "there is no run {}", run_id);
    task::Run& run = stored->run;
    if (task::is_terminal(run.state)) {
        return fail(Errc::conflict, "run {} has ended: it is {}", run_id, task::to_string(run.state));
    }
    const std::string before = task::to_json(run);
    if (run.state == RunState::pending) {
        const auto start = open_command(scope.sql, run.id, "start");
        if (start && !start->delivered) {
            run.state = RunState::stopped;
            run.reason = fmt::format("stopped by {} before it started", scope.principal.name);
            run.ended_at = scope.now;
            RunWriter runs(scope.sql);
            runs.update(run);
            runs.update_task(run, RunState::pending);
            withdraw_commands(scope.sql, run.id);
            write_audit(scope, "run.stop", "run:" + run.id, before, task::to_json(run));
            count_state(context, scope, RunState::stopped);
            if (context.log_hub != nullptr) {
                scope.after_commit([hub = context.log_hub, id = run.id] { hub->notify({id}); });
            }
            return *stored;
        }
    }
    if (!open_command(scope.sql, run.id, "stop")) {
        Command command{.id = make_uuid(scope.now, context.random),
                        .node_id = run.node_id,
                        .kind = "stop",
                        .run_id = run.id,
                        .document = {},
                        .state = "open",
                        .delivered = std::nullopt};
        task::Run asked = run;
        asked.started_by = scope.principal.name;
        command.document = command_document(command.id, "stop", asked, {});
        insert_command(scope.sql, command, scope.now);
        write_audit(scope, "run.stop", "run:" + run.id, before, before);
    }
    scope.after_commit([&hooks = context.hooks, node_id = run.node_id] { hooks.fire_commands_waiting(node_id); });
    return *stored;
}

void move_start(soci::session& sql, const task::Run& before, const ring::Member& node, std::int64_t epoch, const std::string& command_id,
                std::string_view task_document, Instant now) {
    withdraw_commands(sql, before.id);
    task::Run run = before;
    run.node_id = node.id;
    run.node_name = node.name;
    run.incarnation = node.incarnation;
    run.epoch = epoch;
    RunWriter(sql).update(run);
    Command command{.id = command_id,
                    .node_id = node.id,
                    .kind = "start",
                    .run_id = run.id,
                    .document = command_document(command_id, "start", run, task_document),
                    .state = "open",
                    .delivered = std::nullopt};
    insert_command(sql, command, now);
}

}  // namespace cloudtask::center
