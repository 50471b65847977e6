// apply against a recorded center: what is written, what is left alone, and what is refused before anything is sent.
#include <catch2/catch.hpp>

#include <cstdlib>

#include "cli/manifest.h"
#include "cli/output.h"
#include "cli/yaml.h"
#include "cloudtask/core/hash.h"
#include "tests/cli/fake_center.h"

namespace cloudtask::cli::test {

namespace {

constexpr const char* kRuntime = "kind: runtime\nname: demo\n";
constexpr const char* kTask =
    "kind: task\nruntime: demo\ngroup: reports\nname: daily\ncommand: [./run.sh, --fast]\npackage: ./program\nschedules:\n  - every: 30s\n";

std::string program_digest(const Folder& folder) { return pack_program(folder.path() / "program").value().sha256; }

// The task as a center would list it: the definition that apply sent, with the center's own members.
std::string listed(const std::string& body, const std::string& changes = "") {
    std::string item = body;
    item.pop_back();
    return R"({"items":[)" + item + R"(,"id":"0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10","version":7,"state":"idle","last_run":null)" + changes +
           "}]}";
}

}  // namespace

TEST_CASE("apply creates what is not there, runtimes first, and uploads the program once") {
    const Folder folder;
    folder.write("demo.yaml", std::string(kTask) + "---\n" + kRuntime + "---\nkind: group\nruntime: demo\nname: reports\n");
    folder.write("program/run.sh", "#!/bin/sh\necho hello\n");
    const std::string digest = program_digest(folder);
    Program program;
    program.folder = folder.path();
    program.center.answer("POST /api/v1/runtimes", 201, "{}");
    program.center.answer("GET /api/v1/groups?runtime=demo&name=reports&limit=200", 200, R"({"items":[]})");
    program.center.answer("POST /api/v1/groups", 201, "{}");
    program.center.answer("POST /api/v1/packages?filename=program.tar.gz", 201, "{}");
    program.center.answer(kFindTask, 200, R"({"items":[]})");
    program.center.answer("POST /api/v1/tasks", 201, "{}");

    REQUIRE(program.run({"apply", "-f", "demo.yaml"}) == 0);
    CHECK(program.center.writes() == std::vector<std::string>{"POST /api/v1/runtimes", "POST /api/v1/groups",
                                                              "POST /api/v1/packages?filename=program.tar.gz", "POST /api/v1/tasks"});
    CHECK(contains(program.out, "runtime demo created\ngroup demo/reports created\npackage program.tar.gz"));
    CHECK(contains(program.out, "task demo/reports/daily created\n"));
    const auto* upload = program.center.find("POST /api/v1/packages?filename=program.tar.gz");
    CHECK(upload->sha256 == digest);
    CHECK(sha256_hex(upload->body_file_content) == digest);
    CHECK(contains(program.center.find("POST /api/v1/tasks")->body, "\"package\":\"" + digest + "\""));
    CHECK(program.err.empty());
}

TEST_CASE("apply updates what differs, with the version that it has seen, and leaves the rest alone") {
    const Folder folder;
    folder.write("demo.yaml", kTask);
    folder.write("program/run.sh", "#!/bin/sh\n");
    Program program;
    program.folder = folder.path();
    const Manifest manifest = read_manifest({{"demo.yaml", kTask, folder.path()}});
    REQUIRE(manifest.definitions.size() == 1);
    const std::string body = manifest.definitions[0].body;
    program.center.answer("GET /api/v1/packages/" + program_digest(folder), 200, "{}");
    const std::string put = "PUT /api/v1/tasks/0193a0c4-5b7e-7c31-9d52-3f0c1b7a9e10";
    program.center.answer(put, 200, "{}");

    SECTION("the same") {
        program.center.answer(kFindTask, 200, listed(body));
        REQUIRE(program.run({"apply", "-f", "demo.yaml"}) == 0);
        CHECK(program.center.writes().empty());
        CHECK(program.out == "task demo/reports/daily unchanged\n");
    }
    SECTION("another time limit") {
        std::string other = body;
        const std::size_t at = other.find("\"time_limit\":\"1h\"");
        REQUIRE(at != std::string::npos);
        other.replace(at, 17, "\"time_limit\":\"2h\"");
        program.center.answer(kFindTask, 200, listed(other));
        REQUIRE(program.run({"apply", "-f", "demo.yaml"}) == 0);
        CHECK(program.center.writes() == std::vector<std::string>{put});
        CHECK(program.center.find(put)->if_match == "\"7\"");
        CHECK(program.center.find(put)->body == body);
        CHECK(program.out == "task demo/reports/daily updated\n");
    }
    SECTION("a task that somebody disabled stays disabled, as the file does not say") {
        std::string other = body;
        const std::size_t at = other.find("\"enabled\":true");
        REQUIRE(at != std::string::npos);
        other.replace(at, 14, "\"enabled\":false");
        program.center.answer(kFindTask, 200, listed(other));
        REQUIRE(program.run({"apply", "-f", "demo.yaml"}) == 0);
        CHECK(program.center.writes().empty());

        folder.write("demo.yaml", std::string(kTask) + "enabled: true\n");
        REQUIRE(program.run({"apply", "-f", "demo.yaml"}) == 0);
        CHECK(program.center.writes() == std::vector<std::string>{put});
    }
    SECTION("changed by somebody else in between") {
        std::string other = body;
        other.replace(other.find("1h"), 2, "2h");
        program.center.answer(kFindTask, 200, listed(other));
        program.center.answers[put].clear();
        program.center.answer(put, 412, "version 7 is not the newest");
        CHECK(program.run({"apply", "-f", "demo.yaml"}) == 6);
        CHECK(contains(program.err, "update task demo/reports/daily (demo.yaml:1): version 7 is not the newest"));
    }
}

TEST_CASE("apply --dry-run has the center judge what it can, and writes nothing") {
    const Folder folder;
    folder.write("demo.yaml", std::string(kRuntime) + "---\n" + kTask);
    folder.write("program/run.sh", "#!/bin/sh\n");
    Program program;
    program.folder = folder.path();
    program.center.answer("POST /api/v1/runtimes?dry_run=true", 201, "{}");
    REQUIRE(program.run({"apply", "-f", "demo.yaml", "--dry-run"}) == 0);
    // The task cannot be judged before its runtime and its program are there.
    CHECK(program.center.writes() == std::vector<std::string>{"POST /api/v1/runtimes?dry_run=true"});
    CHECK(contains(program.out, "runtime demo would be created\n"));
    CHECK(contains(program.out, "would be uploaded\n"));
    CHECK(contains(program.out, "task demo/reports/daily would be created\n"));
}

TEST_CASE("apply prints every fault with its file and line, and sends nothing") {
    const Folder folder;
    folder.write("conf/a.yaml",
                 "kind: runtime\nname: Demo!\n"
                 "---\n"
                 "kind: task\n"
                 "runtime: demo\n"
                 "group: reports\n"
                 "name: daily\n"
                 "command: [./run.sh]\n"
                 "colour: blue\n"
                 "package: ./nowhere\n"
                 "schedules:\n"
                 "  - cron: \"0 25 * * *\"\n"
                 "    zone: UTC\n");
    folder.write("conf/b.yml", "kind: robot\nname: x\n---\n- a list\n");
    folder.write("conf/c.yaml", "kind: runtime\nname: [unfinished\n");
    folder.write("conf/ignored.txt", "kind: nothing\n");
    Program program;
    program.folder = folder.path();
    CHECK(program.run({"apply", "-f", "conf"}) == 1);
    CHECK(program.center.calls.empty());
    CHECK(contains(program.err, "conf/a.yaml:2: name "));
    CHECK(contains(program.err, "conf/a.yaml:9: colour "));
    CHECK(contains(program.err, "conf/a.yaml:10: package: there is no file or folder"));
    CHECK(contains(program.err, "conf/a.yaml:12: schedules/0"));
    CHECK(contains(program.err, "conf/b.yml:1: kind \"robot\" is unknown (allowed: runtime, group, calendar, task)"));
    CHECK(contains(program.err, "conf/b.yml:4: is not a mapping"));
    CHECK(contains(program.err, "conf/c.yaml:"));
    CHECK_FALSE(contains(program.err, "ignored.txt"));
}

TEST_CASE("apply refuses one thing defined twice, and a key that stands twice") {
    const Folder folder;
    folder.write("a.yaml", std::string(kRuntime) + "---\n" + kRuntime);
    folder.write("b.yaml", "kind: runtime\nname: demo\nname: other\n");
    Program program;
    program.folder = folder.path();
    CHECK(program.run({"apply", "-f", "a.yaml", "-f", "b.yaml"}) == 1);
    CHECK(contains(program.err, "a.yaml:4: runtime demo is defined already at a.yaml:1"));
    CHECK(contains(program.err, "b.yaml:3: has the key \"name\" twice"));
}

TEST_CASE("apply reads the standard input, and shows the faults that the center finds") {
    Program program;
    program.input = kRuntime;
    program.center.answer(
        "POST /api/v1/runtimes", 422,
        R"({"detail":"the runtime has faults","faults":[{"pointer":"/name","problem":"is taken","allowed":"another name"}]})");
    CHECK(program.run({"apply", "-f", "-"}) == 1);
    CHECK(program.err ==
          "cloudtask: create runtime demo (standard input:1): the runtime has faults\n  /name is taken (allowed: another name)\n");
}

TEST_CASE("YAML in becomes JSON by the core schema, and YAML out is read back the same") {
    const auto documents = read_yaml(
        "a: 12\nb: '12'\nc: yes\nd: true\ne: 1.5\nf: ~\ng: 2026-11-21\nh: |\n  two\n  lines\ni: &x {k: v}\nj: *x\n---\n# nothing\n");
    REQUIRE(documents);
    REQUIRE(documents->size() == 1);
    const auto& document = documents->front();
    CHECK(json::to_text(document.value) ==
          R"({"a":12,"b":"12","c":"yes","d":true,"e":1.5,"f":null,"g":"2026-11-21","h":"two\nlines\n","i":{"k":"v"},"j":{"k":"v"}})");
    CHECK(document.line_of("/h") == 8);
    CHECK(document.line_of("/i/nothing") == 11);
    const auto again = read_yaml(to_yaml(document.value));
    REQUIRE(again);
    CHECK(json::to_text(again->front().value) == json::to_text(document.value));

    for (const std::string text :
         {"",     "true",     "null",        "~",     "12",   "-3",       "1e3",   "yes",   "No",   "a: b",
          "a #b", "- a",      "*/5 * * * *", "[x]",   " x",   "x ",       "x:",    "\"q\"", "it's", "2026-11-21T00:00:00Z",
          "a\nb", "a\nb\n",   "\n",          "tab\t", "0x10", "ü",        "!x",    "%",     "@",    "`",
          "{",    "x, y",     "---",         "...",   "\x01", "12:30:45", "1_000", ".5",    "+1",   "=",
          "<<",   "a\n\nb\n", " a\nb\n"}) {
        json::Document value(rapidjson::kObjectType);
        value.AddMember("k", json::Value(text.c_str(), value.GetAllocator()), value.GetAllocator());
        INFO("text: " << text << "\nyaml: " << to_yaml(value));
        const auto read = read_yaml(to_yaml(value));
        REQUIRE(read);
        REQUIRE(read->size() == 1);
        CHECK(json::to_text(read->front().value) == json::to_text(value));
    }
}

TEST_CASE("YAML that would grow without end, or is nested too deep, is refused") {
    std::string bomb = "a0: &a0 [x,x,x,x,x,x,x,x,x,x]\n";
    for (int i = 1; i < 9; ++i) {
        bomb += fmt::format("a{0}: &a{0} [*a{1},*a{1},*a{1},*a{1},*a{1},*a{1},*a{1},*a{1},*a{1},*a{1}]\n", i, i - 1);
    }
    const auto grown = read_yaml(bomb);
    REQUIRE_FALSE(grown);
    CHECK(contains(grown.error().problem, "more than 200000 values"));

    const auto deep = read_yaml(std::string(100, '[') + std::string(100, ']'));
    REQUIRE_FALSE(deep);
    CHECK(contains(deep.error().problem, "32 levels"));
    CHECK_FALSE(read_yaml(std::string(200'000, '[')));
    for (const std::string text : {",?", "a: 1\n---\n,?", "]", ",", "}"}) {
        const auto endless = read_yaml(text);
        INFO(text);
        REQUIRE_FALSE(endless);
        CHECK(endless.error().problem.find("is not YAML") == 0);
    }
}

TEST_CASE("text that JSON cannot hold, or that readers of YAML take differently, is refused with its line") {
    const auto control = read_yaml(std::string("a: 1\nb: x\0y\n", 11));
    REQUIRE_FALSE(control);
    CHECK(control.error().line == 2);
    CHECK(contains(control.error().problem, "the control character \\x00"));
    const auto bytes = read_yaml("a: 1\nb: \xff\n");
    REQUIRE_FALSE(bytes);
    CHECK(bytes.error().line == 2);
    CHECK(contains(bytes.error().problem, "is not text in UTF-8"));
    for (const std::string text : {"a: 1\nb: \"x\\N\"\n", "a: 1\n\"x\\_\": 2\n"}) {
        const auto escape = read_yaml(text);
        INFO(text);
        REQUIRE_FALSE(escape);
        CHECK(escape.error().line == 2);
        CHECK(contains(escape.error().problem, "write \\x85 or \\xa0"));
    }
    const auto escaped = read_yaml("\"x\\0\\x07\\x85\\xa0\\t\"\n");
    REQUIRE(escaped);
    CHECK(std::string{escaped->front().value.GetString(), escaped->front().value.GetStringLength()} ==
          std::string("x\0\x07\xc2\x85\xc2\xa0\t", 8));
}

TEST_CASE("a calendar is applied as the other kinds are, before the tasks, and its faults have lines") {
    Folder folder;
    folder.write("a.yaml", "kind: calendar\nruntime: demo\nname: uk\nholidays:\n  - yearly: \"12-25\"\n    name: Christmas Day\n");
    folder.write("b.yaml", "kind: calendar\nruntime: demo\nname: uk\nholidays:\n  - yearly: \"12-25\"\n  - date: \"2026-12-25\"\n");
    Program program;
    program.folder = folder.path();
    program.center.answer("GET /api/v1/calendars?runtime=demo&name=uk&limit=200", 200, R"({"items":[]})");
    program.center.answer("POST /api/v1/calendars", 201, "{}");
    CHECK(program.run({"apply", "-f", "a.yaml"}) == 0);
    CHECK(program.out == "calendar demo/uk created\n");
    const auto* made = program.center.find("POST /api/v1/calendars");
    REQUIRE(made != nullptr);
    CHECK(contains(made->body, R"("holidays":[{"yearly":"12-25","name":"Christmas Day"}])"));
    Program faulty;
    faulty.folder = folder.path();
    CHECK(faulty.run({"apply", "-f", "b.yaml"}) == 1);
    CHECK(contains(faulty.err, "b.yaml:6: holidays/1 repeats the yearly holidays/0 at line 5 (12-25)"));
}

TEST_CASE("a file of holidays is sent as it is, and the faults that the center finds name its lines") {
    Folder folder;
    folder.write("uk.csv", "2026-12-25,Christmas Day\r\n2026-12-25,again\r\n");
    Program program;
    program.folder = folder.path();
    program.center.answer(
        "POST /api/v1/calendars/import", 422,
        R"x({"detail":"the import is not valid","faults":[{"pointer":"/text/2","problem":"overlaps line 1 (Christmas Day)",)x"
        R"("allowed":"each day in one entry"}]})");
    CHECK(program.run({"calendar", "import", "uk.csv", "--runtime", "demo", "--name", "uk", "--zone", "Europe/London"}) == 1);
    CHECK(contains(program.err, "\n  uk.csv:2 overlaps line 1 (Christmas Day) (allowed: each day in one entry)\n"));
    const auto* sent = program.center.find("POST /api/v1/calendars/import");
    REQUIRE(sent != nullptr);
    CHECK(
        sent->body ==
        R"({"runtime":"demo","name":"uk","format":"csv","text":"2026-12-25,Christmas Day\r\n2026-12-25,again\r\n","zone":"Europe/London"})");
    CHECK(program.run({"calendar", "import", "uk.csv", "--runtime", "demo"}) == 2);
}

}  // namespace cloudtask::cli::test
