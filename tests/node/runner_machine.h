// RunnerMachine: the runner over a real store and package cache, an in-memory ZooKeeper and a supervisor that only notes, in virtual time,
// on a disk that is slow, full, or the last that a killed process has left. For the tests of the runner.
#pragma once

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
            if (spec.http != nullptr) {
                calls_.insert(spec.run_id);
            } else {
                processes_.alive.insert(spec.run_id);
            }
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
        return calls_.contains(run_id) ? ProcessIdentity{} : ProcessIdentity{100, 1, "boot"};
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
    void end(const std::string& run_id, std::int64_t exit_code = 0, bool timed_out = false) {
        Ended ended;
        ended.exit_code = exit_code;
        end(run_id, ended, timed_out);
    }
    void end(const std::string& run_id, Ended ended, bool timed_out = false) {
        const auto call = ends_.extract(run_id);
        REQUIRE_FALSE(call.empty());
        processes_.alive.erase(run_id);
        ended.run_id = run_id;
        ended.stopped = stopped.contains(run_id);
        ended.timed_out = timed_out;
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
    std::set<std::string, std::less<>> calls_;  // HTTP calls end with this process
};

// Of the node of every test.
inline const KeyPair& node_keys() {
    static const KeyPair keys = make_key_pair();
    return keys;
}

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
          runner(cluster.loop, worker, disk, supervisor, packages,
                 {folder + "/runs", "a", "node-a",
                  std::make_shared<NodeSecrets>(node_keys(), "/dev/shm/" + fs::path(folder).filename().string())}),
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
    ~RunnerMachine() {
        kill();
        fs::remove_all("/dev/shm/" + fs::path(folder.path()).filename().string());
    }

    void boot() {
        process.emplace(cluster, disk_worker, folder.path(), processes);
        process->runner.secrets().load(*process->store->load_secrets());
        process->runner.recover(*process->store->load_unfinished(), *process->store->load_runs(), *process->store->load_command_ids());
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

    // The node is killed, its next process finds that of the run, and this ends well.
    void kill_boot_and_end(const std::string& run_id) {
        kill();
        boot();
        CHECK(process->runner.running() == 1);
        process->supervisor.end(run_id);
        loop.advance(20ms);
        CHECK(runs().at(run_id).state == RunState::succeeded);
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

inline std::string id_of_fire(const TaskPointer& task, Instant time, int attempt = 1) { return task::run_id(task->id, time, attempt); }

}  // namespace cloudtask::node::test
