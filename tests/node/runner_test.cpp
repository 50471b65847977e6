// The runner over a real store and package cache, an in-memory ZooKeeper and a supervisor that only notes, in virtual time: what becomes of
// a fire and of a command, on a disk that is slow, full, or the last that a killed process has left.
#include "node/runner.h"

#include <signal.h>
#include <sys/resource.h>

#include <deque>

#include "cloudtask/core/hash.h"
#include "cloudtask/core/json.h"
#include "cloudtask/task/codec.h"
#include "tests/node/cluster_model.h"
#include "tests/node/node_store_support.h"

namespace cloudtask::node::test {
namespace {

namespace fs = std::filesystem;
using namespace std::chrono_literals;
using Catch::Contains;
using task::RunState;

// Runs its jobs on the loop, or holds them while the disk is slow.
class HeldWorker final : public Worker {
  public:
    explicit HeldWorker(Loop& loop) : loop_(loop) {}
    void submit(Job job) override { held ? jobs.push_back(std::move(job)) : loop_.post(std::move(job)); }
    void release() {
        held = false;
        for (auto& job : std::exchange(jobs, {})) loop_.post(std::move(job));
    }
    bool held = false;
    std::deque<Job> jobs;

  private:
    Loop& loop_;
};

// Every write of this process fails, as on a full disk.
class FullDisk {
  public:
    FullDisk() {
        REQUIRE(::getrlimit(RLIMIT_FSIZE, &before_) == 0);
        ignored_ = ::signal(SIGXFSZ, SIG_IGN);
        const rlimit tight{.rlim_cur = 0, .rlim_max = before_.rlim_max};
        REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
    }
    ~FullDisk() {
        ::setrlimit(RLIMIT_FSIZE, &before_);
        ::signal(SIGXFSZ, ignored_);
    }

  private:
    rlimit before_{};
    void (*ignored_)(int) = nullptr;
};

// The processes of a machine: they outlive the node's process.
struct Processes {
    std::set<std::string> alive;
    std::vector<LaunchSpec> started;
    std::optional<Error> refusal;
    bool slow = false;  // starts are on their way until let_through()
    bool unwatchable = false;
};

class NotingSupervisor final : public Supervisor {
  public:
    NotingSupervisor(Loop& loop, Processes& processes) : loop_(loop), processes_(processes) {}

    void start(LaunchSpec spec, OnStarted on_started, OnEnd on_end) override {
        on_their_way.push_back([this, spec = std::move(spec), on_started = std::move(on_started), on_end = std::move(on_end)] {
            if (processes_.refusal) return loop_.post([on_started, refusal = *processes_.refusal] { on_started(tl::unexpected(refusal)); });
            processes_.alive.insert(spec.run_id);
            processes_.started.push_back(spec);
            loop_.post([this, spec, on_started, on_end] {
                ends_[spec.run_id] = on_end;
                on_started(Started{100, loop_.clock().now(), false});
            });
        });
        if (!processes_.slow) let_through();
    }
    void let_through() {
        for (const auto& each : std::exchange(on_their_way, {})) each();
    }
    std::optional<ProcessIdentity> identity(std::string_view run_id) override {
        if (!ends_.contains(std::string{run_id})) return std::nullopt;
        return ProcessIdentity{100, 1, "boot"};
    }
    Result<> adopt(RunningRecord record, OnEnd on_end) override {
        if (!processes_.alive.contains(record.run_id)) return fail(Errc::not_found, "it is gone");
        if (processes_.unwatchable) return fail(Errc::unavailable, "there are too few descriptors");
        ends_[record.run_id] = std::move(on_end);
        return {};
    }
    std::map<std::string, ProcessIdentity> find(const std::set<std::string>& run_ids) override {
        std::map<std::string, ProcessIdentity> found;
        for (const auto& id : run_ids) {
            if (processes_.alive.contains(id)) found.emplace(id, ProcessIdentity{100, 1, "boot"});
        }
        return found;
    }
    bool stop(std::string_view run_id) override { return stopped.insert(std::string{run_id}).second; }
    std::optional<LogProgress> progress(std::string_view run_id) override {
        const auto found = written.find(std::string{run_id});
        return found == written.end() ? std::nullopt : std::optional<LogProgress>({found->second, 0});
    }
    void on_output(OnOutput callback) override { tell_ = std::move(callback); }
    std::size_t running() const override { return ends_.size(); }

    void write(const std::string& run_id, std::uint64_t bytes) {
        written[run_id] = bytes;
        tell_(run_id, {bytes, 0});
    }
    void end(const std::string& run_id, std::int64_t exit_code = 0) {
        const auto call = ends_.extract(run_id);
        REQUIRE_FALSE(call.empty());
        processes_.alive.erase(run_id);
        Ended ended;
        ended.run_id = run_id;
        ended.exit_code = exit_code;
        ended.stopped = stopped.contains(run_id);
        ended.stdout_bytes = written[run_id];
        ended.ended_at = loop_.clock().now();
        call.mapped()(ended);
    }

