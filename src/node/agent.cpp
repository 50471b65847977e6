// Agent: the parts of a node, put together.
#include "node/agent.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <unordered_set>

#include "cloudtask/core/data_folder.h"
#include "cloudtask/core/log.h"
#include "cloudtask/task/codec.h"
#include "node/backoff.h"
#include "node/center_link.h"
#include "node/coordinator.h"
#include "node/runner.h"
#include "node/status.h"

namespace cloudtask::node {

namespace {

namespace fs = std::filesystem;

constexpr Duration kHousekeeping = std::chrono::seconds{5};
constexpr Duration kKeepEnded = std::chrono::minutes{1};  // the journal remembers ended runs for so long at least
constexpr Duration kStopPoll = std::chrono::milliseconds{100};

std::string host_name() {
    char name[256] = {};
    ::gethostname(name, sizeof name - 1);
    return name;
}

// A host name as a node name: the first label, in lower case, with '-' for what a slug does not allow.
std::string default_name() {
    std::string name = host_name();
    name = name.substr(0, name.find('.'));
    for (char& c : name) {
        c = static_cast<char>(std::tolower(static_cast<unsigned char>(c)));
        if (!std::isalnum(static_cast<unsigned char>(c))) c = '-';
    }
    return name;
}

// Every run holds a few descriptors, so the soft limit goes up to the hard one.
void raise_descriptor_limit() {
    rlimit limit{};
    if (::getrlimit(RLIMIT_NOFILE, &limit) != 0) return;
    limit.rlim_cur = limit.rlim_max;
    if (::setrlimit(RLIMIT_NOFILE, &limit) != 0) log::warn("the limit of open files cannot be raised; it stays {}", limit.rlim_cur);
}

}  // namespace

struct Agent::Impl : std::enable_shared_from_this<Impl> {
    AsioLoop& loop;
    NodeOptions options;
    SystemRandom random;
    DataFolder folder;
    std::map<std::string, std::string> labels;
    std::string join_token;

    std::unique_ptr<NodeStore> store;
    std::unique_ptr<PackageStore> package_store;
    // Workers after what their jobs use, so that they end first.
    std::unique_ptr<ThreadWorker> disk_worker, scratch_worker;
    std::unique_ptr<Disk> disk;
    Identity identity;
    std::unique_ptr<http::Client> center;
    std::unique_ptr<PackageCache> packages;
    std::unique_ptr<Supervisor> supervisor;
    std::unique_ptr<Runner> runner;
    std::unique_ptr<zk::Client> keeper;
    std::unique_ptr<Coordinator> coordinator;
    std::unique_ptr<CatalogSync> catalog;
    std::unique_ptr<CommandPoll> commands;
    std::unique_ptr<OutboxSender> outbox;
    std::unique_ptr<StatusServer> status;

    TaskIndex tasks;                          // the catalog replica
    std::unordered_set<std::string> fetched;  // packages that are on disk
    std::unordered_set<std::string> fetching;
    std::int64_t fetched_in_epoch = 0;  // by which it was last decided what this node may come to need
    bool fetch_failed = false;          // since then
    std::int64_t catalog_revision = 0;
    Retry join_retry{loop, random, "join"};
    Timer housekeeping_timer, stop_timer;
    bool stopping = false;
    std::function<void(Error)> on_failure;

    Impl(AsioLoop& l, NodeOptions o, DataFolder f) : loop(l), options(std::move(o)), folder(std::move(f)) {}

