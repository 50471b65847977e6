// One fire explained: see why.h.
#include "center/why.h"

#include <algorithm>
#include <iterator>

#include "center/ledger_store.h"
#include "center/runs.h"
#include "center/surroundings.h"
#include "cloudtask/core/units.h"

namespace cloudtask::center {

using task::RunState;

namespace {

constexpr Duration kFarthestBack = std::chrono::hours{24 * 366 * 5};
constexpr std::size_t kRunsOfInstant = 2000;  // of all nodes, where a task is broadcast
constexpr std::size_t kRunsBefore = 100;      // among which the one that overlapped is looked for

std::string short_duration(Duration duration) {
    return format_duration(std::chrono::round<std::chrono::milliseconds>(std::max(duration, Duration{})));
}

FireRecord record_of(const task::Run& run) {
    return {run.piece, *run.fire_time, run.attempt, run.task_version, run.state, run.reason, run.started_at, run.lateness};
}

// The last fire of the version before `at` and after `floor`. Looks back in growing steps, then halves what lies between: millions of fires
// may.
std::optional<Instant> fire_before(const DefinitionVersion& version, Instant at, Instant floor) {
    for (Duration back = std::chrono::seconds{1}; back < kFarthestBack; back *= 4) {
        const Instant from = std::max(at - back, floor);
        auto found = next_fire(version, from);
        if (!found || *found >= at) {
            if (from == floor) return std::nullopt;
            continue;
        }
        for (Instant beyond = at; beyond - *found > kTick;) {
            const Instant middle = *found + (beyond - *found) / 2;
            const auto later = next_fire(version, middle);
            if (later && *later < at) {
                found = later;
            } else {
                beyond = middle;
            }
        }
        return found;
    }
    return std::nullopt;
}

// The version that was in force, by what nodes go by: the one whose fires counted, else the newest that was known.
std::optional<std::size_t> version_in_force(const Definition& definition, const std::vector<Tenure>& tenures, Instant at) {
    std::optional<std::size_t> known;
    for (std::size_t i = 0; i < definition.versions.size(); ++i) {
        if (tenures[i].contains(at)) return i;
        if (definition.versions[i].changed_at <= at) known = i;
    }
    return known;
}

bool fires_at(DefinitionVersion version, Instant at, bool disabled_schedules_too) {
    version.enabled = true;
    if (next_fire(version, at - kTick) == at) return true;
    if (!disabled_schedules_too) return false;
    return std::any_of(version.schedules.begin(), version.schedules.end(),
                       [at](const task::Schedule& schedule) { return schedule.next(at - kTick) == at; });
}

class Explanation {
  public:
    Explanation(soci::session& sql, const ClusterView& cluster, const LedgerRules& rules, Instant now, LedgerPiece piece, Instant at)
        : sql_(sql), cluster_(cluster), now_(now), piece_(std::move(piece)), definition_(piece_.definition), rules_(rules) {
        why_.shard = piece_.shard;
        why_.node = piece_.node.name;
        why_.task_id = definition_.task_id;
        why_.runtime = definition_.runtime;
        why_.group = definition_.group;
        why_.name = definition_.name;
        why_.at = at;
    }

    Why make() {
        find_runs();
        DueFires due(definition_, why_.at, why_.at + kTick);
        if (const auto index = version_in_force(definition_, due.tenures(), why_.at)) why_.version = definition_.versions[*index];
        why_.due = due.next() && !due.next()->excluded;
        if (!why_.runs.empty()) {
            tell_runs();
        } else if (due.next() && due.next()->excluded) {
            tell_excluded(*due.next()->excluded);
        } else if (why_.due) {
            tell_absent(*due.next());
        } else {
            tell_not_due();
        }
        if (why_.due && why_.version) tell_deferred_to_here();
        return std::move(why_);
    }

  private:
    void say(std::string cause, std::string sentence) {
        why_.cause = std::move(cause);
        why_.sentence = std::move(sentence);
    }

    void find_runs() {
        RunFilter filter;
        filter.task_id = why_.task_id;
        filter.since = std::chrono::floor<std::chrono::milliseconds>(why_.at);
        filter.until = *filter.since + std::chrono::milliseconds{1};
        filter.shard = piece_.shard;
        filter.oldest_first = true;
        filter.limit = kRunsOfInstant;
        for (auto& stored : list_runs(sql_, filter)) {
            if (stored.run.fire_time == why_.at && stored.run.piece == piece_.id) why_.runs.push_back(std::move(stored));
        }
        std::sort(why_.runs.begin(), why_.runs.end(), [](const StoredRun& a, const StoredRun& b) { return a.run.attempt < b.run.attempt; });
    }

