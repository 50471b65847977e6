// Coordinator: sessions come and go; each gets an incarnation, a horizon record and, once the catalog is there, a place in the ring.
#include "node/coordinator.h"

#include <algorithm>
#include <set>

#include "cloudtask/core/hash.h"
#include "cloudtask/core/log.h"
#include "cloudtask/core/version.h"
#include "cloudtask/zk/recipes.h"
#include "node/allocator_task.h"
#include "node/catalog_past.h"
#include "node/neighbours.h"

namespace cloudtask::node {

namespace {

constexpr Duration kPulse = std::chrono::seconds{1};  // how often the record is looked at when nothing else calls for it
constexpr Duration kRetry = std::chrono::milliseconds{200};
constexpr Duration kSkewRetry = std::chrono::seconds{10};
constexpr Duration kLeaveCheck = std::chrono::milliseconds{100};
constexpr Duration kRememberPeriod = std::chrono::seconds{30};

}  // namespace

struct Coordinator::Impl : std::enable_shared_from_this<Impl> {
    Loop& loop;
    Random& random;
    zk::Client& client;
    CoordinatorOptions options;
    Hooks hooks;
    const std::string runtime_path;

    TaskIndex catalog;
    CatalogPast past;
    std::optional<std::int64_t> catalog_revision;  // nothing before the first one is known; 0: a center without tasks

    // --- of the present session
    std::string incarnation;  // the last one while there is no session; at first one that reports are told apart by
    std::uint64_t generation = 0;
    std::unique_ptr<Duties> duties;  // null between sessions
    std::int32_t record_version = 0;
    bool record_made = false;
    // Both clocks of this machine at one moment.
    struct Moment {
        Instant wall{};
        SteadyInstant steady{};
    };
    std::optional<Moment> record_asked;  // when this session first asked for its record to be made
    bool registered = false;
    Moment agreement;  // when the clock was last found to agree with ZooKeeper's
    std::unique_ptr<zk::Mirror> revision, allocation;
    std::unique_ptr<zk::Registration> registration;
    std::unique_ptr<zk::Election> election;
    std::unique_ptr<AllocatorTask> allocator;
    std::unique_ptr<Neighbours> neighbours;
    Timer session_timer, pulse, leave_check;

    std::vector<std::unique_ptr<Duties>> retired;
    std::set<std::string> running;  // ids of the tasks that have runs here
    ring::Memory memory;
    zk::Client::Subscription subscription;
    bool member = false;  // of the ring, as the allocation was last seen
    bool took_part = false;
    bool cordoned = false;
    bool departing = false;  // for good: no session registers any more
    std::function<void()> on_left;

    Impl(Loop& l, Random& r, zk::Client& c, CoordinatorOptions o, Hooks h)
        : loop(l),
          random(r),
          client(c),
          options(std::move(o)),
          hooks(std::move(h)),
          runtime_path("/runtimes/" + options.runtime),
          incarnation(new_incarnation()) {}

    std::string new_incarnation() const {
        const std::uint64_t unique = random.next();
        return options.node_id + "." + to_hex({reinterpret_cast<const char*>(&unique), sizeof unique});
    }

    void start() {
        subscription = client.subscribe({
            [this](zk::Keeper& keeper, std::uint64_t number) { begin_session(keeper, number); },
            [this](bool connected) { contact_changed(connected); },
            [this](std::uint64_t) { end_session(); },
        });
    }

    // --- sessions

    void contact_changed(bool connected) {
        const bool go_on = options.on_loss == OnZookeeperLoss::go_on;
        log::info("ZooKeeper: {}", connected ? "in contact"
                                   : go_on   ? "contact lost; fires go on, and other nodes may start the same"
                                             : "contact lost; fires go on up to the horizon");
        if (!go_on || !duties) return;
        duties->fire_beyond_horizon(!connected);
        hooks.duties_changed();
    }

