// Configuration: which source wins, what is refused and how it is named, and that secrets stay secret.
#include "cloudtask/core/config.h"

#include <catch2/catch.hpp>

#include <filesystem>
#include <fstream>

#include <unistd.h>

using namespace cloudtask;
using namespace std::chrono_literals;

namespace {

class TemporaryFile {
  public:
    explicit TemporaryFile(std::string_view text) {
        std::string pattern = (std::filesystem::temp_directory_path() / "cloudtask-config-XXXXXX").string();
        const int descriptor = ::mkstemp(pattern.data());
        REQUIRE(descriptor >= 0);
        ::close(descriptor);
        path = pattern;
        std::ofstream(path, std::ios::binary) << text;
    }
    ~TemporaryFile() { std::filesystem::remove(path); }

    std::string path;
};

struct Program {
    std::string name = "default name", password;
    std::vector<std::string> servers{"one", "two"};
    bool loud = false;
    std::int64_t slots = 4;
    Duration timeout = 4s;
    std::uint64_t limit = 64 << 10;
    ConfigSpec spec{"cloudtask-test", "tests the configuration"};

    Program() {
        spec.text("name", &name, "the name")
            .secret("zookeeper.secret", &password, "the cluster secret")
            .list("zookeeper.servers", &servers, "where ZooKeeper is")
            .flag("loud", &loud, "says more")
            .integer("node.slots", &slots, 1, 100, "runs at once")
            .duration("zookeeper.session-timeout", &timeout, 1s, 1min, "until a node counts as gone")
            .size("node.output-limit", &limit, 1024, 1 << 20, "output kept");
    }

    Result<ConfigSpec::Outcome> load(std::vector<std::string> arguments, const std::map<std::string, std::string>& environment = {}) {
        std::vector<const char*> argv{"program"};
        for (const auto& argument : arguments) argv.push_back(argument.c_str());
        return spec.load(static_cast<int>(argv.size()), argv.data(), environment);
    }

    std::string refusal(std::vector<std::string> arguments, const std::map<std::string, std::string>& environment = {}) {
        const auto loaded = load(std::move(arguments), environment);
        REQUIRE_FALSE(loaded.has_value());
        return loaded.error().message;
    }
};

bool contains(const std::string& text, std::string_view part) { return text.find(part) != std::string::npos; }

constexpr const char* kFile = R"(# what this node is
name = from file
loud = true   # a comment behind

[zookeeper]
servers = a:2181, b:2181 ,,c:2181
session-timeout = 10s
secret = hunter2

[node]
slots = 8
output-limit = 1MiB
)";

}  // namespace

TEST_CASE("without any source the defaults stand") {
    Program program;
    REQUIRE(program.load({}).value() == ConfigSpec::Outcome::run);
    CHECK(program.name == "default name");
    CHECK(program.servers.size() == 2);
}

TEST_CASE("a file is read with sections and comments") {
    const TemporaryFile file(kFile);
    Program program;
    REQUIRE(program.load({"--config", file.path}).has_value());
    CHECK(program.name == "from file");
    CHECK(program.loud);
    CHECK(program.servers == std::vector<std::string>{"a:2181", "b:2181", "c:2181"});
    CHECK(program.timeout == 10s);
    CHECK(program.password == "hunter2");
    CHECK(program.slots == 8);
    CHECK(program.limit == 1 << 20);
}

TEST_CASE("the command line can set a key to nothing") {
    Program program;
    REQUIRE(program.load({"--name=", "--node.slots=5", "--zookeeper.servers="}, {{"CLOUDTASK_NAME", "from the environment"}}));
    CHECK(program.name.empty());
    CHECK(program.servers.empty());
    CHECK(program.slots == 5);
    CHECK(contains(Program().refusal({"--node.slots="}), "command line: node.slots: '' is not a whole number"));
    CHECK(contains(Program().refusal({"--colour="}), "there is no key 'colour'"));
    CHECK(contains(Program().refusal({"--name=", "--name=x"}), "more than once"));
    CHECK(contains(Program().refusal({"--name=", "--name="}), "more than once"));
}

TEST_CASE("the environment wins over the file, and the command line over both") {
    const TemporaryFile file(kFile);
    Program program;
    REQUIRE(program
                .load({"--node.slots=10"},
                      {{"CLOUDTASK_CONFIG", file.path}, {"CLOUDTASK_NODE_SLOTS", "9"}, {"CLOUDTASK_ZOOKEEPER_SESSION_TIMEOUT", "20s"}})
                .has_value());
    CHECK(program.name == "from file");
    CHECK(program.timeout == 20s);
    CHECK(program.slots == 10);

    const TemporaryFile other("name = other\n");
    Program named_twice;
    REQUIRE(named_twice.load({"--config=" + other.path}, {{"CLOUDTASK_CONFIG", file.path}}).has_value());
    CHECK(named_twice.name == "other");
    CHECK(named_twice.slots == 4);
}

