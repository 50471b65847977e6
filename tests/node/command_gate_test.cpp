// The order of commands, where a start has to wait for secrets.
#include "node/command_gate.h"

#include <catch2/catch.hpp>

#include <memory>
#include <string>
#include <vector>

namespace cloudtask::node::test {
namespace {

Command command(const std::string& id, Command::Kind kind, const std::string& run_id, bool with_secrets = false) {
    Command made;
    made.id = id;
    made.kind = kind;
    made.run_id = run_id;
    if (kind == Command::Kind::start) made.task.emplace();
    if (with_secrets) made.task->secrets = std::make_shared<const task::SecretUses>(task::SecretUses{{"DB", {"db"}}});
    return made;
}

struct Gate {
    std::vector<std::string> done;                 // ids of commands
    std::vector<std::function<void()>> asked_for;  // what waits for secrets
    bool known = false;
    CommandGate gate{[this](const task::Task& task, std::function<void()> then) {
                         if (known || !task.secrets) return then();
                         asked_for.push_back(std::move(then));
                     },
                     [this](const Command& one) { done.push_back(one.id); }};

    void take(const std::string& id, Command::Kind kind, const std::string& run_id, bool with_secrets = false) {
        gate.take(command(id, kind, run_id, with_secrets));
    }
};

}  // namespace

TEST_CASE("a stop waits behind the start of its run, and no other command does") {
    Gate g;
    g.take("start 1", Command::Kind::start, "1", true);
    g.take("stop 1", Command::Kind::stop, "1");
    g.take("start 2", Command::Kind::start, "2");
    g.take("stop 2", Command::Kind::stop, "2");
    g.take("cordon", Command::Kind::cordon, "");
    g.take("start 1", Command::Kind::start, "1", true);
    CHECK(g.done == std::vector<std::string>{"start 2", "stop 2", "cordon"});
    REQUIRE(g.asked_for.size() == 1);
    g.done.clear();
    g.asked_for.front()();
    CHECK(g.done == std::vector<std::string>{"start 1", "stop 1", "start 1"});
    g.take("stop 1 again", Command::Kind::stop, "1");
    CHECK(g.done.back() == "stop 1 again");
}

TEST_CASE("a start whose secrets are there does not wait") {
    Gate g;
    g.known = true;
    g.take("start", Command::Kind::start, "1", true);
    g.take("stop", Command::Kind::stop, "1");
    CHECK(g.done == std::vector<std::string>{"start", "stop"});
}

TEST_CASE("what waits when the gate goes is not carried out") {
    std::function<void()> then;
    int done = 0;
    auto gate = std::make_unique<CommandGate>([&](const task::Task&, std::function<void()> ready) { then = std::move(ready); },
                                              [&](const Command&) { ++done; });
    gate->take(command("start", Command::Kind::start, "1", true));
    gate.reset();
    then();
    CHECK(done == 0);
}

}  // namespace cloudtask::node::test