    void begin_session(zk::Keeper& keeper, std::uint64_t number) {
        loop.assert_on_loop();
        generation = number;
        incarnation = new_incarnation();
        record_asked.reset();
        for (const auto& earlier : retired) earlier->keep_to_horizon();
        duties = std::make_unique<Duties>(options.node_id, incarnation, options.duties);
        for (const auto& task_id : running) duties->set_running(task_id, true);
        past.each(loop.clock().now(), [this](const CatalogPast::Entry& entry) {
            if (entry.erased_at) {
                duties->erase_task(entry.task->id, *entry.erased_at);
            } else {
                duties->put_task(entry.task);
            }
        });
        for (const auto& task : catalog) duties->put_task(task);
        duties->set_catalog_revision(catalog_revision.value_or(0));
        log::info("ZooKeeper: session {:#x}, incarnation {}", keeper.session_id(), incarnation);
        make_folders(0);
    }

    void end_session() {
        log::warn("ZooKeeper: the session is over; what incarnation {} had claimed is still started", incarnation);
        session_timer.cancel();
        pulse.cancel();
        // In the order of dependence: the allocator uses the election and the mirror.
        allocator.reset();
        election.reset();
        registration.reset();
        neighbours.reset();
        allocation.reset();
        revision.reset();
        registered = record_made = member = false;
        if (duties) {
            duties->retire();
            retired.push_back(std::move(duties));
        }
        hooks.duties_changed();
    }

    // Runs `function` later in this session, if it lasts.
    void later(Duration delay, std::function<void()> function) { session_timer = loop.after(delay, std::move(function)); }

    void make_folders(std::size_t index) {
        static constexpr const char* kFolders[] = {"/nodes", "/election", "/horizons"};
        zk::Keeper* keeper = client.keeper();
        if (keeper == nullptr) return;
        if (index == std::size(kFolders)) {
            watch();
            return;
        }
        zk::make_path(loop, *keeper, runtime_path + kFolders[index], [weak = weak_from_this(), index, now = generation](Result<> made) {
            const auto self = weak.lock();
            if (!self || self->generation != now || !self->duties) return;
            if (made) return self->make_folders(index + 1);
            log::warn("ZooKeeper: {}", made.error().message);
            self->later(kRetry, [self = self.get()] { self->make_folders(0); });
        });
    }

    void watch() {
        neighbours = std::make_unique<Neighbours>(loop, client, runtime_path, incarnation, [this](Claims::Horizons records) {
            if (!duties) return;
            duties->set_horizons(std::move(records));
            changed();
        });
        revision = std::make_unique<zk::Mirror>(loop, client, runtime_path + "/revision", [this](const std::optional<zk::Znode>& znode) {
            const std::int64_t published = published_revision(znode);
            if (published > 0) hooks.revision_published(published);
            if (allocator) allocator->consider();
            try_register();
        });
        allocation =
            std::make_unique<zk::Mirror>(loop, client, runtime_path + "/allocation", [this](const auto&) { allocation_changed(); });
    }

    // The node takes part once its catalog is as new as what the centers have published: before that it would gain tasks that it does not
    // know.
    void try_register() {
        if (!duties || registration || !revision || !revision->complete() || departing) return;
        if (!catalog_revision || *catalog_revision < published_revision(revision->value())) return;
        if (!record_made) return make_record();

        registration = std::make_unique<zk::Registration>(
            loop, client, runtime_path + "/nodes", options.node_id,
            zk::Registration::Hooks{
                [this] { return ring::write_registration(describe()); },
                [this](std::uint64_t) {
                    registered = true;
                    log::info("registered in runtime {}", options.runtime);
                    stand_for_election();
                    changed();
                },
                [this](zk::Keeper& keeper, std::string ghost, std::function<void(Result<std::vector<zk::Op>>)> proceed) {
                    seal_ghost(keeper, ghost, std::move(proceed));
                },
                [this] {
                    log::error("another process runs as node {} with its data folder; this one starts over", options.node_id);
                    client.renew();
                },
            });
    }

