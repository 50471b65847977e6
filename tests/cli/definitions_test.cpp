// Definitions as files and versions: diff, export, what is read back is what was written, versions of a task, and changes of many.
#include <catch2/catch.hpp>

#include <random>

#include "cli/exit.h"
#include "cli/manifest.h"
#include "cli/output.h"
#include "cli/yaml.h"
#include "cloudtask/task/codec.h"
#include "tests/cli/fake_center.h"

namespace cloudtask::cli::test {

namespace {

constexpr const char* kDaily =
    R"({"id":"0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10","runtime":"demo","group":"reports","name":"daily","shell":"true","version":3})";
constexpr const char* kUnusedCalendar = R"({"id":"c1","runtime":"demo","name":"unused","zone":"UTC","version":1})";
constexpr const char* kUsedCalendar = R"({"id":"c2","runtime":"demo","name":"used","holidays":[{"yearly":"12-25"}],"version":1})";
constexpr const char* kExcluding =
    R"({"runtime":"demo","group":"reports","name":"daily","shell":"true","schedules":[{"every":"1h","exclude":["used"]}],"calendars":{"used":{}}})";
constexpr const char* kVersions = "/api/v1/tasks/0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10/versions";
constexpr const char* kBulk = "POST /api/v1/tasks/bulk";

std::string items(const std::string& list) { return R"({"items":[)" + list + "]}"; }

json::Document parsed(const std::string& text) {
    auto document = json::parse(text);
    INFO(text);
    REQUIRE(document);
    return std::move(*document);
}

// Texts that look like something else, to YAML or to whoever wrote its reader.
std::string nasty_text(std::mt19937_64& random, bool lines) {
    static const std::vector<std::string> kParts = {
        "12",  "1e3", "0x1F", "true", "null",       "~",     "yes",   "off",   ".inf", "- ", "? ",     ": ",     " #",     "#",
        "'",   "\"",  "\\",   "\\n",  "{",          "}",     "[",     "]",     ",",    "&a", "*a",     "!t",     "|",      ">",
        "%",   "@",   "`",    " ",    "  ",         "a",     "B",     "é",     "日本", "😀", "\u00a0", "\u2028", "\u0085", "\ufeff",
        "---", "...", "<<",   "=",    "2026-11-21", "12:30", "1_000", "$HOME", "/",    "//", "<",      "."};
    static const std::vector<std::string> kLines = {"\n", "\n\n", "\t", "\n  ", "\n- x", "\n#!/bin/sh\n", " \n"};
    std::string text;
    for (auto parts = random() % 6; parts > 0; --parts) {
        const auto& from = lines && random() % 3 == 0 ? kLines : kParts;
        text += from[random() % from.size()];
    }
    return text;
}

task::Task random_definition(std::mt19937_64& random) {
    const auto one_of = [&](std::uint64_t n) { return random() % n == 0; };
    task::Task task;
    task.runtime = "demo";
    task.group = "reports";
    task.name = fmt::format("t{}", random() % 1000);
    task.description = nasty_text(random, true);
    task.enabled = one_of(2);
    if (one_of(2)) {
        task.shell = "x" + nasty_text(random, true);
    } else {
        task.command = {"run"};
        for (auto words = random() % 4; words > 0; --words) task.command.push_back(nasty_text(random, false));
    }
    if (one_of(2)) task.environment = {{"A", nasty_text(random, true)}, {"yes", nasty_text(random, true)}, {"n", "1"}};
    if (one_of(2)) task.tags = {{"1", "2"}, {"on", "off"}, {"a/b", "no"}};
    if (one_of(2)) task.labels = {{"null", nasty_text(random, false)}, {"1.5", ""}};
    if (one_of(2)) task.package = std::string(64, '1');
    if (one_of(2)) task.targets = {"1", "true", "n-1"};
    if (one_of(2)) task.misfire = task::Misfire::once;
    if (one_of(2)) task.notify = {"ops@example.org", "1@2"};
    for (const char* schedule :
         {R"({"cron": "*/5 * * * *", "zone": "Europe/Berlin"})", R"({"every": "90s", "enabled": false})",
          R"({"at": ["2030-01-01T00:00", "2031-01-01T00:00"]})", R"({"cron": "0 0 1 1 * 2030-2040", "jitter": "1h"})",
          R"({"calendar": {"frequency": "monthly", "days": [1, "last fri"], "times": ["18:00"]}})"}) {
        Faults faults;
        if (one_of(3)) {
            if (auto read = task::Schedule::read(parsed(schedule), "", faults)) task.schedules.push_back(*read);
        }
    }
    task.max_parallel = static_cast<std::int64_t>(1 + random() % 9);
    return task;
}

}  // namespace

TEST_CASE("definitions: YAML and JSON of any task are read back as the same definition, and written as the same text") {
    const auto seed = Catch::rngSeed();
    CAPTURE(seed);
    std::mt19937_64 random{seed};
    for (int round = 0; round < 400; ++round) {
        const auto task = random_definition(random);
        const std::string text = task::to_json(task);
        Faults faults;
        // Texts with control characters are no definition.
        if (!task::read_task_input(parsed(text), faults)) continue;
        const auto definition = read_resource(Kind::task, parsed(text));
        REQUIRE(definition);
        json::Document value = parsed(definition->body);
        value.AddMember("kind", "task", value.GetAllocator());
        json::Document list(rapidjson::kArrayType);
        list.PushBack(json::Value(value, list.GetAllocator()), list.GetAllocator());
        for (const std::string& written : {to_yaml(value), pretty_json(value), pretty_json(list)}) {
            INFO(written);
            const Manifest manifest = read_manifest({{"x", written, "/"}});
            for (const auto& problem : manifest.problems) INFO(problem.line << ": " << problem.text);
            REQUIRE(manifest.problems.empty());
            REQUIRE(manifest.definitions.size() == 1);
            REQUIRE(manifest.definitions[0].body == definition->body);
        }
    }
}

TEST_CASE("definitions: the entries of a JSON array are definitions, with their lines") {
    const Manifest good =
        read_manifest({{"a.json", "[\n{\"kind\": \"runtime\", \"name\": \"a\"},\n{\"kind\": \"runtime\", \"name\": \"b\"}]", "/"}});
    CHECK(good.problems.empty());
    CHECK(good.definitions.size() == 2);
    const Manifest bad =
        read_manifest({{"a.json", "[\n{\"kind\": \"runtime\", \"name\": \"a\"},\n{\"kind\": \"runtime\",\n \"name\": \"B\"}]", "/"}});
    REQUIRE(bad.problems.size() == 1);
    CHECK(bad.problems[0].line == 4);
    CHECK(read_manifest({{"a.json", "[]", "/"}}).problems.size() == 1);
}

TEST_CASE("diff shows members that differ, and its exit code is that of diff(1)") {
    Program program;
    program.input = "kind: task\nruntime: demo\ngroup: reports\nname: daily\nshell: 'true'\ntime_limit: 5m\n";
    const std::string held = items(kDaily);
    SECTION("a difference") {
        program.center.answer(kFindTask, 200, held);
        CHECK(program.run({"diff", "-f", "-"}) == 1);
        CHECK(program.out == "task demo/reports/daily would be updated\n  time_limit \"1h\" -> \"5min\"\n");
        CHECK(contains(program.err, "1 definition differs"));
        CHECK(program.run({"diff", "-f", "-", "-o", "json"}) == 1);
        CHECK(parsed(program.out)[0]["differences"][0]["pointer"] == "/time_limit");
    }
    SECTION("none") {
        program.input = "kind: task\nruntime: demo\ngroup: reports\nname: daily\nshell: 'true'\n";
        program.center.answer(kFindTask, 200, held);
        CHECK(program.run({"diff", "-f", "-"}) == 0);
        CHECK(program.out.empty());
    }
    SECTION("something that is not there") {
        program.center.answer(kFindTask, 200, items(""));
        CHECK(program.run({"diff", "-f", "-"}) == 1);
        CHECK(program.out == "task demo/reports/daily would be created\n");
    }
    SECTION("what cannot be told is 2") {
        program.center.unreachable(kFindTask);
        CHECK(program.run({"diff", "-f", "-"}) == 2);
        program.input = "kind: robot\n";
        CHECK(program.run({"diff", "-f", "-"}) == 2);
        CHECK(program.run({"diff", "-f", "/no/such/file"}) == 2);
    }
    CHECK(program.center.writes().empty());
}

TEST_CASE("a calendar is compared, tried and put like the other kinds, and what uses one that is to come is not tried") {
    const std::string find = "GET /api/v1/calendars?runtime=demo&name=used&limit=200";
    const std::string calendar = "kind: calendar\nruntime: demo\nname: used\nholidays: [{yearly: 01-01}]\n";
    const std::string task =
        "---\nkind: task\nruntime: demo\ngroup: reports\nname: daily\nshell: 'true'\nschedules: [{every: 1h, exclude: [used]}]\n";
    Program program;
    program.input = calendar;
    program.center.answer(find, 200, items(kUsedCalendar));
    program.center.answer("PUT /api/v1/calendars/c2", 200, "{}");
    CHECK(program.run({"diff", "-f", "-"}) == 1);
    CHECK(contains(program.out, "calendar demo/used would be updated\n"));
    CHECK(contains(program.out, "12-25"));
    CHECK(program.center.writes().empty());
    REQUIRE(program.run({"apply", "-f", "-"}) == 0);
    CHECK(program.center.writes() == std::vector<std::string>{"PUT /api/v1/calendars/c2"});

    Program tried;
    tried.input = calendar + task;
    tried.center.answer(find, 200, items(""));
    tried.center.answer(kFindTask, 200, items(""));
    tried.center.answer("POST /api/v1/calendars?dry_run=true", 201, "{}");
    REQUIRE(tried.run({"apply", "-f", "-", "--dry-run"}) == 0);
    CHECK(tried.center.writes() == std::vector<std::string>{"POST /api/v1/calendars?dry_run=true"});
    CHECK(contains(tried.out, "task demo/reports/daily would be created\n"));
}

TEST_CASE("a task is not tried by values of its group that are to come with the same files") {
    const std::string task = "---\nkind: task\nruntime: demo\ngroup: reports\nname: daily\ncommand: [a, '${b}']\nparameters: {b: null}\n";
    for (const std::string changed : {"parameters: {b: x}", "exclusive: true", "description: other"}) {
        INFO(changed);
        Program program;
        program.input = "kind: group\nruntime: demo\nname: reports\n" + changed + "\n" + task;
        program.center.answer("GET /api/v1/groups?runtime=demo&name=reports&limit=200", 200,
                              items(R"({"id":"g1","runtime":"demo","name":"reports","version":1})"));
        program.center.answer("PUT /api/v1/groups/g1?dry_run=true", 200, "{}");
        program.center.answer(kFindTask, 200, items(""));
        program.center.answer("POST /api/v1/tasks?dry_run=true", 201, "{}");
        REQUIRE(program.run({"apply", "-f", "-", "--dry-run"}) == 0);
        CHECK(program.center.writes().size() == (changed == "description: other" ? 2 : 1));
        CHECK(contains(program.out, "task demo/reports/daily would be created\n"));
    }
}

TEST_CASE("apply --canary puts updates on trial, and --dry-run shows what differs") {
    const std::string put = "PUT /api/v1/tasks/0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10";
    Program program;
    program.input = "kind: task\nruntime: demo\ngroup: reports\nname: daily\nshell: 'false'\n";
    program.center.answer(kFindTask, 200, items(kDaily));
    program.center.answer(put + "?canary=5", 200, "{}");
    program.center.answer(put + "?dry_run=true", 200, "{}");
    REQUIRE(program.run({"apply", "-f", "-", "--canary", "5"}) == 0);
    CHECK(program.center.writes() == std::vector<std::string>{put + "?canary=5"});
    REQUIRE(program.run({"apply", "-f", "-", "--dry-run"}) == 0);
    CHECK(program.out == "task demo/reports/daily would be updated\n  shell \"true\" -> \"false\"\n");
    CHECK(program.run({"apply", "-f", "-", "--canary", "0"}) == 2);
    program.center.answer(put + "?allow_ended=true", 200, "{}");
    CHECK(program.run({"apply", "-f", "-", "--allow-ended"}) == 0);
    CHECK(program.center.writes().back() == put + "?allow_ended=true");
}

TEST_CASE("export prints the same text whatever the order in which the center lists") {
    const std::string other =
        R"({"id":"0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e11","runtime":"demo","group":"reports","name":"another","shell":"a\nb\n","enabled":false})";
    const std::string group = R"({"id":"g","runtime":"demo","name":"reports"})";
    std::string first;
    for (const std::string& tasks : {other + "," + kDaily, std::string(kDaily) + "," + other}) {
        Program program;
        program.center.answer("GET /api/v1/runtimes?name=demo&limit=200", 200, items(R"({"name":"demo","version":9,"created_at":"x"})"));
        program.center.answer("GET /api/v1/groups?runtime=demo&limit=200", 200, items(group));
        program.center.answer("GET /api/v1/calendars?runtime=demo&limit=200", 200, items(kUnusedCalendar));
        program.center.answer("GET /api/v1/tasks?runtime=demo&limit=200", 200, items(tasks));
        REQUIRE(program.run({"export", "--runtime", "demo"}) == 0);
        if (first.empty()) first = program.out;
        CHECK(program.out == first);
        CHECK(contains(program.err, "1 runtimes, 1 groups, 1 calendars, 2 tasks"));
        CHECK_FALSE(contains(program.out, "version"));
        CHECK(read_manifest({{"x", program.out, "/"}}).definitions.size() == 5);
        REQUIRE(program.run({"export", "--runtime", "demo", "-o", "json"}) == 0);
        CHECK(read_manifest({{"x", program.out, "/"}}).definitions.size() == 5);
    }
    CHECK(first.starts_with("kind: runtime\nname: demo\ndescription: \"\"\nnotify: []\n---\nkind: group\n"));
    CHECK(first.find("name: another") < first.find("name: daily"));

    Program program;
    program.center.answer("GET /api/v1/runtimes?limit=200", 200, items(R"({"name":"demo"},{"name":"empty"})"));
    program.center.answer("GET /api/v1/groups?name=reports&limit=200", 200, items(group));
    program.center.answer("GET /api/v1/calendars?limit=200", 200, items(std::string(kUnusedCalendar) + "," + kUsedCalendar));
    program.center.answer("GET /api/v1/tasks?group=reports&limit=200", 200, items(kExcluding));
    REQUIRE(program.run({"export", "--group", "reports"}) == 0);
    CHECK_FALSE(contains(program.out, "empty"));
    // Of the calendars those that its tasks use, before them; what a task carries of them is the center's.
    CHECK(contains(program.out, "---\nkind: calendar\nruntime: demo\nname: used\n"));
    CHECK_FALSE(contains(program.out, "unused"));
    CHECK(contains(program.out, "exclude: [used]") != contains(program.out, "exclude:\n      - used"));
    CHECK_FALSE(contains(program.out, "calendars:"));
    CHECK(program.out.find("kind: calendar") < program.out.find("kind: task"));
}

TEST_CASE("export --packages and apply --packages take programs along") {
    const Folder folder;
    const std::string digest(64, 'a');
    const std::string task = R"({"runtime":"demo","group":"reports","name":"daily","command":["run.sh"],"package":")" + digest + "\"}";
    Program program;
    program.folder = folder.path();
    program.center.answer("GET /api/v1/runtimes?limit=200", 200, items(R"({"name":"demo"})"));
    program.center.answer("GET /api/v1/groups?limit=200", 200, items(R"({"runtime":"demo","name":"reports"})"));
    program.center.answer("GET /api/v1/calendars?limit=200", 200, items(""));
    program.center.answer("GET /api/v1/tasks?limit=200", 200, items(task));
    program.center.answer("GET /api/v1/packages/" + digest, 200, R"({"filename":"../../run.sh"})");
    program.center.answer("GET /api/v1/packages/" + digest + "/content", 200, "#!/bin/sh\n");
    REQUIRE(program.run({"export", "--packages", "saved"}) == 0);
    CHECK(read_file(folder.path() / "saved" / digest / "run.sh") == "#!/bin/sh\n");
    CHECK(contains(program.err, "1 packages downloaded"));
    REQUIRE(program.run({"export", "--packages", "saved"}) == 0);
    CHECK(contains(program.err, "0 packages downloaded"));

