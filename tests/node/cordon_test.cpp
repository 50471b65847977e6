// Cordon: the center's wish, on disk and in the ring; when the center is told; what a disk that fails does to it.
#include "node/cordon.h"

#include "tests/node/cluster_model.h"
#include "tests/node/node_store_support.h"

using namespace std::chrono_literals;

namespace cloudtask::node::test {
namespace {

// Runs a job at once, unless the disk is to stand still.
class StoppableWorker final : public Worker {
  public:
    void submit(Job job) override {
        if (!stopped) return job();
        held.push_back(std::move(job));
    }
    void go_on() {
        stopped = false;
        for (const auto& job : std::exchange(held, {})) job();
    }
    bool stopped = false;
    std::vector<Job> held;
};

struct Pair : ClusterModel {
    Pair() {
        for (int i = 0; i < 12; ++i) add_task(1s, i * 37ms);
        publish();
        for (const auto* id : {"a", "b"}) start(id);
        REQUIRE(until([&] { return settled_with({"a", "b"}); }));
    }
};

// The cordon of node b.
struct CordonedPair : Pair {
    void wish(const std::string& id, Command::Kind kind) {
        Command command;
        command.id = id;
        command.kind = kind;
        cordon.handle(command);
        loop.settle();
    }
    std::vector<std::string> reported() {
        std::vector<std::string> bodies;
        const auto reports = store->oldest_reports(100);
        for (const auto& report : *reports) bodies.push_back(report.body);
        return bodies;
    }
    static std::string done(const std::string& id) { return command_report("", id, true).body; }

    TempFolder folder;
    StoppableWorker worker;
    std::unique_ptr<NodeStore> store = open_store(folder / "node.db");
    Disk disk{loop, worker, *store};
    Coordinator& coordinator{node("b").coordinator()};
    Cordon cordon{loop, disk, coordinator};
};

TEST_CASE("a cordon is on disk and in the ring, and is reported once all is handed over") {
    CordonedPair f;
    f.wish("c1", Command::Kind::cordon);
    CHECK(f.coordinator.cordoned());
    CHECK(*f.store->load_cordoned());
    CHECK(f.reported().empty());
    f.wish("c1", Command::Kind::cordon);  // the center delivers it again until it is reported
    REQUIRE(f.until([&] { return !f.reported().empty(); }));
    CHECK(f.settled_with({"a"}));
    CHECK(f.coordinator.handed_over());
    f.wish("c1", Command::Kind::cordon);
    f.loop.advance(1s);
    CHECK(f.reported() == std::vector<std::string>{CordonedPair::done("c1")});

    f.wish("c2", Command::Kind::uncordon);
    f.loop.settle();
    CHECK_FALSE(f.coordinator.cordoned());
    CHECK_FALSE(*f.store->load_cordoned());
    CHECK(f.reported().back() == CordonedPair::done("c2"));
    REQUIRE(f.until([&] { return f.settled_with({"a", "b"}); }));
}

TEST_CASE("a wish that is withdrawn before it is carried out is not reported") {
    CordonedPair f;
    f.wish("c1", Command::Kind::cordon);
    f.wish("c2", Command::Kind::uncordon);
    f.loop.advance(10s);
    CHECK(f.reported() == std::vector<std::string>{CordonedPair::done("c2")});
    CHECK_FALSE(*f.store->load_cordoned());
    CHECK(f.settled_with({"a", "b"}));
}

TEST_CASE("a node is cordoned also while its disk stands still, and says so only when the disk knows") {
    CordonedPair f;
    f.worker.stopped = true;
    f.wish("c1", Command::Kind::cordon);
    REQUIRE(f.until([&] { return f.settled_with({"a"}); }));
    f.loop.advance(5s);
    CHECK(f.reported().empty());
    f.worker.go_on();
    REQUIRE(f.until([&] { return f.reported() == std::vector<std::string>{CordonedPair::done("c1")}; }));
    CHECK(*f.store->load_cordoned());
}

}  // namespace
}  // namespace cloudtask::node::test
