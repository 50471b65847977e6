// SimCenter: see sim_center.h.
#include "tests/sim/sim_center.h"

#include <algorithm>
#include <utility>

#include "center/run_rules.h"
#include "cloudtask/ring/placement.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/hand_over.h"
#include "cloudtask/task/pieces.h"

namespace cloudtask::sim {

namespace {

constexpr const char* kRuntime = "/runtimes/demo";

// As the center has it (center/tasks.cpp).
bool owes_other_fires(const task::Task& before, const task::Task& changed) {
    return changed.schedules != before.schedules || changed.enabled != before.enabled || !ring::same_place(before, changed) ||
           changed.mode != before.mode || changed.shards != before.shards;
}

}  // namespace

SimCenter::SimCenter(const Clock& clock, zk::Keeper& keeper, std::function<void(const std::string&)> note)
    : clock_(clock), keeper_(keeper), note_(std::move(note)) {}

void SimCenter::put(task::Task task) {
    task.revision = ++revision_;
    task.updated_at = clock_.now();
    auto& versions = definitions_[task.id];
    if (versions.empty()) task.created_revision = revision_;
    if (versions.empty() || owes_other_fires(versions.back().task, task)) task.effective_revision = revision_;
    task.version = static_cast<std::int64_t>(versions.size()) + 1;
    versions.push_back({revision_, clock_.now(), std::move(task), false});
    make_pieces(versions);
    publish_revision();
}

void SimCenter::make_pieces(const std::vector<Version>& definition) {
    const auto put = [&](const auto& has, const auto& make) {
        if (std::none_of(definition.begin(), definition.end(), [&](const Version& version) { return has(version.task); })) return;
        std::vector<Version> versions = definition;
        for (Version& version : versions) version.task = make(version.task);
        const std::string id = versions.front().task.id;
        versions_[id] = std::move(versions);
    };
    const auto is_single = [](const task::Task& task) { return task.mode == task::Mode::single; };
    put(is_single, [&](const task::Task& task) { return is_single(task) ? task : task::without_fires(task); });
    for (const auto& node : nodes_) {
        const task::NodeName name{node, node};
        put([&](const task::Task& task) { return task::has_node_piece(task, name); },
            [&](const task::Task& task) { return task::piece_on(task, name); });
    }
    std::int64_t shards = 0;
    for (const Version& version : definition) shards = std::max<std::int64_t>(shards, version.task.shards);
    for (std::int64_t shard = 0; shard < shards; ++shard) {
        put([shard](const task::Task& task) { return task::has_shard(task, shard); },
            [shard](const task::Task& task) { return task::shard_of(task, shard); });
    }
}

void SimCenter::erase(const std::string& task_id) {
    auto& versions = definitions_.at(task_id);
    versions.push_back({++revision_, clock_.now(), versions.back().task, true});
    make_pieces(versions);
    publish_revision();
}

const task::Task* SimCenter::find(const std::string& task_id) const {
    const auto found = definitions_.find(task_id);
    return found == definitions_.end() || found->second.back().deleted ? nullptr : &found->second.back().task;
}

void SimCenter::publish() {
    for (const char* folder : {"/runtimes", "/runtimes/demo"}) {
        keeper_.create(folder, {}, zk::CreateMode::persistent, [](const Result<zk::Created>&) {});
    }
    keeper_.create(std::string{kRuntime} + "/revision", "0", zk::CreateMode::persistent, [](const Result<zk::Created>&) {});
    publish_revision();
}

void SimCenter::publish_revision() {
    keeper_.set(std::string{kRuntime} + "/revision", std::to_string(revision_), zk::kAnyVersion, [](const Result<zk::Stat>&) {});
}

void SimCenter::note_epoch(std::int64_t epoch) {
    if (epoch >= past_.epoch) past_ = {epoch, clock_.now()};
}

// As the center's catalog route answers, in one page.
node::CatalogChange SimCenter::changes_since(std::int64_t revision) const {
    node::CatalogChange change;
    change.past = past_;
    change.revision = revision_;
    change.full = revision == 0;
    const Instant from = clock_.now() - task::kSupersededKept;
    for (const auto& [id, versions] : definitions_) {
        const Version& last = versions.back();
        if (last.revision <= revision) continue;
        for (auto version = versions.begin(); version != versions.end() && !version->deleted; ++version) {
            Instant end = Instant::max();
            for (auto later = version + 1; later != versions.end(); ++later) {
                end = std::min(end, later->deleted ? later->at : task::tenure_end(later->task));
            }
            const bool current = version + 1 == versions.end();
            const bool is_change = version->task.version > 1 && version->task.effective_revision == version->revision;
            const bool told = end > task::tenure_end(version->task) || is_change;
            if (current || (told && end >= from)) change.tasks.push_back(version->task);
        }
        if (last.deleted) change.deleted.push_back({id, last.at});
    }
    return change;
}

bool SimCenter::take(const std::string& node_id, const std::vector<node::Report>& reports) {
    for (const auto& report : reports) {
        std::int64_t& cursor = cursors_[report.incarnation];
        if (report.sequence <= cursor) continue;
        if (report.sequence != cursor + 1) {
            problem_ = fmt::format("report {} of {} comes after {}", report.sequence, report.incarnation, cursor);
            return false;
        }
        cursor = report.sequence;
        const auto body = json::parse(report.body);
        if (report.kind == node::Report::Kind::command) commands_.erase((*body)["command_id"].GetString());
        if (report.kind != node::Report::Kind::run) continue;
        const auto run = body ? task::read_run((*body)["run"]) : Result<task::Run>{propagate(body)};
        if (!run) {
            problem_ = fmt::format("a report cannot be read: {}", run.error().message);
            return false;
        }
        if (body->HasMember("hand_over")) {
            Faults faults;
            json::ObjectReader reader(*body, "", faults);
            hand_over(*run, *task::read_hand_over(reader));
            continue;
        }
        std::optional<center::KnownRun> known;
        const auto found = history_.find(run->id);
        if (found != history_.end()) {
            known.emplace();
            known->state = found->second.run.state;
            known->node_id = found->second.node_id;
            known->waits = center::waits_on_node(found->second.run);
        }
        const bool online = known && online_(known->node_id);
        const auto verdict = center::judge(known, *run, node_id, online);
        note_(fmt::format("center: {} of {} by {}: {}{}", task::to_string(run->state), run->id, node_id,
                          verdict == center::Verdict::apply ? "applied" : (verdict == center::Verdict::late ? "late" : "known"),
                          run->reason.empty() ? "" : " (" + run->reason + ")"));
        if (verdict == center::Verdict::apply) history_[run->id] = {*run, node_id, clock_.now()};
    }
    return true;
}

// As the center does it (center/handed_over.cpp).
void SimCenter::hand_over(const task::Run& given, const task::HandOver& hand_over) {
    if (history_.contains(given.id)) {
        problem_ = fmt::format("attempt {} of {} is given up twice", given.attempt, given.task_name);
        return;
    }
    task::Run run = given;
    const Version& now = definitions_.at(run.task_id).back();
    if (now.deleted || !now.task.enabled) {
        run.state = task::RunState::skipped;
        run.reason = now.deleted ? "deleted: as the attempt was given up" : "disabled: as the attempt was given up";
        history_[run.id] = {run, hand_over.after, clock_.now()};
        return;
    }
    const auto& versions = versions_.at(task::placed_id(run));
    const auto version = std::find_if(versions.begin(), versions.end(),
                                      [&run](const Version& each) { return !each.deleted && each.task.version == run.task_version; });
    run.node_id = run.node_name = elsewhere_(version->task, run, hand_over.after);
    node::Command command;
    command.id = fmt::format("start-{}", run.id);
    command.run_id = run.id;
    command.task = version->task;
    command.run = run;
    command.hand_over = hand_over;
    run.reason = fmt::format("elsewhere: attempt {} is on its way to {}", run.attempt, run.node_id);
    note_(fmt::format("center: {} goes from {} to {}", run.id, hand_over.after, run.node_id));
    history_[run.id] = {run, run.node_id, clock_.now()};
    commands_[command.id] = {run.node_id, command};
    waiting_(run.node_id);
}

std::vector<node::Command> SimCenter::commands_for(const std::string& node_id) const {
    std::vector<node::Command> open;
    for (const auto& [id, command] : commands_) {
        if (command.first == node_id) open.push_back(command.second);
    }
    return open;
}

}  // namespace cloudtask::sim