    Program other;
    other.folder = folder.path();
    folder.write("all.yaml", "kind: task\nruntime: demo\ngroup: reports\nname: daily\ncommand: [run.sh]\npackage: " + digest + "\n");
    other.center.answer(kFindTask, 200, items(""));
    other.center.answer("POST /api/v1/packages?filename=run.sh", 201, "{}");
    other.center.answer("POST /api/v1/tasks", 201, "{}");
    REQUIRE(other.run({"apply", "-f", "all.yaml", "--packages", "saved"}) == 0);
    CHECK(other.center.writes() == std::vector<std::string>{"POST /api/v1/packages?filename=run.sh", "POST /api/v1/tasks"});
    CHECK(other.center.find("POST /api/v1/packages?filename=run.sh")->sha256 == digest);
    CHECK(other.center.find("POST /api/v1/packages?filename=run.sh")->body_file_content == "#!/bin/sh\n");
}

TEST_CASE("task fires: a fire is one line, or one for each piece") {
    Program program;
    program.center.answer(kFindTask, 200, items(kDaily));
    const std::string fires = items(
        R"({"fire_time":"2026-11-21T11:59:00Z","state":"RUNNING","task_version":3,"mode":"shards","counts":{"RUNNING":1,"SUCCEEDED":1},"pieces":[)"
        R"({"shard":0,"state":"SUCCEEDED","run_id":"r0","attempts":2,"node_name":"n1","reason":""},)"
        R"({"shard":1,"state":"RUNNING","run_id":"r1","attempts":1,"node_name":"n2","reason":""}]})");
    const std::string path = std::string("GET /api/v1/tasks/") + kId + "/fires";
    program.center.answer(path + "?limit=10", 200, fires);
    REQUIRE(program.run({"task", "fires", "demo/reports/daily"}) == 0);
    CHECK(program.out ==
          "FIRE                  STATE    RUNS                    VERSION\n"
          "2026-11-21T11:59:00Z  RUNNING  1 RUNNING, 1 SUCCEEDED  3\n");
    REQUIRE(program.run({"task", "fires", "demo/reports/daily", "--pieces"}) == 0);
    CHECK(contains(program.out, "2026-11-21T11:59:00Z  0      SUCCEEDED  n1    2         r0"));
    REQUIRE(program.run({"task", "fires", "demo/reports/daily", "-q"}) == 0);
    CHECK(program.out == "2026-11-21T11:59:00Z RUNNING\n");
}

