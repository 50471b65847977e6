// Programs and calls under one supervisor: what a call leaves in its run's folder, and that each is stopped and told of as what it is.
#include <utility>  // Asio 1.74 uses std::exchange without it

#include "node/http/call_supervisor.h"

#include <catch2/catch.hpp>

#include "tests/node/http_server.h"
#include "tests/node/process_support.h"

namespace cloudtask::node::test {
namespace {

using namespace std::chrono_literals;

struct MixedBench : Bench {
    MixedBench() { supervisor = make_call_supervisor(loop, std::move(supervisor), *make_http_calls(loop)); }

    LaunchSpec call(const std::string& id, const std::string& url, const std::string& pattern = {}) const {
        LaunchSpec spec;
        spec.run_id = id;
        spec.folder = folder / id;
        auto http = std::make_shared<task::HttpCall>();
        http->url = url;
        http->expect.pattern = pattern;
        spec.http = std::move(http);
        spec.networks = rules_allowing({"127.0.0.1"});
        return spec;
    }
    Ended run_call(LaunchSpec spec) {
        const std::string id = spec.run_id;
        start(std::move(spec));
        REQUIRE(run_until(loop, [&] { return ended.contains(id); }));
        REQUIRE(begun.contains(id));
        CHECK(ends.at(id) == 1);
        return ended.at(id);
    }
};

TEST_CASE("the beginning of an answer is the output of its run") {
    MixedBench bench;
    HttpServer server(bench.loop, [](const std::string& request) {
        if (request.starts_with("GET /large")) return answer_of(200, std::string(6000, 'x') + "end");
        return answer_of(request.starts_with("GET /none") ? 204 : 500, request.starts_with("GET /none") ? "" : "what went wrong");
    });
    const Ended failed = bench.run_call(bench.call("failed", server.url("/")));
    CHECK(failed.state() == task::RunState::failed);
    CHECK(failed.http_status == 500);
    CHECK(failed.call_fault == "it answered 500");
    CHECK(failed.stdout_bytes == 15);
    CHECK(read_file(bench.folder / "failed/stdout") == "what went wrong");
    CHECK_FALSE(failed.output_truncated);

    LaunchSpec bounded = bench.call("bounded", server.url("/large"), "^x+end$");
    bounded.output_limit = 5000;
    const Ended large = bench.run_call(bounded);
    CHECK(large.state() == task::RunState::succeeded);  // more is looked at than is kept
    CHECK(large.stdout_bytes == 5000);
    CHECK(large.output_truncated);
    CHECK(read_file(bench.folder / "bounded/stdout") == std::string(5000, 'x'));

    const Ended none = bench.run_call(bench.call("none", server.url("/none")));
    CHECK(none.state() == task::RunState::succeeded);
    CHECK(none.stdout_bytes == 0);
    CHECK_FALSE(std::filesystem::exists(bench.folder / "none/stdout"));

    // Where nothing can be written, the call counts all the same.
    write_file(bench.folder / "file", "");
    LaunchSpec nowhere = bench.call("nowhere", server.url("/large"));
    nowhere.folder = bench.folder / "file/nowhere";
    const Ended lost = bench.run_call(nowhere);
    CHECK(lost.state() == task::RunState::succeeded);
    CHECK(lost.output_lost);
    CHECK(lost.stdout_bytes == 0);

    const Ended refused = bench.run_call(bench.call("refused", server.url("/", "127.0.0.2")));
    CHECK(refused.call_fault == "not called: 127.0.0.2 is loopback (127.0.0.0/8)");
    CHECK_FALSE(refused.http_status);
}

TEST_CASE("a call is stopped like a program, and nobody finds it again") {
    MixedBench bench;
    HttpServer server(bench.loop, [](const std::string&) { return std::string{}; });
    bench.start(bench.call("call", server.url("/")));
    bench.start(bench.shell("program", "exec sleep 60"));
    REQUIRE(run_until(bench.loop, [&] { return bench.begun.size() == 2 && server.hits() == 1; }));
    CHECK(bench.supervisor->running() == 2);
    CHECK(bench.supervisor->identity("call") == ProcessIdentity{});
    CHECK(bench.supervisor->identity("program")->pid > 0);
    // Nobody sees whose process it is while the shell becomes sleep.
    CHECK(run_until(bench.loop, [&] { return bench.supervisor->find({"call", "program"}).size() == 1; }));
    CHECK_FALSE(bench.supervisor->progress("call"));
    for (const char* id : {"call", "program"}) {
        CHECK(bench.supervisor->stop(id));
        REQUIRE(run_until(bench.loop, [&] { return bench.ended.contains(id); }));
        CHECK(bench.ended.at(id).state() == task::RunState::stopped);
        CHECK_FALSE(bench.supervisor->stop(id));
    }
    CHECK(bench.supervisor->running() == 0);
    CHECK_FALSE(bench.supervisor->identity("call"));

    LaunchSpec limited = bench.call("limited", server.url("/"));
    limited.time_limit = 50ms;
    CHECK(bench.run_call(limited).state() == task::RunState::timed_out);
}

}  // namespace
}  // namespace cloudtask::node::test