    Result<> open() {
        auto parsed = parse_labels(options.labels);
        if (!parsed) return propagate(parsed);
        labels = std::move(*parsed);
        if (options.name.empty()) options.name = default_name();
        auto opened = NodeStore::open(folder.file("node.db"));
        if (!opened) return propagate(opened);
        store = std::move(*opened);
        auto cache = PackageStore::open(folder.file("packages"));
        if (!cache) return propagate(cache);
        package_store = std::move(*cache);
        if (const auto made = Runner::make_folders(folder.file("runs")); !made) return made;

        auto known = store->load_identity();
        if (!known) return propagate(known);
        if (*known) {
            identity = std::move(**known);
        } else {
            if (!task::is_slug(options.name))
                return fail(Errc::invalid_argument, "--name: '{}' is not a name: a-z, 0-9 and '-', 63 at the most", options.name);
            if (!task::is_slug(options.runtime)) return fail(Errc::invalid_argument, "--runtime: which runtime is this node to join?");
            auto token = load_join_token(options);
            if (!token) return propagate(token);
            if (token->empty())
                return fail(Errc::invalid_argument,
                            "--join-token or --join-token-file: the first start of a node needs a join token of its runtime");
            join_token = std::move(*token);
        }
        return {};
    }

    // --- start

    void start() {
        raise_descriptor_limit();
        disk_worker = std::make_unique<ThreadWorker>("disk");
        scratch_worker = std::make_unique<ThreadWorker>("scratch", 2);
        disk = std::make_unique<Disk>(loop, *disk_worker, *store);
        if (identity.node_id.empty()) {
            join_center();
        } else {
            joined();
        }
    }

    void join_center() {
        center = std::make_unique<http::Client>(loop, http::ClientOptions{options.center_url, {}, std::chrono::seconds{15}});
        join(*center, options.center_url,
             {join_token, options.runtime, {}, options.name, labels, static_cast<std::uint32_t>(options.weight)},
             [weak = weak_from_this()](Result<Identity> answer) {
                 const auto self = weak.lock();
                 if (!self) return;
                 if (answer) return self->keep_identity(std::move(*answer));
                 if (!answer.error().is(Errc::unavailable) && !answer.error().is(Errc::timeout)) return self->on_failure(answer.error());
                 self->join_retry.failed(answer.error(), [self = self.get()] { self->join_center(); });
             });
    }

    void keep_identity(Identity answer) {
        identity = std::move(answer);
        const auto saved = store->save_identity(identity);  // nothing runs yet that could wait for the loop
        if (!saved) return on_failure(saved.error());
        log::info("joined runtime {} as {} ({})", identity.runtime, identity.name, identity.node_id);
        joined();
    }

    void joined() {
        center = std::make_unique<http::Client>(
            loop, http::ClientOptions{options.center_url, identity.node_token, std::chrono::seconds{30}, kMaxCenterAnswer});
        supervisor = make_supervisor(loop);
        packages = std::make_unique<PackageCache>(loop, *scratch_worker, *package_store,
                                                  [this](const auto& sha256, const auto& path, auto fetched_file) {
                                                      node::fetch_package(*center, sha256, path, std::move(fetched_file));
                                                  });
        runner = std::make_unique<Runner>(loop, *scratch_worker, *disk, *supervisor, *packages,
                                          RunnerOptions{folder.file("runs"), identity.node_id, identity.name});

        auto factory = zk::session_factory(
            loop, {identity.zookeeper_servers, identity.zookeeper_chroot, identity.zookeeper_session_timeout, identity.zookeeper_secret});
        if (!factory) return on_failure(factory.error());
        keeper = std::make_unique<zk::Client>(loop, random, std::move(*factory));
        CoordinatorOptions claims;
        claims.runtime = identity.runtime;
        claims.node_id = identity.node_id;
        claims.name = identity.name;
        claims.labels = labels;
        claims.weight = static_cast<std::uint32_t>(options.weight);
        claims.address = host_name();
        claims.duties.horizon = options.horizon;
        claims.join_debounce = options.join_debounce;
        claims.max_clock_skew = options.max_clock_skew;
        coordinator = std::make_unique<Coordinator>(loop, random, *keeper, std::move(claims),
                                                    Coordinator::Hooks{
                                                        [this] { runner->duties_changed(); },
                                                        [this](std::int64_t revision) {
                                                            if (catalog) catalog->announced(revision);
                                                        },
                                                        [this] { return runner->earliest_unstarted(); },
                                                    });
        runner->set_coordinator(*coordinator);
        load();
    }