TEST_CASE("task start of a task with pieces tells of each; which is meant may be said") {
    Program program;
    program.center.answer(kFindTask, 200, items(kDaily));
    const std::string path = std::string("POST /api/v1/tasks/") + kId + "/start";
    program.center.answer(path, 202, items(R"({"id":"r0","shard":0,"node_name":"n1"},{"id":"r1","shard":1,"node_name":"n2"})"));
    program.center.answer(path + "?shard=1", 202, items(R"({"id":"r1","shard":1,"node_name":"n2"})"));
    REQUIRE(program.run({"task", "start", "demo/reports/daily"}) == 0);
    CHECK(program.out ==
          "run r0 of shard 0 of demo/reports/daily started on n1\n"
          "run r1 of shard 1 of demo/reports/daily started on n2\n");
    REQUIRE(program.run({"task", "start", "demo/reports/daily", "--shard", "1", "-q"}) == 0);
    CHECK(program.out == "r1\n");
    program.center.answer("GET /api/v1/runs/r0", 200, R"({"id":"r0","state":"SUCCEEDED","task_name":"daily"})");
    program.center.answer("GET /api/v1/runs/r1", 200, R"({"id":"r1","state":"FAILED","task_name":"daily"})");
    CHECK(program.run({"task", "start", "demo/reports/daily", "--wait"}) == 1);
    CHECK(contains(program.err, "1 of 2 runs of demo/reports/daily did not succeed"));
}

