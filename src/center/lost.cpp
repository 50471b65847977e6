// Runs of nodes that are gone: see lost.h.
#include "center/lost.h"

#include <algorithm>
#include <map>
#include <vector>

#include "center/commands_store.h"
#include "center/handed_over.h"
#include "center/run_metrics.h"
#include "center/runs.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/core/log.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/pieces.h"

namespace cloudtask::center {

using task::RunState;

namespace {

struct GoneSince {
    SteadyInstant since;
    Instant wall;  // for people
};

struct Gone {
    NodeOfRuns node;
    Instant at;
};

}  // namespace

struct LostWatch::Impl : std::enable_shared_from_this<LostWatch::Impl> {
    Impl(Loop& the_loop, Worker& the_worker, LostParts the_parts)
        : loop(the_loop),
          worker(the_worker),
          parts(std::move(the_parts)),
          interval(std::clamp<Duration>(parts.grace / 4, std::chrono::milliseconds{100}, std::chrono::seconds{2})) {}

    void arm() {
        timer = loop.after(interval, [self = weak_from_this()] {
            if (const auto watch = self.lock()) watch->look();
        });
    }

    void look() {
        if (!leading) return;
        worker.submit([self = shared_from_this()] {
            auto nodes = std::make_shared<std::vector<NodeOfRuns>>();
            const auto read = self->parts.store.read([&](soci::session& sql) -> Result<> {
                *nodes = nodes_with_unfinished_runs(sql);
                return {};
            });
            if (!read) log::warn("the nodes that have runs cannot be read: {}", read.error().message);
            self->loop.post([self, nodes, known = read.has_value()] {
                if (known) self->compare(*nodes);
                if (self->leading) self->arm();
            });
        });
    }

    void compare(const std::vector<NodeOfRuns>& nodes) {
        if (!leading) return;
        const auto view = parts.cluster.get();
        const auto now = loop.clock().steady_now();
        std::map<std::string, GoneSince> still;  // by node
        std::vector<Gone> gone;
        for (const auto& node : nodes) {
            if (!view->gone(node.runtime, node.node_id)) continue;
            const auto known = absent.find(node.node_id);
            const GoneSince absence = known != absent.end() ? known->second : GoneSince{now, loop.clock().now()};
            still[node.node_id] = absence;
            if (now - absence.since >= parts.grace) gone.push_back({node, absence.wall});
        }
        absent = std::move(still);
        for (const auto& each : gone) {
            worker.submit([self = shared_from_this(), each, at = loop.clock().now()] { self->give_up(each, at); });
        }
    }

    void give_up(const Gone& gone, Instant now) {
        const auto view = parts.cluster.get();
        if (!view->gone(gone.node.runtime, gone.node.node_id)) return;
        RecordEffects effects;
        std::set<std::string> woken;
        const auto written = parts.store.write([&](soci::session& sql) -> Result<> {
            RunRecorder recorder(sql, parts.mail, parts.logs, *view, now);
            for (const auto& stored : unfinished_runs(sql, gone.node.node_id)) {
                if (stored.run.state == RunState::pending && keep_start(sql, *view, stored.run, now, woken)) continue;
                task::Run run = stored.run;
                run.state = RunState::lost;
                const std::string& node = run.node_name.empty() ? run.node_id : run.node_name;
                run.reason = waits_on_node(stored.run) ? fmt::format("it waited on node {}, which was removed", node)
                                                       : fmt::format("node {} lost at {}", node, format_instant(gone.at));
                run.ended_at = now;
                const auto recorded = recorder.record(run, {});
                if (!recorded) log::error("run {} of node {} cannot be marked LOST: {}", run.id, run.node_id, recorded.error().message);
            }
            effects = recorder.effects();
            return {};
        });
        if (!written) {
            log::error("the runs of node {}, which is gone, cannot be ended: {}", gone.node.node_id, written.error().message);
            return;
        }
        count_effects(parts.metrics, effects);
        if (!effects.ended.empty()) {
            log::warn("node {} of runtime {} is gone since {}: {} runs are LOST", gone.node.node_id, gone.node.runtime,
                      format_instant(gone.at), effects.ended.size());
            if (parts.runs_changed) parts.runs_changed(effects.ended);
        }
        if (effects.mails > 0 && parts.mail_waiting) parts.mail_waiting();
        for (const auto& node_id : woken) {
            if (parts.commands_waiting) parts.commands_waiting(node_id);
        }
    }

    // A start that no node was handed is not lost: it goes to the task's owner, and waits while there is none.
    bool keep_start(soci::session& sql, const ClusterView& view, const task::Run& run, Instant now, std::set<std::string>& woken) {
        const auto command = open_command(sql, run.id, "start");
        if (command && run.trigger == task::Trigger::retry) {
            const Kept kept = keep_hand_over(sql, view, run, *command, make_uuid(now, parts.random), now);
            if (!kept.node_id.empty()) woken.insert(kept.node_id);
            return kept.kept;
        }
        if (!command || command->delivered) return false;
        const auto stored = find_task(sql, run.task_id);
        if (!stored || !*stored) return false;
        task::Task task = (*stored)->task;
        // Its node's own, and nobody else's; or of a shard that is not there any more: it waits, and is started when its node is back.
        if (!run.piece.empty() && (!run.shard || !task::has_shard(task, *run.shard))) return true;
        if (run.shard) task = task::shard_of(task, *run.shard);
        const ring::Member* owner = view.owner(task);
        if (owner == nullptr || owner->id == run.node_id) return true;
        const std::string document = run.shard ? task::to_json(task) : (*stored)->document;
        move_start(sql, run, *owner, view.runtimes.at(run.runtime).epoch, make_uuid(now, parts.random), document, now);
        log::info("the start of run {} goes from node {} to node {}", run.id, run.node_name, owner->name);
        woken.insert(owner->id);
        return true;
    }

    Loop& loop;
    Worker& worker;
    const LostParts parts;
    const Duration interval;
    bool leading = false;
    std::map<std::string, GoneSince> absent;  // by node
    Timer timer;
};

LostWatch::LostWatch(Loop& loop, Worker& worker, LostParts parts) : impl_(std::make_shared<Impl>(loop, worker, std::move(parts))) {}

LostWatch::~LostWatch() {
    impl_->leading = false;
    impl_->timer.cancel();
}

void LostWatch::set_leading(bool leading) {
    impl_->loop.assert_on_loop();
    if (impl_->leading == leading) return;
    impl_->leading = leading;
    impl_->absent.clear();
    impl_->timer.cancel();
    if (leading) impl_->arm();
}

void LostWatch::on_view(const ClusterView& view) {
    impl_->loop.assert_on_loop();
    if (!view.connected) return impl_->absent.clear();
    // Whoever was seen in between, or could not be seen, is counted anew.
    std::erase_if(impl_->absent, [&](const auto& entry) {
        for (const auto& [name, runtime] : view.runtimes) {
            if (runtime.nodes.contains(entry.first)) return true;
        }
        return std::any_of(view.runtimes.begin(), view.runtimes.end(), [](const auto& each) { return !each.second.complete; });
    });
}

}  // namespace cloudtask::center
