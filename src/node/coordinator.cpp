// Coordinator: the node's duties over all its sessions. The catalog goes to each session's Duties, fires come from each.
#include "node/coordinator.h"

#include <algorithm>
#include <utility>

#include "cloudtask/core/log.h"
#include "node/coordinator_impl.h"
#include "node/run_keys.h"

namespace cloudtask::node {

Coordinator::Coordinator(Loop& loop, Random& random, zk::Client& client, CoordinatorOptions options, Hooks hooks)
    : impl_(std::make_shared<Impl>(loop, random, client, std::move(options), std::move(hooks))) {
    impl_->start();
}

Coordinator::~Coordinator() = default;

void Coordinator::put_task(TaskPointer task) {
    if (const TaskPointer* before = impl_->catalog.find(task->id)) impl_->past.superseded(*before, *task);
    impl_->each_duties([&task](Duties& duties) { duties.put_task(task); });
    impl_->catalog.put(std::move(task));
}

void Coordinator::erase_task(const std::string& task_id, Instant at) {
    const TaskPointer* found = impl_->catalog.find(task_id);
    if (found == nullptr) return;
    const TaskPointer task = *found;
    impl_->past.erased(task, at);
    impl_->each_duties([&](Duties& duties) { duties.erase_task(task_id, at); });
    impl_->catalog.erase(task->id);
}

void Coordinator::set_catalog_revision(std::int64_t revision) {
    const bool went_back = impl_->catalog_revision && revision < *impl_->catalog_revision;
    const bool changed = std::exchange(impl_->catalog_revision, revision) != revision;
    if (went_back && impl_->duties) {
        log::warn("the center's catalog went back to revision {}, as after a restore: this node begins anew by that", revision);
        return impl_->client.renew();  // what an incarnation has said to know it cannot take back
    }
    if (impl_->duties) impl_->duties->set_catalog_revision(revision);
    const bool waits_outside = !impl_->member && !impl_->cordoned && !impl_->departing;
    if (changed && impl_->registration && waits_outside) impl_->registration->update(ring::write_registration(impl_->describe()));
    impl_->try_register();
    impl_->changed();
}

std::optional<Fire> Coordinator::take(Instant until) {
    std::optional<Fire> fire;
    impl_->each_duties([&](Duties& duties) {
        if (!fire) fire = duties.take(until);
    });
    if (!fire) impl_->drop_finished();
    return fire;
}

std::optional<Instant> Coordinator::next_due() const {
    std::optional<Instant> earliest;
    impl_->each_duties([&earliest](const Duties& duties) {
        if (const auto due = duties.next_due()) earliest = std::min(earliest.value_or(*due), *due);
    });
    return earliest;
}

void Coordinator::skip_until(const std::string& task_id, Instant until) {
    impl_->each_duties([&](Duties& duties) { duties.skip_until(task_id, until); });
}

std::vector<UncertainFires> Coordinator::take_uncertain() {
    std::vector<UncertainFires> all;
    impl_->each_duties([&all](Duties& duties) {
        for (auto& uncertain : duties.take_uncertain()) all.push_back(std::move(uncertain));
    });
    return all;
}

void Coordinator::started() { impl_->pump(); }

void Coordinator::set_running(const std::string& key, bool running) {
    const Instant now = impl_->loop.clock().now();
    if (running) {
        impl_->running.try_emplace(key, now);
    } else {
        impl_->running.erase(key);
    }
    if (!impl_->duties) return;
    impl_->duties->set_running(key, running, now);
    if (!impl_->duties->owns(take_apart(key).first)) impl_->pump();
}

std::string Coordinator::running_elsewhere(const std::string& name) const {
    return impl_->neighbours ? impl_->neighbours->running(name) : std::string{};
}

bool Coordinator::unsettled(const std::string& task_id) const { return impl_->duties && impl_->duties->unsettled(task_id); }

bool Coordinator::owns(const std::string& task_id) const { return impl_->duties && impl_->duties->owns(task_id); }

bool Coordinator::recall(const ring::Memory& past) {
    if (past.epoch <= impl_->memory.epoch) return false;
    impl_->memory = past;
    return true;
}

const std::string& Coordinator::incarnation() const { return impl_->incarnation; }
std::int64_t Coordinator::epoch() const { return std::max(impl_->duties ? impl_->duties->epoch() : 0, impl_->memory.epoch); }
std::size_t Coordinator::owned_count() const { return impl_->duties ? impl_->duties->owned_count() : 0; }
bool Coordinator::registered() const { return impl_->registered; }
bool Coordinator::took_part() const {
    Impl& i = *impl_;
    i.took_part = i.took_part || (i.duties && i.registered && (i.member || i.cordoned) && !i.duties->waiting());
    return i.took_part;
}
bool Coordinator::leading() const { return impl_->election && impl_->election->leading(); }

void Coordinator::set_cordoned(bool cordoned) {
    if (std::exchange(impl_->cordoned, cordoned) == cordoned) return;
    log::info("{}",
              cordoned ? "cordoned: this node hands its tasks over and takes no others" : "no longer cordoned: this node takes part again");
    impl_->announce();
}

bool Coordinator::cordoned() const { return impl_->cordoned; }
bool Coordinator::handed_over() const { return !impl_->member && impl_->handed_over(); }

void Coordinator::leave(std::function<void()> done) {
    for (const auto& earlier : impl_->retired) earlier->keep_to_horizon();
    if (impl_->duties) impl_->duties->fire_beyond_horizon(false);
    impl_->departing = true;
    impl_->on_left = std::move(done);
    impl_->announce();
    impl_->finish_leaving();
}

void Coordinator::leave_now() {
    if (impl_->on_left) std::exchange(impl_->on_left, nullptr)();
}

std::optional<Instant> Coordinator::settled_until() const {
    // Before this incarnation has taken over all that it gained, the fires of an earlier one of this node may still come to it.
    if (!impl_->duties || !impl_->retired.empty() || impl_->duties->waiting()) return std::nullopt;
    const ring::HorizonRecord& record = impl_->duties->record();
    const std::int64_t epoch = impl_->duties->epoch();
    if (epoch == 0 || record.epoch < epoch || record.resumed < epoch) return std::nullopt;
    return record.done < record.horizon ? record.done : Instant::max();
}

bool Coordinator::in_reach(const task::Task& task) const { return impl_->duties && impl_->duties->in_reach(task); }

}  // namespace cloudtask::node