    ring::Registration describe() const {
        return {{options.node_id, incarnation, options.name, options.labels, options.weight},
                std::string{kVersion},
                options.address,
                cordoned || departing,
                memory,
                catalog_revision.value_or(0)};
    }

    // Whether this node wants to be in the ring has changed. The registration writes only to the znode of its own session; a later session
    // begins with what holds by then.
    void announce() {
        if (!registration || !duties) return;
        registration->update(ring::write_registration(describe()));
        changed();
    }

    bool handed_over() const {
        const bool all_finished = std::all_of(retired.begin(), retired.end(), [](const auto& old) { return old->finished(); });
        return all_finished && (!registered || duties->handed_over(loop.clock().now()));
    }

    // An earlier incarnation of this node whose session lingers: its record is sealed in the same transaction that takes its place, so that
    // no write of it can land afterwards even if its process lives.
    // No place is taken without the seal, unless there is nothing to seal: what cannot be read is read again, and at the latest when the
    // ghost's session is over there is no ghost any more.
    void seal_ghost(zk::Keeper& keeper, const std::string& ghost, std::function<void(Result<std::vector<zk::Op>>)> proceed) {
        const auto earlier = ring::read_registration(ghost);
        if (!earlier) return proceed(propagate(earlier));
        const std::string path = runtime_path + "/horizons/" + earlier->member.incarnation;
        keeper.get(path, {}, [path, proceed = std::move(proceed)](Result<zk::Znode> read) {
            if (!read && read.error().is(zk::Errc::no_node)) return proceed(std::vector<zk::Op>{});
            if (!read) return proceed(propagate(read));
            auto record = ring::read_horizon(read->data);
            if (!record) return proceed(propagate(record));
            record->sealed = true;
            proceed(std::vector{zk::Op::set(path, ring::write_horizon(*record), read->stat.version)});
        });
    }

    void stand_for_election() {
        if (election) return;
        election = std::make_unique<zk::Election>(loop, client, runtime_path + "/election", options.node_id, [this](bool leading) {
            log::info("{} the allocator of runtime {}", leading ? "leads as" : "is not", options.runtime);
            allocator.reset();
            if (leading)
                allocator = std::make_unique<AllocatorTask>(loop, client, *election, *allocation, *revision,
                                                            AllocatorOptions{runtime_path, options.join_debounce, longest_claim()});
        });
    }

    // How far beyond this machine's clock a claim that stands by now can reach: both clocks may be off, its owner's and ours.
    Duration longest_claim() const { return options.duties.horizon + 2 * options.max_clock_skew; }

    // --- the allocation and the other nodes' records

    // What is taken over and what is handed over is bounded by this machine's clock: before that was compared with ZooKeeper's, or after it
    // was set, no allocation is acknowledged.
    void allocation_changed() {
        if (!duties || !record_made) return;
        if (clock_has_stepped()) return distrust_clock();
        if (const auto& znode = allocation->value()) {
            const auto seen = ring::read_allocation(znode->data);
            if (seen && seen->epoch < duties->epoch()) {
                log::error("the allocation in ZooKeeper went back from epoch {} to {}: this node starts over", duties->epoch(),
                           seen->epoch);
                return client.renew();
            }
            if (seen) {
                member = std::any_of(seen->nodes.begin(), seen->nodes.end(),
                                     [this](const ring::Member& one) { return one.incarnation == incarnation; });
                duties->observe(*seen, loop.clock().now());
            } else {
                log::error("{}", seen.error().message);
            }
        }
        watch_neighbours();
        if (allocator) allocator->consider();
        changed();
    }

    void watch_neighbours() {
        if (!neighbours || !duties) return;
        const bool taking_over = duties->waiting() || duties->record().resumed < duties->epoch();
        neighbours->watch(duties->epoch() > 0 && (taking_over || duties->shares_tasks()));
    }

    // --- what is to be known after a restart

