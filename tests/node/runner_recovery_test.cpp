// The runner after a kill: what it finds again, what it has to give up, and what its folders and journal keep.
#include "tests/node/runner_machine.h"

namespace cloudtask::node::test {
namespace {

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

    SECTION("running") { m.kill_boot_and_end(id); }
    SECTION("gone, with its output") {
        m.kill();
        m.processes.alive.clear();
        m.boot();
        m.loop.advance(20ms);
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
        m.loop.advance(20ms);
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
    m.loop.advance(20ms);
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
    m.loop.advance(20ms);
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
    CHECK_FALSE(m.process->runner.run_folder(id_of(601)) == run_folder);
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
    const std::string folder = run(1, 0);
    CHECK(run(2, 5) == folder);
    CHECK(fs::exists(folder + "/stdout"));
    CHECK(fs::is_empty(folder + "/work"));
    CHECK(run(3, 0) != folder);

    // The next process of the node knows it from the journal.
    m.kill();
    m.boot();
    CHECK(m.process->runner.run_folder(id_of(602)) == folder);
    CHECK(fs::exists(folder + "/stdout"));
    CHECK(m.process->runner.run_folder(id_of(601)) != folder);
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

}  // namespace
}  // namespace cloudtask::node::test