    std::set<std::string> stopped;
    std::map<std::string, std::uint64_t> written;
    std::vector<std::function<void()>> on_their_way;

  private:
    Loop& loop_;
    Processes& processes_;
    OnOutput tell_;
    std::map<std::string, OnEnd> ends_;
};

// One process of a node.
struct Process {
    Process(ClusterModel& cluster, HeldWorker& disk_worker, const std::string& folder, Processes& processes)
        : store(open_store(folder + "/node.db")),
          worker(cluster.loop),
          disk(cluster.loop, disk_worker, *store),
          package_store(*PackageStore::open(folder + "/packages")),
          packages(cluster.loop, worker, *package_store,
                   [this](const std::string& sha256, const std::string& path, std::function<void(Result<std::string>)> fetched) {
                       ++fetches;
                       fetch(sha256, path, fetched);
                   }),
          supervisor(cluster.loop, processes),
          runner(cluster.loop, worker, disk, supervisor, packages, {folder + "/runs", "a", "node-a"}),
          client(cluster.loop, cluster.random, [&cluster] { return cluster.tree.connect(); }) {
        CoordinatorOptions options;
        options.runtime = "demo";
        options.node_id = "a";
        options.name = "node-a";
        coordinator = std::make_unique<Coordinator>(
            cluster.loop, cluster.random, client, options,
            Coordinator::Hooks{[this] { runner.duties_changed(); }, [](std::int64_t) {}, [this] { return runner.earliest_unstarted(); }});
        runner.set_coordinator(*coordinator);
    }

    std::int64_t session() const { return client.keeper() == nullptr ? 0 : client.keeper()->session_id(); }

    std::unique_ptr<NodeStore> store;
    LoopWorker worker;
    Disk disk;
    std::unique_ptr<PackageStore> package_store;
    int fetches = 0;
    std::function<void(const std::string& sha256, const std::string& path, const std::function<void(Result<std::string>)>& fetched)> fetch;
    PackageCache packages;
    NotingSupervisor supervisor;
    Runner runner;
    zk::Client client;
    std::unique_ptr<Coordinator> coordinator;
};

struct RunnerMachine {
    TempFolder folder;
    ClusterModel cluster;
    FakeLoop& loop = cluster.loop;
    HeldWorker disk_worker{cluster.loop};
    Processes processes;
    std::optional<Process> process;
    std::vector<TaskPointer> tasks;

    RunnerMachine() {
        REQUIRE(RunFolders::make_shards(folder / "runs"));
        boot();
    }
    ~RunnerMachine() { kill(); }

    void boot() {
        process.emplace(cluster, disk_worker, folder.path(), processes);
        REQUIRE(RunFolders::set_strays_aside(folder / "runs", *process->store->load_run_ids()));
        process->runner.recover(*process->store->load_unfinished(), *process->store->load_run_ids(), *process->store->load_command_ids());
        process->client.start();
    }
    // kill -9: what is not on disk is gone. ZooKeeper notices at once.
    void kill() {
        const std::int64_t session = process ? process->session() : 0;
        disk_worker.held = true;
        loop.settle();
        process.reset();
        disk_worker.jobs.clear();
        disk_worker.release();
        if (session != 0) cluster.tree.expire(session);
        loop.settle();
    }

    std::shared_ptr<task::Task> make_task(Duration interval = 10s) const {
        auto made = std::make_shared<task::Task>(task_named(static_cast<int>(tasks.size()) + 1));
        made->schedules = {*task::Schedule::every(interval, Instant{})};
        made->effective_from = loop.clock().now();
        return made;
    }
    TaskPointer give(const std::shared_ptr<task::Task>& task) {
        tasks.push_back(task);
        put(task);
        take_part();
        return task;
    }
    void put(const TaskPointer& task) {
        process->runner.put_task(task);
        process->coordinator->put_task(task);
    }
    void take_part() {
        process->coordinator->set_catalog_revision(1);
        REQUIRE(cluster.until([&] { return cluster.settled_with({"a"}); }));
        loop.advance(1s);
    }
    // Up to `before` the next full multiple of `interval`, which is returned.
    Instant go_to(Duration interval, Duration before) {
        const auto next = [&] {
            const auto since = loop.clock().now().time_since_epoch();
            return Instant{(since / interval + 1) * interval};
        };
        if (next() - loop.clock().now() <= before) loop.advance(interval);
        const Instant due = next();
        loop.advance(due - before - loop.clock().now());
        return due;
    }