TEST_CASE("an unknown key is refused with the place where it stands") {
    const TemporaryFile file("name = x\n\n[zookeeper]\nsession-timeuot = 4s\n");
    CHECK(contains(Program().refusal({"--config", file.path}), file.path + ":4: there is no key 'zookeeper.session-timeuot'"));
    CHECK(contains(Program().refusal({}, {{"CLOUDTASK_NODE_SLOT", "1"}}), "CLOUDTASK_NODE_SLOT"));
    CHECK(contains(Program().refusal({"--node.slot=1"}), "node.slot"));
    CHECK(contains(Program().refusal({"--node.slo=1"}), "node.slo"));  // no guessing
    CHECK(contains(Program().refusal({"stray"}), "command line"));
    CHECK(contains(Program().refusal({"--name"}), "name"));
}

TEST_CASE("a bad value is refused with the place where it stands and what is allowed") {
    const TemporaryFile file("[node]\nslots = 5\nslots = 0\n");
    const auto message = Program().refusal({"--config", file.path});
    CHECK(contains(message, ":3: node.slots"));
    CHECK(contains(message, "1 to 100"));
    for (const std::string bad : {"", "x", "1.5", "101", "-1", "99999999999999999999", " 5", "5 "}) {
        INFO(bad);
        CHECK(contains(Program().refusal({"--node.slots=" + bad}), "node.slots"));
    }
    CHECK(contains(Program().refusal({}, {{"CLOUDTASK_LOUD", "yes"}}), "environment CLOUDTASK_LOUD"));
    CHECK(contains(Program().refusal({"--zookeeper.session-timeout=5"}), "units"));
    CHECK(contains(Program().refusal({"--zookeeper.session-timeout=2min"}), "1s to 1min"));
    CHECK(contains(Program().refusal({"--node.output-limit=1023B"}), "1KiB to 1MiB"));
}

TEST_CASE("a line that is no setting is refused by its number, and not quoted") {
    const TemporaryFile file("name = x\n[zookeeper]\nsecret hunter2\n");
    const auto message = Program().refusal({"--config", file.path});
    CHECK(contains(message, file.path + ":3"));
    CHECK_FALSE(contains(message, "hunter2"));
}

TEST_CASE("a file that cannot be read is refused") {
    CHECK(contains(Program().refusal({"--config", "/nonexistent/cloudtask.conf"}), "/nonexistent/cloudtask.conf"));
    CHECK(contains(Program().refusal({"--config", std::filesystem::temp_directory_path().string()}), "cannot read"));
    const TemporaryFile empty("");
    CHECK(Program().load({"--config", empty.path}).has_value());
}

TEST_CASE("a secret is never printed") {
    std::string secret = "hunter2";
    ConfigSpec spec("p", "s");
    spec.secret("secret", &secret, "a secret");
    CHECK_FALSE(contains(spec.help(), "hunter2"));
    CHECK_FALSE(contains(spec.markdown(), "hunter2"));
    const char* argv[] = {"p", "--secret=swordfish"};
    REQUIRE(spec.load(2, argv, {}).has_value());
    CHECK(secret == "swordfish");
    CHECK_FALSE(contains(spec.help(), "swordfish"));
}

TEST_CASE("help and table name every key with unit and default") {
    Program program;
    const auto help = program.spec.help();
    CHECK(contains(help, "cloudtask-test: tests the configuration"));
    CHECK(contains(help, "--zookeeper.session-timeout  (duration, 1s to 1min; default 4s)"));
    CHECK(contains(help, "--zookeeper.secret  (text; default none)"));
    const auto table = program.spec.markdown();
    CHECK(contains(table, "| `node.output-limit` | output kept | size, 1KiB to 1MiB | `64KiB` |"));
    CHECK(contains(table, "| `zookeeper.servers` | where ZooKeeper is | list, comma-separated | `one,two` |"));
    CHECK(contains(table, "| `node.slots` | runs at once | 1 to 100 | `4` |"));
}

TEST_CASE("the environment of this process gives only what is CloudTask's") {
    ::setenv("CLOUDTASK_TEST_KEY", "a=b", 1);
    ::setenv("CLOUDTASKLESS", "x", 1);
    const auto environment = cloudtask_environment();
    ::unsetenv("CLOUDTASK_TEST_KEY");
    ::unsetenv("CLOUDTASKLESS");
    CHECK(environment.at("CLOUDTASK_TEST_KEY") == "a=b");
    for (const auto& [name, value] : environment) CHECK(name.rfind("CLOUDTASK_", 0) == 0);
}
