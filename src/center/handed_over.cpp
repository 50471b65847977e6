// Attempts that go from one node to another: see handed_over.h.
#include "center/handed_over.h"

#include <algorithm>
#include <optional>

#include "center/node_store.h"
#include "center/runs_store.h"
#include "center/task_store.h"
#include "center/version_store.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/core/json.h"
#include "cloudtask/core/log.h"
#include "cloudtask/ring/placement.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/pieces.h"

namespace cloudtask::center {

using task::RunState;

namespace {

constexpr std::size_t kLookedAt = 16;  // nodes, from the attempt's place on the ring on

// Attempts of one task go to many nodes: each has its own place on the ring. Null: no other node.
const ring::Member* another_node(const ClusterView& cluster, const task::Task& task, const task::Run& run, std::string_view but_not) {
    const auto found = cluster.runtimes.find(run.runtime);
    if (!cluster.connected || found == cluster.runtimes.end() || !found->second.ring) return nullptr;
    const RuntimeView& runtime = found->second;
    for (const ring::Member* member : runtime.ring->preference(run.id, ring::placement_of(task), kLookedAt)) {
        const auto node = runtime.nodes.find(member->id);
        if (member->id != but_not && node != runtime.nodes.end() && !node->second.leaving) return member;
    }
    return nullptr;
}

std::string attempt_document(const std::string& command_id, const task::Run& run, const task::HandOver& hand_over,
                             std::string_view task_document) {
    json::Writer out;
    out.begin_object();
    out.member("id", command_id).member("kind", "start").member("run_id", run.id).member("task_id", run.task_id);
    out.member("task_version", run.task_version).key("run").raw(task::to_json(run));
    task::write_hand_over(out, hand_over);
    out.key("task").raw(task_document).end_object();
    return out.text();
}

void put_command(soci::session& sql, const std::string& id, const task::Run& run, std::string document, Instant now) {
    insert_command(sql,
                   {.id = id,
                    .node_id = run.node_id,
                    .kind = "start",
                    .run_id = run.id,
                    .document = std::move(document),
                    .state = "open",
                    .delivered = std::nullopt},
                   now);
}

void place(task::Run& run, const ring::Member& node) {
    run.node_id = node.id;
    run.node_name = node.name;
    run.incarnation = node.incarnation;
}

// Not as what waits on its node: until that tells of it, it may not have it.
std::string under_way_reason(const task::Run& run) {
    return fmt::format("elsewhere: attempt {} is on its way to node {}", run.attempt, run.node_name);
}

// The version by which the fire, or the start, was begun, or the piece of it.
Result<task::Task> task_of(soci::session& sql, const task::Run& run) {
    const auto row = find_version(sql, run.task_id, run.task_version);
    if (!row) return fail(Errc::not_found, "there is no such version");
    const auto document = json::parse(row->document);
    if (!document) return propagate(document);
    auto task = task::read_task(*document);
    if (!task || !run.shard) return task;
    return task::shard_of(*task, *run.shard);
}

// Why the task starts nothing any more; empty: it does.
std::string refused(soci::session& sql, const task::Run& run) {
    const auto stored = find_task(sql, run.task_id);
    if (!stored) return {};  // the attempt goes by its own version
    if (!*stored) return "deleted: the task was deleted before the attempt was begun";
    return (*stored)->task.enabled ? "" : "disabled: the task was disabled before the attempt was begun";
}

}  // namespace

Result<std::string> take_hand_over(soci::session& sql, RunRecorder& recorder, const ClusterView& cluster, const task::Run& reported,
                                   const task::HandOver& hand_over, std::string_view reporter, Instant now) {
    if (recorder.known(reported.id)) return std::string{};
    task::Run run = reported;
    const std::string why = refused(sql, run);
    const auto task = task_of(sql, run);
    if (!why.empty() || !task) {
        run.state = why.empty() ? RunState::failed : RunState::skipped;
        run.reason = why.empty() ? fmt::format("it could not be handed over: version {} of the task cannot be read: {}", run.task_version,
                                               task.error().message)
                                 : why;
        run.ended_at = now;
        const auto recorded = recorder.record(run, reporter);
        return recorded ? Result<std::string>{std::string{}} : propagate(recorded);
    }
    if (const ring::Member* other = another_node(cluster, *task, run, hand_over.after)) place(run, *other);
    const std::string id = make_named_uuid(now, run.id + "/start");
    std::string document = attempt_document(id, run, hand_over, task::to_json(*task));
    run.reason = under_way_reason(run);
    if (const auto recorded = recorder.record(run, reporter); !recorded) return propagate(recorded);
    put_command(sql, id, run, std::move(document), now);
    return run.node_id;
}

Kept keep_hand_over(soci::session& sql, const ClusterView& cluster, const task::Run& before, const Command& command,
                    const std::string& command_id, Instant now) {
    if (command.delivered) return {.kept = find_node(sql, before.node_id).has_value()};
    const auto document = json::parse(command.document);
    if (!document) return {.kept = true};
    Faults faults;
    json::ObjectReader reader(*document, "", faults);
    const json::Value* task_document = reader.any("task");
    const auto task = task_document != nullptr ? task::read_task(*task_document) : fail(Errc::invalid_argument, "it names no task");
    const json::Value* run_document = reader.any("run");
    auto run = run_document != nullptr ? task::read_run(*run_document) : fail(Errc::invalid_argument, "it names no run");
    const auto hand_over = task::read_hand_over(reader);
    if (!task || !run || !hand_over) {
        log::error("the command {} cannot be read: its attempt waits for node {}", command.id, before.node_name);
        return {.kept = true};
    }
    const ring::Member* other = another_node(cluster, *task, *run, hand_over->after);
    // The node that had the attempt before is better than none.
    if (other == nullptr) other = another_node(cluster, *task, *run, {});
    if (other == nullptr || other->id == before.node_id) return {.kept = true};
    withdraw_commands(sql, run->id);
    place(*run, *other);
    put_command(sql, command_id, *run, attempt_document(command_id, *run, *hand_over, json::to_text(*task_document)), now);
    run->reason = under_way_reason(*run);
    RunWriter(sql).update(*run);
    log::info("attempt {} of {}, run {}, goes from node {} to node {}", run->attempt, run->task_name, run->id, before.node_name,
              other->name);
    return {.kept = true, .node_id = other->id};
}

}  // namespace cloudtask::center
