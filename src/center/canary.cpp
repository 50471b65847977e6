// Trials of new versions: see canary.h.
#include "center/canary.h"

#include <algorithm>

#include "center/audit_store.h"
#include "center/version_store.h"
#include "cloudtask/task/attempts.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/definition.h"

namespace cloudtask::center {

namespace {

bool counts(const task::Run& run, const Canary& canary) {
    return run.fire_time && run.task_version >= canary.version && run.task_version <= canary.last;
}

void decide(Canary& canary, Canary::State state, std::string detail, Instant now) {
    canary.state = state;
    canary.detail = std::move(detail);
    canary.decided_at = now;
}

// Enables or disables the task, and changes nothing else.
bool only_switches(const StoredTask& before, const task::Task& after) {
    const auto old = json::parse(before.document), changed = json::parse(task::to_json(after));
    if (!old || !changed) return false;
    const auto differences = task::compare_definitions(*old, *changed);
    return std::all_of(differences.begin(), differences.end(), [](const auto& difference) { return difference.pointer == "/enabled"; });
}

// Of how many pieces a fire of the task is. Of a broadcast nobody can say: it has succeeded once none of those that began is going on.
std::int64_t pieces_of(soci::session& sql, const std::string& task_id) {
    const auto stored = find_task(sql, task_id);
    return stored && *stored && (*stored)->task.mode == task::Mode::shards ? (*stored)->task.shards : 1;
}

}  // namespace

Result<> begin_canary(WriteScope& scope, const StoredTask& before, StoredTask& after, std::int64_t fires) {
    if (after.task.version == before.task.version) {
        return fail(Errc::unsupported, "the definition says what is there already: there is no new version to try");
    }
    // A version that is on trial itself has not shown yet that one can go back to it.
    const bool untried = before.canary && before.canary->state == Canary::State::running;
    Canary canary{.task_id = after.task.id,
                  .version = after.task.version,
                  .last = after.task.version,
                  .previous = untried ? before.canary->previous : before.task.version,
                  .fires = fires,
                  .detail = {},
                  .started_at = scope.now,
                  .decided_at = {}};
    write_canary(scope.sql, canary);
    write_audit(scope, "task.canary", "task:" + after.task.id, {}, canary_json(canary));
    after.canary = std::move(canary);
    return {};
}

std::optional<Canary> follow_canary(soci::session& sql, const StoredTask& before, const task::Task& after, Instant now) {
    std::optional<Canary> canary = before.canary;
    if (!canary || canary->state != Canary::State::running) return canary;
    if (only_switches(before, after)) {
        canary->last = after.version;
    } else {
        decide(*canary, Canary::State::superseded, fmt::format("version {} came before it was decided", after.version), now);
    }
    write_canary(sql, *canary);
    return canary;
}

std::optional<CanaryJudge::Decision> CanaryJudge::on_end(const task::Run& run) {
    if (!running_) {
        running_.emplace();
        for (auto& canary : running_canaries(sql_)) running_->emplace(canary.task_id, std::move(canary));
    }
    const auto found = running_->find(run.task_id);
    if (found == running_->end() || !counts(run, found->second)) return std::nullopt;
    Decision decision{found->second, {}, run.id};
    Canary& canary = decision.canary;
    const bool failed = run.state == task::RunState::failed || run.state == task::RunState::timed_out || task::is_given_up(run);
    if (!failed && run.state != task::RunState::succeeded) return std::nullopt;
    const std::int64_t pieces = pieces_of(sql_, canary.task_id);
    // All fires are counted only when one has become whole: of a shard's end most often none has.
    if (!failed && count_succeeded(sql_, canary, pieces, run.fire_time) == 0) return std::nullopt;
    const std::int64_t succeeded = count_succeeded(sql_, canary, pieces);
    if (!failed && succeeded == canary.succeeded) return std::nullopt;
    canary.succeeded = succeeded;
    if (failed) {
        roll_back(decision, run);
    } else if (succeeded >= canary.fires) {
        decide(canary, Canary::State::confirmed, fmt::format("{} fires succeeded", succeeded), now_);
    }
    write_canary(sql_, canary);
    if (canary.state == Canary::State::running) {
        found->second = canary;
        return std::nullopt;
    }
    running_->erase(found);
    return decision;
}

void CanaryJudge::roll_back(Decision& decision, const task::Run& run) {
    Canary& canary = decision.canary;
    const std::string cause = fmt::format("run {} of version {} ended {}", run.id, run.task_version, task::to_string(run.state));
    // Should the roll back be impossible, nothing of it may be kept, and somebody must know.
    const auto stuck = [&](std::string_view why) {
        decide(canary, Canary::State::stuck, fmt::format("{}, but version {} cannot be put back: {}", cause, canary.previous, why), now_);
    };
    const auto before = find_task(sql_, canary.task_id);
    if (!before || !*before) return stuck(before ? "there is no such task" : before.error().message);
    decision.task = (*before)->task;
    const auto row = find_version(sql_, canary.task_id, canary.previous);
    const auto document = row ? json::parse(row->document) : Result<json::Document>(fail(Errc::not_found, "it is not kept"));
    auto old = document ? task::read_task(*document) : Result<task::Task>(propagate(document));
    if (!old) return stuck(old.error().message);
    old->enabled = decision.task.enabled;

    static const Principal kCenter{.kind = Principal::Kind::center, .id = "canary", .name = "canary", .runtime = {}, .token_hash = {}};
    static const std::string kNowhere;
    WriteScope scope{sql_, kCenter, kNowhere, now_, {}, {}, {}};
    Faults faults;
    const auto after =
        store_task_definition(scope, **before, std::move(*old),
                              {"task.canary-rollback", fmt::format("rolled back to version {}: {}", canary.previous, cause)}, faults);
    if (!after) return stuck(after.error().message);
    for (const auto& [runtime, revision] : scope.catalog_changes) catalog_changes_[runtime] = revision;
    decision.task = after->task;
    decide(canary, Canary::State::rolled_back,
           fmt::format("{}; version {} says what version {} said", cause, after->task.version, canary.previous), now_);
}

}  // namespace cloudtask::center
