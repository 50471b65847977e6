// Runs that call an address: what is sent with the call, how its end is told, and what becomes of it when the node is killed.
#include "cloudtask/task/attempts.h"
#include "cloudtask/task/http_call.h"
#include "tests/node/http_server.h"
#include "tests/node/runner_machine.h"

namespace cloudtask::node::test {
namespace {

std::shared_ptr<task::Task> calling_task(const RunnerMachine& m) {
    auto made = m.make_task();
    made->shell.clear();
    made->command.clear();
    auto call = std::make_shared<task::HttpCall>();
    call->url = "http://example.org/hook";
    made->http = std::move(call);
    return made;
}

Ended answered(std::int64_t status, std::string fault) {
    Ended ended;
    ended.http_status = status;
    ended.call_fault = std::move(fault);
    return ended;
}

TEST_CASE("a due task calls its address, and the answer is told") {
    RunnerMachine m;
    m.process->runner.set_networks(rules_allowing({"10.1.0.0/16"}));
    const auto task = m.give(calling_task(m));
    const Instant due = m.go_to(10s, 0s);
    m.loop.advance(1s);
    const std::string id = m.only_started();
    const LaunchSpec& spec = m.processes.started[0];
    CHECK(spec.http == task->http);
    CHECK(spec.shell.empty());
    CHECK(*spec.networks == *rules_allowing({"10.1.0.0/16"}));
    CHECK(spec.run_headers.at("CloudTask-Run-Id") == id);
    CHECK(spec.run_headers.at("CloudTask-Fire-Time") == format_instant(due));
    CHECK(spec.run_headers.at("Idempotency-Key") == id);

    SECTION("a success") {
        m.process->supervisor.end(id, answered(204, ""));
        m.loop.advance(100ms);
        CHECK(m.runs().at(id).state == RunState::succeeded);
        CHECK(m.runs().at(id).http_status == 204);
        CHECK_FALSE(m.runs().at(id).exit_code);
        CHECK(m.runs().at(id).reason.empty());
    }
    SECTION("another answer") {
        m.process->supervisor.end(id, answered(503, "it answered 503"));
        m.loop.advance(100ms);
        CHECK(m.runs().at(id).state == RunState::failed);
        CHECK(m.runs().at(id).http_status == 503);
        CHECK(m.runs().at(id).reason == "it answered 503");
    }
    SECTION("a stop") {
        m.process->runner.handle({id_of(777), Command::Kind::stop, id, {}, {}});
        m.process->supervisor.end(id, answered(200, "it was stopped"));
        m.loop.advance(100ms);
        CHECK(m.runs().at(id).state == RunState::stopped);
    }
}

TEST_CASE("a call that its node was killed in may have been made, and is made again only where that is asked for") {
    RunnerMachine m;
    auto made = calling_task(m);
    bool noted = true, again = false;
    SECTION("noted in the journal") {}
    SECTION("only its intent in the journal") { noted = false; }
    SECTION("at least once") {
        made->guarantee = task::Guarantee::at_least_once;
        again = true;
    }
    const auto task = m.give(made);
    const Instant due = m.go_to(10s, 0s);
    if (noted) {
        m.loop.advance(1s);
    } else {
        m.loop.settle();
    }
    const std::string id = m.only_started();
    m.kill();
    m.boot();
    m.loop.advance(20ms);
    CHECK(m.process->runner.running() == 0);
    CHECK(m.runs().at(id).state == RunState::lost);
    CHECK_THAT(m.runs().at(id).reason, Contains(noted ? "it may have been called" : "may have started it or not"));
    m.put(task);
    m.take_part();
    m.loop.advance(2s);
    if (!again) {
        CHECK(m.only_started() == id);
        return;
    }
    REQUIRE(m.processes.started.size() == 2);
    const auto& headers = m.processes.started[1].run_headers;
    CHECK(headers.at("CloudTask-Run-Id") == task::retry_id(id, due));
    CHECK(headers.at("CloudTask-Attempt") == "2");
    CHECK(headers.at("Idempotency-Key") == id);
    // What fails is not tried again: only what is lost.
    m.process->supervisor.end(m.processes.started[1].run_id, answered(500, "it answered 500"));
    m.loop.advance(3s);
    CHECK(m.processes.started.size() == 2);
}

TEST_CASE("attempts of a manual start have one idempotency key") {
    RunnerMachine m;
    auto made = calling_task(m);
    made->schedules.clear();
    made->retry = std::make_shared<const task::Retry>(task::Retry{.attempts = 3, .delay = 1s, .exit_codes = {}});
    m.give(made);
    m.process->runner.handle({id_of(776), Command::Kind::start, id_of(775), "eva", *made});
    m.loop.advance(1s);
    const std::string id = m.only_started();
    for (std::size_t attempt = 1; attempt <= 3; ++attempt) {
        REQUIRE(m.processes.started.size() == attempt);
        CHECK(m.processes.started.back().run_headers.at("Idempotency-Key") == id);
        m.process->supervisor.end(m.processes.started.back().run_id, answered(503, "it answered 503"));
        m.loop.advance(10s);
    }
    CHECK(m.processes.started.size() == 3);
}

}  // namespace
}  // namespace cloudtask::node::test
