// Invariants: see invariants.h.
#include "tests/sim/invariants.h"

#include <algorithm>

#include "cloudtask/core/units.h"
#include "cloudtask/ring/placement.h"
#include "cloudtask/task/attempts.h"
#include "cloudtask/task/pieces.h"

namespace cloudtask::sim {

using task::RunState;

namespace {

// For so long before its end a version has to have had a node. An owner may have been unable to work until then; nothing that works takes
// so long.
constexpr Duration kBacklog = std::chrono::seconds{20};

// So long a fire may wait for those before it.
constexpr Duration kPatience = std::chrono::seconds{30};

// In a calm world: so long after the task's first owner came, its fires are on time.
constexpr Duration kJoin = std::chrono::seconds{3};

std::string fire_text(const task::Task& task, Instant time) { return fmt::format("{} at {}", task.name, format_instant(time)); }

const ring::Member* member_of(const ring::Allocation& allocation, const std::string& id) {
    const auto found = std::find_if(allocation.nodes.begin(), allocation.nodes.end(), [&id](const auto& each) { return each.id == id; });
    return found == allocation.nodes.end() ? nullptr : &*found;
}

// A node of an unsettled membership, which had left the ring already, died: that is a change of membership, too.
bool dies(const ring::Allocation& before, const ring::Allocation& now) {
    return std::any_of(now.departed.begin(), now.departed.end(),
                       [&before](const auto& departed) { return before.find_departed(departed.incarnation) == nullptr; });
}

}  // namespace

std::vector<Rule> Invariants::rules_of(const std::string& task_id) const {
    std::vector<Rule> rules;
    for (const Version& version : center_.versions(task_id)) {
        Rule rule;
        rule.enabled = version.task.enabled;
        rule.effective_from = version.task.effective_from;
        rule.known_at = version.at;
        rule.deleted = version.deleted;
        if (version.task.schedules.empty()) {  // it has not this piece; its one instant is past
            rules.push_back(rule);
            continue;
        }
        // The simulation's own schedules: one for each task, read back from how they are written.
        json::Writer out;
        version.task.schedules.front().write(out);
        const auto text = json::parse(out.text());
        if (const auto once = text->FindMember("at"); once != text->MemberEnd()) {
            rule.anchor = *parse_instant(once->value.GetString());
        } else {
            rule.interval = *parse_duration((*text)["every"].GetString());
            if (const auto anchor = text->FindMember("anchor"); anchor != text->MemberEnd())
                rule.anchor = *parse_instant(anchor->value.GetString());
        }
        rules.push_back(rule);
    }
    return rules;
}

// By any allocation and any version of the task so far: an earlier owner starts what it had claimed.
bool Invariants::ever_owned(const std::string& node_id, const std::string& task_id) const {
    for (const Version& version : center_.versions(task_id)) {
        const ring::Placement placement = ring::placement_of(version.task);
        for (auto epoch = epochs_.rbegin(); epoch != epochs_.rend(); ++epoch) {
            const auto* owner = epoch->ring->owner(task_id, placement);
            if (owner != nullptr && owner->id == node_id) return true;
        }
    }
    return false;
}

std::optional<Violation> Invariants::started(const std::string& node_id, const Start& start, Instant world_now) {
    const auto before = starts_.find(start.run_id);
    const auto versions = center_.all_versions().find(start.task_id);
    if (versions == center_.all_versions().end()) return Violation{"unknown task", start.task_id};
    const task::Task& task = versions->second.back().task;
    const std::string fire = fmt::format("{}, attempt {}", fire_text(task, start.fire_time.value_or(Instant{})), start.attempt);
    if (before != starts_.end()) {
        return Violation{"I1", fmt::format("{} is started by {} and, {} later, by {}", fire, before->second.node_id,
                                           format_duration(world_now - before->second.at), node_id)};
    }
    starts_[start.run_id] = {node_id, start.task_id, start.fire_time, start.attempt, world_now};
    if (!start.fire_time) return std::nullopt;
    if (start.attempt == 1 && *start.fire_time > horizons_[node_id]) {
        return Violation{"beyond the horizon", fmt::format("{} is started by {}, whose horizon in ZooKeeper is {}", fire, node_id,
                                                           format_instant(horizons_[node_id]))};
    }
    const bool handed_over = start.attempt > 1 && task.retry && task.retry->elsewhere;
    if (!handed_over && !ever_owned(node_id, start.task_id)) {
        return Violation{"not the owner", fmt::format("{} is started by {}, which never owned it", fire, node_id)};
    }
    const auto seconds = std::chrono::floor<std::chrono::seconds>(start.fire_time->time_since_epoch());
    const std::string expected = task.parameters ? fmt::format("{}/{}", seconds.count(), start.attempt) : std::string{};
    if (start.parameters != expected) {
        return Violation{"parameters", fmt::format("{} is started with '{}' instead of '{}'", fire, start.parameters, expected)};
    }
    if (!is_called_for(rules_of(start.task_id), *start.fire_time)) {
        return Violation{"uncalled", fmt::format("{} is started by {}, and no version has it", fire, node_id)};
    }
    return std::nullopt;
}

std::optional<Violation> Invariants::horizon_written(const std::string& node_id, const std::string& data) {
    const auto record = ring::read_horizon(data);
    if (!record) return Violation{"unreadable", record.error().message};
    Instant& highest = horizons_[node_id];
    highest = std::max(highest, record->horizon);
    return std::nullopt;
}

std::optional<Violation> Invariants::allocation_written(const std::string& data, Instant world_now) {
    auto next = ring::read_allocation(data);
    if (!next) return Violation{"unreadable", next.error().message};
    const auto before = std::exchange(allocation_, std::move(*next));
    const ring::Allocation& now = allocation_;
    if (now == before) return Violation{"I6", fmt::format("allocation {} is written again as it was", now.epoch)};
    const auto old_ring = ring_;
    if (now.nodes != before.nodes) ring_ = std::make_shared<ring::Ring>(now.nodes);
    if (now.epoch != before.epoch) epochs_.push_back({world_now, ring_});
    if (now.epoch == before.epoch) {
        if (now.nodes != before.nodes) return Violation{"I6", fmt::format("the members of allocation {} changed within it", now.epoch)};
    } else if (now.nodes == before.nodes && before.epoch != 0 && !dies(before, now)) {
        return Violation{"I6", fmt::format("allocation {} has the members of the one before", now.epoch)};
    }
    if (ring_ == old_ring) return std::nullopt;
    for (const auto& [id, versions] : center_.all_versions()) {
        const task::Task& task = versions.back().task;
        const ring::Placement placement = ring::placement_of(task);
        const auto* owner = ring_->owner(id, placement);
        const auto* old_owner = old_ring->owner(id, placement);
        if (before.epoch == 0 || owner == nullptr || old_owner == nullptr || owner->id == old_owner->id) continue;
        // I3, I4: it moved because its owner left, or because its new one joined.
        if (member_of(now, old_owner->id) != nullptr && member_of(before, owner->id) != nullptr) {
            return Violation{"I4", fmt::format("{} moves from {} to {}, which both were there before and after allocation {}", task.name,
                                               old_owner->id, owner->id, now.epoch)};
        }
    }
    return std::nullopt;
}

bool Invariants::owns(const std::string& node_id, const task::Task& task) const {
    const auto* owner = ring_->owner(task.id, ring::placement_of(task));
    return owner != nullptr && owner->id == node_id;
}

bool Invariants::had_owner(const task::Task& task, Instant from, Instant until) const {
    const ring::Placement placement = ring::placement_of(task);
    for (std::size_t i = 0; i < epochs_.size(); ++i) {
        const bool over = i + 1 < epochs_.size() && epochs_[i + 1].since <= from;
        if (!over && epochs_[i].since < until && epochs_[i].ring->owner(task.id, placement) != nullptr) return true;
    }
    return false;
}

bool Invariants::had_owner_throughout(const task::Task& task, Instant from, Instant until) const {
    const ring::Placement placement = ring::placement_of(task);
    for (std::size_t i = 0; i < epochs_.size(); ++i) {
        const bool over = i + 1 < epochs_.size() && epochs_[i + 1].since <= from;
        if (!over && epochs_[i].since <= until && epochs_[i].ring->owner(task.id, placement) == nullptr) return false;
    }
    return !epochs_.empty() && epochs_.front().since <= from;
}

// One entry of the history may stand for further fires.
bool Invariants::has_verdict(const std::string& task_id, Instant time) const {
    return std::any_of(center_.history().begin(), center_.history().end(), [&](const auto& entry) {
        const task::Run& run = entry.second.run;
        return task::placed_id(run) == task_id && run.fire_time && *run.fire_time <= time && run.covers_until && time <= *run.covers_until;
    });
}

std::string_view Invariants::excuse(const std::vector<Version>& versions, const std::vector<Rule>& rules, const Expected& expected,
                                    Instant until) const {
    const std::string& task_id = versions.front().task.id;
    const Rule& rule = rules[expected.version];
    const Instant end = expected.superseded ? std::max(rules[expected.version + 1].known_at, expected.time) : until;
    // The last stretch counts: an owner of before may have been unable to work.
    if (!had_owner(versions[expected.version].task, std::max(expected.time, end - kBacklog), end)) return "no node could take the task";
    // A node that learns of a change late goes on by the older version until then.
    const bool older = std::any_of(center_.history().begin(), center_.history().end(), [&](const auto& entry) {
        const task::Run& run = entry.second.run;
        return task::placed_id(run) == task_id && run.fire_time && *run.fire_time >= expected.time &&
               run.task_version < versions[expected.version].task.version && *run.fire_time > rule.effective_from;
    });
    return older ? "its node still worked by an older version" : "";
}

std::optional<Violation> Invariants::settled(Instant until, std::optional<Instant> calm_from, Duration bound) const {
    const auto& history = center_.history();
    // What was started stands in the history, and not as something that was not.
    for (const auto& [run_id, begun] : starts_) {
        const auto recorded = history.find(run_id);
        if (begun.at > until) continue;
        if (recorded == history.end())
            return Violation{"unreported", fmt::format("run {} was started by {} and is not in the history", run_id, begun.node_id)};
        if (recorded->second.run.state == RunState::skipped) {
            return Violation{"contradiction", fmt::format("{} was started by {}, and the history says that it was skipped: {}",
                                                          fire_text(center_.versions(begun.task_id).back().task, *begun.fire_time),
                                                          begun.node_id, recorded->second.run.reason)};
        }
    }
    // What is to follow a run follows it.
    for (const auto& [run_id, recorded] : history) {
        const task::Run& run = recorded.run;
        if (!run.fire_time || run.reason.find(" follows at ") == std::string::npos) continue;
        const auto next = history.find(task::retry_id(run_id, *run.fire_time));
        const std::string attempt = fmt::format("attempt {} of {} at {}", run.attempt + 1, run.task_name, format_instant(*run.fire_time));
        if (next == history.end()) return Violation{"retry", attempt + " is not in the history"};
        const bool waits = next->second.run.state == RunState::pending;
        if (waits && next->second.at < until - kPatience) return Violation{"retry", attempt + " is pending for ever"};
    }
    fires_ = 0;
    for (const auto& [id, versions] : center_.all_versions()) {
        const auto rules = rules_of(id);
        for (const Expected& expected : expected_fires(rules, until)) {
            ++fires_;
            const task::Task& task = versions[expected.version].task;
            const std::string fire = fire_text(task, expected.time);
            const std::string run_id = task::run_id(id, expected.time, 1);
            const auto recorded = history.find(run_id);
            const auto begun = starts_.find(run_id);
            if (recorded == history.end()) {
                if (has_verdict(id, expected.time) || !excuse(versions, rules, expected, until).empty()) continue;
                return Violation{"I5",
                                 fmt::format("{} has no verdict{}", fire, expected.superseded ? " (its version was superseded)" : "")};
            }
            const task::Run& run = recorded->second.run;
            if (run.state == RunState::pending && recorded->second.at < until - kPatience) {
                return Violation{"I5", fmt::format("{} is pending for ever: {}", fire, run.reason)};
            }
            if (!calm_from || expected.time <= *calm_from) continue;
            // While nobody is there, or for a moment before, nobody can.
            if (!had_owner_throughout(task, expected.time - kJoin, expected.time)) continue;
            // A definition's change has to reach the nodes first.
            const bool young = expected.time < rules[expected.version].known_at + std::chrono::seconds{20};
            if (begun == starts_.end()) {
                const auto says = [&run](const char* category) { return run.reason.starts_with(category); };
                const bool explained = says("overlap") || says("disabled") || says("deleted") || says("deadline");
                if (run.state == RunState::pending && says("overlap")) continue;
                if (run.state == RunState::skipped && (explained || young || expected.superseded)) continue;
                return Violation{"I2", fmt::format("{} was not started: {} ({})", fire, task::to_string(run.state), run.reason)};
            }
            // It may have waited for the run before it.
            const bool waited = task.overlap == task::Overlap::queue || task.overlap == task::Overlap::replace;
            if (const Duration late = begun->second.at - expected.time; late > bound && !young && !waited) {
                return Violation{"late", fmt::format("{} was started {} late by {}", fire, format_duration(late), begun->second.node_id)};
            }
        }
    }
    return std::nullopt;
}

}  // namespace cloudtask::sim