TEST_CASE("task versions and task diff") {
    Program program;
    const std::string task(kVersions);
    program.center.answer(kFindTask, 200, items(kDaily));
    const std::string list =
        items(R"({"version":3,"at":"2026-11-21T11:59:00Z","by":"root","change":"shell 1 -> 2"},)"
              R"({"version":2,"at":"2026-11-21T11:00:00Z","by":"canary","change":"x","note":"rolled back to version 1"})");
    program.center.answer("GET " + task + "?limit=20", 200, list);
    program.center.answer("GET " + task + "?limit=1", 200, list);
    REQUIRE(program.run({"task", "versions", "demo/reports/daily"}) == 0);
    CHECK(program.out ==
          "VERSION  WHEN     BY      CHANGE\n"
          "3        60s ago  root    shell 1 -> 2\n"
          "2        60m ago  canary  rolled back to version 1: x\n");
    // By its id also when it was deleted.
    REQUIRE(program.run({"task", "versions", kId, "-q"}) == 0);
    CHECK(program.out == "3\n2\n");

    const std::string answer =
        R"({"from":{"version":2},"to":{"version":3},"differences":[{"pointer":"/shell","before":"a","after":"b"},{"pointer":"/tags","after":{"x":"y"}}]})";
    program.center.answer("GET " + task + "/2/diff/3", 200, answer);
    program.center.answer("GET " + task + "/1/diff/2", 200, R"({"differences":[]})");
    REQUIRE(program.run({"task", "diff", "demo/reports/daily"}) == 0);
    CHECK(program.out == "version 2 -> version 3\n  shell \"a\" -> \"b\"\n  tags {\"x\":\"y\"} added\n");
    REQUIRE(program.run({"task", "diff", "demo/reports/daily", "1", "2"}) == 0);
    CHECK(contains(program.err, "say the same"));
    CHECK(program.run({"task", "diff", "demo/reports/daily", "zero"}) == 2);
    CHECK(program.run({"task", "diff", "demo/reports/daily", "1", "0"}) == 2);
}

