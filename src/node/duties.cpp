// Duties: claims, horizon and timetable as one state machine. Pure.
#include "node/duties.h"

#include <algorithm>

#include "cloudtask/core/check.h"
#include "cloudtask/ring/placement.h"
#include "node/run_keys.h"

namespace cloudtask::node {

namespace {

constexpr Duration kTick{1};                                      // instants count microseconds
constexpr Duration kDonePeriod = std::chrono::seconds{1};         // `done` alone is written this often at the most
constexpr Duration kEndsPeriod = std::chrono::milliseconds{250};  // and so are the ends of runs that others wait for
constexpr Duration kForgetPeriod = std::chrono::seconds{10};
// Most runs are short. One that has begun is named after the first of these, or if the owner's fires are no further away than the second.
constexpr Duration kUnnamed = std::chrono::milliseconds{100};
constexpr Duration kNamedAhead = std::chrono::milliseconds{200};

}  // namespace

Duties::Duties(std::string node_id, std::string incarnation, DutyOptions options)
    : options_(options), claims_(std::move(node_id), std::move(incarnation)) {}

// The version of a key (see Claims), and until when it is in force.
Duties::Version Duties::find(const std::string& key) const {
    if (const TaskPointer* task = tasks_.find(key)) return {task};
    if (const auto versions = earlier_.find(std::string{task_id_of(key)}); versions != earlier_.end()) {
        for (const auto& earlier : versions->second) {
            if (version_key(*earlier.task) == key) return {&earlier.task, earlier.until};
        }
    }
    CLOUDTASK_CHECK(false, "claims know a version that was never put");
    return {};
}

void Duties::accept(const Gained& gained, bool opens) {
    const Version version = find(gained.task_id);
    const TaskPointer& task = *version.task;
    for (const auto& uncertain : gained.uncertain) {
        const Interval fires{std::max(uncertain.fires.after, task->effective_from), std::min(uncertain.fires.until, version.until)};
        if (uncertain.ours) {
            // Our own journal knows what was started: what it does not know is fired, what it knows is refused as a repetition.
            owed_.add(Opening{task, fires.after, fires.until});
        } else {
            owed_.add(UncertainFires{task, fires, uncertain.incarnation, uncertain.begun});
        }
    }
    if (!opens) return;
    owed_.add(Opening{task, std::max(gained.floor, task->effective_from), std::min(gained.limit, version.until),
                      claims_.made_in(gained.task_id)});
}

void Duties::apply(const ClaimChanges& changes) {
    for (const auto& lost : changes.lost) {
        const TaskPointer& task = *find(lost.task_id).task;
        timetable_.limit(*task, lost.limit);
        // The handover says by which revision of the catalog: what is newer is all the next owner's.
        owed_.hand_over(task, lost.limit, written_.revision);
    }
    for (const auto& gained : changes.gained) accept(gained, true);
    for (const auto& gained : changes.uncertain_only) accept(gained, false);
    wanted_.horizon = std::max(wanted_.horizon, claims_.raise_to());
    wanted_.floor = claims_.raise_to();
    running_stale_ = true;
    open_acknowledged();
}

// Runs of tasks that are another node's: their owners keep the overlap policy by them. An owner has fires only beyond those that this node
// has kept.
void Duties::name_running(Instant now) {
    if (!std::exchange(running_stale_, false) && now < naming_due_) return;
    NamedKeys named;
    naming_due_ = Instant::max();
    for (const auto& [key, since] : running_) {
        const auto [task_id, mutex] = take_apart(key);
        if (claims_.owns(task_id)) continue;
        // What `done` tells of must be named under a mutex: an owner begins others by that.
        const auto kept_until = mutex.empty() ? timetable_.limit_of(task_id) : std::nullopt;
        const Instant due = kept_until ? std::min(since + kUnnamed, *kept_until - kNamedAhead) : since;
        if (now < due) {
            naming_due_ = std::min(naming_due_, due);
        } else {
            named.add(key);
        }
    }
    wanted_.running = named.take();
}

std::optional<Instant> Duties::naming_due() const { return naming_due_ == Instant::max() ? std::nullopt : std::optional{naming_due_}; }

void Duties::set_running(const std::string& key, bool running, Instant now) {
    const bool changed = running ? running_.try_emplace(key, now).second : running_.erase(key) > 0;
    running_stale_ = running_stale_ || (changed && !claims_.owns(take_apart(key).first));
}

// Before its acknowledgement is written a node fires nothing by an epoch: a successor takes an owner that never acknowledged for one that
// never fired.
void Duties::open_acknowledged() {
    if (written_.epoch < claims_.epoch()) return;
    for (auto& opening : owed_.take_openings(written_.revision)) timetable_.open(std::move(opening.task), opening.floor, opening.limit);
}

void Duties::put_task(TaskPointer task) {
    const TaskPointer* found = tasks_.find(task->id);
    if (found == nullptr) {
        if (retired_) return;
        if (task->created_revision > written_.revision) {
            pending_tasks_.insert_or_assign(task->id, task);
            pending_.push_back({std::move(task)});
            return;
        }
        tasks_.put(task);
        return apply(claims_.put_task(*task));
    }
    const TaskPointer before = *found;
    const bool moves = !ring::same_place(*before, *task);
    if (!moves && before->enabled == task->enabled && before->effective_from == task->effective_from) {
        timetable_.amend(*before, task);
        owed_.amend(before, task);
        if (!retired_) claims_.amend(*task);
        tasks_.put(std::move(task));
        return;
    }
    end_earlier(task->id, task::tenure_end(*task));
    if (moves) return move(before, task);
    supersede(before, task::tenure_end(*task), task);
    tasks_.put(task);
    if (!retired_) apply(claims_.put_task(*task));
}

// What was superseded before is in force no longer than that: a task may be disabled before its next version is in force.
void Duties::end_earlier(const std::string& task_id, Instant until) {
    const auto versions = earlier_.find(task_id);
    if (versions == earlier_.end()) return;
    for (auto& earlier : versions->second) {
        if (earlier.until <= until) continue;
        earlier.until = until;
        timetable_.limit(*earlier.task, until);
        owed_.supersede(earlier.task, until, nullptr);
    }
}

// `before` is in force up to `until`; `next` takes its streams over, if it is given.
void Duties::supersede(const TaskPointer& before, Instant until, const TaskPointer& next) {
    if (!retired_ && before->enabled && until > before->effective_from) {
        earlier_[before->id].push_back({before, until});
        claims_.supersede(*before);
    }
    timetable_.supersede(*before, until, next);
    owed_.supersede(before, until, next);
}

// Other targets, labels or mutex: as if `before` ended, and `task` were another task.
void Duties::move(const TaskPointer& before, const TaskPointer& task) {
    const Instant fired_until = timetable_.taken_until(*before).value_or(Instant{});
    const bool late = fired_until > task->effective_from && before->enabled;
    supersede(before, task::tenure_end(*task), nullptr);
    tasks_.put(task);
    if (retired_) return;
    if (late) {
        if (wanted_.late.size() < ring::kMaxLateMoves) {
            wanted_.late.push_back({task->revision, task->revision, fired_until, task->id});
        } else {
            auto& last = wanted_.late.back();
            last = {last.from, task->revision, std::max(last.at, fired_until), {}};
        }
    }
    apply(claims_.move_task(*task, *before, late ? fired_until : Instant{}));
    moves_until_ = std::max(moves_until_, task->effective_from);
}

void Duties::erase_task(const std::string& task_id, Instant at) {
    const TaskPointer* found = tasks_.find(task_id);
    if (found == nullptr) {
        if (const auto pending = pending_tasks_.find(task_id); pending != pending_tasks_.end()) pending_.push_back({pending->second, at});
        return;
    }
    const TaskPointer task = *found;
    end_earlier(task_id, at);
    supersede(task, at, nullptr);
    claims_.erase_task(task_id);
    tasks_.erase(task_id);
}

// Nobody can owe fires of a version that ended so long ago, once no transition is in progress.
void Duties::forget_earlier(Instant now) {
    if (now < forgotten_at_ + kForgetPeriod || claims_.taking_over() || !claims_.allocation().previous.empty()) return;
    forgotten_at_ = now;
    std::erase_if(wanted_.late, [now](const ring::LateMove& move) { return move.at + task::kSupersededKept < now; });
    const Instant before = now - task::kSupersededKept;
    owed_.forget_taken(before);
    for (auto entry = earlier_.begin(); entry != earlier_.end();) {
        std::erase_if(entry->second, [&](const Earlier& earlier) {
            if (earlier.until >= before) return false;
            claims_.erase_task(version_key(*earlier.task));
            return true;
        });
        entry = entry->second.empty() ? earlier_.erase(entry) : std::next(entry);
    }
}

void Duties::set_catalog_revision(std::int64_t revision) {
    catalog_revision_ = std::max(catalog_revision_, revision);
    wanted_.revision = catalog_revision_;
    try_resolve();
}

// The highest horizon that may stand in ZooKeeper.
Instant Duties::horizon_bound() const { return std::max(written_.horizon, in_flight_ ? in_flight_->horizon : Instant{}); }

void Duties::observe(const ring::Allocation& allocation, Instant now) {
    if (retired_) return;
    const std::int64_t before = claims_.epoch();
    claims_.hear_of_versions(horizons_);
    if (allocation.epoch >= before && allocation.settled_up_to(before) && !wanted_.handovers.empty()) {
        // A version that comes now finds nothing of what was handed over: the new owners answer for it.
        timetable_.finish_parked([this](const task::Task& task) { return !claims_.owns(task.id); });
        wanted_.handovers.clear();  // goes out with the next write
    }
    apply(claims_.observe(allocation, horizon_bound(), written_.revision, now));
    if (claims_.epoch() > before) {
        wanted_.epoch = claims_.epoch();
        if (std::exchange(member_, claims_.member()) < claims_.member()) wanted_.since = claims_.epoch();
        wanted_.horizon = std::max(wanted_.horizon, claims_.handover());
        wanted_.handovers.push_back({claims_.epoch(), claims_.handover(), written_.revision});
    }
    try_resolve();
}

void Duties::set_horizons(Claims::Horizons horizons) {
    horizons_ = std::move(horizons);
    try_resolve();
}

void Duties::try_resolve() {
    if (retired_) return;
    apply(claims_.resolve(horizons_, catalog_revision_));
    if (!claims_.taking_over() && pending_.empty() && claims_.heard_of_all(horizons_) &&
        catalog_revision_ >= claims_.needed_revision(horizons_))
        wanted_.resumed = claims_.epoch();
}

Instant Duties::done(std::optional<Instant> earliest_unstarted) const {
    Instant done = written_.horizon;
    if (const auto due = timetable_.next_due()) done = std::min(done, *due - kTick);
    done = std::min(done, owed_.after());  // not with the runner yet
    // The very write that admits these says already that they may be fired.
    for (const auto& [task, erased_at] : pending_) done = std::min(done, task->effective_from);
    if (earliest_unstarted) done = std::min(done, *earliest_unstarted - kTick);
    if (const auto limit = claims_.done_limit(horizons_, wanted_.resumed == claims_.epoch())) done = std::min(done, *limit);
    return done;
}

std::optional<ring::HorizonRecord> Duties::next_write(Instant now, std::optional<Instant> earliest_unstarted) {
    if (retired_ || in_flight_) return std::nullopt;
    forget_earlier(now);
    name_running(now);
    const auto due = timetable_.next_due();
    // Not only when the next fire lies beyond the horizon: the one after it may be due before its write is acknowledged.
    const Instant soon = now + options_.lead();
    if (due && *due <= soon && wanted_.horizon < soon) wanted_.horizon = now + options_.horizon;

    ring::HorizonRecord next = wanted_;
    next.done = done(earliest_unstarted);
    const bool acknowledges = next.epoch != written_.epoch || next.resumed != written_.resumed || next.revision != written_.revision;
    const bool raises = next.horizon > written_.horizon;
    const bool reports_done = next.done != written_.done && now >= written_at_ + kDonePeriod;
    // A begin must be known before the owner's next fire; an end may wait for others.
    const bool began = !std::includes(written_.running.begin(), written_.running.end(), next.running.begin(), next.running.end());
    const bool ended = next.running != written_.running && now >= written_at_ + kEndsPeriod;
    if (!acknowledges && !raises && !reports_done && !began && !ended) return std::nullopt;
    written_at_ = now;
    in_flight_ = next;
    return next;
}

void Duties::written() {
    CLOUDTASK_CHECK(in_flight_.has_value(), "a write is acknowledged that was not made");
    written_ = std::move(*in_flight_);
    in_flight_.reset();
    open_acknowledged();
    // What is newer still waits on.
    pending_tasks_.clear();
    for (auto& [task, erased_at] : std::exchange(pending_, {})) {
        if (erased_at) {
            erase_task(task->id, *erased_at);
        } else {
            put_task(task);
        }
    }
    set_catalog_revision(catalog_revision_);
}

void Duties::not_written() { in_flight_.reset(); }

void Duties::retire() {
    retired_ = true;
    in_flight_.reset();
    pending_.clear();
    pending_tasks_.clear();
    owed_.drop_openings();
    if (!beyond_horizon_) timetable_.limit_all(written_.horizon);
}

void Duties::fire_beyond_horizon(bool beyond) { beyond_horizon_ = beyond; }

void Duties::keep_to_horizon() {
    beyond_horizon_ = false;
    timetable_.limit_all(written_.horizon);
}

std::optional<Fire> Duties::take(Instant until) {
    auto fire = timetable_.take(beyond_horizon_ ? until : std::min(until, written_.horizon));
    if (!fire) return fire;
    fire->epoch = written_.epoch;
    if (!beyond_horizon_) fire->permitted_until = std::min(fire->permitted_until, written_.horizon);
    return fire;
}

std::vector<UncertainFires> Duties::take_uncertain() {
    // As with fires: a successor takes an owner that never acknowledged for one that has settled nothing.
    if (written_.epoch < claims_.epoch()) return {};
    return owed_.take_uncertain();
}

bool Duties::handed_over(Instant now) const {
    // What ZooKeeper does not know as started, the successors would have to report as uncertain.
    const bool told = written_.handovers.empty() || written_.done >= written_.handovers.back().at;
    // A node in the chain that has not taken over what it gained would be asked for bounds that it does not have.
    return claims_.owned_count() == 0 && !claims_.waiting() && timetable_.size() == 0 && written_.epoch == claims_.epoch() &&
           claims_.handover() <= now && told;
}

}  // namespace cloudtask::node