    Surroundings around() const {
        const NodesAround nodes = read_nodes(sql_, definition_.runtime, why_.at, now_);
        Surroundings around = look_around(nodes, cluster_, definition_.runtime, rules_, now_, piece_.node.id);
        around.unowned = unowned(cluster_, piece_);
        return around;
    }

    // --- calendars

    void tell_excluded(const task::ScheduledFire& fire) {
        why_.verdict = FireVerdict::skipped;
        why_.excluded = fire;
        if (fire.dropped) {
            return say("calendar", fmt::format("It was skipped: {} excludes it, and the schedule drops what is excluded.",
                                               exclusion_text(*fire.exclusion)));
        }
        say("deferred", fmt::format("It was not started then: {} excludes it, and it was deferred to {}, the first instant that is free.",
                                    exclusion_text(*fire.exclusion), format_instant(fire.at)));
    }

    // The fire that was first deferred to this one.
    void tell_deferred_to_here() {
        for (const auto& schedule : why_.version->schedules) {
            auto fire = schedule.enabled() ? schedule.next_fire(why_.at - kTick) : std::nullopt;
            if (!fire || fire->at != why_.at || !fire->deferred()) continue;
            why_.sentence += fmt::format(" It was due at {}; {} deferred it.", format_instant(fire->due), exclusion_text(*fire->exclusion));
            why_.excluded = std::move(fire);
            return;
        }
    }

    // --- there are runs of it

    void tell_runs() {
        std::vector<FireRecord> attempts;
        for (const auto& stored : why_.runs) attempts.push_back(record_of(stored.run));
        const Judgement judgement = judge_attempts(attempts, rules_);
        why_.verdict = judgement.verdict;
        const StoredRun& stored = telling_run(judgement.verdict);
        const task::Run& run = stored.run;
        switch (judgement.verdict) {
            case FireVerdict::ran:
            case FireVerdict::late:
                say(judgement.verdict == FireVerdict::late ? "ran_late" : "ran", ran_sentence(run));
                break;
            case FireVerdict::running:
                say("running", fmt::format("It is running on node {} since {}, attempt {}.", run.node_name,
                                           format_instant(run.started_at.value_or(why_.at)), run.attempt));
                break;
            case FireVerdict::pending:
                say("pending", fmt::format("It waits on node {} to be started, attempt {}{}.", run.node_name, run.attempt,
                                           run.reason.empty() ? std::string{} : ": " + run.reason));
                tell_away(run);
                break;
            case FireVerdict::lost:
                say("lost", lost_sentence(stored));
                break;
            default:
                tell_not_started(judgement, run.state, run.reason, run.ended_at.value_or(why_.at));
                break;
        }
        if (!why_.due && !within_change(definition_, tenures_of(definition_), why_.at, rules_)) {
            why_.sentence += " By the definition that was in force it was not due.";
        }
    }

    void tell_away(const task::Run& run) {
        for (const auto& absence : node_absences(sql_, definition_.runtime, why_.at, now_)) {
            if (absence.node_id != run.node_id || absence.until) continue;
            why_.since = absence.since;
            why_.sentence += fmt::format(" That node is away since {}; it is left to the node until that is back, or is removed.",
                                         format_instant(absence.since));
        }
    }

    const StoredRun& telling_run(FireVerdict verdict) const {
        for (auto each = why_.runs.rbegin(); each != why_.runs.rend(); ++each) {
            if (judge_attempts({record_of(each->run)}, rules_).verdict == verdict) return *each;
        }
        return why_.runs.back();
    }

    std::string ran_sentence(const task::Run& run) const {
        const Duration lateness = run.lateness.value_or(*run.started_at - why_.at);
        std::string text = fmt::format("It ran on node {} (epoch {}, attempt {}), started {} after it was due, and is {}.", run.node_name,
                                       run.epoch, run.attempt, short_duration(lateness), task::to_string(run.state));
        if (!run.reason.empty()) text += fmt::format(" The run says: {}.", run.reason);
        const auto on_another = [&run](const StoredRun& stored) { return stored.run.node_id != run.node_id; };
        const bool one_node = std::none_of(why_.runs.begin(), why_.runs.end(), on_another);
        if (run.attempt > 1 && one_node) text += fmt::format(" Attempt 1 is {}.", task::to_string(why_.runs.front().run.state));
        for (const auto& each : why_.runs) {
            if (one_node || each.run.attempt >= run.attempt) continue;
            text += fmt::format(" Attempt {} is {}, on node {}.", each.run.attempt, task::to_string(each.run.state), each.run.node_name);
        }
        return text;
    }