TEST_CASE("task rollback sends the version that was seen, and goes back by one unless told") {
    const std::string back = "POST /api/v1/tasks/0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10/rollback";
    Program program;
    program.center.answer(kFindTask, 200, items(kDaily));
    program.center.answer(back, 200, R"({"runtime":"demo","group":"reports","name":"daily","version":4})");
    REQUIRE(program.run({"task", "rollback", "demo/reports/daily"}) == 0);
    CHECK(program.center.find(back)->body == R"({"version":2})");
    CHECK(program.center.find(back)->if_match == "\"3\"");
    CHECK(program.out == "task demo/reports/daily is at version 4 now, which says what version 2 said\n");
    CHECK(program.run({"task", "rollback", "demo/reports/daily", "x"}) == 2);
}

TEST_CASE("many tasks are changed after a question, and exactly those that were shown") {
    const std::string changed =
        R"({"action":"disable","dry_run":false,"unchanged":2,"changed":[{"id":"i1","runtime":"demo","group":"reports","name":"daily","version":4}],"refused":[]})";
    Program program;
    program.center.answer(kBulk, 200, changed);
    const auto bodies = [&] {
        std::vector<std::string> list;
        for (const auto& call : program.center.calls) list.push_back(call.body);
        return list;
    };
    const std::string select = R"("select":{"runtime":"demo","tag":"team=payroll,live"},"action":"disable",)";
    const std::vector<std::string> words = {"task", "disable", "--runtime", "demo", "--tag", "team=payroll", "--tag", "live"};
    const auto with = [&](const std::string& word) {
        auto all = words;
        all.push_back(word);
        return all;
    };
    SECTION("without a terminal nothing is asked") {
        CHECK(program.run(words) == 2);
        CHECK(bodies() == std::vector<std::string>{"{" + select + R"("dry_run":true})"});
        CHECK(contains(program.err, "add --yes"));
    }
    SECTION("yes") {
        program.in_is_terminal = true;
        program.input = "yes\n";
        REQUIRE(program.run(words) == 0);
        CHECK(bodies() == std::vector<std::string>{"{" + select + R"("dry_run":true})",
                                                   R"({"select":{"ids":["i1"]},"action":"disable","dry_run":false})"});
        CHECK(contains(program.err, "  demo/reports/daily\n1 task will be disabled. Go on?"));
        CHECK(program.out == "task demo/reports/daily disabled\n");
    }
    SECTION("no") {
        program.in_is_terminal = true;
        program.input = "\n";
        CHECK(program.run(words) == 1);
        CHECK(program.center.calls.size() == 1);
    }
    SECTION("--yes and --dry-run") {
        REQUIRE(program.run(with("--yes")) == 0);
        REQUIRE(program.run(with("--dry-run")) == 0);
        CHECK(bodies() == std::vector<std::string>{"{" + select + R"("dry_run":false})", "{" + select + R"("dry_run":true})"});
        CHECK(program.out == "task demo/reports/daily would be disabled\n");
        CHECK(contains(program.err, "2 tasks need no change"));
    }
}

