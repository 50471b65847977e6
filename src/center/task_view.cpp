// A task as the API shows it.
#include "center/task_view.h"

#include <algorithm>

#include "cloudtask/core/json.h"
#include "cloudtask/task/mutex.h"

namespace cloudtask::center {

namespace {

std::int64_t epoch_of(const ClusterView& cluster, const std::string& runtime) {
    const auto found = cluster.runtimes.find(runtime);
    return found == cluster.runtimes.end() ? 0 : found->second.epoch;
}

std::string no_owner_reason(const task::Task& task, const ClusterView& cluster) {
    const auto found = cluster.runtimes.find(task.runtime);
    if (found == cluster.runtimes.end() || found->second.epoch == 0) return "the runtime has no allocation yet: no node has ever joined it";
    if (!found->second.ring || found->second.ring->members().empty()) return "the runtime has no node";
    return "no node of the runtime satisfies the task's targets and labels";
}

}  // namespace

std::string_view task_state(const StoredTask& stored, const ring::Member* owner) {
    if (stored.running > 0) return "running";
    if (!stored.task.enabled) return "disabled";
    if (owner == nullptr) return "reallocating";
    if (stored.last_run) {
        const std::string& last = stored.last_run->state;
        if (last == "FAILED" || last == "TIMED_OUT" || last == "LOST") return "failed";
    }
    return "idle";
}

std::optional<Instant> next_fire(const task::Task& task, Instant now) {
    if (!task.enabled) return std::nullopt;
    std::optional<Instant> first;
    for (const auto& schedule : task.schedules) {
        if (!schedule.enabled()) continue;
        const auto next = schedule.next(std::max(now, task.effective_from));
        if (next && (!first || *next < *first)) first = next;
    }
    return first;
}

std::string task_json(const StoredTask& stored, const ClusterView& cluster, Instant now) {
    const ring::Member* owner = cluster.owner(stored.task);
    json::Writer extra;
    extra.begin_object();
    extra.member("state", task_state(stored, owner)).member("running", stored.running);
    extra.key("owner");
    if (owner != nullptr && stored.task.enabled && stored.task.mode == task::Mode::single) {
        extra.begin_object().member("node_id", owner->id).member("node_name", owner->name).end_object();
    } else {
        extra.null();
    }
    extra.key("last_run");
    if (stored.last_run) {
        extra.begin_object()
            .member("id", stored.last_run->id)
            .member("state", stored.last_run->state)
            .member("at", stored.last_run->at)
            .end_object();
    } else {
        extra.null();
    }
    extra.key("next_fire");
    if (const auto next = next_fire(stored.task, now)) {
        extra.value(*next);
    } else {
        extra.null();
    }
    if (stored.canary) extra.key("canary").raw(canary_json(*stored.canary));
    extra.end_object();
    // Two objects, of which neither is empty, become one.
    std::string text = stored.document;
    text.back() = ',';
    return text + extra.text().substr(1);
}

std::string owner_json(const task::Task& task, const ClusterView& cluster) {
    const ring::Member* owner = cluster.owner(task);
    const bool pieces = task.mode != task::Mode::single;
    json::Writer out;
    out.begin_object();
    if (owner != nullptr && !pieces) {
        out.member("node_id", owner->id).member("node_name", owner->name);
    } else {
        out.key("node_id").null().key("node_name").null();
    }
    out.member("epoch", epoch_of(cluster, task.runtime));
    std::string reason;
    if (owner == nullptr) {
        reason = no_owner_reason(task, cluster);
    } else if (pieces) {
        reason = task.mode == task::Mode::shards ? "each shard is placed on the ring by itself" : "it runs on every node that it is for";
    } else {
        const std::string mutex = task::mutex_key(task);
        reason = fmt::format("the first node clockwise on the ring from the hash of {}{}",
                             mutex.empty() ? std::string("the task") : task::mutex_words(mutex),
                             task.targets.empty() && task.labels.empty() ? "" : " that satisfies its targets and labels");
    }
    if (!task.enabled) reason += "; the task is disabled and does not fire";
    out.member("reason", reason);
    if (owner != nullptr && pieces) {
        out.key("owners").begin_array();
        visit_owners(*cluster.runtimes.at(task.runtime).ring, task.id, placement_of(task), [&out](const PlacedPiece& piece) {
            out.begin_object().member("piece", piece.id);
            if (piece.shard) out.member("shard", *piece.shard);
            out.member("node_id", piece.owner->id).member("node_name", piece.owner->name).end_object();
        });
        out.end_array();
    }
    out.end_object();
    return out.text();
}

}  // namespace cloudtask::center