    void remember() {
        const Instant now = loop.clock().now();
        const std::int64_t epoch = duties->record().epoch;
        if (epoch < memory.epoch || (epoch == memory.epoch && now - memory.at < kRememberPeriod)) return;
        const bool higher = epoch > memory.epoch;
        memory = {epoch, now};
        if (higher && registration) registration->update(ring::write_registration(describe()));
        if (hooks.remember) hooks.remember(memory);
    }

    // --- the record

    std::string record_path() const { return runtime_path + "/horizons/" + incarnation; }

    void make_record() {
        zk::Keeper* keeper = client.keeper();
        if (keeper == nullptr) return;
        if (!record_asked) record_asked = present();
        ring::HorizonRecord first;
        first.running.assign(running.begin(), running.end());  // it owns nothing yet, so all of them count
        keeper->create(record_path(), ring::write_horizon(first), zk::CreateMode::persistent,
                       [weak = weak_from_this(), now = generation](Result<zk::Created> created) {
                           const auto self = weak.lock();
                           if (!self || self->generation != now || !self->duties) return;
                           // Its name is random: if it exists, an earlier try of ours made it.
                           if (!created && !created.error().is(zk::Errc::node_exists)) {
                               return self->later(kRetry, [self = self.get()] { self->try_register(); });
                           }
                           self->read_record();
                       });
    }

    // Learns the record's version and, from its time of making, whether the clocks agree.
    void read_record() {
        zk::Keeper* keeper = client.keeper();
        if (keeper == nullptr) return;
        keeper->get(record_path(), {}, [weak = weak_from_this(), now = generation](Result<zk::Znode> read) {
            const auto self = weak.lock();
            if (!self || self->generation != now || !self->duties || self->record_made) return;
            if (!read || !self->record_asked) return self->later(kRetry, [self = self.get()] { self->try_register(); });
            if (!self->clock_agrees(*self->record_asked, read->stat.mtime)) return self->ask_again_later();
            self->record_version = read->stat.version;
            self->record_made = true;
            self->allocation_changed();
            self->try_register();
        });
    }

    // The clocks did not agree: the record is made anew after a pause, since its time of making is what tells.
    void ask_again_later() {
        record_asked.reset();
        if (zk::Keeper* keeper = client.keeper()) keeper->erase(record_path(), zk::kAnyVersion, [](const Result<>&) {});
        later(kSkewRetry, [this] { try_register(); });
    }

    Moment present() const { return {loop.clock().now(), loop.clock().steady_now()}; }

    // Fire times are wall clock: a node whose clock is off would fire at the wrong time, and take over at the wrong time.
    // What is judged is the clock as it was at `asked`: it may have been set while the answer was on its way.
    bool clock_agrees(const Moment& asked, Instant server_time) {
        const Instant answered = asked.wall + (loop.clock().steady_now() - asked.steady);
        const Duration skew = server_time < asked.wall ? asked.wall - server_time
                              : server_time > answered ? server_time - answered
                                                       : Duration::zero();
        if (skew <= options.max_clock_skew) {
            agreement = asked;
            return true;
        }
        log::error(
            "the clock of this machine differs from ZooKeeper's by {} ms, more than the {} ms allowed: this node takes no part until it "
            "agrees",
            skew.count() / 1000, options.max_clock_skew.count() / 1000);
        return false;
    }

    // Since it last agreed with ZooKeeper's. A horizon that is raised by a wrong clock would claim what is far ahead.
    bool clock_has_stepped() const {
        const Duration wall = loop.clock().now() - agreement.wall;
        const Duration steady = loop.clock().steady_now() - agreement.steady;
        return (wall > steady ? wall - steady : steady - wall) > options.max_clock_skew;
    }

    void distrust_clock() {
        log::error("the clock of this machine was set to another time: this node claims nothing more before it has compared it anew");
        client.renew();
    }

    // Writes the record if there is something to say.
    void pump() {
        if (!duties || !registered) return;
        zk::Keeper* keeper = client.keeper();
        if (keeper == nullptr) return;
        const Instant now = loop.clock().now();
        if (clock_has_stepped()) return distrust_clock();
        if (auto record = duties->next_write(now, hooks.earliest_unstarted())) {
            write(*keeper, ring::write_horizon(*record));
        }
        arm_pulse(now);
    }

