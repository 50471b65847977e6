// NodeCore at its start: what an earlier process of the node left on disk is taken up as it stood.
#include "node/node_core.h"

#include "cloudtask/task/attempts.h"
#include "tests/node/runner_machine.h"

namespace cloudtask::node::test {
namespace {

// The next process of the machine's node, with all of it but the agent.
struct CoreProcess {
    explicit CoreProcess(RunnerMachine& m)
        : store(open_store(m.folder / "node.db")),
          worker(m.loop),
          disk(m.loop, m.disk_worker, *store),
          package_store(*PackageStore::open(m.folder / "packages")),
          packages(m.loop, worker, *package_store, [](const auto&, const auto&, auto) {}),
          supervisor(m.loop, m.processes),
          client(m.loop, m.cluster.random, [&m] { return m.cluster.tree.connect(); }),
          core({m.loop, m.cluster.random, worker, disk, supervisor, packages, client}, claims(),
               {m.folder / "runs", "a", "node-a", std::make_shared<NodeSecrets>(node_keys(), "")}, [](std::int64_t) {}) {}

    static CoordinatorOptions claims() {
        CoordinatorOptions options;
        options.runtime = "demo";
        options.node_id = "a";
        options.name = "node-a";
        return options;
    }

    std::unique_ptr<NodeStore> store;
    LoopWorker worker;
    Disk disk;
    std::unique_ptr<PackageStore> package_store;
    PackageCache packages;
    NotingSupervisor supervisor;
    zk::Client client;
    NodeCore core;
};

}  // namespace

TEST_CASE("an attempt that waits is there after a restart, also where an earlier version of its task was disabled") {
    RunnerMachine m;
    auto made = m.make_task(1h);
    task::Retry retry;
    retry.attempts = 2;
    retry.delay = 10s;
    made->retry = std::make_shared<const task::Retry>(retry);
    made->version = 3;
    const auto task = m.give(made);
    const Instant due = m.go_to(1h, 0s);
    m.loop.advance(20ms);
    m.process->supervisor.end(id_of_fire(task, due), 1);
    m.loop.advance(1s);
    const std::string second = task::retry_id(id_of_fire(task, due), due);
    REQUIRE(m.runs().at(second).state == RunState::pending);

    // It was disabled for a minute, long before.
    task::Task first = *task, disabled = *task;
    first.version = 1;
    first.effective_from = first.updated_at = due - 2h;
    disabled.version = 2;
    disabled.enabled = false;
    disabled.updated_at = due - 50min;
    task::Task enabled = *task;
    enabled.effective_from = enabled.updated_at = due - 49min;
    REQUIRE(m.process->store->apply_catalog({.revision = 3, .full = true, .tasks = {first, disabled, enabled}, .deleted = {}}));
    const auto kept = *m.process->store->load_catalog();
    REQUIRE(std::any_of(kept.tasks.begin(), kept.tasks.end(), [](const task::Task& version) { return !version.enabled; }));

    m.kill();
    CoreProcess next(m);
    bool loaded = false;
    next.core.load([&](const Result<>& done) { loaded = done.has_value(); });
    REQUIRE(m.cluster.until([&] { return loaded; }));
    next.client.start();
    REQUIRE(m.cluster.until([&] { return m.processes.started.size() == 2; }));
    CHECK(m.processes.started.back().run_id == second);
}

}  // namespace cloudtask::node::test
