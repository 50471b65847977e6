// NodeCore: see node_core.h.
#include "node/node_core.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>
#include <unordered_map>
#include <unordered_set>
#include <vector>

#include "cloudtask/core/log.h"
#include "cloudtask/task/networks.h"
#include "node/cordon.h"
#include "node/pieces.h"

namespace cloudtask::node {

namespace {

constexpr Duration kHousekeeping = std::chrono::seconds{5};
constexpr Duration kKeepEnded = std::chrono::minutes{1};  // the journal remembers ended runs for so long at least

// What an earlier process of this node left on disk.
struct Loaded {
    NodeStore::Catalog catalog;
    bool cordoned = false;
    std::vector<JournalEntry> unfinished;
    std::vector<KnownRun> runs;
    std::vector<std::string> command_ids;
    std::vector<KeptSecret> secrets;
    ring::Memory past;
};

// On the disk's worker.
Result<Loaded> load_from(NodeStore& from) {
    Loaded loaded;
    auto replica = from.load_catalog();
    if (!replica) return propagate(replica);
    loaded.catalog = std::move(*replica);
    const auto cordoned = from.load_cordoned();
    if (!cordoned) return propagate(cordoned);
    loaded.cordoned = *cordoned;
    auto unfinished = from.load_unfinished();
    if (!unfinished) return propagate(unfinished);
    loaded.unfinished = std::move(*unfinished);
    auto runs = from.load_runs();
    if (!runs) return propagate(runs);
    loaded.runs = std::move(*runs);
    auto command_ids = from.load_command_ids();
    if (!command_ids) return propagate(command_ids);
    loaded.command_ids = std::move(*command_ids);
    auto secrets = from.load_secrets();
    if (!secrets) return propagate(secrets);
    loaded.secrets = std::move(*secrets);
    const auto past = from.load_memory();
    if (!past) return propagate(past);
    loaded.past = *past;
    return loaded;
}

}  // namespace

struct NodeCore::Impl : std::enable_shared_from_this<Impl> {
    NodeParts parts;
    Pieces pieces;
    Runner runner;
    std::unique_ptr<Coordinator> coordinator;
    Cordon cordon;

    TaskIndex tasks;                          // the catalog replica, by pieces
    std::unordered_set<std::string> fetched;  // packages that are on disk
    std::unordered_set<std::string> fetching;
    std::int64_t fetched_in_epoch = 0;  // by which it was last decided what this node may come to need
    bool fetch_failed = false;          // since then
    std::int64_t catalog_revision = 0;
    Timer housekeeping_timer;
    bool halted = false;

    Impl(NodeParts p, CoordinatorOptions claims, RunnerOptions runs, std::function<void(std::int64_t)> revision_published)
        : parts(p),
          pieces({runs.node_id, runs.node_name}),
          runner(parts.loop, parts.scratch, parts.disk, parts.supervisor, parts.packages, std::move(runs)),
          coordinator(std::make_unique<Coordinator>(parts.loop, parts.random, parts.keeper, std::move(claims),
                                                    Coordinator::Hooks{
                                                        [this] { runner.duties_changed(); },
                                                        std::move(revision_published),
                                                        [this] { return runner.earliest_unstarted(); },
                                                        [this](const ring::Memory& memory) { remember(memory); },
                                                    })),
          cordon(parts.loop, parts.disk, *coordinator) {
        runner.set_coordinator(*coordinator);
    }

    // --- start

    void load(std::function<void(Result<>)> done) {
        parts.disk.run<Loaded>(load_from, [weak = weak_from_this(), done = std::move(done)](Result<Loaded> loaded) {
            const auto self = weak.lock();
            if (!self || self->halted) return;
            if (!loaded) return done(propagate(loaded));
            self->take_up(std::move(*loaded));
            done({});
        });
    }