    static std::string lost_sentence(const StoredRun& stored) {
        const task::Run& run = stored.run;
        std::string text = fmt::format(
            "It is LOST: {}. The incarnation {} of node {} had it; {}.", run.reason, run.incarnation,
            run.node_name.empty() ? run.node_id : run.node_name,
            run.started_at ? "it was started at " + format_instant(*run.started_at) : std::string("it may have been started or not"));
        if (!stored.late_report.empty()) text += " A report of it came later, and was kept but not applied.";
        return text;
    }

    // Skipped or missed, by a run of its own or by an entry that covers it.
    void tell_not_started(const Judgement& judgement, RunState state, const std::string& reason, Instant decided) {
        if (judgement.verdict == FireVerdict::lost) return say("lost", fmt::format("It is LOST: {}.", reason));
        // The one that was in the way is named by the reason itself, where a queue was full or a later fire went before.
        const bool told = reason.find("queue") != std::string::npos || reason.find("replaced") != std::string::npos ||
                          reason.find("holds") != std::string::npos;
        if (judgement.reason == "overlap" && told) return say("overlap", fmt::format("It was skipped: {}.", reason));
        if (judgement.reason == "overlap") return tell_overlap(decided);
        if (judgement.reason == "deadline") return say("deadline", fmt::format("It was skipped: {}.", reason));
        if (judgement.reason == "disabled") return tell_disabled();
        if (judgement.reason == "deleted") return tell_deleted();
        if (judgement.reason == "misfire") return tell_misfire(reason);
        if (state == RunState::stopped) return say("stopped", fmt::format("It was stopped before it began: {}.", reason));
        if (state == RunState::failed) return say("not_started", fmt::format("It could not be started: {}.", reason));
        say("skipped", fmt::format("It was skipped: {}.", reason));
    }

    void tell_overlap(Instant decided) {
        RunFilter filter;
        filter.task_id = why_.task_id;
        filter.shard = piece_.shard;
        filter.until = std::chrono::floor<std::chrono::milliseconds>(decided) + std::chrono::milliseconds{1};
        filter.limit = kRunsBefore;
        for (auto& stored : list_runs(sql_, filter)) {
            const task::Run& run = stored.run;
            const bool began = run.started_at && *run.started_at <= decided && run.fire_time != why_.at;
            if (!began || run.piece != piece_.id || (run.ended_at && *run.ended_at < why_.at)) continue;
            say("overlap", fmt::format("It was skipped, as the run {} of {} was still going on node {}.", run.id,
                                       format_instant(run.fire_time.value_or(*run.started_at)), run.node_name));
            why_.other_run = std::move(stored);
            return;
        }
        say("overlap", "It was skipped, as a run before it was still going.");
    }

    void tell_disabled() {
        for (const auto& version : definition_.versions) {
            if (version.enabled || version.changed_at < why_.at - rules_.after_change) continue;
            why_.by = version.changed_by;
            why_.since = version.changed_at;
            return say("disabled",
                       fmt::format("It was not started, as {} had disabled the task at {}.", why_.by, format_instant(*why_.since)));
        }
        say("disabled", "It was not started, as the task was disabled.");
    }

    void tell_deleted() {
        why_.by = definition_.deleted_by;
        why_.since = definition_.deleted_at;
        say("deleted", fmt::format("{} deleted the task at {}.", why_.by, format_instant(definition_.deleted_at.value_or(why_.at))));
    }

    void tell_misfire(const std::string& reason) {
        const Duration tolerance = why_.version ? why_.version->tolerance : Duration{};
        for (const auto& absence : around().without_nodes) {
            if (absence.since > why_.at + tolerance || (absence.until && *absence.until < why_.at)) continue;
            why_.since = absence.since == Instant::min() ? std::optional<Instant>{} : absence.since;
            return say("misfire_no_node",
                       fmt::format("No node of the runtime was there when it was due{}; {}.",
                                   absence.until ? fmt::format(" (until {})", format_instant(*absence.until)) : std::string{}, reason));
        }
        say("misfire_too_late", fmt::format("It came too late: {}.", reason));
    }