    // Reads what is on disk, before anything comes in from outside.
    void load() {
        struct Loaded {
            NodeStore::Catalog catalog;
            std::vector<JournalEntry> unfinished;
            std::vector<std::string> run_ids, command_ids;
        };
        disk->run<Loaded>(
            [runs = folder.file("runs")](NodeStore& from) -> Result<Loaded> {
                Loaded loaded;
                auto replica = from.load_catalog();
                if (!replica) return propagate(replica);
                loaded.catalog = std::move(*replica);
                auto unfinished = from.load_unfinished();
                if (!unfinished) return propagate(unfinished);
                loaded.unfinished = std::move(*unfinished);
                auto run_ids = from.load_run_ids();
                if (!run_ids) return propagate(run_ids);
                loaded.run_ids = std::move(*run_ids);
                if (const auto aside = Runner::set_strays_aside(runs, loaded.run_ids); !aside) log::warn("{}", aside.error().message);
                auto command_ids = from.load_command_ids();
                if (!command_ids) return propagate(command_ids);
                loaded.command_ids = std::move(*command_ids);
                return loaded;
            },
            [weak = weak_from_this()](Result<Loaded> loaded) {
                const auto self = weak.lock();
                if (!self) return;
                if (self->stopping) return;
                if (!loaded) return self->on_failure(loaded.error());
                self->scratch_worker->submit([strays = Runner::strays_folder(self->folder.file("runs"))] {
                    std::error_code ignored;  // a folder that stays costs space, nothing else
                    fs::remove_all(strays, ignored);
                });
                self->runner->recover(std::move(loaded->unfinished), loaded->run_ids, loaded->command_ids);
                for (auto& task : loaded->catalog.tasks) self->put_task(std::move(task));
                self->catalog_revision = loaded->catalog.revision;
                // 0 on disk: never synchronised. What the center holds, be it nothing, has to be heard first.
                if (self->catalog_revision > 0) self->coordinator->set_catalog_revision(self->catalog_revision);
                self->connect();
            });
    }

    void connect() {
        catalog = std::make_unique<CatalogSync>(loop, random, *center, *disk, catalog_revision,
                                                CatalogSync::Hooks{
                                                    [this](CatalogChange change) { apply(std::move(change)); },
                                                    [this](std::int64_t revision) {
                                                        catalog_revision = revision;
                                                        coordinator->set_catalog_revision(revision);
                                                    },
                                                });
        commands = std::make_unique<CommandPoll>(loop, random, *center, [this](Command command) { runner->handle(std::move(command)); });
        outbox = std::make_unique<OutboxSender>(loop, random, *scratch_worker, *center, *disk,
                                                [this](const std::string& run_id) { return runner->run_folder(run_id); });
        // The outbox goes before the disk when the node stops.
        disk->on_reports([this] {
            if (outbox) outbox->wake();
        });
        status = std::make_unique<StatusServer>(
            loop, static_cast<std::uint16_t>(options.status_port),
            StatusSource{identity.node_id, identity.name, identity.runtime, coordinator.get(), runner.get(),
                         [this] { return catalog_revision; }, [this] { return outbox ? outbox->delivered() : 0; }});
        const auto port = status->start();
        if (!port) return on_failure(port.error());
        if (const auto written = folder.write_address(fmt::format("http://127.0.0.1:{}", *port)); !written)
            return on_failure(written.error());
        catalog->start();
        commands->start();
        outbox->start();
        keeper->start();
        keep_house();
    }

    // --- the catalog

    void put_task(task::Task definition) {
        auto task = std::make_shared<const task::Task>(std::move(definition));
        runner->put_task(task);
        coordinator->put_task(task);
        tasks.put(std::move(task));
    }

    void erase_task(const std::string& id) {
        coordinator->erase_task(id);
        runner->erase_task(id);
        tasks.erase(id);
    }