    void take_up(Loaded loaded) {
        set_networks(loaded.catalog.networks);  // before anything begins
        coordinator->recall(loaded.past);
        std::map<std::string, std::string> with_runs;  // by what they are counted by: the task
        for (const auto& entry : loaded.unfinished) with_runs.emplace(task::placed_id(entry.run), entry.run.task_id);
        runner.secrets().load(loaded.secrets);
        runner.recover(std::move(loaded.unfinished), loaded.runs, loaded.command_ids);
        coordinator->set_cordoned(loaded.cordoned);  // before there is a session, so that none ever takes part
        put_loaded(std::move(loaded.catalog.tasks), loaded.catalog.deleted);
        catalog_revision = loaded.catalog.revision;
        for (const auto& [id, task_id] : with_runs) {
            // Deleted so long ago that the replica has nothing of it: no further attempt begins.
            if (catalog_revision > 0 && tasks.find(id) == nullptr && !knows(task_id)) runner.erase_task(id);
        }
        // 0 on disk: never synchronised. What the center holds, be it nothing, has to be heard first.
        if (catalog_revision > 0) coordinator->set_catalog_revision(catalog_revision);
    }

    // What was disabled for a while, or is deleted, was told of then: what waits now began to wait after that.
    void put_loaded(std::vector<task::Task> versions, const std::vector<DeletedTask>& deleted) {
        std::unordered_map<std::string, std::size_t> last;
        for (std::size_t i = 0; i < versions.size(); ++i) last.insert_or_assign(versions[i].id, i);
        for (const auto& one : deleted) last.erase(one.id);
        for (std::size_t i = 0; i < versions.size(); ++i) {
            const auto newest = last.find(versions[i].id);
            put_task(std::move(versions[i]), newest == last.end() || newest->second != i);
        }
        for (const auto& one : deleted) erase_task(one);
    }

    // --- the past

    void remember(const ring::Memory& memory) {
        parts.disk.run<bool>(
            [memory](NodeStore& store) -> Result<bool> {
                if (const auto kept = store.remember(memory); !kept) return propagate(kept);
                return true;
            },
            [](const Result<bool>& kept) {
                if (!kept) log::warn("the runtime's epoch could not be kept: {}", kept.error().message);
            });
    }

    void recall(const ring::Memory& past) {
        if (coordinator->recall(past)) remember(past);
    }

    // --- the catalog

    // As a task, or as one of pieces.
    bool knows(const std::string& id) const { return tasks.find(id) != nullptr || pieces.knows(id); }

    // `superseded`: a later version follows, and this one may be known already.
    void put_task(task::Task definition, bool superseded = false) {
        const TaskPointer* single = tasks.find(definition.id);
        if (!pieces.concerns(definition)) {
            if (superseded && single != nullptr && (*single)->version >= definition.version) return;
            return put_piece(std::move(definition), superseded);
        }
        const task::Task* known = pieces.find(definition.id);
        if (known == nullptr && single != nullptr) known = single->get();
        if (superseded && known != nullptr && known->version >= definition.version) return;
        for (auto& piece : pieces.put(definition, single)) {
            const bool before = piece.version < definition.version;
            put_piece(std::move(piece), superseded || before);
        }
    }

    void put_piece(task::Task definition, bool superseded) {
        auto task = std::make_shared<const task::Task>(std::move(definition));
        // What is disabled and enabled again in one answer was never disabled here.
        if (!superseded) runner.put_task(task);
        coordinator->put_task(task);
        tasks.put(std::move(task));
    }

    void erase_task(const DeletedTask& deleted) {
        std::vector<std::string> ids = pieces.erase(deleted.id);
        if (ids.empty()) ids.push_back(deleted.id);
        for (const auto& id : ids) {
            coordinator->erase_task(id, deleted.at);
            runner.erase_task(id);
            tasks.erase(id);
        }
    }

    // Null: those that calls may go to by default.
    void set_networks(std::shared_ptr<const task::NetworkRules> networks) {
        runner.set_networks(networks ? std::move(networks) : std::make_shared<const task::NetworkRules>());
    }

    void apply(CatalogChange change) {
        std::unordered_set<std::string> deleted_ids;
        for (const auto& one : change.deleted) deleted_ids.insert(one.id);
        if (change.full && !tasks.empty()) {
            // Deleted before: what they owed was dealt with then.
            std::erase_if(change.tasks, [&](const task::Task& task) { return deleted_ids.contains(task.id) && !knows(task.id); });
        }
        if (change.full) {
            std::unordered_set<std::string> named;
            for (const auto& task : change.tasks) named.insert(task.id);
            for (const auto& deleted : change.deleted) named.insert(deleted.id);
            // The center does not say when they went. As of its newest news they were not there.
            const Instant newest = newest_instant(change);
            std::set<std::string> gone;
            for (const auto& task : tasks) {
                if (const auto& id = task::definition_id(*task); !named.contains(id)) gone.insert(id);
            }
            for (const auto& id : gone) erase_task({id, newest});
        }
        for (std::size_t i = 0; i < change.tasks.size(); ++i) {
            // Of a deleted task the last version is not sent if it was never in force.
            const bool superseded =
                (i + 1 < change.tasks.size() && change.tasks[i + 1].id == change.tasks[i].id) || deleted_ids.contains(change.tasks[i].id);
            put_task(std::move(change.tasks[i]), superseded);
        }
        for (const auto& deleted : change.deleted) erase_task(deleted);
        fetch_ahead();
    }

