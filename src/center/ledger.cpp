// The fire ledger's reasoning: see ledger.h. Pure.
#include "center/ledger.h"

#include <fmt/format.h>

#include <algorithm>
#include <numeric>
#include <set>

namespace cloudtask::center {

using task::RunState;

namespace {

constexpr std::size_t kLongestCategory = 64;
constexpr std::uint64_t kAskEvery = 256;  // fires, between two looks at the time
constexpr std::string_view kNames[kFireVerdicts] = {"ran",  "late",    "running", "pending", "skipped",    "missed",
                                                    "lost", "changed", "not_yet", "awaited", "unexplained"};

// The attempt that tells most: one that succeeded, else the last one that began or is yet to begin, else the last word.
int weight(const FireRecord& record) {
    switch (record.state) {
        case RunState::succeeded:
            return record.started_at ? 4 : 1;
        case RunState::failed:
        case RunState::timed_out:
        case RunState::stopped:
            return record.started_at ? 3 : 1;
        case RunState::running:
        case RunState::pending:
            return 3;
        case RunState::lost:
            return record.started_at ? 3 : 2;
        case RunState::skipped:
            return 1;
    }
    return 0;
}

Judgement unstarted(RunState state, const std::string& reason, bool began) {
    std::string category = reason_category(reason);
    switch (state) {
        case RunState::lost:
            return {FireVerdict::lost, began ? "while it ran" : "around the time it was due"};
        case RunState::stopped:
            return {FireVerdict::skipped, "stopped"};
        case RunState::skipped:
            return {category == "misfire" ? FireVerdict::missed : FireVerdict::skipped, std::move(category)};
        default:
            return {FireVerdict::missed, std::move(category)};
    }
}

// That of a retry is that of the attempt before it.
Duration lateness_of(const FireRecord& record, const std::vector<FireRecord>& attempts) {
    const FireRecord* tells = &record;
    for (const auto& each : attempts) {
        if (!tells->lateness && each.lateness && each.attempt < record.attempt) tells = &each;
    }
    return tells->lateness.value_or(*record.started_at - record.fire_time);
}

bool overlap(const Absence& absence, Instant from, Instant to) { return absence.since <= to && (!absence.until || *absence.until >= from); }

}  // namespace

std::string_view to_string(FireVerdict verdict) { return kNames[static_cast<std::size_t>(verdict)]; }

std::string reason_category(std::string_view reason) {
    std::size_t end = std::min(reason.find(':'), reason.size());
    if (end > kLongestCategory) {
        end = kLongestCategory;
        while (end > 0 && (static_cast<unsigned char>(reason[end]) & 0xC0) == 0x80) --end;
    }
    return std::string(reason.substr(0, end));
}

std::vector<Tenure> tenures_of(const Definition& definition) {
    std::vector<Tenure> tenures(definition.versions.size());
    Instant until = definition.deleted_at.value_or(Instant::max());  // what the later ones leave
    for (std::size_t i = tenures.size(); i-- > 0;) {
        const DefinitionVersion& version = definition.versions[i];
        tenures[i] = {version.effective_from, version.enabled ? until : std::min(until, version.effective_from)};
        until = std::min(until, version.enabled ? version.effective_from : version.changed_at);
    }
    return tenures;
}

std::optional<Instant> next_fire(const DefinitionVersion& version, Instant after) {
    if (!version.enabled) return std::nullopt;
    std::optional<Instant> earliest;
    for (const auto& schedule : version.schedules) {
        if (!schedule.enabled()) continue;
        const auto time = schedule.next(after);
        if (time && (!earliest || *time < *earliest)) earliest = time;
    }
    return earliest;
}

DueFires::DueFires(const Definition& definition, Instant from, Instant to)
    : definition_(definition), to_(to), tenures_(tenures_of(definition)) {
    find(from - kTick);
}

void DueFires::find(Instant after) {
    next_.reset();
    for (; index_ < tenures_.size(); ++index_) {
        const Tenure& tenure = tenures_[index_];
        if (tenure.until <= tenure.after || tenure.until <= after) continue;
        const Instant from = std::max(after, tenure.after);
        if (looked_at_ != index_) look_at_version(from);
        if (due_ && *due_ <= from) due_ = next_fire(definition_.versions[index_], from);
        // What another schedule starts at the same instant takes place.
        const Instant before = due_ ? std::min(*due_, to_) : to_;
        if (const auto* excluded = next_excluded(from, std::min(before - kTick, tenure.until))) {
            next_ = Due{excluded->due, index_, tenure.until, *excluded};
            return;
        }
        if (!due_ || *due_ > tenure.until) continue;
        if (*due_ < to_) next_ = Due{*due_, index_, tenure.until};
        return;  // at or beyond `to`, later versions have nothing before it
    }
}

void DueFires::look_at_version(Instant from) {
    const DefinitionVersion& version = definition_.versions[index_];
    looked_at_ = index_;
    due_ = next_fire(version, from);
    excluding_.clear();
    if (!version.enabled) return;
    for (const auto& schedule : version.schedules) {
        if (!schedule.enabled() || schedule.exclude().empty()) continue;
        excluding_.push_back({task::FireWalk(schedule, from), std::nullopt});
        excluding_.back().fire = excluding_.back().walk.next();
    }
}

const task::ScheduledFire* DueFires::next_excluded(Instant from, Instant until) {
    const task::ScheduledFire* earliest = nullptr;
    for (Excluding& each : excluding_) {
        while (each.fire && each.fire->due <= until && (each.fire->due <= from || !each.fire->exclusion)) each.fire = each.walk.next();
        if (!each.fire || each.fire->due > until) continue;
        if (earliest == nullptr || each.fire->due < earliest->due) earliest = &*each.fire;
    }
    return earliest;
}

std::string exclusion_text(const task::Exclusion& exclusion) {
    return fmt::format("calendar {} ({})", exclusion.calendar, exclusion.entry);
}

Judgement judge_excluded(const task::ScheduledFire& fire) {
    return {FireVerdict::skipped, (fire.dropped ? "" : "deferred by ") + exclusion_text(*fire.exclusion)};
}

void DueFires::advance() {
    if (next_) find(next_->time);
}

Covers::Covers(std::vector<Cover> covers) : covers_(std::move(covers)) {
    std::vector<std::size_t> by_begin(covers_.size());
    std::iota(by_begin.begin(), by_begin.end(), std::size_t{0});
    std::sort(by_begin.begin(), by_begin.end(), [this](std::size_t a, std::size_t b) { return covers_[a].after < covers_[b].after; });
    std::set<std::pair<Instant, std::size_t>> open;  // by their end
    std::size_t next = 0;
    for (Instant from{}; next < by_begin.size() || !open.empty();) {
        if (open.empty()) from = covers_[by_begin[next]].after;
        for (; next < by_begin.size() && covers_[by_begin[next]].after <= from; ++next) {
            const Cover& cover = covers_[by_begin[next]];
            if (cover.until > cover.after) open.emplace(cover.until, by_begin[next]);
        }
        while (!open.empty() && open.begin()->first <= from) open.erase(open.begin());
        if (open.empty()) continue;
        const auto [end, cover] = *open.begin();
        const Instant until = next < by_begin.size() ? std::min(end, covers_[by_begin[next]].after) : end;
        stretches_.push_back({from, until, cover});
        from = until;
    }
}

const Cover* Covers::at(Instant time) const {
    const auto stretch =
        std::partition_point(stretches_.begin(), stretches_.end(), [time](const Stretch& each) { return each.until < time; });
    return stretch != stretches_.end() && time > stretch->after ? &covers_[stretch->cover] : nullptr;
}

Judgement judge_attempts(const std::vector<FireRecord>& attempts, const LedgerRules& rules) {
    const FireRecord* best = &attempts.front();
    for (const auto& each : attempts) {
        const int difference = weight(each) - weight(*best);
        if (difference > 0 || (difference == 0 && each.attempt >= best->attempt)) best = &each;
    }
    if (best->state == RunState::running) return {FireVerdict::running, {}};
    if (best->state == RunState::pending) return {FireVerdict::pending, {}};
    if (best->state == RunState::lost || weight(*best) < 3) return unstarted(best->state, best->reason, best->started_at.has_value());
    const Duration lateness = lateness_of(*best, attempts);
    return {lateness > rules.late ? FireVerdict::late : FireVerdict::ran, {}};
}

Judgement judge_absent(const Definition& definition, const DueFires::Due& due, const Covers& covers, const Surroundings& surroundings,
                       const std::function<std::optional<Instant>(std::int64_t version)>& overtaken_until) {
    const Instant time = due.time;
    const LedgerRules& rules = surroundings.rules;
    const DefinitionVersion& version = definition.versions[due.version];
    if (const Cover* cover = covers.at(time)) return unstarted(cover->state, cover->reason, false);
    if (time + version.tolerance + rules.grace > surroundings.now) return {FireVerdict::not_yet, {}};

    const Instant until = due.until;
    if (until <= surroundings.now) {
        const std::string what = definition.deleted_at == until ? "deleted" : "definition changed";
        for (const auto& absence : surroundings.without_nodes) {
            if (overlap(absence, time, until)) return {FireVerdict::changed, what + " while no node was there"};
        }
    }
    if (version.version > 1 && overtaken_until) {
        const auto overtaken = overtaken_until(version.version);
        if (overtaken && *overtaken >= time) return {FireVerdict::changed, "fired by the version before"};
    }

    // A node that comes back tells of what came due meanwhile; it is given the time to do so.
    for (const auto& absence : surroundings.without_nodes) {
        const bool over = absence.until && *absence.until + rules.grace <= surroundings.now;
        if (!over && time + rules.grace >= absence.since) return {FireVerdict::awaited, "no node"};
    }
    if (surroundings.unowned) return {FireVerdict::awaited, "no node can take it"};
    for (const auto& node : surroundings.silent) {
        if (time >= node.from && time <= node.to) return {FireVerdict::awaited, "node " + node.name};
    }
    return {FireVerdict::unexplained, {}};
}

bool within_change(const Definition& definition, const std::vector<Tenure>& tenures, Instant time, const LedgerRules& rules) {
    for (std::size_t i = 0; i < definition.versions.size(); ++i) {
        const DefinitionVersion& version = definition.versions[i];
        const Tenure& tenure = tenures[i];
        if (!version.enabled || time <= tenure.after) continue;
        if (tenure.until != Instant::max() && time > tenure.until && time - tenure.until > rules.after_change) continue;
        if (!version.problem.empty()) return true;
        if (next_fire(version, time - kTick) == time) return true;
    }
    return false;
}

bool LedgerBudget::spend() {
    if (fires_ == 0) exhausted_ = true;
    if (exhausted_) return false;
    --fires_;
    return fires_ % kAskEvery != 0 || has_time();
}

bool LedgerBudget::has_time() {
    if (!exhausted_ && over_ && over_()) exhausted_ = late_ = true;
    return !exhausted_;
}

TaskLedger::TaskLedger(Parts parts) : parts_(std::move(parts)), due_(parts_.definition, parts_.from, parts_.to) {}

void TaskLedger::absent_before(Instant time) {
    while (due_.next() && due_.next()->time < time && parts_.budget.spend()) {
        const DueFires::Due& due = *due_.next();
        if (parts_.definition.versions[due.version].unasked) {
            due_.advance();
            continue;
        }
        parts_.fire(due.time, due.excluded
                                  ? judge_excluded(*due.excluded)
                                  : judge_absent(parts_.definition, due, parts_.covers, parts_.surroundings, parts_.overtaken_until));
        due_.advance();
    }
}

void TaskLedger::take(FireRecord record) {
    if (record.fire_time < parts_.from || record.fire_time >= parts_.to) return;
    const auto millisecond = [](Instant instant) { return std::chrono::floor<std::chrono::milliseconds>(instant); };
    if (!waiting_.empty() && millisecond(waiting_.front().fire_time) != millisecond(record.fire_time)) settle();
    waiting_.push_back(std::move(record));
}

void TaskLedger::settle() {
    std::sort(waiting_.begin(), waiting_.end(), [](const FireRecord& a, const FireRecord& b) {
        return std::pair{a.fire_time, a.attempt} < std::pair{b.fire_time, b.attempt};
    });
    std::vector<FireRecord> attempts;
    for (auto& record : waiting_) {
        if (!attempts.empty() && attempts.front().fire_time != record.fire_time) {
            settle_fire(attempts);
            attempts.clear();
        }
        attempts.push_back(std::move(record));
    }
    if (!attempts.empty()) settle_fire(attempts);
    waiting_.clear();
}

void TaskLedger::settle_fire(const std::vector<FireRecord>& attempts) {
    const Instant time = attempts.front().fire_time;
    absent_before(time);
    if (!parts_.budget.spend()) return;
    const bool named = due_.next() && due_.next()->time == time;
    const bool due = named && !due_.next()->excluded;
    if (named) due_.advance();
    if (due || within_change(parts_.definition, due_.tenures(), time, parts_.surroundings.rules)) {
        parts_.fire(time, judge_attempts(attempts, parts_.surroundings.rules));
    } else {
        parts_.unexpected(attempts.front());
    }
}

void TaskLedger::finish() {
    settle();
    absent_before(parts_.to);
}

}  // namespace cloudtask::center
