// Disk: commits that meet go together, callbacks keep their order, and nothing is called after the end.
#include "node/disk.h"

#include <deque>

#include "cloudtask/core/fake_loop.h"
#include "tests/node/node_store_support.h"

namespace cloudtask::node::test {
namespace {

// Holds jobs until the test lets one through.
class SlowWorker final : public Worker {
  public:
    void submit(Job job) override { jobs.push_back(std::move(job)); }
    bool let_one_through() {
        if (jobs.empty()) return false;
        const Job job = std::move(jobs.front());
        jobs.pop_front();
        job();
        return true;
    }
    std::deque<Job> jobs;
};

struct SlowDisk {
    TempFolder folder;
    FakeLoop loop;
    SlowWorker worker;
    std::unique_ptr<NodeStore> store = open_store(folder / "node.db");
    std::unique_ptr<Disk> disk = std::make_unique<Disk>(loop, worker, *store);
    std::vector<std::string> events;

    Batch batch(int second) const {
        Batch made;
        made.entries = {{.run = run_at(kNoon + std::chrono::seconds{second}),
                         .phase = Phase::intent,
                         .process = {},
                         .stdout_sent = 0,
                         .stderr_sent = 0}};
        made.reports = {run_report("n.1", made.entries[0].run)};
        return made;
    }
    void commit(int second) {
        disk->commit(batch(second),
                     [this, second](Result<> done) { events.push_back((done ? "kept " : "lost ") + std::to_string(second)); });
    }
    void look() {
        disk->run<std::size_t>(
            [](NodeStore& kept) -> Result<std::size_t> {
                const auto ids = kept.load_runs();
                if (!ids) return propagate(ids);
                return ids->size();
            },
            [this](Result<std::size_t> count) { events.push_back("saw " + std::to_string(*count)); });
    }
    int trips() {
        int count = 0;
        for (loop.settle(); worker.let_one_through(); loop.settle()) ++count;
        return count;
    }
};

TEST_CASE("commits that are asked for while one is under way go together") {
    SlowDisk f;
    int reported = 0;
    f.disk->on_reports([&] { ++reported; });
    for (int i = 0; i < 50; ++i) f.commit(i);
    CHECK(f.events.empty());  // never inline
    CHECK(f.trips() == 2);    // the first alone, the others as one
    REQUIRE(f.events.size() == 50);
    for (int i = 0; i < 50; ++i) CHECK(f.events[static_cast<std::size_t>(i)] == "kept " + std::to_string(i));
    CHECK(reported == 2);
    CHECK(f.store->load_runs()->size() == 50);
    CHECK(f.store->oldest_reports(100)->back().sequence == 50);
}

TEST_CASE("jobs and commits are carried out and answered in the order of the calls") {
    SlowDisk f;
    f.look();
    f.commit(1);
    f.look();
    f.commit(2);
    f.commit(3);
    f.look();
    f.trips();
    CHECK(f.events == std::vector<std::string>{"saw 0", "kept 1", "saw 1", "kept 2", "kept 3", "saw 3"});
}

TEST_CASE("a callback may ask for more") {
    SlowDisk f;
    f.disk->commit(f.batch(1), [&](Result<>) { f.commit(2); });
    f.trips();
    CHECK(f.events == std::vector<std::string>{"kept 2"});
}

TEST_CASE("a failure concerns every batch of its group, and no reports are announced") {
    SlowDisk f;
    bool reported = false;
    f.disk->on_reports([&] { reported = true; });
    f.look();
    f.commit(1);
    Batch faulty = f.batch(2);
    faulty.reports[0].kind = Report::Kind::command;
    faulty.reports[0].body = "no JSON";
    f.disk->commit(faulty, [&](Result<> done) { f.events.push_back(done ? "kept it" : "lost it"); });
    f.trips();
    CHECK(f.events == std::vector<std::string>{"saw 0", "lost 1", "lost it"});
    CHECK_FALSE(reported);
    CHECK(f.store->load_runs()->empty());
}

TEST_CASE("after the end nobody is told, and what was asked for is kept all the same") {
    SlowDisk f;
    SECTION("between the calls") {
        f.commit(1);
        f.commit(2);
        f.disk.reset();
    }
    SECTION("in a callback") {
        f.disk->on_reports([&] { f.events.emplace_back("reports"); });
        f.disk->commit(f.batch(1), [&](Result<>) { f.disk.reset(); });
        f.commit(2);
    }
    f.trips();
    CHECK(f.events.empty());
    CHECK(f.store->load_runs()->size() == 2);
}

}  // namespace
}  // namespace cloudtask::node::test
