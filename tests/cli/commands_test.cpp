// Commands against a recorded center: what they send, what they print, and how they exit.
#include <catch2/catch.hpp>

#include <sys/stat.h>

#include "cli/credentials.h"
#include "cli/exit.h"
#include "cloudtask/core/json.h"
#include "tests/cli/fake_center.h"

namespace cloudtask::cli::test {

namespace {

constexpr const char* kTaskItem =
    R"({"id":"0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10","runtime":"demo","group":"reports","name":"daily","shell":"true","enabled":true,"version":3,)"
    R"("schedules":[{"cron":"0 9 * * 1-5","zone":"Europe/Berlin"},{"every":"30s","zone":"UTC"}],"state":"failed",)"
    R"("last_run":{"id":"r","state":"FAILED","ended_at":"2026-11-21T11:57:00Z"}})";

std::string list_of(const std::string& items) { return R"({"items":[)" + items + "]}"; }

std::string path(const std::string& rest) { return "/api/v1/tasks/" + std::string(kId) + rest; }

}  // namespace

TEST_CASE("a write that is not answered is made once more, under the same key") {
    const std::string start = "POST " + path("/start");
    Program program;
    program.center.answer(kFindTask, 200, list_of(kTaskItem));
    program.center.unreachable(start);
    program.center.answer(start, 202, R"({"id":"r","state":"PENDING"})");
    REQUIRE(program.run({"task", "start", "demo/reports/daily"}) == 0);
    const auto keys = [&] {
        std::vector<std::string> list;
        for (const auto& call : program.center.calls) {
            if (call.what == start) list.push_back(call.idempotency_key);
        }
        return list;
    };
    REQUIRE(keys().size() == 2);
    CHECK(keys()[0].size() == 32);
    CHECK(keys()[0] == keys()[1]);
    REQUIRE(program.run({"task", "start", "demo/reports/daily"}) == 0);
    REQUIRE(keys().size() == 3);
    CHECK(keys()[2] != keys()[0]);

    Program gone;
    gone.center.answer(kFindTask, 200, list_of(kTaskItem));
    gone.center.unreachable(start);
    CHECK(gone.run({"task", "start", "demo/reports/daily"}) == static_cast<int>(Exit::unreachable));
    CHECK(gone.center.writes().size() == 2);
}

TEST_CASE("get prints an aligned table, JSON, or YAML that apply takes") {
    Program program;
    program.center.answer("GET /api/v1/tasks?runtime=demo&limit=51", 200, list_of(kTaskItem));

    REQUIRE(program.run({"get", "tasks", "--runtime", "demo"}) == 0);
    CHECK(program.out ==
          "TASK                STATE   LAST RUN       SCHEDULES                                                       ID\n"
          "demo/reports/daily  failed  FAILED 3m ago  at 09:00 on Mondays to Fridays, Berlin time | every 30 seconds  "
          "0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10\n");
    CHECK(program.center.endpoints.front().server == "http://center.test");
    CHECK(program.center.endpoints.front().token == "secret");

    REQUIRE(program.run({"-o", "json", "get", "tasks", "-r", "demo"}) == 0);
    const auto array = json::parse(program.out);
    REQUIRE(array);
    REQUIRE(array->Size() == 1);
    CHECK((*array)[0]["state"].GetString() == std::string("failed"));

    REQUIRE(program.run({"get", "tasks", "--runtime=demo", "-q"}) == 0);
    CHECK(program.out == "demo/reports/daily\n");

    REQUIRE(program.run({"get", "tasks", "-r", "demo", "-o", "yaml"}) == 0);
    CHECK(contains(program.out, "kind: task\n"));
    CHECK_FALSE(contains(program.out, kId));
    Program applying;
    applying.input = program.out;
    applying.center.answer(kFindTask, 200, list_of(kTaskItem));
    REQUIRE(applying.run({"apply", "-f", "-"}) == 0);
    CHECK(applying.out == "task demo/reports/daily unchanged\n");
}

TEST_CASE("lists follow the cursors as far as is asked for, and say when there is more") {
    Program program;
    program.center.answer("GET /api/v1/users?limit=200", 200, R"({"items":[{"name":"a"},{"name":"b"}],"next":"c 1"})");
    program.center.answer("GET /api/v1/users?limit=200&cursor=c%201", 200, R"({"items":[{"name":"c"}]})");
    REQUIRE(program.run({"get", "users", "--all", "-q"}) == 0);
    CHECK(program.out == "a\nb\nc\n");

    program.center.answer("GET /api/v1/users?limit=2", 200, R"({"items":[{"name":"a"},{"name":"b"}],"next":"x"})");
    REQUIRE(program.run({"get", "users", "--limit", "1"}) == 0);
    CHECK(contains(program.out, "\na "));
    CHECK_FALSE(contains(program.out, "\nb "));
    CHECK(contains(program.err, "there are more than 1 users"));

    CHECK(program.run({"get", "users", "--limit", "0"}) == 2);
    CHECK(program.run({"get", "users", "--state", "FAILED"}) == 2);
    CHECK(contains(program.err, "users cannot be filtered by --state"));
}

TEST_CASE("a list that cannot be read is an error, not an empty list") {
    Program program;
    program.center.answer("GET /api/v1/nodes?limit=51", 200, "<html>");
    CHECK(program.run({"get", "nodes"}) == 1);
    CHECK(contains(program.err, "is this address a CloudTask center?"));
    program.center.answers.clear();
    program.center.answer("GET /api/v1/nodes?limit=51", 200, R"({"items":[],"next":"x"})");
    program.center.answer("GET /api/v1/nodes?limit=51&cursor=x", 200, R"({"items":[],"next":"x"})");
    CHECK(program.run({"get", "nodes"}) == 1);
}

TEST_CASE("control characters in what the center sends do not reach the terminal") {
    Program program;
    program.center.answer("GET /api/v1/users?limit=51", 200, R"({"items":[{"name":"a\u001b[2Jb\nc","role":"admin"}]})");
    REQUIRE(program.run({"get", "users"}) == 0);
    CHECK(contains(program.out, "a?[2Jb?c"));
}

TEST_CASE("exit codes tell what went wrong") {
    const auto [status, code] =
        GENERATE(table<int, int>({{400, 1}, {401, 4}, {403, 4}, {404, 5}, {409, 6}, {412, 6}, {422, 1}, {500, 1}, {503, 3}}));
    Program program;
    program.center.answer("DELETE /api/v1/join-tokens/x", status, "because of the test");
    CHECK(program.run({"delete", "join-token", "x"}) == code);
    CHECK(contains(program.err, "cloudtask: delete join-token x: because of the test"));
    CHECK(contains(program.err, "cloudtask login --server http://center.test") == (status == 401));
}

TEST_CASE("usage errors exit with 2 and name the help to read") {
    const auto words =
        GENERATE(std::vector<std::string>{}, std::vector<std::string>{"frobnicate"}, std::vector<std::string>{"task"},
                 std::vector<std::string>{"get", "unicorns"}, std::vector<std::string>{"get", "tasks", "--colour"},
                 std::vector<std::string>{"get", "tasks", "--run", "x"}, std::vector<std::string>{"task", "start"},
                 std::vector<std::string>{"task", "start", "a/b/c", "d"}, std::vector<std::string>{"get", "tasks", "-o", "xml"},
                 std::vector<std::string>{"get", "tasks", "--runtime"}, std::vector<std::string>{"run", "log", "x", "--from", "-1"},
                 std::vector<std::string>{"get", "tasks", "-r", "a", "-r", "b"});
    Program program;
    CHECK(program.run(words) == 2);
    CHECK(program.center.calls.empty());
    CHECK(program.out.empty());
    CHECK_FALSE(program.err.empty());
}

TEST_CASE("a center that cannot be reached is exit code 3, nobody logged in is 4") {
    Program program;
    program.center.unreachable("GET /api/v1/nodes?limit=51");
    CHECK(program.run({"get", "nodes"}) == 3);
    CHECK(contains(program.err, "cannot reach the center at http://center.test"));

    const Folder folder;
    program.environment = {{"CLOUDTASK_CONFIG", (folder.path() / "none.json").string()}};
    CHECK(program.run({"get", "nodes"}) == 4);
    CHECK(program.err == "cloudtask: not logged in\n  run: cloudtask login --server URL --user NAME\n");
    CHECK(program.run({"get", "nodes", "--server", "http://other.test/"}) == 4);
    CHECK(contains(program.err, "not logged in at http://other.test\n"));
    CHECK(program.run({"get", "nodes", "--server", "other.test"}) == 2);
}

TEST_CASE("login keeps the token for that center only, in a file that is its owner's") {
    const Folder folder;
    folder.write("password", "open sesame\n");
    Program program;
    program.folder = folder.path();
    program.environment = {{"XDG_CONFIG_HOME", folder.path().string()}};
    program.center.answer("POST /api/v1/login", 200, R"({"token":"t-1","expires_at":"2026-12-01T00:00:00Z","user":{"name":"admin"}})");
    REQUIRE(program.run({"login", "--server", "http://one.test/", "--user", "admin", "--password-file", "password"}) == 0);
    CHECK(program.center.calls.front().body == R"({"name":"admin","password":"open sesame"})");
    const auto file = folder.path() / "cloudtask/credentials.json";
    struct stat status{};
    REQUIRE(::stat(file.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777U) == 0600U);
    CHECK_FALSE(contains(read_file(file), "sesame"));
    CHECK_FALSE(contains(program.out + program.err, "t-1"));

    program.center.answer("GET /api/v1/nodes?limit=51", 200, R"({"items":[]})");
    program.center.endpoints.clear();
    REQUIRE(program.run({"get", "nodes"}) == 0);
    CHECK(program.center.endpoints.front().server == "http://one.test");
    CHECK(program.center.endpoints.front().token == "t-1");
    CHECK(program.run({"get", "nodes", "--server", "http://two.test"}) == 4);

    program.center.answer("DELETE /api/v1/login", 200, "");
    REQUIRE(program.run({"logout"}) == 0);
    CHECK(program.run({"get", "nodes"}) == 4);
}

TEST_CASE("the password of login comes from a file, the environment, the input, or the terminal") {
    const Folder folder;
    Program program;
    program.folder = folder.path();
    program.environment = {{"CLOUDTASK_CONFIG", "logins.json"}};
    program.center.answer("POST /api/v1/login", 200, R"({"token":"t"})");
    const std::vector<std::string> words = {"login", "--server", "http://one.test", "--user", "ada"};
    const auto sent = [&] { return program.center.calls.back().body; };

    program.input = "piped\r\n";
    REQUIRE(program.run(words) == 0);
    CHECK(sent() == R"({"name":"ada","password":"piped"})");
    program.in_is_terminal = true;
    program.typed = "typed";
    REQUIRE(program.run(words) == 0);
    CHECK(sent() == R"({"name":"ada","password":"typed"})");
    program.environment["CLOUDTASK_PASSWORD"] = "environment";
    REQUIRE(program.run(words) == 0);
    CHECK(sent() == R"({"name":"ada","password":"environment"})");
    CHECK(std::filesystem::exists(folder.path() / "logins.json"));

    program.center.answers.clear();
    program.center.answer("POST /api/v1/login", 401, "no");
    CHECK(program.run(words) == 4);
    CHECK(contains(program.err, "the name or the password is wrong"));
}

TEST_CASE("a damaged file of logins is named, and not overwritten") {
    const Folder folder;
    folder.write("logins.json", "{");
    Program program;
    program.folder = folder.path();
    program.environment = {{"CLOUDTASK_CONFIG", "logins.json"}};
    program.input = "x\n";
    CHECK(program.run({"login", "--server", "http://one.test", "--user", "ada"}) == 1);
    CHECK(contains(program.err, "logins.json is not a file of logins"));
    CHECK(program.center.calls.empty());
    CHECK(read_file(folder.path() / "logins.json") == "{");
}

TEST_CASE("create prints the join token alone on the standard output") {
    Program program;
    program.center.answer("POST /api/v1/join-tokens", 201, R"({"id":"j","runtime":"demo","token":"join-me"})");
    REQUIRE(program.run({"create", "join-token", "--runtime", "demo", "--expires-in", "12h"}) == 0);
    CHECK(program.out == "join-me\n");
    CHECK(program.center.calls.back().body == R"({"runtime":"demo","expires_in":"12h"})");
    CHECK(program.run({"create", "join-token", "--runtime", "demo", "--expires-in", "soon"}) == 2);

    program.center.answer("POST /api/v1/runtimes", 201, "{}");
    REQUIRE(program.run({"create", "runtime", "demo", "--notify", "a@example.org", "--notify", "b@example.org"}) == 0);
    CHECK(program.out == "runtime demo created\n");
    CHECK(program.center.calls.back().body == R"({"name":"demo","notify":["a@example.org","b@example.org"]})");

    program.center.answer("POST /api/v1/users", 201, "{}");
    program.input = "secret\n";
    REQUIRE(program.run({"create", "user", "ada", "--role", "admin", "--email", "ada@example.org"}) == 0);
    CHECK(program.center.calls.back().body == R"({"name":"ada","role":"admin","email":"ada@example.org","password":"secret"})");
}

TEST_CASE("owner shows the node, and exits with 1 when there is none") {
    Program program;
    program.center.answer(kFindTask, 200, list_of(kTaskItem));
    program.center.answer("GET " + path("/owner"), 200, R"({"node_id":"n-1","node_name":"node-1","epoch":4,"reason":"first on the ring"})");
    REQUIRE(program.run({"owner", "demo/reports/daily"}) == 0);
    CHECK(program.out ==
          "TASK                NODE    EPOCH  NODE ID  REASON\n"
          "demo/reports/daily  node-1  4      n-1      first on the ring\n");
    REQUIRE(program.run({"owner", "demo/reports/daily", "-o", "json"}) == 0);
    const auto answer = json::parse(program.out);
    REQUIRE(answer);
    CHECK((*answer)["epoch"].GetInt() == 4);

    program.center.answers["GET " + path("/owner")].clear();
    program.center.answer("GET " + path("/owner"), 200, R"({"node_id":null,"node_name":null,"epoch":5,"reason":"no node is online"})");
    CHECK(program.run({"owner", "demo/reports/daily"}) == 1);
    CHECK(contains(program.err, "no node can take task demo/reports/daily: no node is online"));
}

TEST_CASE("a task is named by path or id; what is not there is exit code 5") {
    Program program;
    program.center.answer(kFindTask, 200, list_of(""));
    CHECK(program.run({"owner", "demo/reports/daily"}) == 5);
    CHECK(contains(program.err, "there is no task demo/reports/daily"));
    CHECK(program.run({"owner", "daily"}) == 2);
    CHECK(contains(program.err, "RUNTIME/GROUP/NAME or an id"));
    program.center.answer("GET " + path(""), 200, kTaskItem);
    program.center.answer("GET " + path("/owner"), 200, R"({"node_id":"n-1","node_name":"node-1","epoch":4})");
    CHECK(program.run({"owner", kId, "-q"}) == 0);
    CHECK(program.out == "node-1\n");
}

TEST_CASE("task start --param sends what the run is to be started with, and run get shows it") {
    Program program;
    program.center.answer(kFindTask, 200, list_of(kTaskItem));
    program.center.answer("POST " + path("/start"), 202, R"({"id":"r-1","state":"PENDING"})");
    REQUIRE(program.run(
                {"task", "start", "demo/reports/daily", "-p", "day=a=b", "--param", "region=", "--as-of", "2026-11-20T03:00:00Z"}) == 0);
    CHECK(program.center.calls.back().body == R"({"parameters":{"day":"a=b","region":""},"as_of":"2026-11-20T03:00:00Z"})");
    CHECK(program.run({"task", "start", "demo/reports/daily", "-p", "day"}) == 2);
    CHECK(contains(program.err, "--param day: not NAME=VALUE"));
    CHECK(program.run({"task", "start", "demo/reports/daily", "-p", "day=1", "-p", "day=2"}) == 2);
    program.center.answer("GET /api/v1/runs/018f3c2e-1111-7222-8333-123456789abc", 200,
                          R"({"id":"r-1","parameters":{"day":{"value":"x","from":"manual"},"n":{"value":"7","from":"task"}}})");
    REQUIRE(program.run({"run", "get", "018f3c2e-1111-7222-8333-123456789abc"}) == 0);
    CHECK(contains(program.out, "parameters  day=x (manual), n=7 (task)"));
}

TEST_CASE("task start --wait prints the output and exits by the run's end") {
    Program program;
    program.center.answer(kFindTask, 200, list_of(kTaskItem));
    program.center.answer("POST " + path("/start"), 202, R"({"id":"r-1","state":"PENDING"})");
    program.center.streams.push_back({.events = {{"log", R"({"offset":0,"text":"hello\n"})", ""}, {"end", "\"SUCCEEDED\"", ""}}});
    program.center.answer("GET /api/v1/runs/r-1", 503, "store is busy");
    program.center.answer("GET /api/v1/runs/r-1", 200, R"({"id":"r-1","state":"RUNNING"})");

    SECTION("it succeeded") {
        program.center.answer("GET /api/v1/runs/r-1", 200, R"({"id":"r-1","state":"SUCCEEDED","exit_code":0})");
        CHECK(program.run({"task", "start", "demo/reports/daily", "--wait"}) == 0);
        CHECK(program.out == "hello\n");
    }
    SECTION("it failed") {
        program.center.answer(
            "GET /api/v1/runs/r-1", 200,
            R"({"id":"r-1","runtime":"demo","group":"reports","task_name":"daily","state":"FAILED","exit_code":3,"node_name":"node-1"})");
        CHECK(program.run({"task", "start", "demo/reports/daily", "--wait"}) == 1);
        CHECK(contains(program.err, "run r-1 of demo/reports/daily FAILED: exit code 3 on node-1"));
    }
    SECTION("without --wait it returns at once") {
        CHECK(program.run({"task", "start", "demo/reports/daily", "-q"}) == 0);
        CHECK(program.out == "r-1\n");
    }
}

TEST_CASE("task stop stops what is in progress; one that ended in between is fine") {
    Program program;
    program.center.answer(kFindTask, 200, list_of(kTaskItem));
    program.center.answer("GET /api/v1/runs?task=" + std::string(kId) + "&state=PENDING&limit=200", 200, list_of(R"({"id":"r-1"})"));
    program.center.answer("GET /api/v1/runs?task=" + std::string(kId) + "&state=RUNNING&limit=200", 200, list_of(R"({"id":"r-2"})"));
    program.center.answer("POST /api/v1/runs/r-1/stop", 409, "it has ended");
    program.center.answer("POST /api/v1/runs/r-2/stop", 202, "{}");
    CHECK(program.run({"task", "stop", "demo/reports/daily"}) == 0);
    CHECK(program.out == "run r-2 is being stopped\n");
}

TEST_CASE("task clone") {
    Program program;
    program.center.answer(kFindTask, 200, list_of(kTaskItem));
    program.center.answer("POST " + path("/clone"), 201, R"({"runtime":"demo","group":"trial","name":"copy"})");
    REQUIRE(program.run({"task", "clone", "demo/reports/daily", "copy", "--group", "trial", "--enabled"}) == 0);
    CHECK(program.center.find("POST " + path("/clone"))->body == R"({"name":"copy","group":"trial","enabled":true})");
    CHECK(program.out == "task demo/trial/copy created\n");
}

TEST_CASE("run log prints the bytes as they are, and points to the other stream when there are none") {
    Program program;
    const std::string bytes("a\xff\0b\n", 5);
    program.center.answers["GET /api/v1/runs/r-1/log?stream=stdout&from=0"].push_back(http::Response::text(200, bytes));
    REQUIRE(program.run({"run", "log", "r-1"}) == 0);
    CHECK(program.out == bytes);
    program.center.answers["GET /api/v1/runs/r-1/log?stream=stderr&from=7"].push_back(http::Response::text(200, "late"));
    REQUIRE(program.run({"run", "log", "r-1", "--stream", "stderr", "--from", "7"}) == 0);
    CHECK(program.out == "late");
    program.center.answers["GET /api/v1/runs/r-2/log?stream=stdout&from=0"].push_back(http::Response::text(200, ""));
    REQUIRE(program.run({"run", "log", "r-2"}) == 0);
    CHECK(contains(program.err, "cloudtask run log r-2 --stream stderr"));
    CHECK(program.run({"run", "log", "r-3"}) == 5);
}

TEST_CASE("run log -f takes a dropped connection up again where the output broke off") {
    Program program;
    const auto broken = Result<http::Response>(fail(Errc::unavailable, "connection reset"));
    program.center.streams.push_back({.events = {{"log", R"({"offset":0,"text":"one\n"})", ""}}, .ended = broken});
    program.center.streams.push_back({.events = {}, .ended = broken});
    // Two bytes that are not UTF-8 came as two replacement characters (six bytes): how far that reaches is not known.
    program.center.streams.push_back({.events = {{"log", R"({"offset":4,"text":"t\uFFFD\uFFFDo\n"})", ""}}, .ended = http::Response{}});
    program.center.streams.push_back(
        {.events = {{"log", R"({"offset":4,"text":"t\uFFFD\uFFFDo\nthr"})", ""}, {"log", R"({"offset":12,"text":"ee\n"})", "15"}},
         .ended = broken});
    program.center.streams.push_back({.events = {{"log", R"({"offset":15,"text":"four\n"})", ""}, {"end", R"({"state":"FAILED"})", ""}}});

    REQUIRE(program.run({"run", "log", "r-1", "-f"}) == 0);
    CHECK(program.out == "one\nt\xEF\xBF\xBD\xEF\xBF\xBDo\nthree\nfour\n");
    CHECK(contains(program.err, "run r-1 FAILED"));
    std::vector<std::string> from;
    for (const auto& call : program.center.calls) from.push_back(call.what.substr(call.what.find("from=")));
    CHECK(from == std::vector<std::string>{"from=0&follow=true", "from=4&follow=true", "from=4&follow=true", "from=4&follow=true",
                                           "from=15&follow=true"});
    CHECK(program.center.pauses.size() == 4);
}

TEST_CASE("run log -f gives up when the center stays away, and does not insist on a run that is not there") {
    Program program;
    CHECK(program.run({"run", "log", "r-1", "-f"}) == 3);
    Duration waited{};
    for (const Duration pause : program.center.pauses) waited += pause;
    CHECK(waited >= std::chrono::minutes{2});
    CHECK(waited < std::chrono::minutes{3});

    program.center.calls.clear();
    program.center.streams.push_back({.events = {}, .ended = FakeCenter::problem(404, "there is no run r-1")});
    CHECK(program.run({"run", "log", "r-1", "-f"}) == 5);
    CHECK(program.center.calls.size() == 1);
}

}  // namespace cloudtask::cli::test
