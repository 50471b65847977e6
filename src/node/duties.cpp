// Duties: claims, horizon and timetable as one state machine. Pure.
#include "node/duties.h"

#include <algorithm>

#include "cloudtask/core/check.h"

namespace cloudtask::node {

namespace {

constexpr Duration kTick{1};                                      // instants count microseconds
constexpr Duration kDonePeriod = std::chrono::seconds{1};         // `done` alone is written this often at the most
constexpr Duration kEndsPeriod = std::chrono::milliseconds{250};  // and so are the ends of runs that others wait for
constexpr std::size_t kMaxRunning = 4000;                         // named in a record: it has to fit into a znode

}  // namespace

Duties::Duties(std::string node_id, std::string incarnation, DutyOptions options)
    : options_(options), claims_(std::move(node_id), std::move(incarnation)) {}

void Duties::accept(const Gained& gained, bool opens) {
    const TaskPointer* found = tasks_.find(gained.task_id);
    CLOUDTASK_CHECK(found != nullptr, "a task is gained that was never put");
    const TaskPointer& task = *found;
    for (const auto& uncertain : gained.uncertain) {
        if (uncertain.ours) {
            // Our own journal knows what was started: what it does not know is fired, what it knows is refused as a repetition.
            openings_.push_back({task, uncertain.fires.after, uncertain.fires.until});
        } else {
            // The interval may have been worked out by an earlier version of the task.
            const Interval fires{std::max(uncertain.fires.after, task->effective_from), uncertain.fires.until};
            if (!fires.empty()) uncertain_.push_back({task, fires, uncertain.incarnation, uncertain.begun});
        }
    }
    if (opens) openings_.push_back({task, gained.floor});
}

void Duties::apply(const ClaimChanges& changes) {
    for (const auto& lost : changes.lost) {
        timetable_.limit(lost.task_id, lost.limit);
        for (auto& opening : openings_) {
            if (opening.task->id == lost.task_id) opening.limit = std::min(opening.limit, lost.limit);
        }
    }
    for (const auto& gained : changes.gained) accept(gained, true);
    for (const auto& gained : changes.uncertain_only) accept(gained, false);
    wanted_.horizon = std::max(wanted_.horizon, claims_.raise_to());
    wanted_.floor = claims_.raise_to();
    name_running();
    open_acknowledged();
}

// Runs of tasks that are another node's: their owners keep the overlap policy by them.
void Duties::name_running() {
    wanted_.running.clear();
    for (const auto& task_id : running_) {
        if (!claims_.owns(task_id) && wanted_.running.size() < kMaxRunning) wanted_.running.push_back(task_id);
    }
}

void Duties::set_running(const std::string& task_id, bool running) {
    const bool changed = running ? running_.insert(task_id).second : running_.erase(task_id) > 0;
    if (changed && !claims_.owns(task_id)) name_running();
}

// Before its acknowledgement is written a node fires nothing by an epoch: a successor takes an owner that never acknowledged for one that
// never fired.
void Duties::open_acknowledged() {
    if (written_.epoch < claims_.epoch()) return;
    for (auto& opening : openings_) timetable_.open(std::move(opening.task), opening.floor, opening.limit);
    openings_.clear();
}

void Duties::put_task(TaskPointer task) {
    if (retired_) {
        timetable_.replace(std::move(task));
        return;
    }
    const std::string id = task->id;
    if (task->created_revision > written_.revision) {
        pending_.put(std::move(task));
        return;
    }
    const TaskPointer* before = tasks_.find(id);
    // It moves at its effective_from, which is ahead, be it from this node to this node.
    const bool moves = before != nullptr && task->enabled && ((*before)->targets != task->targets || (*before)->labels != task->labels);
    const ClaimChanges changes = claims_.put_task(*task);
    // What moves away keeps its old version up to the limit.
    if (!changes.lost.empty()) apply(changes);
    tasks_.put(task);
    replace_openings(task);
    if (!changes.gained.empty()) {
        apply(changes);
    } else if (changes.lost.empty() && moves) {
        timetable_.succeed(task);
    } else if (changes.lost.empty()) {
        timetable_.replace(std::move(task));
    }
    try_resolve();
}

// As Timetable::replace() and succeed(), for what is not open yet.
void Duties::replace_openings(const TaskPointer& task) {
    std::vector<Opening> earlier;
    for (auto& opening : openings_) {
        if (opening.task->id != task->id) continue;
        const Instant from = task->effective_from;
        if (opening.limit <= from && task->enabled) continue;
        if (task->enabled && opening.floor < from) earlier.push_back({opening.task, opening.floor, from});
        opening = {task, std::max(opening.floor, from), opening.limit};
    }
    openings_.insert(openings_.end(), earlier.begin(), earlier.end());
}

void Duties::erase_task(const std::string& task_id) {
    claims_.erase_task(task_id);
    timetable_.close(task_id);
    std::erase_if(openings_, [&task_id](const Opening& opening) { return opening.task->id == task_id; });
    tasks_.erase(task_id);
    pending_.erase(task_id);
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
    apply(claims_.observe(allocation, horizon_bound(), now));
    if (claims_.epoch() > before) {
        wanted_.epoch = claims_.epoch();
        wanted_.horizon = std::max(wanted_.horizon, claims_.handover());
        wanted_.handovers.push_back({claims_.epoch(), claims_.handover(), written_.revision});
    } else if (allocation.previous.empty()) {
        wanted_.handovers.clear();  // goes out with the next write
    }
    try_resolve();
}

void Duties::set_horizons(Claims::Horizons horizons) {
    horizons_ = std::move(horizons);
    try_resolve();
}

void Duties::try_resolve() {
    if (retired_) return;
    apply(claims_.resolve(horizons_));
    if (!claims_.waiting() && pending_.empty() && claims_.heard_of_all(horizons_) &&
        catalog_revision_ >= claims_.needed_revision(horizons_))
        wanted_.resumed = claims_.epoch();
}

Instant Duties::done(std::optional<Instant> earliest_unstarted) const {
    Instant done = written_.horizon;
    if (const auto due = timetable_.next_due()) done = std::min(done, *due - kTick);
    for (const auto& opening : openings_) done = std::min(done, opening.floor);
    // The very write that admits these says already that they may be fired.
    for (const auto& task : pending_) done = std::min(done, task->effective_from);
    for (const auto& uncertain : uncertain_) done = std::min(done, uncertain.fires.after);  // not with the runner yet
    if (earliest_unstarted) done = std::min(done, *earliest_unstarted - kTick);
    if (const auto limit = claims_.done_limit(horizons_)) done = std::min(done, *limit);
    return done;
}

std::optional<ring::HorizonRecord> Duties::next_write(Instant now, std::optional<Instant> earliest_unstarted) {
    if (retired_ || in_flight_) return std::nullopt;
    const auto due = timetable_.next_due();
    // Not only when the next fire lies beyond the horizon: the one after it may be due before its write is acknowledged.
    const Instant soon = now + options_.horizon / 2;
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
    const auto admitted = std::move(pending_);
    pending_.clear();
    for (const auto& task : admitted) put_task(task);  // what is newer still waits on
    set_catalog_revision(catalog_revision_);
}

void Duties::not_written() { in_flight_.reset(); }

void Duties::retire() {
    retired_ = true;
    in_flight_.reset();
    pending_.clear();
    openings_.clear();
    if (!beyond_horizon_) timetable_.limit_all(written_.horizon);
}

void Duties::fire_beyond_horizon(bool beyond) { beyond_horizon_ = beyond; }

void Duties::keep_to_horizon() {
    beyond_horizon_ = false;
    timetable_.limit_all(written_.horizon);
}

std::optional<Fire> Duties::take(Instant until) {
    auto fire = timetable_.take(beyond_horizon_ ? until : std::min(until, written_.horizon));
    if (fire && !beyond_horizon_) fire->permitted_until = std::min(fire->permitted_until, written_.horizon);
    return fire;
}

std::vector<UncertainFires> Duties::take_uncertain() {
    // As with fires: a successor takes an owner that never acknowledged for one that has settled nothing.
    if (written_.epoch < claims_.epoch()) return {};
    return std::exchange(uncertain_, {});
}

bool Duties::handed_over(Instant now) const {
    // What ZooKeeper does not know as started, the successors would have to report as uncertain.
    const bool told = written_.handovers.empty() || written_.done >= written_.handovers.back().at;
    // A node in the chain that has not taken over what it gained would be asked for bounds that it does not have.
    return claims_.owned_count() == 0 && !claims_.waiting() && timetable_.size() == 0 && written_.epoch == claims_.epoch() &&
           claims_.handover() <= now && told;
}

}  // namespace cloudtask::node