    void arm_pulse(Instant now) {
        Duration delay = kPulse;
        if (const auto due = duties->next_due()) {
            // While fires are near, often enough that the horizon is raised well before it is reached.
            const Instant raise_at = *due - options.duties.lead();
            delay = std::min(delay, raise_at > now ? raise_at - now : options.duties.horizon / 8);
        }
        pulse = loop.after(std::max(delay, Duration{std::chrono::milliseconds{1}}), [this] { pump(); });
    }

    void write(zk::Keeper& keeper, std::string text) {
        keeper.set(record_path(), text, record_version,
                   [weak = weak_from_this(), now = generation, text, asked = present()](Result<zk::Stat> stat) {
                       const auto self = weak.lock();
                       if (!self || self->generation != now || !self->duties) return;
                       if (stat) return self->record_written(stat->version, asked, stat->mtime);
                       if (stat.error().is(zk::Errc::session_expired) || stat.error().is(zk::Errc::closing)) return;  // end_session follows
                       self->find_out(text, asked);
                   });
    }

    void record_written(std::int32_t version, const Moment& asked, Instant server_time) {
        // A horizon that a wrong clock has raised stands in ZooKeeper now, for others to beware of; this node starts nothing by it.
        if (!clock_agrees(asked, server_time)) return client.renew();
        record_version = version;
        duties->written();
        remember();
        watch_neighbours();
        changed();
    }

    // The outcome of a write is not known: the record tells.
    void find_out(const std::string& text, const Moment& asked) {
        zk::Keeper* keeper = client.keeper();
        if (keeper == nullptr) return;
        keeper->get(record_path(), {}, [weak = weak_from_this(), now = generation, text, asked](Result<zk::Znode> read) {
            const auto self = weak.lock();
            if (!self || self->generation != now || !self->duties) return;
            if (read && read->data == text && read->stat.version == self->record_version + 1) {
                return self->record_written(read->stat.version, asked, read->stat.mtime);
            }
            if (read && read->stat.version == self->record_version) {
                self->duties->not_written();
                return self->later(kRetry, [self = self.get()] { self->pump(); });
            }
            if (read || read.error().is(zk::Errc::no_node)) {
                log::error("somebody else has written the horizon record of incarnation {}: it goes no further", self->incarnation);
                return self->client.renew();
            }
            self->later(kRetry, [self = self.get(), text, asked] { self->find_out(text, asked); });
        });
    }

    // --- what changed

    void changed() {
        // In this order: fires that are uncertain must be with the runner, which holds `done` back for them, before `done` is written.
        hooks.duties_changed();
        pump();
        finish_leaving();
    }

    // A leave is over when nothing is owned and nothing of what was claimed is left to start. That comes by the clock as well as by events.
    void finish_leaving() {
        if (!on_left) return;
        drop_finished();
        if (handed_over()) {
            leave_check.cancel();
            std::exchange(on_left, nullptr)();
        } else {
            leave_check = loop.after(kLeaveCheck, [this] { finish_leaving(); });
        }
    }

    void drop_finished() {
        std::erase_if(retired, [](const auto& old) { return old->finished(); });
    }

    template <class Action>
    void each_duties(Action action) {
        for (const auto& old : retired) action(*old);
        if (duties) action(*duties);
    }
};

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

void Coordinator::set_running(const std::string& task_id, bool running) {
    if (running) {
        impl_->running.insert(task_id);
    } else {
        impl_->running.erase(task_id);
    }
    if (!impl_->duties) return;
    impl_->duties->set_running(task_id, running);
    if (!impl_->duties->owns(task_id)) impl_->pump();
}

std::string Coordinator::running_elsewhere(const std::string& task_id) const {
    return impl_->neighbours ? impl_->neighbours->running(task_id) : std::string{};
}

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
