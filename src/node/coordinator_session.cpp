// Coordinator: sessions come and go; each gets an incarnation, a horizon record and, once the catalog is there, a place in the ring.
#include <algorithm>

#include "cloudtask/core/hash.h"
#include "cloudtask/core/log.h"
#include "cloudtask/core/version.h"
#include "node/coordinator_impl.h"

namespace cloudtask::node {

namespace {

constexpr Duration kLeaveCheck = std::chrono::milliseconds{100};
constexpr Duration kRememberPeriod = std::chrono::seconds{30};

}  // namespace

std::string Coordinator::Impl::new_incarnation() const {
    const std::uint64_t unique = random.next();
    return options.node_id + "." + to_hex({reinterpret_cast<const char*>(&unique), sizeof unique});
}

void Coordinator::Impl::start() {
    subscription = client.subscribe({
        [this](zk::Keeper& keeper, std::uint64_t number) { begin_session(keeper, number); },
        [this](bool connected) { contact_changed(connected); },
        [this](std::uint64_t) { end_session(); },
    });
}

void Coordinator::Impl::contact_changed(bool connected) {
    const bool go_on = options.on_loss == OnZookeeperLoss::go_on;
    log::info("ZooKeeper: {}", connected ? "in contact"
                               : go_on   ? "contact lost; fires go on, and other nodes may start the same"
                                         : "contact lost; fires go on up to the horizon");
    if (!go_on || !duties) return;
    duties->fire_beyond_horizon(!connected);
    hooks.duties_changed();
}

void Coordinator::Impl::begin_session(zk::Keeper& keeper, std::uint64_t number) {
    loop.assert_on_loop();
    generation = number;
    incarnation = new_incarnation();
    record_asked.reset();
    for (const auto& earlier : retired) earlier->keep_to_horizon();
    duties = std::make_unique<Duties>(options.node_id, incarnation, options.duties);
    for (const auto& [key, since] : running) duties->set_running(key, true, since);
    past.each([this](const CatalogPast::Entry& entry) {
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

void Coordinator::Impl::end_session() {
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

void Coordinator::Impl::make_folders(std::size_t index) {
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

void Coordinator::Impl::watch() {
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
    allocation = std::make_unique<zk::Mirror>(loop, client, runtime_path + "/allocation", [this](const auto&) { allocation_changed(); });
}

void Coordinator::Impl::try_register() {
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

ring::Registration Coordinator::Impl::describe() const {
    return {{options.node_id, incarnation, options.name, options.labels, options.weight},
            std::string{kVersion},
            options.address,
            cordoned || departing,
            memory,
            catalog_revision.value_or(0)};
}

void Coordinator::Impl::announce() {
    if (!registration || !duties) return;
    registration->update(ring::write_registration(describe()));
    changed();
}

bool Coordinator::Impl::handed_over() const {
    const bool all_finished = std::all_of(retired.begin(), retired.end(), [](const auto& old) { return old->finished(); });
    return all_finished && (!registered || duties->handed_over(loop.clock().now()));
}

void Coordinator::Impl::seal_ghost(zk::Keeper& keeper, const std::string& ghost, std::function<void(Result<std::vector<zk::Op>>)> proceed) {
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

void Coordinator::Impl::stand_for_election() {
    if (election) return;
    election = std::make_unique<zk::Election>(loop, client, runtime_path + "/election", options.node_id, [this](bool leading) {
        log::info("{} the allocator of runtime {}", leading ? "leads as" : "is not", options.runtime);
        allocator.reset();
        if (leading)
            allocator = std::make_unique<AllocatorTask>(loop, client, *election, *allocation, *revision,
                                                        AllocatorOptions{runtime_path, options.join_debounce, longest_claim()});
    });
}

void Coordinator::Impl::allocation_changed() {
    if (!duties || !record_made) return;
    if (clock_has_stepped()) return distrust_clock();
    if (const auto& znode = allocation->value()) {
        const auto seen = ring::read_allocation(znode->data);
        if (seen && seen->epoch < duties->epoch()) {
            log::error("the allocation in ZooKeeper went back from epoch {} to {}: this node starts over", duties->epoch(), seen->epoch);
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

void Coordinator::Impl::watch_neighbours() {
    if (!neighbours || !duties) return;
    const bool taking_over = duties->waiting() || duties->record().resumed < duties->epoch();
    neighbours->watch(duties->epoch() > 0 && (taking_over || duties->shares_tasks(loop.clock().now())));
}

void Coordinator::Impl::remember() {
    const Instant now = loop.clock().now();
    const std::int64_t epoch = duties->record().epoch;
    if (epoch < memory.epoch || (epoch == memory.epoch && now - memory.at < kRememberPeriod)) return;
    const bool higher = epoch > memory.epoch;
    memory = {epoch, now};
    if (higher && registration) registration->update(ring::write_registration(describe()));
    if (hooks.remember) hooks.remember(memory);
}

void Coordinator::Impl::changed() {
    // In this order: fires that are uncertain must be with the runner, which holds `done` back for them, before `done` is written.
    hooks.duties_changed();
    pump();
    finish_leaving();
}

void Coordinator::Impl::finish_leaving() {
    if (!on_left) return;
    drop_finished();
    if (handed_over()) {
        leave_check.cancel();
        std::exchange(on_left, nullptr)();
    } else {
        leave_check = loop.after(kLeaveCheck, [this] { finish_leaving(); });
    }
}

}  // namespace cloudtask::node