TEST_CASE("one task is changed without a question, refusals are told, and both at once is none") {
    Program program;
    program.center.answer(kFindTask, 200, items(kDaily));
    program.center.answer(
        kBulk, 200, R"({"changed":[],"unchanged":0,"refused":[{"id":"i1","task":"demo/reports/daily","reason":"the name is taken"}]})");
    CHECK(program.run({"task", "move", "demo/reports/daily", "--to", "archive"}) == 1);
    CHECK(program.center.find(kBulk)->body ==
          R"({"select":{"ids":[")" + std::string(kId) + R"("]},"action":"move","group":"archive","dry_run":false})");
    CHECK(contains(program.err, "1 task cannot be moved to archive\n  demo/reports/daily: the name is taken"));
    CHECK(program.run({"task", "move", "demo/reports/daily"}) == 2);
    CHECK(program.run({"task", "delete"}) == 2);
    CHECK(program.run({"task", "delete", "demo/reports/daily", "--group", "x"}) == 2);
    CHECK(program.run({"get", "nodes", "--tag", "x"}) == 2);
    program.center.answer("GET /api/v1/tasks?tag=team%3Dpayroll%2Clive&limit=51", 200, items(kDaily));
    CHECK(program.run({"get", "tasks", "--tag", "team=payroll", "--tag", "live"}) == 0);
}

