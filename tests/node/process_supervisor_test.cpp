// Real processes under a real loop: how runs start and end.
#include "process_support.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <thread>

#include "node/process/children.h"
#include "node/process/proc_table.h"
#include "node/process/spawn.h"

namespace cloudtask::node::test {
namespace {

using namespace std::chrono_literals;

bool alive(pid_t pid) {
    const std::optional<ProcessStat> stat = read_stat(pid);
    return stat && !stat->dead();
}

// find_by_run_ids() looks at all processes of the machine, also at those of another run of these tests.
std::string unique(const std::string& name) { return fmt::format("{}-{}-{}", name, ::getpid(), read_stat(::getpid())->start_time); }

pid_t number(const std::string& text) { return static_cast<pid_t>(std::stol(text)); }

TEST_CASE("a run ends with its exit code, its output and its working folder") {
    Bench bench;
    const Ended ended = bench.run(bench.shell("a", "echo out; echo err >&2; pwd; exit 7"));
    CHECK(ended.exit_code == 7);
    CHECK_FALSE(ended.signal);
    CHECK(ended.state() == task::RunState::failed);
    CHECK(bench.output("a") == "out\n" + (bench.folder / "a/work") + "\n");
    CHECK(bench.output("a", Stream::err) == "err\n");
    CHECK(ended.stdout_bytes == bench.output("a").size());
    CHECK(ended.stderr_bytes == 4);
    CHECK(bench.supervisor->running() == 0);

    CHECK(bench.run(bench.command("b", {"true"})).state() == task::RunState::succeeded);
}

TEST_CASE("a run that a signal ends says which") {
    Bench bench;
    const Ended ended = bench.run(bench.shell("a", "kill -SEGV $$"));
    CHECK(ended.signal == SIGSEGV);
    CHECK_FALSE(ended.exit_code);
    CHECK(ended.state() == task::RunState::failed);
}

TEST_CASE("the identity of a started process is that of /proc") {
    Bench bench;
    const std::string id = unique("a");
    const Result<Started> started = bench.start(bench.shell(id, "echo up; read x < /dev/zero"));
    REQUIRE(started);
    bench.first_line(id);  // in the middle of execve(2) a process has no environment yet
    const std::optional<ProcessStat> stat = read_stat(started->pid);
    REQUIRE(stat);
    const std::optional<ProcessIdentity> identity = bench.supervisor->identity(id);
    REQUIRE(identity);
    CHECK(identity->pid == started->pid);
    CHECK(identity->start_time == stat->start_time);
    CHECK(identity->boot_id == boot_id());
    CHECK_FALSE(bench.supervisor->identity("nobody"));
    CHECK(stat->session == started->pid);
    CHECK(stat->group == started->pid);
    const std::map<std::string, ProcessIdentity> expected{{id, *identity}};
    CHECK((find_by_run_ids({id, "nobody"}) == expected));
    CHECK_FALSE(bench.start(bench.shell(id, "true")));  // the id is in use

    CHECK(bench.supervisor->stop(id));
    REQUIRE(bench.wait(id));
}

TEST_CASE("a child gets a clean environment, an empty stdin and no descriptor of the node") {
    Bench bench;
    ::setenv("CLOUDTASK_SECRET", "hidden", 1);
    const int leaked = ::dup(0);  // not close-on-exec
    LaunchSpec spec = bench.shell("a", "env; cat; ls /proc/self/fd | tr '\\n' ' '");
    spec.environment = {{"MINE", "1"}, {"BOTH", "task"}, {"CLOUDTASK_RUN_ID", "forged"}};
    spec.run_environment = {{"CLOUDTASK_TASK", "demo"}, {"BOTH", "run"}};
    bench.run(std::move(spec));
    ::close(leaked);
    ::unsetenv("CLOUDTASK_SECRET");
    const std::string text = bench.output("a");
    INFO(text);
    CHECK(text.find("CLOUDTASK_RUN_ID=a\n") != std::string::npos);
    CHECK(text.find("CLOUDTASK_TASK=demo\n") != std::string::npos);
    CHECK(text.find("MINE=1\n") != std::string::npos);
    CHECK(text.find("BOTH=run\n") != std::string::npos);
    CHECK(text.find("PATH=") != std::string::npos);
    CHECK(text.find("SECRET") == std::string::npos);
    CHECK(text.ends_with("0 1 2 3 "));  // 3 is the folder that ls reads
}

TEST_CASE("a child has no signal blocked or ignored") {
    Bench bench;
    sigset_t blocked, before;
    ::sigemptyset(&blocked);
    ::sigaddset(&blocked, SIGTERM);
    ::pthread_sigmask(SIG_BLOCK, &blocked, &before);
    const auto handler = ::signal(SIGPIPE, SIG_IGN);
    bench.run(bench.command("a", {"grep", "-E", "^Sig(Blk|Ign)", "/proc/self/status"}));
    ::signal(SIGPIPE, handler);
    ::pthread_sigmask(SIG_SETMASK, &before, nullptr);
    CHECK(bench.output("a") == "SigBlk:\t0000000000000000\nSigIgn:\t0000000000000000\n");
}

TEST_CASE("what cannot be started is an error that names the file") {
    Bench bench;
    const auto error_of = [&bench](const std::string& id, std::vector<std::string> words) {
        const Result<Started> started = bench.start(bench.command(id, std::move(words)));
        REQUIRE_FALSE(started);
        return started.error();
    };
    const auto file = [&bench](const std::string& id, const std::string& text, bool executable) {
        std::filesystem::create_directories(bench.folder / (id + "/work"));
        write_file(bench.folder / (id + "/work/prog"), text, executable);
    };
    CHECK(error_of("a", {"no-such-program"}).is(Errc::not_found));
    CHECK(error_of("b", {"/no/such/program"}).message.find("/no/such/program") != std::string::npos);
    CHECK(error_of("c", {"./missing.sh"}).message.find("work/./missing.sh") != std::string::npos);

    file("d", "#!/bin/sh\n", false);
    CHECK(error_of("d", {"./prog"}).is(Errc::permission_denied));
    file("e", "#!/no/interpreter -x\n", true);
    CHECK(error_of("e", {"./prog"}).message.find("interpreter /no/interpreter of") != std::string::npos);
    file("f", "#!/bin/sh\r\necho\r\n", true);
    CHECK(error_of("f", {"./prog"}).message.find("carriage return") != std::string::npos);
    file("g", "just text\n", true);
    CHECK(error_of("g", {"./prog"}).is(Errc::invalid_argument));
    CHECK(error_of("h", {"/tmp"}).is(Errc::permission_denied));

    file("i", "#!/bin/sh\necho ran\n", true);
    bench.run(bench.command("i", {"./prog"}));
    CHECK(bench.output("i") == "ran\n");
    LaunchSpec by_path = bench.command("j", {"prog"});
    by_path.environment = {{"PATH", (bench.folder / "i/work") + ":/bin"}};
    bench.run(std::move(by_path));
    CHECK(bench.output("j") == "ran\n");
    CHECK(bench.supervisor->running() == 0);
    CHECK(bench.ended.size() == 2);  // errors have no end
}

TEST_CASE("stop ends the whole group and is never a success") {
    Bench bench;
    REQUIRE(bench.start(bench.shell("a", "trap 'exit 0' TERM; sh -c 'echo $$; exec sleep 1000' & wait")));
    const pid_t grandchild = number(bench.first_line("a"));
    CHECK(bench.supervisor->stop("a"));
    CHECK_FALSE(bench.supervisor->stop("a"));
    CHECK_FALSE(bench.supervisor->stop("nobody"));
    REQUIRE(bench.wait("a"));
    CHECK(bench.ended["a"].stopped);
    CHECK(bench.ended["a"].exit_code == 0);
    CHECK(bench.ended["a"].state() == task::RunState::stopped);
    CHECK_FALSE(alive(grandchild));
}

TEST_CASE("a stop that comes after the end, but before the loop has seen it, is refused") {
    Bench bench;
    const Result<Started> started = bench.start(bench.command("a", {"true"}));
    REQUIRE(started);
    // The loop does not turn here, so that the end stays unseen.
    const auto deadline = std::chrono::steady_clock::now() + 20s;
    while (alive(started->pid) && std::chrono::steady_clock::now() < deadline) std::this_thread::yield();
    CHECK_FALSE(bench.supervisor->stop("a"));
    REQUIRE(bench.wait("a"));
    CHECK(bench.ended["a"].state() == task::RunState::succeeded);
}

TEST_CASE("what ignores TERM gets KILL after the grace") {
    Bench bench;
    LaunchSpec spec = bench.shell("a", "trap '' TERM; sh -c 'echo $$; while :; do sleep 1; done' & wait; while :; do sleep 1; done");
    spec.grace = 200ms;
    REQUIRE(bench.start(std::move(spec)));
    const pid_t grandchild = number(bench.first_line("a"));
    CHECK(bench.supervisor->stop("a"));
    REQUIRE(bench.wait("a"));
    CHECK(bench.ended["a"].signal == SIGKILL);
    CHECK(bench.ended["a"].stopped);
    CHECK_FALSE(alive(grandchild));
}

TEST_CASE("stop reaches a grandchild that has a session of its own") {
    Bench bench;
    SECTION("with its parent alive") {
        LaunchSpec spec = bench.shell("a", "trap '' TERM; setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done'");
        spec.grace = 200ms;
        REQUIRE(bench.start(std::move(spec)));
    }
    SECTION("as an orphan that ignores TERM") {
        LaunchSpec spec = bench.shell("a", "(setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' &) ; sleep 1000");
        spec.grace = 200ms;
        REQUIRE(bench.start(std::move(spec)));
    }
    SECTION("as an orphan that ends at TERM") {
        REQUIRE(bench.start(bench.shell("a", "(setsid sh -c 'echo $$; sleep 1000' &) ; sleep 1000")));
    }
    const pid_t escaped = number(bench.first_line("a"));
    REQUIRE(alive(escaped));
    CHECK(bench.supervisor->stop("a"));
    REQUIRE(bench.wait("a"));
    CHECK(bench.ended["a"].state() == task::RunState::stopped);
    CHECK_FALSE(alive(escaped));
}

TEST_CASE("a run is over only when nothing of its tree is left") {
    Bench bench;
    const std::string background = GENERATE("sleep 1000 & echo $!", "setsid sleep 1000 & echo $!",
                                            "(setsid sh -c 'trap \"\" TERM; echo $$; while :; do sleep 1; done' &) ; "
                                            "until [ -s ../stdout ]; do sleep 0.01; done");
    LaunchSpec spec = bench.shell("a", background + "; exit 3");
    spec.grace = 200ms;
    const Ended ended = bench.run(std::move(spec));
    CHECK_FALSE(alive(number(bench.first_line("a"))));
    CHECK(ended.exit_code == 3);  // still that of the first process
    CHECK_FALSE(ended.stopped);
    CHECK_FALSE(ended.timed_out);
}

TEST_CASE("what one run leaves behind is not ended by the end of another") {
    Bench bench;
    REQUIRE(bench.start(bench.shell("a", "(setsid sh -c 'echo $$; sleep 1000' &) ; sleep 1000")));
    const pid_t escaped = number(bench.first_line("a"));
    bench.run(bench.shell("b", "sleep 1000 & exit 0"));
    CHECK(alive(escaped));
    CHECK(bench.supervisor->stop("a"));
    REQUIRE(bench.wait("a"));
    CHECK_FALSE(alive(escaped));
}

TEST_CASE("the time limit ends a run, and is never a success") {
    Bench bench;
    LaunchSpec spec = bench.shell("a", "trap 'exit 0' TERM; while :; do sleep 0.01; done");
    spec.time_limit = 100ms;
    const Ended ended = bench.run(std::move(spec));
    CHECK(ended.timed_out);
    CHECK_FALSE(ended.stopped);
    CHECK(ended.exit_code == 0);
    CHECK(ended.state() == task::RunState::timed_out);
}

TEST_CASE("a stopped (SIGSTOP) process hears TERM") {
    Bench bench;
    const Result<Started> started = bench.start(bench.shell("a", "kill -STOP $$; exit 0"));
    REQUIRE(started);
    REQUIRE(run_until(bench.loop, [&] {
        const auto stat = read_stat(started->pid);
        return stat && stat->state == 'T';
    }));
    CHECK(bench.supervisor->stop("a"));
    REQUIRE(bench.wait("a"));
    CHECK(bench.ended["a"].signal == SIGTERM);
}

TEST_CASE("of many quick runs none is lost, none is told twice, and no descriptor or zombie stays") {
    const auto descriptors = [] {
        return std::distance(std::filesystem::directory_iterator("/proc/self/fd"), std::filesystem::directory_iterator{});
    };
    Bench bench;
    bench.run(bench.shell("first", "true"));  // what the loop opens, it opens now
    bench.ended.clear();
    const auto before = descriptors();
    constexpr int kRuns = 300;
    const auto text = [](int i) { return fmt::format("echo {}; exit {}", i, i % 100); };
    SECTION("one after the other") {
        for (int i = 0; i < kRuns; ++i) REQUIRE(bench.start(bench.shell(std::to_string(i), text(i))));
    }
    SECTION("all at once") {
        for (int i = 0; i < kRuns; ++i) bench.begin(bench.shell(std::to_string(i), text(i)));
    }
    REQUIRE(run_until(bench.loop, [&] { return bench.ended.size() == kRuns; }));
    for (int i = 0; i < kRuns; ++i) {
        const std::string id = std::to_string(i);
        REQUIRE(bench.ends[id] == 1);
        REQUIRE(bench.ended[id].exit_code == i % 100);
        REQUIRE(bench.output(id) == id + "\n");
    }
    CHECK(bench.supervisor->running() == 0);
    CHECK(descriptors() == before);
    CHECK(reap_orphans().empty());
}

TEST_CASE("a stop that comes while the start is on its way ends the run as soon as it has begun") {
    Bench bench;
    bench.begin(bench.shell("a", "sleep 1000"));
    bench.begin(bench.shell("b", "sleep 1000"));
    for (const char* id : {"a", "b"}) {
        CHECK_FALSE(bench.begun.contains(id));
        CHECK(bench.supervisor->identity(id) == std::nullopt);
        CHECK(bench.supervisor->progress(id) == std::nullopt);
        CHECK(bench.supervisor->stop(id));
        CHECK_FALSE(bench.supervisor->stop(id));
    }
    CHECK(bench.supervisor->running() == 2);
    for (const char* id : {"a", "b"}) {
        REQUIRE(bench.wait(id));
        REQUIRE(bench.begun.contains(id));
        CHECK(bench.begun.at(id));
        CHECK(bench.ended[id].stopped);
        CHECK(bench.ended[id].signal == SIGTERM);
    }
}

TEST_CASE("of starts that come together one may fail") {
    Bench bench;
    for (const char* id : {"a", "c"}) bench.begin(bench.command(id, {"true"}));
    bench.begin(bench.command("b", {"/no/such/program"}));
    bool refused = false;
    bench.supervisor->start(
        bench.shell("c", "true"), [&](const Result<Started>& started) { refused = !started && started.error().is(Errc::invalid_argument); },
        [](Ended) { FAIL("it was not started"); });
    CHECK_FALSE(refused);  // not inline
    REQUIRE(run_until(bench.loop, [&] { return bench.begun.size() == 3 && bench.supervisor->running() == 0; }));
    CHECK(refused);  // its id is in use
    CHECK(bench.ended.size() == 2);
    REQUIRE_FALSE(bench.begun.at("b"));
    CHECK(bench.begun.at("b").error().is(Errc::not_found));
}

TEST_CASE("what was to be started when the supervisor went is started, and found by the next one") {
    Bench bench;
    const std::vector<std::string> ids{unique("a"), unique("b"), unique("c")};
    for (const auto& id : ids) bench.begin(bench.shell(id, "sleep 1000"));
    bench.supervisor.reset();
    // In the middle of execve(2) a process shows no environment.
    std::map<std::string, ProcessIdentity> found;
    REQUIRE(run_until(bench.loop, [&] {
        found = find_by_run_ids({ids.begin(), ids.end()});
        return found.size() == ids.size();
    }));
    CHECK(bench.begun.empty());
    bench.supervisor = make_supervisor(bench.loop);
    for (const auto& [id, process] : found) {
        CHECK(bench.supervisor->adopt({id, bench.folder / id, process, bench.loop.clock().now()}, bench.note()));
        CHECK(bench.supervisor->stop(id));
    }
    for (const auto& [id, process] : found) {
        REQUIRE(bench.wait(id));
        CHECK(bench.ended[id].signal == SIGTERM);
    }
}

TEST_CASE("orphans that end while their run goes on are reaped") {
    Bench bench;
    REQUIRE(bench.start(bench.shell("a", "(setsid sh -c 'echo $$; exec sleep 0.05' &) ; sleep 1000")));
    const pid_t orphan = number(bench.first_line("a"));
    CHECK(run_until(bench.loop, [&] { return !read_stat(orphan); }));
    CHECK(bench.supervisor->stop("a"));
    REQUIRE(bench.wait("a"));
}

TEST_CASE("a run starts without its output when the files cannot be made") {
    Bench bench;
    std::filesystem::create_directories(bench.folder / "a/stdout");  // a folder stands where the file should be
    const Result<Started> started = bench.start(bench.shell("a", "echo lost; echo kept >&2; touch done"));
    REQUIRE(started);
    CHECK(started->output_lost);
    REQUIRE(bench.wait("a"));
    CHECK(bench.ended["a"].output_lost);
    CHECK(bench.ended["a"].exit_code == 0);
    CHECK(bench.output("a", Stream::err) == "kept\n");
    CHECK(std::filesystem::exists(bench.folder / "a/work/done"));
}

TEST_CASE("destroying the supervisor in a callback is allowed, and leaves other runs alone") {
    Bench bench;
    const Result<Started> other = bench.start(bench.shell("b", "sleep 1000"));
    REQUIRE(other);
    const std::optional<ProcessIdentity> other_process = bench.supervisor->identity("b");
    REQUIRE(other_process);
    bool ended = false;
    bench.supervisor->start(
        bench.shell("a", "true"), [](const Result<Started>& started) { CHECK(started); },
        [&](Ended) {
            bench.supervisor.reset();
            ended = true;
        });
    REQUIRE(run_until(bench.loop, [&] { return ended; }));
    CHECK(alive(other->pid));

    // A new supervisor in the same process is still its parent, so even its exit code can be had.
    bench.supervisor = make_supervisor(bench.loop);
    RunningRecord record{"b", bench.folder / "b", *other_process, other->started_at};
    REQUIRE(bench.supervisor->adopt(record, bench.note()));
    CHECK(bench.supervisor->stop("b"));
    REQUIRE(bench.wait("b"));
    CHECK(bench.ended["b"].stopped);
    CHECK(bench.ended["b"].signal == SIGTERM);
}

// What a node finds after its restart: a process whose parent is somebody else. Here the parent is a shell that lives on, is no run, and
// starts the "run" with setsid.
struct Foreign {
    explicit Foreign(Bench& bench, const std::string& text) {
        std::filesystem::create_directories(bench.folder / "f/work");
        SpawnRequest request;
        request.shell =
            fmt::format("CLOUDTASK_RUN_ID={} setsid sh -c '{}' > '{}' & wait; exec sleep 1000", id, text, bench.folder / "f/stdout");
        request.environment = base_environment();
        request.working_folder = bench.folder / "f/work";
        request.standard_input = request.standard_output = request.standard_error = ::open("/dev/null", O_RDWR | O_CLOEXEC);
        const Result<pid_t> spawned = spawn_registered([&request]() -> Result<pid_t> {
            const Result<Child> child = spawn(request);
            return child ? Result<pid_t>(child->pid) : propagate(child);
        });
        ::close(request.standard_input);
        REQUIRE(spawned);
        parent = *spawned;
        std::map<std::string, ProcessIdentity> found;
        REQUIRE(run_until(bench.loop, [&] {
            found = find_by_run_ids({id});
            return found.contains(id);
        }));
        record.run_id = id;
        record.folder = bench.folder / "f";
        record.process = found.at(id);
        record.started_at = bench.loop.clock().now();
        record.grace = 200ms;
    }
    ~Foreign() {
        for (const pid_t leader : {parent, record.process.pid}) ::kill(-leader, SIGKILL);
        while (!reap_registered(parent)) std::this_thread::yield();
    }
    const std::string id = unique("f");
    pid_t parent = 0;
    RunningRecord record;
};

TEST_CASE("an adopted process is supervised to its end") {
    Bench bench;
    Foreign foreign(bench, "until [ -e go ]; do sleep 0.01; done; echo done; exit 5");
    REQUIRE(bench.supervisor->adopt(foreign.record, bench.note()));
    write_file(bench.folder / "f/work/go", "");
    REQUIRE(bench.wait(foreign.id));
    const Ended& ended = bench.ended[foreign.id];
    CHECK(bench.output("f") == "done\n");
    CHECK(ended.stdout_bytes == 5);
    // Kernels from 6.15 on tell the exit code to whoever holds a pidfd; older ones do not.
    if (ended.exit_unknown) {
        CHECK(ended.state() == task::RunState::lost);
    } else {
        CHECK(ended.exit_code == 5);
    }
}

TEST_CASE("an adopted process can be stopped with its escaped children") {
    Bench bench;
    Foreign foreign(bench, "(setsid sh -c \"trap : TERM; echo \\$\\$; while :; do sleep 0.1; done\" &) ; sleep 1000");
    REQUIRE(bench.supervisor->adopt(foreign.record, bench.note()));
    const pid_t escaped = number(bench.first_line("f"));
    CHECK(bench.supervisor->stop(foreign.id));
    REQUIRE(bench.wait(foreign.id));
    CHECK(bench.ended[foreign.id].stopped);
    CHECK_FALSE(alive(escaped));
}

TEST_CASE("an adopted process has only what is left of its time") {
    Bench bench;
    Foreign foreign(bench, "sleep 1000");
    foreign.record.started_at -= 1h;
    foreign.record.time_limit = 30min;
    REQUIRE(bench.supervisor->adopt(foreign.record, bench.note()));
    REQUIRE(bench.wait(foreign.id));
    CHECK(bench.ended[foreign.id].timed_out);
}

TEST_CASE("a process that is another's now is not adopted") {
    Bench bench;
    Foreign foreign(bench, "sleep 1000");
    RunningRecord other_start = foreign.record, other_boot = foreign.record, gone = foreign.record;
    ++other_start.process.start_time;
    other_boot.process.boot_id = "another";
    gone.process.pid = 4'000'000;
    for (const RunningRecord& record : {other_start, other_boot, gone}) {
        const Result<> adopted = bench.supervisor->adopt(record, bench.note());
        REQUIRE_FALSE(adopted);
        CHECK(adopted.error().is(Errc::not_found));
    }
    CHECK(bench.supervisor->running() == 0);
}

}  // namespace
}  // namespace cloudtask::node::test