    // The packages of tasks that this node owns, or would own if their owner went away, are fetched before they are needed.
    void fetch_ahead() {
        fetched_in_epoch = coordinator->epoch();
        fetch_failed = false;
        for (const auto& task : tasks) {
            const std::string& sha256 = task->package;
            if (sha256.empty() || fetched.contains(sha256) || fetching.contains(sha256) || !coordinator->in_reach(*task)) continue;
            fetching.insert(sha256);
            parts.packages.ensure(sha256, [weak = weak_from_this(), sha256](const Result<>& result) {
                const auto self = weak.lock();
                if (!self) return;
                self->fetching.erase(sha256);
                if (result) {
                    self->fetched.insert(sha256);
                } else {
                    self->fetch_failed = true;
                    log::warn("package {} cannot be had yet: {}", sha256, result.error().message);
                }
            });
        }
    }

    // --- housekeeping

    void keep_house() {
        if (halted) return;
        // A look at every task costs too much to be had every few seconds for nothing.
        if (coordinator->epoch() != fetched_in_epoch || fetch_failed) fetch_ahead();
        forget_ended();
        housekeeping_timer = parts.loop.after(kHousekeeping, [this] { keep_house(); });
    }

    // Ended and delivered runs leave the journal once no earlier incarnation's claims can bring them up again.
    void forget_ended() {
        const auto settled = coordinator->settled_until();
        if (!settled) return;
        const Instant before = std::min(*settled, parts.loop.clock().now() - kKeepEnded);
        parts.disk.run<NodeStore::Forgotten>([before](NodeStore& from) { return from.forget_before(before); },
                                             [weak = weak_from_this()](const Result<NodeStore::Forgotten>& forgotten) {
                                                 const auto self = weak.lock();
                                                 if (!self || !forgotten || (forgotten->runs.empty() && forgotten->commands.empty()))
                                                     return;
                                                 self->runner.forget(*forgotten);
                                                 self->forget_ended();  // a call forgets a bounded number
                                             });
    }
};

NodeCore::NodeCore(NodeParts parts, CoordinatorOptions claims, RunnerOptions runs, std::function<void(std::int64_t)> revision_published)
    : impl_(std::make_shared<Impl>(parts, std::move(claims), std::move(runs), std::move(revision_published))) {}

NodeCore::~NodeCore() { halt(); }

void NodeCore::load(std::function<void(Result<>)> done) { impl_->load(std::move(done)); }
void NodeCore::keep_house() { impl_->keep_house(); }

void NodeCore::halt() {
    impl_->halted = true;
    impl_->housekeeping_timer.cancel();
}

void NodeCore::apply(CatalogChange change) { impl_->apply(std::move(change)); }

void NodeCore::set_networks(std::shared_ptr<const task::NetworkRules> networks) { impl_->set_networks(std::move(networks)); }

void NodeCore::recall(const ring::Memory& past) { impl_->recall(past); }

void NodeCore::caught_up(std::int64_t revision) {
    impl_->catalog_revision = revision;
    impl_->coordinator->set_catalog_revision(revision);
}

std::int64_t NodeCore::catalog_revision() const { return impl_->catalog_revision; }

void NodeCore::carry_out(Command command) {
    switch (command.kind) {
        case Command::Kind::start:
        case Command::Kind::stop:
            return impl_->runner.handle(std::move(command));
        case Command::Kind::cordon:
        case Command::Kind::uncordon:
            return impl_->cordon.handle(command);
    }
}

Coordinator& NodeCore::coordinator() { return *impl_->coordinator; }
Runner& NodeCore::runner() { return impl_->runner; }

}  // namespace cloudtask::node