TEST_CASE("describe shows which values of parameters count, whose they are, and which secrets a task is given") {
    Program program;
    program.center.answer(kFindTask, 200, items(R"({"id":")" + std::string(kId) + R"(","runtime":"demo","group":"reports","name":"daily",
        "version":3,"parameters":{"bucket":null,"day":"${fire_date}\n","region":null,"zone":null},
        "inherited_parameters":{"group":{"region":"${country}-1"},"runtime":{"country":"de","region":"us"}},
        "schedules":[{"every":"1h"},{"every":"2h","parameters":{"bucket":"b1","zone":"z"}}],
        "secrets":{"DB_PASSWORD":"reports-db","TLS_KEY":{"secret":"key","as":"file"}},
        "http":{"sign":{"secret":"hooks"}}})"));
    program.center.answer("GET /api/v1/tasks/" + std::string(kId) + "/guarantee", 200,
                          R"({"sentences":[{"topic":"owner","text":"n1 runs it."}]})");
    REQUIRE(program.run({"describe", "demo/reports/daily"}) == 0);
    const std::string gap(13, ' ');
    CHECK(contains(program.out, "Parameters:  bucket  (given by each schedule or start)\n" + gap + "country=de  (of the runtime)\n" + gap +
                                    "day=${fire_date}?\n" + gap + "region=${country}-1  (of the group)\n" + gap +
                                    "zone  (given by each schedule or start)\n" + gap + "by schedule 2: bucket=b1, zone=z\n"));
    CHECK(contains(program.out, "Secrets:     DB_PASSWORD: the value of reports-db\n" + gap + "TLS_KEY: the path of a file with key\n" +
                                    gap + "the signature: by hooks\n"));
    CHECK(contains(program.out, "- n1 runs it.\n"));

    program.center.answers.erase(kFindTask);
    program.center.answer(kFindTask, 200, items(kDaily));
    REQUIRE(program.run({"describe", "demo/reports/daily"}) == 0);
    CHECK_FALSE(contains(program.out, "Parameters"));
    CHECK_FALSE(contains(program.out, "Secrets"));
}

}  // namespace cloudtask::cli::test
