// The center's parts, in the order in which they need each other; how they are told of one another, and how they end.
#include "center/center.h"

#include <filesystem>
#include <fstream>

#include "center/api_routes.h"
#include "center/auth.h"
#include "center/catalog_store.h"
#include "center/cluster_secret_store.h"
#include "center/cluster_watch.h"
#include "center/command_hub.h"
#include "center/ledger_watch.h"
#include "center/listen_address.h"
#include "center/log_files.h"
#include "center/log_hub.h"
#include "center/lost.h"
#include "center/mailer.h"
#include "center/metrics.h"
#include "center/package_files.h"
#include "center/package_store.h"
#include "center/presence_watch.h"
#include "center/question_line.h"
#include "center/run_metrics.h"
#include "center/runs.h"
#include "center/secret_keys.h"
#include "center/secret_store.h"
#include "center/smtp.h"
#include "center/store.h"
#include "center/surroundings.h"
#include "center/tzdata_watch.h"
#include "cloudtask/core/data_folder.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/core/log.h"
#include "cloudtask/core/version.h"
#include "cloudtask/task/tzdata.h"

#include <unistd.h>

namespace cloudtask::center {

namespace {

constexpr std::size_t kApiThreads = 4;
constexpr std::size_t kSlowThreads = 2;  // so many passwords are hashed at once, 64 MiB each
constexpr Duration kSweepEvery = std::chrono::minutes{10};
constexpr Duration kReadRuntimesAgain = std::chrono::seconds{5};
constexpr int kPortAttempts = 10;

// Resident memory of this process in bytes; 0 where the system does not tell.
double resident_bytes() {
    std::ifstream file("/proc/self/statm");
    double pages = 0, resident = 0;
    file >> pages >> resident;
    return resident * static_cast<double>(::sysconf(_SC_PAGESIZE));
}

}  // namespace

struct Center::Impl {
    Impl(AsioLoop& the_loop, Options the_options, DataFolder the_folder)
        : loop(the_loop), options(std::move(the_options)), folder(std::move(the_folder)) {}

    // Everything that a worker's job may touch stands above the workers: their destructors run what is left.
    AsioLoop& loop;
    Options options;
    DataFolder folder;
    const std::string loaded_tzdata = task::tzdata_version();
    SystemRandom random;
    Metrics metrics;
    RunMetrics run_metrics{metrics};
    std::unique_ptr<Store> store;
    std::optional<LogFiles> log_files;
    std::unique_ptr<PackageFiles> packages;
    std::unique_ptr<SecretKeyFile> secret_keys;
    std::unique_ptr<Auth> auth;
    ClusterSnapshot cluster;
    Hooks hooks;
    std::unique_ptr<Mailer> mailer;
    std::unique_ptr<CommandHub> command_hub;
    std::unique_ptr<LogHub> log_hub;
    std::unique_ptr<Context> context;
    std::unique_ptr<QuestionLine> questions;
    std::unique_ptr<ThreadWorker> worker, question_worker, slow_worker, ledger_worker;

    // These live on the loop.
    std::unique_ptr<zk::Client> zookeeper;
    std::unique_ptr<ClusterWatch> watch;
    std::unique_ptr<LostWatch> lost;
    std::unique_ptr<PresenceWatch> presence;
    std::unique_ptr<LedgerWatch> ledger;
    std::unique_ptr<TzdataWatch> tzdata;
    std::unique_ptr<http::Server> server;
    Timer sweep_timer, runtimes_timer;

    std::string url;
    std::optional<std::string> first_password;

    ~Impl() {
        sweep_timer.cancel();
        runtimes_timer.cancel();
        server.reset();
    }