    // --- it was due, and no run of it is known

    void tell_absent(const DueFires::Due& due) {
        if (why_.at > now_) {
            why_.verdict = FireVerdict::not_yet;
            return say("future", "It will be due then.");
        }
        const Covers covers = read_covers(sql_, why_.task_id, why_.at, why_.at + kTick)[piece_.id];
        const Judgement judgement = judge_absent(definition_, due, covers, around(), [this](std::int64_t version) {
            return last_fire_before_version(sql_, why_.task_id, piece_.id, version, why_.at, now_);
        });
        why_.verdict = judgement.verdict;
        switch (judgement.verdict) {
            case FireVerdict::changed:
                return tell_changed(due, judgement.reason);
            case FireVerdict::not_yet:
                return say("not_yet", "No run of it is known yet; its report may be under way.");
            case FireVerdict::awaited:
                return say("awaited", fmt::format("No run of it is known yet: {}.", awaited_text(judgement.reason)));
            case FireVerdict::unexplained:
                return say("unexplained", "It was due, and nothing is known of it: neither a run nor a reason why there is none.");
            default:
                break;
        }
        if (const Cover* cover = covers.at(why_.at)) {
            tell_not_started(judgement, cover->state, cover->reason + " (told by the entry of " + format_instant(cover->after) + ")",
                             why_.at);
        }
    }

    static std::string awaited_text(const std::string& reason) {
        if (reason == "no node") return "no node of the runtime is there, or only just; it is settled when one is";
        if (reason == "no node can take it") return "no node of the runtime can take the task now";
        return reason + " may still have to tell of it: it is offline, or sends what has gathered";
    }

    void tell_changed(const DueFires::Due& due, const std::string& reason) {
        const Instant until = due.until;
        if (definition_.deleted_at == until) return tell_deleted();
        // Its own coming, if the version before went on; otherwise its end.
        why_.by = definition_.versions[due.version].changed_by;
        why_.since = definition_.versions[due.version].changed_at;
        for (const auto& version : definition_.versions) {
            if (version.version <= definition_.versions[due.version].version && until != version.effective_from) continue;
            if ((version.enabled ? version.effective_from : version.changed_at) != until) continue;
            why_.by = version.changed_by;
            why_.since = version.changed_at;
        }
        say("changed",
            fmt::format("The definition was changed around that time ({}), by {} at {}.", reason, why_.by, format_instant(*why_.since)));
    }

    // --- it was not due

    void tell_not_due() {
        if (definition_.deleted_at && why_.at > *definition_.deleted_at) return tell_deleted();
        const DefinitionVersion& first = definition_.versions.front();
        if (!why_.version) {
            why_.by = first.changed_by;
            why_.since = first.changed_at;
            return say("not_created", fmt::format("The task did not exist yet: {} made it at {}.", why_.by, format_instant(*why_.since)));
        }
        const DefinitionVersion& version = *why_.version;
        if (!version.problem.empty()) {
            why_.by = version.changed_by;
            why_.since = version.changed_at;
            return say("unreadable",
                       fmt::format("Version {} of the definition, which {} saved at {}, cannot be read ({}), so that nobody knows "
                                   "whether it was due.",
                                   version.version, why_.by, format_instant(*why_.since), version.problem));
        }
        if (!version.enabled && fires_at(version, why_.at, false)) return tell_disabled_then();
        if (fires_at(version, why_.at, true) && !fires_at(version, why_.at, false)) {
            return say("schedule_disabled", "The schedule that names this instant was disabled.");
        }
        why_.before = fire_before(version, why_.at, version.effective_from);
        why_.after = next_fire(version, why_.at);
        std::string text = fmt::format("That is not a fire time of version {}, which was in force.", version.version);
        if (why_.before) text += fmt::format(" The fire before it: {}.", format_instant(*why_.before));
        if (why_.after) text += fmt::format(" The fire after it: {}.", format_instant(*why_.after));
        if (!version.enabled) text += " The task was disabled, too.";
        say("not_a_fire_time", std::move(text));
    }

