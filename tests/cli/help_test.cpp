// Help, reference and completion, which all come from the commands' descriptions.
#include <catch2/catch.hpp>

#include <cstdio>

#include "cli/completion.h"
#include "cli/help.h"
#include "tests/cli/fake_center.h"

namespace cloudtask::cli::test {

namespace {

// What bash offers for the command line `words`, the last of which is being typed.
std::string completed(const std::filesystem::path& folder, const std::vector<std::string>& words) {
    std::string script = bash_completion(all_commands()) + "COMP_WORDS=(";
    for (const std::string& word : words) script += "'" + word + "' ";
    script += ")\nCOMP_CWORD=" + std::to_string(words.size() - 1) + "\n_cloudtask\necho \"${COMPREPLY[*]}\"\n";
    const auto file = folder / "completion.bash";
    std::ofstream(file) << script;
    FILE* pipe = ::popen(("bash --norc --noprofile '" + file.string() + "' 2>&1").c_str(), "re");
    REQUIRE(pipe != nullptr);
    std::string output;
    std::array<char, 4096> chunk{};
    while (const std::size_t count = std::fread(chunk.data(), 1, chunk.size(), pipe)) output.append(chunk.data(), count);
    ::pclose(pipe);
    return output;
}

}  // namespace

TEST_CASE("docs/cli.md holds the reference that the program prints") {
    const std::string page = read_file(std::string(CLOUDTASK_SOURCE_DIR) + "/docs/cli.md");
    const std::string begin = "<!-- reference: printed by `cloudtask help --markdown` -->\n\n";
    const std::size_t at = page.find(begin);
    REQUIRE(at != std::string::npos);
    CHECK(page.substr(at + begin.size()) == reference(all_commands()));
}

TEST_CASE("every command explains itself, with examples that it would accept") {
    for (const Command& command : all_commands()) {
        INFO(command.name);
        Program program;
        std::vector<std::string> words;
        std::istringstream name(command.name);
        for (std::string word; name >> word;) words.push_back(word);
        words.push_back("--help");
        CHECK(program.run(words) == 0);
        CHECK(contains(program.out, "usage: " + usage_line(command)));
        CHECK(program.out == help(command));
        CHECK(command.run != nullptr);
        if (command.name != "version") CHECK_FALSE(command.examples.empty());
        for (const Example& example : command.examples) CHECK(contains(example.line, "cloudtask "));
    }
}

TEST_CASE("help of one command") {
    Program program;
    REQUIRE(program.run({"task", "start", "-h"}) == 0);
    CHECK(program.out ==
          "task start: Start a run of a task now\n"
          "\n"
          "usage: cloudtask task start [options] TASK\n"
          "\n"
          "With --wait, prints the run's standard output while it is written, and exits with 0 only if the run succeeded. What "
          "--param gives counts more than the values of the task, its group and its runtime; docs/parameters.md has the rules. Of a task with pieces "
          "(shards, broadcast) each is started, and with --wait the end of each is told.\n"
          "\n"
          "arguments:\n"
          "  TASK  RUNTIME/GROUP/NAME or an id\n"
          "\n"
          "options:\n"
          "  -w, --wait              follow the run to its end\n"
          "  -p, --param NAME=VALUE  a value for a parameter that the task declares; may be given several times\n"
          "  --as-of TIME            what stands for the fire time in parameters, RFC 3339 (default: now)\n"
          "  --shard N               only this shard of a sharded task, from 0 on\n"
          "  --node NAME             only this node of a broadcast task\n"
          "\n"
          "options of every command:\n"
          "  --server URL         the center's address; else $CLOUDTASK_SERVER, else that of the last login\n"
          "  --token TOKEN        act with this token; else $CLOUDTASK_TOKEN, else that of the login\n"
          "  -o, --output FORMAT  how to print results (default table): table, json, yaml\n"
          "  --config FILE        where logins are kept; else $CLOUDTASK_CONFIG, else ~/.config/cloudtask/credentials.json\n"
          "  -q, --quiet          print nothing but names, ids and errors\n"
          "  -h, --help           print what the command does, its options and examples\n"
          "\n"
          "examples:\n"
          "  # run it and see\n"
          "  cloudtask task start demo/reports/package-report --wait\n"
          "  # with other values\n"
          "  cloudtask task start demo/reports/daily -p day=2026-01-02 -p region=us\n");
}

TEST_CASE("help of the program and of a family of commands") {
    Program program;
    REQUIRE(program.run({"--help"}) == 0);
    CHECK(contains(program.out, "\n  apply "));
    REQUIRE(program.run({"task", "--help"}) == 0);
    CHECK(contains(program.out, "\n  task clone "));
    CHECK_FALSE(contains(program.out, "\n  apply "));
    REQUIRE(program.run({"help", "run", "log"}) == 0);
    CHECK(contains(program.out, "--follow"));
    CHECK(program.run({"help", "nothing"}) == 2);
    REQUIRE(program.run({"version"}) == 0);
    CHECK(contains(program.out, "cloudtask 0."));
}

TEST_CASE("bash completes commands, options, choices and kinds") {
    const Folder folder;
    CHECK(completed(folder.path(), {"cloudtask", "ap"}) == "apply\n");
    CHECK(completed(folder.path(), {"cloudtask", "--server", "http://x", "task", "st"}) == "start stop\n");
    CHECK(completed(folder.path(), {"cloudtask", "task", "start", "--wa"}) == "--wait\n");
    CHECK(completed(folder.path(), {"cloudtask", "get", "run"}) == "runtimes runs\n");
    CHECK(completed(folder.path(), {"cloudtask", "get", "runs", "--state", "S"}) == "SUCCEEDED STOPPED SKIPPED\n");
    CHECK(completed(folder.path(), {"cloudtask", "get", "runs", "-o", ""}) == "table json yaml\n");
    CHECK(completed(folder.path(), {"cloudtask", "completion", ""}) == "bash zsh fish\n");
}

TEST_CASE("completion scripts of the other shells name every command") {
    for (const char* shell : {"zsh", "fish"}) {
        Program program;
        REQUIRE(program.run({"completion", shell}) == 0);
        for (const char* word : {"apply", "join-token", "disable", "log", "owner"}) CHECK(contains(program.out, word));
    }
    Program program;
    CHECK(program.run({"completion", "csh"}) == 2);
}

}  // namespace cloudtask::cli::test
