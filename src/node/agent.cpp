// Agent: the parts of a node, put together.
#include "node/agent.h"

#include <sys/resource.h>
#include <unistd.h>

#include <algorithm>

#include "cloudtask/core/data_folder.h"
#include "cloudtask/core/log.h"
#include "cloudtask/task/codec.h"
#include "node/backoff.h"
#include "node/center_link.h"
#include "node/command_gate.h"
#include "node/http/call_supervisor.h"
#include "node/node_core.h"
#include "node/secret_sync.h"
#include "node/status.h"

namespace cloudtask::node {

namespace {

constexpr Duration kStopPoll = std::chrono::milliseconds{100};
// A stop waits so long at least for its tasks to be handed over. That takes the horizon and a transition, whatever drain time-out is given;
// without it, fires that were claimed would be LOST.
constexpr Duration kHandOver = std::chrono::seconds{10};

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
    KeyPair secret_keys;
    std::unique_ptr<http::Client> center;
    std::unique_ptr<PackageCache> packages;
    std::unique_ptr<Supervisor> supervisor;
    std::unique_ptr<zk::Client> keeper;
    std::unique_ptr<NodeCore> core;
    std::unique_ptr<SecretSync> secrets;
    std::unique_ptr<CatalogSync> catalog;
    std::unique_ptr<CommandGate> gate;
    std::unique_ptr<CommandPoll> commands;
    std::unique_ptr<OutboxSender> outbox;
    std::unique_ptr<StatusServer> status;

    Retry join_retry{loop, random, "join"};
    Timer stop_timer;
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
        if (const auto made = RunFolders::make_shards(folder.file("runs")); !made) return made;

        auto keys = open_node_keys(folder.file("secrets.key"));
        if (!keys) return propagate(keys);
        secret_keys = std::move(*keys);
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
        auto calls = make_http_calls(loop);
        if (!calls) return on_failure(calls.error());
        supervisor = make_call_supervisor(loop, make_supervisor(loop), std::move(*calls));
        packages = std::make_unique<PackageCache>(loop, *scratch_worker, *package_store,
                                                  [this](const auto& sha256, const auto& path, auto fetched_file) {
                                                      node::fetch_package(*center, sha256, path, std::move(fetched_file));
                                                  });
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
        claims.on_loss = options.on_zookeeper_loss == "continue" ? OnZookeeperLoss::go_on : OnZookeeperLoss::pause;
        core =
            std::make_unique<NodeCore>(NodeParts{loop, random, *scratch_worker, *disk, *supervisor, *packages, *keeper}, std::move(claims),
                                       RunnerOptions{folder.file("runs"), identity.node_id, identity.name,
                                                     std::make_shared<NodeSecrets>(secret_keys, secrets_folder())},
                                       [this](std::int64_t revision) {
                                           if (catalog) catalog->announced(revision);
                                       });
        core->load([this](const Result<>& loaded) { loaded ? connect() : on_failure(loaded.error()); });
    }

    // One for each node: several may be on one machine.
    std::string secrets_folder() const { return fmt::format("{}/cloudtask-{}", options.secrets_folder, identity.node_id); }

    void connect() {
        secrets = std::make_unique<SecretSync>(loop, random, *center, *disk, core->runner().secrets(), labels);
        catalog = std::make_unique<CatalogSync>(loop, random, *center, *disk, core->catalog_revision(),
                                                CatalogSync::Hooks{
                                                    [this](CatalogChange change) { core->apply(std::move(change)); },
                                                    [this](const ring::Memory& past) { core->recall(past); },
                                                    [this](auto networks) { core->set_networks(std::move(networks)); },
                                                    [this](std::int64_t revision) { core->caught_up(revision); },
                                                    [this](std::int64_t revision, bool named, std::function<void()> then) {
                                                        secrets->follow(revision, named, std::move(then));
                                                    },
                                                });
        // Of a task that was saved just now the node may have neither definition nor secrets.
        gate = std::make_unique<CommandGate>(
            [this](const task::Task& task, std::function<void()> then) { secrets->need(task, std::move(then)); },
            [this](Command command) { core->carry_out(std::move(command)); });
        commands = std::make_unique<CommandPoll>(
            loop, random, *center, [this](Command command) { gate->take(std::move(command)); },
            [this]() -> std::optional<std::int64_t> {
                if (!outbox) return std::nullopt;
                return outbox->pending();
            });
        outbox = std::make_unique<OutboxSender>(
            loop, random, *scratch_worker, *center, *disk, [this](const std::string& run_id) { return core->runner().run_folder(run_id); },
            [this](const std::string& run_id) { return core->runner().secrets().mask_of(run_id); });
        // The outbox goes before the disk when the node stops.
        disk->on_reports([this] {
            if (outbox) outbox->wake();
        });
        status = std::make_unique<StatusServer>(
            loop, static_cast<std::uint16_t>(options.status_port),
            StatusSource{identity.node_id, identity.name, identity.runtime, &core->coordinator(), &core->runner(),
                         [this] { return core->catalog_revision(); }, [this] { return outbox ? outbox->delivered() : 0; }});
        const auto port = status->start();
        if (!port) return on_failure(port.error());
        if (const auto written = folder.write_address(fmt::format("http://127.0.0.1:{}", *port)); !written)
            return on_failure(written.error());
        catalog->start();
        commands->start();
        outbox->start();
        keeper->start();
        core->keep_house();
    }

    // --- stop

    void stop(std::function<void()> done) {
        if (!core) return done();  // it never got so far
        if (stopping) return;
        stopping = true;
        core->halt();
        commands.reset();
        gate.reset();
        // A ring that does not settle must not hold the stop up for ever. Set first: a node that owns nothing has left at once.
        stop_timer = loop.after(std::max(options.drain_timeout, kHandOver), [this] {
            log::warn("handing over takes too long, so the node goes without it: its tasks move when its session is over");
            core->coordinator().leave_now();
        });
        // The wait for runs begins when the last fire that was claimed is started: that one, too, has the time to end.
        core->coordinator().leave([weak = weak_from_this(), done = std::move(done)] {
            if (const auto self = weak.lock()) self->drain(done, self->loop.clock().steady_now() + self->options.drain_timeout);
        });
    }

    void drain(std::function<void()> done, SteadyInstant deadline) {
        const bool idle = core->runner().idle() && (!outbox || outbox->idle());
        if (idle || loop.clock().steady_now() >= deadline) {
            if (!idle) log::info("{} runs go on without this process; the next one takes them over", core->runner().running());
            return finish(std::move(done));
        }
        stop_timer = loop.after(kStopPoll, [this, done = std::move(done), deadline]() mutable { drain(std::move(done), deadline); });
    }

    void finish(std::function<void()> done) {
        stop_timer.cancel();
        catalog.reset();
        secrets.reset();
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