    // Who disabled it is told by the first of the versions without a break; it may be long before.
    void tell_disabled_then() {
        const auto all = read_definition(sql_, why_.task_id, Instant{}, why_.at + kTick);
        for (auto version = all.versions.rbegin(); version != all.versions.rend(); ++version) {
            if (version->version > why_.version->version) continue;
            if (version->enabled) break;
            why_.by = version->changed_by;
            why_.since = version->changed_at;
        }
        say("disabled", fmt::format("The task was disabled, by {} at {}.", why_.by, format_instant(why_.since.value_or(why_.at))));
    }

    soci::session& sql_;
    const ClusterView& cluster_;
    const Instant now_;
    const LedgerPiece piece_;
    const Definition& definition_;
    const LedgerRules rules_;
    Why why_;
};

// Of what went differently for a task's pieces the first of these is told.
constexpr FireVerdict kWorstFirst[] = {FireVerdict::unexplained, FireVerdict::lost,    FireVerdict::missed, FireVerdict::awaited,
                                       FireVerdict::skipped,     FireVerdict::changed, FireVerdict::late,   FireVerdict::running,
                                       FireVerdict::pending,     FireVerdict::not_yet, FireVerdict::ran};

std::size_t rank(const Why& why) {
    return static_cast<std::size_t>(std::find(std::begin(kWorstFirst), std::end(kWorstFirst), why.verdict) - std::begin(kWorstFirst));
}

bool is_asked_for(const LedgerPiece& piece, const WhyWhich& which) {
    if (which.shard && piece.shard != which.shard) return false;
    return which.node.empty() || which.node == piece.node.name || which.node == piece.node.id;
}

Why of_the_whole(std::vector<Why> pieces) {
    const auto worst = std::min_element(pieces.begin(), pieces.end(), [](const Why& a, const Why& b) { return rank(a) < rank(b); });
    Why whole = *worst;
    const std::string name = whole.shard ? fmt::format("shard {}", *whole.shard) : "node " + whole.node;
    if (whole.shard || !whole.node.empty()) whole.sentence = fmt::format("Of {} pieces, {}: {}", pieces.size(), name, whole.sentence);
    whole.runs.clear();
    for (auto& piece : pieces) {
        whole.runs.insert(whole.runs.end(), piece.runs.begin(), piece.runs.end());
        whole.due = whole.due || piece.due;
    }
    whole.shard.reset();
    whole.node.clear();
    whole.pieces = std::move(pieces);
    return whole;
}

}  // namespace

Result<Why> explain_fire(Store& store, const ClusterView& cluster, const LedgerRules& rules, Instant now, const std::string& task_id,
                         Instant at, const WhyWhich& which, const std::function<bool()>& over) {
    Why why;
    const auto explain = [&](soci::session& sql) -> Result<> {
        auto definition = read_definition(sql, task_id, at, std::max(at, now) + kTick);
        if (definition.versions.empty()) return fail(Errc::not_found, "there is no task {}", task_id);
        const auto nodes = is_broadcast(definition) ? nodes_of(sql, cluster, definition.runtime) : std::vector<ring::Member>{};
        auto pieces = ledger_pieces(std::move(definition), nodes);
        std::erase_if(pieces, [&which](const LedgerPiece& piece) { return !is_asked_for(piece, which); });
        if (pieces.empty()) return fail(Errc::not_found, "the task {} has no such piece", task_id);
        std::vector<Why> all;
        for (auto& piece : pieces) {
            const bool unasked = std::all_of(piece.definition.versions.begin(), piece.definition.versions.end(),
                                             [](const DefinitionVersion& version) { return version.unasked; });
            Why one = Explanation(sql, cluster, rules, now, std::move(piece), at).make();
            if (!unasked || !one.runs.empty()) all.push_back(std::move(one));
        }
        if (all.empty()) return fail(Errc::not_found, "no node has a piece of the task {}", task_id);
        // Pieces of other versions than the one in force have nothing to say.
        const auto has_fire = [](const Why& each) { return each.due || !each.runs.empty() || each.excluded.has_value(); };
        if (std::any_of(all.begin(), all.end(), has_fire)) std::erase_if(all, [&](const Why& each) { return !has_fire(each); });
        why = all.size() == 1 ? std::move(all.front()) : of_the_whole(std::move(all));
        return {};
    };
    const auto read = store.read(explain, over);
    if (!read) return propagate(read);
    return why;
}

}  // namespace cloudtask::center