    Result<> open();
    Result<> open_packages();
    Result<> open_secrets();
    Result<> open_mail();
    void connect_hooks();
    Result<> connect_zookeeper();
    Result<> listen();
    void read_runtimes();
    void pass_revisions(std::int64_t published);
    void sweep();
    void add_gauges();
};

Result<> Center::Impl::open() {
    auto opened = Store::open(folder.file("center.db"));
    if (!opened) return propagate(opened);
    store = std::move(*opened);
    auto logs = LogFiles::open(folder.file("logs"));
    if (!logs) return propagate(logs);
    log_files.emplace(std::move(*logs));
    if (auto ready = open_packages(); !ready) return ready;
    if (auto ready = open_secrets(); !ready) return ready;
    auth = std::make_unique<Auth>(*store, loop.clock(), random, AuthOptions{options.login_lifetime, {}});
    auto password = auth->make_first_admin(folder.file("admin-password"));
    if (!password) return propagate(password);
    first_password = std::move(*password);

    worker = std::make_unique<ThreadWorker>("api", kApiThreads);
    question_worker = std::make_unique<ThreadWorker>("questions");
    questions = std::make_unique<QuestionLine>(*question_worker, loop.clock());
    slow_worker = std::make_unique<ThreadWorker>("login", kSlowThreads);
    ledger_worker = std::make_unique<ThreadWorker>("ledger");
    command_hub = std::make_unique<CommandHub>(loop, *worker, *store);
    log_hub = std::make_unique<LogHub>(loop, *worker, *store, *log_files);
    context = std::make_unique<Context>(Context{*store, cluster, loop, loop.clock(), random, *worker, *questions, *slow_worker, options,
                                                hooks, metrics, *auth, *packages, &*log_files, log_hub.get(), command_hub.get(),
                                                &run_metrics, secret_keys.get()});
    add_gauges();
    return {};
}

Result<> Center::Impl::open_packages() {
    packages = std::make_unique<PackageFiles>(folder.file("packages"), random);
    if (auto ready = packages->prepare(); !ready) return ready;
    std::set<std::string> known;
    auto read = store->read([&](soci::session& sql) -> Result<> {
        known = package_names(sql);
        return {};
    });
    if (!read) return read;
    packages->remove_unknown(known);
    return {};
}

// Outside the data folder, so that a copy of that folder is of no use to a thief.
Result<> Center::Impl::open_secrets() {
    std::error_code unresolved;
    const auto folder_path = std::filesystem::weakly_canonical(options.data_dir, unresolved);
    std::string path = options.secrets_key_file;
    if (path.empty()) path = folder_path.string() + "-secrets.key";
    const auto within = std::filesystem::weakly_canonical(path, unresolved).lexically_relative(folder_path);
    if (!within.empty() && *within.begin() != "..") {
        return fail(Errc::invalid_argument, "secrets.key-file: {} is in the data folder, whose copies would hold keys and secrets together",
                    path);
    }
    bool in_use = false;
    auto read = store->read([&](soci::session& sql) -> Result<> {
        in_use = any_secret(sql);
        return {};
    });
    if (!read) return read;
    auto opened = SecretKeyFile::open(path, !in_use, random);
    if (!opened) {
        if (in_use || opened.error().is(Errc::permission_denied) || opened.error().is(Errc::invalid_argument)) return propagate(opened);
        log::warn("there is no place for the keys of secrets, so that none can be saved: {}; see secrets.key-file", opened.error().message);
        return {};
    }
    secret_keys = std::move(*opened);
    if (secret_keys->made()) {
        log::info("made {}, whose key encrypts secrets: keep a copy of it, apart from those of the data folder", secret_keys->path());
    }
    return {};
}

Result<> Center::Impl::open_mail() {
    if (options.mail_smtp_url.empty()) {
        log::warn("mail.smtp-url is not set: nobody is mailed about failures");
        return {};
    }
    const auto starttls = parse_starttls(options.mail_starttls);
    if (!starttls) return fail(Errc::invalid_argument, "mail.starttls: {}", starttls.error().message);
    SmtpOptions smtp;
    smtp.url = options.mail_smtp_url;
    smtp.starttls = *starttls;
    smtp.username = options.mail_username;
    smtp.password = options.mail_password;
    smtp.ca_file = options.mail_ca_file;
    auto transport = SmtpTransport::make(std::move(smtp));
    if (!transport) return fail(Errc::invalid_argument, "mail.smtp-url: {}", transport.error().message);
    MailerOptions mailer_options;
    mailer_options.from = options.mail_from;
    mailer = std::make_unique<Mailer>(*store, loop.clock(), random, run_metrics, std::move(*transport), std::move(mailer_options));
    // The folder's lock makes this the one center of its database, also while ZooKeeper is away.
    mailer->set_leading(true);
    return {};
}

// Called from workers; what lives on the loop is reached by posting.
void Center::Impl::connect_hooks() {
    hooks.catalog_changed = [this](const std::string& runtime, std::int64_t revision) {
        loop.post([this, runtime, revision] { watch->publish_revision(runtime, revision); });
    };
    hooks.commands_waiting = [this](const std::string& node_id) { command_hub->notify(node_id); };
    hooks.runtimes_changed = [this] { loop.post([this] { read_runtimes(); }); };
    hooks.mail_waiting = [this] {
        if (mailer) mailer->wake();
    };
}

Result<> Center::Impl::connect_zookeeper() {
    const auto secret = cluster_secret(*store, random);
    if (!secret) return propagate(secret);
    auto factory = zk::session_factory(loop, {.servers = options.zookeeper_servers,
                                              .chroot = options.zookeeper_chroot,
                                              .session_timeout = options.zookeeper_session_timeout,
                                              .secret = *secret});
    if (!factory) return propagate(factory);
    zookeeper = std::make_unique<zk::Client>(loop, random, std::move(*factory));
    lost =
        std::make_unique<LostWatch>(loop, *worker,
                                    LostParts{.store = *store,
                                              .logs = *log_files,
                                              .cluster = cluster,
                                              .random = random,
                                              .metrics = run_metrics,
                                              .mail = mail_settings(options),
                                              .grace = options.lost_grace,
                                              .runs_changed = [this](const std::set<std::string>& ids) { log_hub->notify(ids); },
                                              .mail_waiting = [this] { hooks.fire_mail_waiting(); },
                                              .commands_waiting = [this](const std::string& node) { hooks.fire_commands_waiting(node); }});
    presence = std::make_unique<PresenceWatch>(loop, *ledger_worker, *store);
    watch = std::make_unique<ClusterWatch>(loop, *zookeeper, cluster, ClusterWatchOptions{make_uuid(loop.clock().now(), random), url},
                                           ClusterWatch::Observer{[this](const ClusterView& view) {
                                                                      lost->on_view(view);
                                                                      presence->on_view(view);
                                                                  },
                                                                  [this](bool leading) { lost->set_leading(leading); },
                                                                  [this](std::int64_t published) { pass_revisions(published); }});
    return {};
}

// The routes hold the site's address, for links in mail; so a free port is chosen before the server is made.
Result<> Center::Impl::listen() {
    const bool any_port = options.http_port == 0;
    const std::string configured_url = options.site_url;
    for (int attempt = 1;; ++attempt) {
        auto port = static_cast<std::uint16_t>(options.http_port);
        if (any_port) {
            const auto chosen = free_port(options.http_address);
            if (!chosen) return propagate(chosen);
            port = *chosen;
        }
        url = http_url(options.http_address, port);
        options.site_url = configured_url.empty() ? url : configured_url;
        RouteTable table;
        add_all_routes(table, *context);
        http::ServerOptions server_options;
        server_options.address = options.http_address;
        server_options.port = port;
        server = std::make_unique<http::Server>(loop, server_options, table.router(*context),
                                                [this](const http::Request& request, int status, double seconds) {
                                                    metrics.observe_request(request.method, request.route, status, seconds);
                                                });
        const auto listening = server->start();
        if (listening) return {};
        // Somebody else may have taken the port in between.
        if (!any_port || attempt == kPortAttempts) return propagate(listening);
    }
}

// The runtimes of the database become those that are watched in ZooKeeper.
void Center::Impl::read_runtimes() {
    worker->submit([this] {
        auto runtimes = std::make_shared<std::vector<RuntimeRevision>>();
        const auto read = store->read([&](soci::session& sql) -> Result<> {
            *runtimes = runtime_revisions(sql);
            return {};
        });
        loop.post([this, runtimes, good = read.has_value()] {
            if (good) return watch->set_runtimes(*runtimes);
            log::warn("the runtimes cannot be read; trying again in {} s", kReadRuntimesAgain / std::chrono::seconds{1});
            runtimes_timer = loop.after(kReadRuntimesAgain, [this] { read_runtimes(); });
        });
    });
}

// The database was restored from a backup: nodes know revisions that it does not.
void Center::Impl::pass_revisions(std::int64_t published) {
    worker->submit([this, published] {
        const auto passed = store->write([published](soci::session& sql) -> Result<> {
            if (pass_lost_revisions(sql, published)) {
                log::warn(
                    "nodes know of catalog revision {}, which this database never gave: it was restored from a backup; they get all "
                    "tasks anew",
                    published);
            }
            return {};
        });
        loop.post([this, published, good = passed.has_value()] {
            if (good) return read_runtimes();
            log::warn("the catalog cannot be taken beyond revision {}; trying again in {} s", published,
                      kReadRuntimesAgain / std::chrono::seconds{1});
            runtimes_timer = loop.after(kReadRuntimesAgain, [this, published] { pass_revisions(published); });
        });
    });
}

void Center::Impl::sweep() {
    worker->submit([this] {
        if (auto swept = auth->sweep(); !swept) log::warn("old sessions cannot be erased: {}", swept.error().message);
    });
    sweep_timer = loop.after(kSweepEvery, [this] { sweep(); });
}

void Center::Impl::add_gauges() {
    add_queue_gauges(metrics, *store);
    metrics.add_gauge("cloudtask_zookeeper_connected", "1 while the center is in contact with ZooKeeper.",
                      [this] { return cluster.get()->connected ? 1.0 : 0.0; });
    metrics.add_gauge("process_resident_memory_bytes", "Resident memory of this process.", resident_bytes);
    metrics.add_gauge("cloudtask_nodes_online", "Nodes with a live session, in all runtimes.", [this] {
        std::size_t nodes = 0;
        for (const auto& [name, runtime] : cluster.get()->runtimes) nodes += runtime.nodes.size();
        return static_cast<double>(nodes);
    });
}

Center::Center(std::unique_ptr<Impl> impl) : impl_(std::move(impl)) {}
Center::~Center() = default;

Result<std::unique_ptr<Center>> Center::make(AsioLoop& loop, Options options) {
    auto folder = DataFolder::open(options.data_dir);
    if (!folder) return propagate(folder);
    auto impl = std::make_unique<Impl>(loop, std::move(options), std::move(*folder));
    if (auto opened = impl->open(); !opened) return propagate(opened);
    if (auto opened = impl->open_mail(); !opened) return propagate(opened);
    return std::unique_ptr<Center>(new Center(std::move(impl)));
}

Result<> Center::start() {
    impl_->connect_hooks();
    if (auto listening = impl_->listen(); !listening) return listening;
    if (auto ready = impl_->connect_zookeeper(); !ready) return ready;
    impl_->zookeeper->start();
    impl_->read_runtimes();
    impl_->sweep();
    impl_->ledger = std::make_unique<LedgerWatch>(
        impl_->loop, *impl_->ledger_worker, impl_->metrics,
        LedgerWatchParts{.store = *impl_->store, .cluster = impl_->cluster, .rules = ledger_rules(impl_->options)});
    impl_->ledger->start();
    impl_->tzdata = std::make_unique<TzdataWatch>(impl_->loop, *impl_->ledger_worker,
                                                  TzdataParts{.store = *impl_->store,
                                                              .folder = impl_->folder.file("zones"),
                                                              .mail = mail_settings(impl_->options),
                                                              .loaded = impl_->loaded_tzdata},
                                                  [hooks = &impl_->hooks] { hooks->fire_mail_waiting(); });
    impl_->tzdata->start();
    if (auto written = impl_->folder.write_address(impl_->url); !written) return written;
    log::info("cloudtask-center {} listens on {}", kVersion, impl_->url);
    return {};
}

void Center::stop(std::function<void()> done) {
    impl_->loop.assert_on_loop();
    impl_->folder.remove_address();
    impl_->sweep_timer.cancel();
    impl_->runtimes_timer.cancel();
    // Long polls and followed logs would last for the whole grace.
    impl_->command_hub->close();
    impl_->log_hub->close();
    impl_->questions->close();
    impl_->server->stop(impl_->options.stop_grace, [this, done = std::move(done)] { impl_->zookeeper->stop(done); });
}

const std::string& Center::url() const { return impl_->url; }
const std::optional<std::string>& Center::first_password() const { return impl_->first_password; }

}  // namespace cloudtask::center