    std::vector<Report> reports() { return *process->store->oldest_reports(5000); }
    // The last report of each run.
    std::map<std::string, task::Run> runs() {
        std::map<std::string, task::Run> last;
        for (const auto& report : reports()) {
            if (report.kind != Report::Kind::run) continue;
            const auto body = json::parse(report.body);
            auto run = task::read_run((*body)["run"]);
            REQUIRE(run);
            last[run->id] = std::move(*run);
        }
        return last;
    }
    // The kinds of a run's reports in order, with the state where one tells it.
    std::vector<std::string> told_of(const std::string& run_id) {
        std::vector<std::string> told;
        for (const auto& report : reports()) {
            if (report.run_id != run_id) continue;
            told.emplace_back(report.kind == Report::Kind::log ? "log" : (*json::parse(report.body))["run"]["state"].GetString());
        }
        return told;
    }
    std::map<RunState, int> states() {
        std::map<RunState, int> count;
        for (const auto& [id, run] : runs()) ++count[run.state];
        return count;
    }
    std::vector<std::string> command_reports() {
        std::vector<std::string> bodies;
        for (const auto& report : reports()) {
            if (report.kind == Report::Kind::command) bodies.push_back(report.body);
        }
        return bodies;
    }
    std::string only_started() const {
        REQUIRE(processes.started.size() == 1);
        return processes.started[0].run_id;
    }
};

std::string id_of_fire(const TaskPointer& task, Instant time, int attempt = 1) { return task::run_id(task->id, time, attempt); }

TEST_CASE("a fire is in the journal before it is due, starts at its instant, and every step is reported") {
    RunnerMachine m;
    const auto task = m.give(m.make_task());
    const Instant due = m.go_to(10s, 100ms);
    const auto entries = *m.process->store->load_unfinished();
    REQUIRE(entries.size() == 1);
    CHECK(entries[0].run.id == id_of_fire(task, due));
    CHECK(entries[0].phase == Phase::intent);
    CHECK(m.processes.started.empty());
    CHECK(m.process->runner.earliest_unstarted() == due);

    m.loop.advance(100ms);
    CHECK(m.only_started() == id_of_fire(task, due));
    CHECK(m.process->store->load_unfinished()->at(0).phase == Phase::intent);
    m.loop.advance(20ms);  // it might have been over by now
    CHECK(m.processes.started[0].run_environment.at("CLOUDTASK_FIRE_TIME") == format_instant(due));
    CHECK(m.process->runner.earliest_unstarted() == std::nullopt);
    CHECK(m.process->store->load_unfinished()->at(0).phase == Phase::started);
    CHECK(m.runs().at(id_of_fire(task, due)).state == RunState::running);
    CHECK(m.runs().at(id_of_fire(task, due)).lateness == 0s);

    m.loop.advance(2s);
    m.process->supervisor.end(m.only_started(), 3);
    CHECK_FALSE(m.process->runner.idle());  // its end is not on disk yet
    m.loop.settle();
    CHECK(m.process->runner.idle());
    const task::Run run = m.runs().at(id_of_fire(task, due));
    CHECK(run.state == RunState::failed);
    CHECK(run.reason == "it exited with 3");
    CHECK(m.told_of(run.id) == std::vector<std::string>{"RUNNING", "FAILED"});
    CHECK(m.process->store->load_unfinished()->empty());
}

TEST_CASE("a fire that meets the run before it is skipped, and the next one after its end is not") {
    RunnerMachine m;
    const auto task = m.give(m.make_task());
    const Instant due = m.go_to(10s, 0s) + 10s;
    m.loop.advance(10s);
    const std::string first = id_of_fire(task, due - 10s), second = id_of_fire(task, due);
    REQUIRE(m.runs().contains(second));
    CHECK(m.runs().at(second).state == RunState::skipped);
    CHECK_THAT(m.runs().at(second).reason, Contains("overlap"));
    m.process->supervisor.end(first);
    m.loop.advance(10s + 20ms);
    CHECK(m.runs().at(first).state == RunState::succeeded);
    CHECK(m.runs().at(id_of_fire(task, due + 10s)).state == RunState::running);
}

TEST_CASE("a run that is over at once is written down once, by its end") {
    RunnerMachine m;
    const auto task = m.give(m.make_task());
    const std::string id = id_of_fire(task, m.go_to(10s, 0s));
    REQUIRE(m.only_started() == id);
    const auto end_at_once = [&](std::uint64_t bytes) {
        m.process->supervisor.written[id] = bytes;
        m.process->supervisor.end(id);
        m.loop.advance(20ms);
        CHECK(m.process->store->load_unfinished()->empty());
        CHECK(m.runs().at(id).started_at);
        CHECK(m.runs().at(id).lateness == 0s);
        CHECK(m.process->runner.idle());
    };
    SECTION("and told once") {
        end_at_once(0);
        CHECK(m.told_of(id) == std::vector<std::string>{"SUCCEEDED"});
    }
    SECTION("but a log is of a run that the center knows") {
        end_at_once(5);
        CHECK(m.told_of(id) == std::vector<std::string>{"RUNNING", "log", "SUCCEEDED"});
    }
    SECTION("unless it is stopped before: then the next process has to know of it") {
        m.process->runner.handle({id_of(777), Command::Kind::stop, id, {}, {}});
        m.loop.advance(20ms);
        const auto entries = *m.process->store->load_unfinished();
        REQUIRE(entries.size() == 1);
        CHECK(entries[0].phase == Phase::started);
        CHECK(entries[0].stop_asked);
        CHECK(entries[0].process->process.pid == 100);
    }
}

TEST_CASE("a command that cannot be started ends as FAILED and says why") {
    RunnerMachine m;
    const auto task = m.give(m.make_task());
    m.processes.refusal = Error{Errc::not_found, "no program /bin/tru"};
    const Instant due = m.go_to(10s, 100ms);
    m.loop.advance(200ms);
    const task::Run run = m.runs().at(id_of_fire(task, due));
    CHECK(run.state == RunState::failed);
    CHECK_THAT(run.reason, Contains("no program /bin/tru"));
    CHECK(m.process->runner.prepared() == 0);
    CHECK(m.process->store->load_unfinished()->empty());
}

TEST_CASE("a start takes its time") {
    RunnerMachine m;
    const auto task = m.give(m.make_task());
    m.processes.slow = true;
    const Instant due = m.go_to(10s, 0s);
    m.loop.advance(20ms);
    const std::string id = id_of_fire(task, due);
    auto& supervisor = m.process->supervisor;
    REQUIRE(supervisor.on_their_way.size() == 1);
    CHECK(m.process->runner.earliest_unstarted() == due);
    CHECK_FALSE(m.process->runner.idle());
    CHECK(m.process->store->load_unfinished()->at(0).phase == Phase::intent);
    const auto end = [&] {
        supervisor.end(id);
        m.loop.advance(20ms);
        return m.runs().at(id).state;
    };

    SECTION("and is over when the process is there") {
        supervisor.let_through();
        m.loop.advance(20ms);
        CHECK(m.process->runner.earliest_unstarted() == std::nullopt);
        CHECK(m.runs().at(id).state == RunState::running);
        CHECK(m.runs().at(id).lateness == 20ms);
        CHECK(end() == RunState::succeeded);
        CHECK(m.process->runner.idle());
    }
    SECTION("and is no place for another run of the task") {
        m.loop.advance(10s);
        CHECK(supervisor.on_their_way.size() == 1);
        CHECK(m.runs().at(id_of_fire(task, due + 10s)).state == RunState::skipped);
        CHECK_THAT(m.runs().at(id_of_fire(task, due + 10s)).reason, Contains("overlap"));
    }
    SECTION("and may fail: the next fire is not in its way") {
        m.processes.refusal = Error{Errc::not_found, "no program /bin/tru"};
        supervisor.let_through();
        m.loop.advance(20ms);
        CHECK(m.runs().at(id).state == RunState::failed);
        CHECK_THAT(m.runs().at(id).reason, Contains("no program /bin/tru"));
        CHECK(m.process->runner.earliest_unstarted() == std::nullopt);
        CHECK(m.process->runner.idle());
        m.processes.refusal.reset();
        m.processes.slow = false;
        m.loop.advance(10s);
        CHECK(m.only_started() == id_of_fire(task, due + 10s));
    }
    SECTION("and a stop that comes meanwhile is not forgotten") {
        m.process->runner.handle({id_of(777), Command::Kind::stop, id, {}, {}});
        m.loop.advance(20ms);
        CHECK(supervisor.stopped.contains(id));
        CHECK_THAT(m.command_reports().at(0), Contains("done"));
        CHECK(m.process->store->load_unfinished()->at(0).stop_asked);
        supervisor.let_through();
        m.loop.advance(20ms);
        CHECK(end() == RunState::stopped);
    }
    SECTION("and a stop that comes meanwhile is not forgotten by the next process either") {
        m.process->runner.handle({id_of(777), Command::Kind::stop, id, {}, {}});
        m.loop.advance(20ms);
        m.processes.alive.insert(id);
        m.kill();  // nobody has heard of the process yet
        m.boot();
        CHECK(m.process->supervisor.stopped.contains(id));
        m.process->supervisor.end(id);
        m.loop.advance(20ms);
        CHECK(m.runs().at(id).state == RunState::stopped);
    }
    SECTION("and is found by the next process, if it came to pass") {
        m.processes.alive.insert(id);
        m.kill();
        m.boot();
        CHECK(m.process->runner.running() == 1);
        m.process->supervisor.end(id);
        m.loop.advance(20ms);
        CHECK(m.runs().at(id).state == RunState::succeeded);
    }
    SECTION("and is LOST for the next process, if it did not") {
        m.kill();
        m.boot();
        m.loop.advance(20ms);
        CHECK(m.runs().at(id).state == RunState::lost);
        CHECK(m.processes.started.empty());
    }
}

TEST_CASE("of many fires at once some are on their way, the others can still be stopped") {
    RunnerMachine m;
    auto made = m.make_task();
    made->overlap = task::Overlap::allow;
    made->max_parallel = 64;
    const auto task = m.give(made);
    m.processes.slow = true;
    for (int i = 0; i < 40; ++i) m.process->runner.handle({id_of(500 + i), Command::Kind::start, id_of(600 + i), "alice", *task});
    m.loop.advance(20ms);
    CHECK(m.process->supervisor.on_their_way.size() == 16);
    m.process->runner.handle({id_of(777), Command::Kind::stop, id_of(639), {}, {}});
    for (int i = 0; i < 3; ++i) {
        m.process->supervisor.let_through();
        m.loop.advance(20ms);
    }
    CHECK(m.process->supervisor.on_their_way.empty());
    CHECK(m.processes.started.size() == 39);
    CHECK(m.runs().at(id_of(639)).state == RunState::stopped);
}

TEST_CASE("a fire whose intent the disk has not taken is not started; how late it may be the task says") {
    RunnerMachine m;
    auto made = m.make_task();
    made->misfire_tolerance = 5s;
    SECTION("within its tolerance it runs") {
        const auto task = m.give(made);
        const Instant due = m.go_to(10s, 2s);
        m.disk_worker.held = true;
        m.loop.advance(5s);
        CHECK(m.processes.started.empty());
        CHECK(m.process->runner.earliest_unstarted() == due);
        m.disk_worker.release();
        m.loop.settle();
        CHECK(m.only_started() == id_of_fire(task, due));
        m.loop.advance(20ms);
        CHECK(m.runs().at(id_of_fire(task, due)).lateness == 3s);
    }
    SECTION("beyond it the policy decides: skip") {
        const auto task = m.give(made);
        const Instant due = m.go_to(10s, 2s);
        m.disk_worker.held = true;
        m.loop.advance(8s);
        m.disk_worker.release();
        m.loop.settle();
        CHECK(m.processes.started.empty());
        CHECK(m.runs().at(id_of_fire(task, due)).state == RunState::skipped);
        CHECK_THAT(m.runs().at(id_of_fire(task, due)).reason, Contains("misfire: 6s late"));
    }
    SECTION("beyond it the policy decides: once, the latest for all") {
        made->misfire = task::Misfire::once;
        const auto task = m.give(made);
        const Instant due = m.go_to(10s, 2s);
        m.disk_worker.held = true;
        m.loop.advance(28s);
        m.disk_worker.release();
        m.loop.settle();
        CHECK(m.only_started() == id_of_fire(task, due + 20s));
        m.loop.advance(20ms);
        CHECK(m.states()[RunState::skipped] == 2);
    }
}

TEST_CASE("a late fire is a misfire when it is taken: skip, once, all") {
    RunnerMachine m;
    auto made = m.make_task();
    made->effective_from = m.loop.clock().now() - 41s;
    made->misfire_tolerance = 5s;
    made->overlap = task::Overlap::allow;
    made->max_parallel = 10;
    std::size_t ran = 0;
    SECTION("skip") { made->misfire = task::Misfire::skip; }
    SECTION("once") {
        made->misfire = task::Misfire::once;
        ran = 1;
    }
    SECTION("all") {
        made->misfire = task::Misfire::all;
        ran = 4;
    }
    m.give(made);
    const auto missed = m.states();
    const auto skipped = missed.find(RunState::skipped);
    CHECK((skipped == missed.end() ? 0 : skipped->second) >= static_cast<int>(4 - ran));
    CHECK(m.processes.started.size() >= ran);
    CHECK(m.processes.started.size() <= ran + 1);  // a fire that fell due in between
}

TEST_CASE("while the journal cannot be written no fire is taken, and nothing overtakes what waits") {
    RunnerMachine m;
    auto made = m.make_task();
    made->misfire_tolerance = 3s;
    const auto task = m.give(made);
    const Instant due = m.go_to(10s, 0s);
    m.loop.advance(20ms);  // its beginning is on disk
    const std::string first = m.only_started();
    {
        // The note of its end is refused first; what the disk takes later must not come to stand over it.
        const FullDisk full;
        m.process->supervisor.write(first, 100);
        m.loop.advance(200ms);
        m.process->supervisor.end(first);
        m.loop.advance(35s);
        CHECK(m.process->runner.prepared() == 0);
        CHECK_FALSE(m.process->runner.idle());
        CHECK(m.process->store->load_unfinished()->at(0).phase == Phase::started);
    }
    m.loop.advance(3s);
    CHECK(m.runs().at(first).state == RunState::succeeded);
    const auto unfinished = m.process->store->load_unfinished();
    for (const auto& entry : *unfinished) CHECK(entry.run.id != first);
    // What fell due meanwhile is a misfire of the task, and recorded.
    for (const auto missed : {10s, 20s, 30s}) {
        INFO(missed.count());
        CHECK(m.runs().at(id_of_fire(task, due + missed)).state == RunState::skipped);
    }
}

TEST_CASE("what is not on disk as skipped is not told to ZooKeeper as done") {
    RunnerMachine m;
    auto made = m.make_task();
    made->effective_from = m.loop.clock().now() - 41s;
    made->misfire_tolerance = 5s;
    m.tasks.push_back(made);
    m.put(made);
    m.process->coordinator->set_catalog_revision(1);
    m.disk_worker.held = true;
    m.loop.advance(3s);
    REQUIRE(m.process->runner.earliest_unstarted().has_value());
    CHECK(*m.process->runner.earliest_unstarted() < m.loop.clock().now() - 30s);
    m.disk_worker.release();
    m.loop.advance(1s);
    CHECK(m.process->runner.earliest_unstarted().value_or(Instant::max()) > m.loop.clock().now());
}

TEST_CASE("log reports follow each other without a gap, and the rest comes before the end") {
    RunnerMachine m;
    m.give(m.make_task());
    m.go_to(10s, 0s);
    m.loop.settle();
    const std::string id = m.only_started();
    for (const std::uint64_t bytes : {10, 25, 70}) {
        m.process->supervisor.write(id, bytes);
        m.loop.advance(150ms);
    }
    m.process->supervisor.written[id] = 100;
    m.process->supervisor.end(id);
    m.loop.settle();
    std::uint64_t at = 0;
    bool over = false;
    for (const auto& report : m.reports()) {
        if (report.kind == Report::Kind::log) {
            CHECK_FALSE(over);
            CHECK(report.from == at);
            at = report.until;
        } else {
            over = over || report.body.find("SUCCEEDED") != std::string::npos;
        }
    }
    CHECK(over);
    CHECK(at == 100);
}

TEST_CASE("a package is unpacked before the start") {
    RunnerMachine m;
    const std::string script = "#!/bin/sh\necho it ran\n";
    auto made = m.make_task();
    made->package = sha256_hex(script);
    const auto deliver = [&](const std::string&, const std::string& path, const auto& fetched) {
        write_file(path, script);
        fetched(std::string{"run.sh"});
    };
    SECTION("it is there in time") {
        m.process->fetch = deliver;
        m.give(made);
        m.go_to(10s, 0s);
        m.loop.settle();
        REQUIRE(m.only_started().size() == 36);
        CHECK(read_file(m.processes.started[0].folder + "/work/run.sh") == script);
        m.process->supervisor.end(m.only_started());
        m.loop.settle();
        CHECK_FALSE(fs::exists(m.processes.started[0].folder + "/work/run.sh"));
    }
    SECTION("a center that is away is asked again") {
        m.process->fetch = [](const std::string&, const std::string&, const auto& fetched) {
            fetched(fail(Errc::unavailable, "the center is away"));
        };
        m.give(made);
        m.go_to(10s, 0s);
        m.loop.advance(1s);
        CHECK(m.processes.started.empty());
        CHECK(m.process->runner.prepared() == 1);
        m.process->fetch = deliver;
        m.loop.advance(3s);
        CHECK(m.processes.started.size() == 1);
    }
    SECTION("what is not the package fails the run") {
        m.process->fetch = [](const std::string&, const std::string& path, const auto& fetched) {
            write_file(path, "something else");
            fetched(std::string{"run.sh"});
        };
        const auto task = m.give(made);
        const Instant due = m.go_to(10s, 0s);
        m.loop.advance(1s);
        CHECK(m.processes.started.empty());
        CHECK(m.runs().at(id_of_fire(task, due)).state == RunState::failed);
        CHECK_THAT(m.runs().at(id_of_fire(task, due)).reason, Contains("its package cannot be had"));
    }
}

TEST_CASE("a task that is disabled or deleted does not start what was prepared") {
    RunnerMachine m;
    const auto task = m.give(m.make_task());
    const Instant due = m.go_to(10s, 100ms);
    REQUIRE(m.process->runner.prepared() == 1);
    std::string why;
    SECTION("disabled") {
        auto disabled = std::make_shared<task::Task>(*task);
        disabled->enabled = false;
        m.put(disabled);
        why = "disabled";
    }
    SECTION("deleted") {
        m.process->coordinator->erase_task(task->id, m.loop.clock().now());
        m.process->runner.erase_task(task->id);
        why = "deleted";
    }
    m.loop.advance(15s);
    CHECK(m.processes.started.empty());
    CHECK(m.runs().at(id_of_fire(task, due)).state == RunState::skipped);
    CHECK_THAT(m.runs().at(id_of_fire(task, due)).reason, Contains(why));
}

TEST_CASE("a command is carried out once, whatever happens") {
    RunnerMachine m;
    const auto task = m.give(m.make_task(1h));
    Command start{id_of(501), Command::Kind::start, id_of(601), "alice", *task};
    m.process->runner.handle(start);
    m.process->runner.handle(start);
    m.loop.advance(20ms);
    REQUIRE(m.only_started() == start.run_id);
    CHECK(m.runs().at(start.run_id).trigger == task::Trigger::manual);
    CHECK(m.runs().at(start.run_id).started_by == "alice");
    REQUIRE(m.command_reports().size() == 1);
    CHECK_THAT(m.command_reports()[0], Contains("done"));

    SECTION("again after the node was killed") {
        m.kill();
        m.boot();
        m.process->runner.handle(start);
        m.loop.advance(20ms);
        CHECK(m.processes.started.size() == 1);
        CHECK(m.process->runner.running() == 1);
        CHECK(m.command_reports().size() == 1);
    }
    SECTION("a stop ends the run, and only once") {
        Command stop{id_of(502), Command::Kind::stop, start.run_id, "", {}};
        m.process->runner.handle(stop);
        m.process->runner.handle(stop);
        m.process->supervisor.end(start.run_id, 143);
        m.loop.advance(20ms);
        CHECK(m.runs().at(start.run_id).state == RunState::stopped);
        REQUIRE(m.command_reports().size() == 2);
        stop.id = id_of(503);
        m.process->runner.handle(stop);
        m.loop.advance(20ms);
        REQUIRE(m.command_reports().size() == 3);
        CHECK_THAT(m.command_reports()[2], Contains("refused"));
    }
    SECTION("what cannot be read is refused") {
        m.process->runner.handle({id_of(504), Command::Kind::start, id_of(604), "alice", {}});
        m.process->runner.handle({id_of(505), Command::Kind::start, "x", "alice", *task});
        m.process->runner.handle({id_of(506), Command::Kind::start, "../../etc", "alice", *task});
        m.loop.advance(20ms);
        REQUIRE(m.command_reports().size() == 4);
        for (std::size_t i = 1; i < 4; ++i) CHECK_THAT(m.command_reports()[i], Contains("refused"));
        CHECK(m.processes.started.size() == 1);
    }
}

TEST_CASE("a killed node finds again what runs, and reports as lost what is gone") {
    RunnerMachine m;
    auto made = m.make_task();
    made->overlap = task::Overlap::allow;
    made->max_parallel = 5;
    const auto task = m.give(made);
    const Instant due = m.go_to(10s, 0s);
    m.loop.settle();
    const std::string id = m.only_started();
    fs::create_directories(m.processes.started[0].folder);
    write_file(m.processes.started[0].folder + "/stdout", "what it said last");

    SECTION("running") {
        m.kill();
        m.boot();
        CHECK(m.process->runner.running() == 1);
        m.process->supervisor.end(id);
        m.loop.advance(20ms);
        CHECK(m.runs().at(id).state == RunState::succeeded);
    }
    SECTION("gone, with its output") {
        m.kill();
        m.processes.alive.clear();
        m.boot();
        m.loop.settle();
        CHECK(m.process->runner.running() == 0);
        CHECK(m.runs().at(id).state == RunState::lost);
        std::uint64_t bytes = 0;
        for (const auto& report : m.reports()) bytes += report.kind == Report::Kind::log ? report.until - report.from : 0;
        CHECK(bytes == 17);
        CHECK(m.process->store->load_unfinished()->empty());
    }
    SECTION("between intent and start") {
        m.go_to(10s, 100ms);
        m.kill();
        m.processes.alive.clear();
        m.boot();
        m.loop.settle();
        CHECK(m.runs().at(id_of_fire(task, due + 10s)).state == RunState::lost);
    }
    SECTION("and no fire is started again") {
        m.kill();
        m.processes.alive.clear();
        m.boot();
        m.put(task);
        m.take_part();
        m.loop.advance(1s);
        CHECK(m.processes.started.size() == 1);
    }
}

TEST_CASE("a run that was asked to stop is stopped by the next process as well") {
    RunnerMachine m;
    const auto task = m.give(m.make_task());
    m.go_to(10s, 0s);
    m.loop.advance(1s);
    const std::string id = m.only_started();
    m.process->runner.handle({id_of(777), Command::Kind::stop, id, {}, {}});
    m.loop.settle();
    REQUIRE(m.process->supervisor.stopped.contains(id));
    m.kill();  // in the middle of the grace
    m.boot();
    CHECK(m.process->supervisor.stopped.contains(id));
    m.process->supervisor.end(id, 1);
    m.loop.settle();
    CHECK((m.runs().at(id).state == RunState::stopped));
}

TEST_CASE("a process that cannot be watched yet is not lost, and no other run begins beside it") {
    RunnerMachine m;
    const auto task = m.give(m.make_task());
    m.go_to(10s, 0s);
    m.loop.advance(1s);
    const std::string id = m.only_started();
    m.kill();
    m.processes.unwatchable = true;
    m.boot();
    m.put(task);
    m.take_part();
    const Instant due = m.go_to(10s, 0s);
    m.loop.advance(1s);
    CHECK((m.runs().at(id).state == RunState::running));
    CHECK((m.runs().at(id_of_fire(task, due)).state == RunState::skipped));
    CHECK(m.process->runner.running() == 1);

    m.processes.unwatchable = false;
    m.loop.advance(2s);
    m.process->supervisor.end(id);
    m.loop.settle();
    CHECK((m.runs().at(id).state == RunState::succeeded));
    CHECK(m.processes.started.size() == 1);
}

TEST_CASE("fires of a node that died are lost, and run again where the task wants that") {
    for (const auto policy : {task::Guarantee::at_most_once, task::Guarantee::at_least_once}) {
        RunnerMachine m;
        auto made = m.make_task(1s);
        made->guarantee = policy;
        made->overlap = task::Overlap::allow;
        made->max_parallel = 1000;
        made->labels = {};
        m.cluster.catalog.push_back(made);
        m.cluster.publish();
        // The other node has it alone, then dies; this one follows.
        m.kill();
        m.cluster.start("b");
        REQUIRE(m.cluster.until([&] { return m.cluster.settled_with({"b"}); }));
        m.loop.advance(5s + 300ms);
        m.cluster.kill("b");
        m.loop.advance(2s);
        m.boot();
        m.give(made);
        m.loop.advance(5s);
        int lost = 0, rerun = 0;
        for (const auto& [id, run] : m.runs()) {
            lost += run.state == RunState::lost ? 1 : 0;
            if (run.attempt != 2) continue;
            ++rerun;
            CHECK(run.trigger == task::Trigger::rerun);
            CHECK(run.state == RunState::running);
        }
        CHECK(lost > 0);
        CHECK(rerun == (policy == task::Guarantee::at_least_once ? lost : 0));
    }
}

TEST_CASE("what the journal forgets is forgotten here, folder and all") {
    RunnerMachine m;
    const auto task = m.give(m.make_task(1h));
    m.process->runner.handle({id_of(501), Command::Kind::start, id_of(601), "alice", *task});
    m.loop.settle();
    const std::string run_folder = m.processes.started[0].folder;
    fs::create_directories(run_folder);
    m.process->supervisor.end(id_of(601));
    m.loop.advance(5s);
    // The node's only fire is an hour away. What it has claimed so far is done, so that manual runs do not pile up until then.
    CHECK(m.process->coordinator->settled_until() == Instant::max());
    REQUIRE(m.process->store->delivered_until(1000));
    const auto forgotten = m.process->store->forget_before(Instant::max());
    REQUIRE(forgotten->runs == std::vector<std::string>{id_of(601)});
    REQUIRE(forgotten->commands == std::vector<std::string>{id_of(501)});
    m.process->runner.forget(*forgotten);
    m.loop.settle();
    CHECK_FALSE(fs::exists(run_folder));
}

TEST_CASE("the folder of a run that wrote nothing is the next run's at once; of one that did, once its output is delivered") {
    RunnerMachine m;
    const auto task = m.give(m.make_task(1h));
    const auto run = [&](int number, std::uint64_t written) {
        m.process->runner.handle({id_of(500 + number), Command::Kind::start, id_of(600 + number), "alice", *task});
        m.loop.advance(20ms);
        const std::string folder = m.processes.started.back().folder;
        REQUIRE(fs::exists(folder + "/work"));
        write_file(folder + "/work/left", "by the run");
        m.process->supervisor.written[id_of(600 + number)] = written;
        m.process->supervisor.end(id_of(600 + number));
        m.loop.advance(20ms);
        return folder;
    };
    CHECK_FALSE(fs::exists(run(1, 0)));
    CHECK_FALSE(fs::is_empty(m.folder / "runs/spare"));
    const std::string folder = run(2, 5);
    CHECK(fs::exists(folder + "/stdout"));
    CHECK(fs::is_empty(folder + "/work"));
    CHECK(fs::is_empty(m.folder / "runs/spare"));
}

TEST_CASE("a node that has fallen behind makes folders only for what is due next") {
    RunnerMachine m;
    auto made = m.make_task(1h);
    made->overlap = task::Overlap::allow;
    made->max_parallel = 2000;
    const auto task = m.give(made);
    const auto folders = [&] {
        std::size_t count = 0;
        for (const auto& entry : fs::recursive_directory_iterator(m.folder / "runs")) count += entry.path().filename() == "work" ? 1 : 0;
        return count;
    };
    m.disk_worker.held = true;
    for (int number = 0; number < 1100; ++number) {
        m.process->runner.handle({id_of(3000 + number), Command::Kind::start, id_of(5000 + number), "alice", *task});
    }
    m.loop.settle();
    CHECK(m.process->runner.prepared() == 1100);
    CHECK(folders() == 1000);
    m.disk_worker.release();
    m.loop.advance(20ms);
    CHECK(m.processes.started.size() == 1100);
    CHECK(m.process->runner.prepared() == 0);
}

TEST_CASE("folders that the journal does not know are set aside before any run begins") {
    TempFolder folder;
    REQUIRE(RunFolders::make_shards(folder.path()));
    fs::create_directories(folder / "01/known01/work");
    fs::create_directories(folder / "02/stray02/work");
    for (int round = 0; round < 2; ++round) {
        REQUIRE(RunFolders::set_strays_aside(folder.path(), {"known01"}));
        CHECK(fs::exists(folder / "01/known01/work"));
        CHECK_FALSE(fs::exists(folder / "02/stray02"));
        CHECK(fs::exists(RunFolders::strays(folder.path()) + "/stray02/work"));
    }
}

}  // namespace
}  // namespace cloudtask::node::test