    void apply(CatalogChange change) {
        if (change.full) {
            std::unordered_set<std::string> named;
            for (const auto& task : change.tasks) named.insert(task.id);
            std::vector<std::string> gone;
            for (const auto& task : tasks) {
                if (!named.contains(task->id)) gone.push_back(task->id);
            }
            for (const auto& id : gone) erase_task(id);
        }
        for (auto& task : change.tasks) put_task(std::move(task));
        for (const auto& id : change.deleted) erase_task(id);
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
            packages->ensure(sha256, [weak = weak_from_this(), sha256](const Result<>& result) {
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
        // A look at every task costs too much to be had every few seconds for nothing.
        if (coordinator->epoch() != fetched_in_epoch || fetch_failed) fetch_ahead();
        forget_ended();
        housekeeping_timer = loop.after(kHousekeeping, [this] { keep_house(); });
    }

    // Ended and delivered runs leave the journal once no earlier incarnation's claims can bring them up again.
    void forget_ended() {
        const auto settled = coordinator->settled_until();
        if (!settled) return;
        const Instant before = std::min(*settled, loop.clock().now() - kKeepEnded);
        disk->run<NodeStore::Forgotten>([before](NodeStore& from) { return from.forget_before(before); },
                                        [weak = weak_from_this()](const Result<NodeStore::Forgotten>& forgotten) {
                                            const auto self = weak.lock();
                                            if (!self || !forgotten || (forgotten->runs.empty() && forgotten->commands.empty())) return;
                                            self->runner->forget(*forgotten);
                                            self->forget_ended();  // a call forgets a bounded number
                                        });
    }

    // --- stop

    void stop(std::function<void()> done) {
        if (!coordinator) return done();  // it never got so far
        if (stopping) return;
        stopping = true;
        commands.reset();
        const SteadyInstant deadline = loop.clock().steady_now() + options.drain_timeout;
        // A ring that does not settle must not hold the stop up for ever. Set first: a node that owns nothing has left at once.
        stop_timer = loop.after(options.drain_timeout, [this] {
            log::warn("handing over takes too long, so the node goes without it: its tasks move when its session is over");
            coordinator->leave_now();
        });
        coordinator->leave([weak = weak_from_this(), done = std::move(done), deadline] {
            if (const auto self = weak.lock()) self->drain(done, deadline);
        });
    }

    void drain(std::function<void()> done, SteadyInstant deadline) {
        const bool idle = runner->idle() && (!outbox || outbox->idle());
        if (idle || loop.clock().steady_now() >= deadline) {
            if (!idle) log::info("{} runs go on without this process; the next one takes them over", runner->running());
            return finish(std::move(done));
        }
        stop_timer = loop.after(kStopPoll, [this, done = std::move(done), deadline]() mutable { drain(std::move(done), deadline); });
    }

    void finish(std::function<void()> done) {
        stop_timer.cancel();
        housekeeping_timer.cancel();
        catalog.reset();
        outbox.reset();
        keeper->stop([weak = weak_from_this(), done = std::move(done)] {
            const auto self = weak.lock();
            if (!self) return;
            self->folder.remove_address();
            if (self->status) return self->status->stop(done);
            done();
        });
    }
};

Agent::Agent(std::shared_ptr<Impl> impl) : impl_(std::move(impl)) {}
Agent::~Agent() = default;

Result<std::unique_ptr<Agent>> Agent::make(AsioLoop& loop, NodeOptions options) {
    auto folder = DataFolder::open(options.data_dir);
    if (!folder) return propagate(folder);
    auto impl = std::make_shared<Impl>(loop, std::move(options), std::move(*folder));
    if (const auto opened = impl->open(); !opened) return propagate(opened);
    return std::unique_ptr<Agent>(new Agent(std::move(impl)));
}

void Agent::start(std::function<void(Error)> on_failure) {
    impl_->on_failure = std::move(on_failure);
    impl_->start();
}

void Agent::stop(std::function<void()> done) { impl_->stop(std::move(done)); }

}  // namespace cloudtask::node
