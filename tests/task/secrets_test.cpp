// Secrets in definitions and runs: what is read, what is refused, what is written.
#include "cloudtask/task/secrets.h"

#include <catch2/catch.hpp>

#include "cloudtask/task/codec.h"

using namespace cloudtask;
using namespace cloudtask::task;

namespace {

json::Document task_with(const std::string& members) {
    auto parsed = json::parse(R"({"runtime": "demo", "group": "ops", "name": "report", "shell": "true", )" + members + "}");
    REQUIRE(parsed);
    return std::move(*parsed);
}

std::vector<std::string> secret_faults(const std::string& members) {
    Faults faults;
    const auto task = read_task_input(task_with(members), faults);
    CHECK(task.has_value() == faults.empty());
    std::vector<std::string> list;
    for (const auto& fault : faults.list()) list.push_back(fault.pointer + ": " + fault.problem);
    return list;
}

}  // namespace

TEST_CASE("a task names secrets for variables and for files") {
    Faults faults;
    const auto task = read_task_input(
        task_with(
            R"("secrets": {"A": "db", "B": {"secret": "db"}, "C": {"secret": "key", "as": "file"}, "D": {"secret": "x", "as": "env"}})"),
        faults);
    INFO(faults.summary());
    REQUIRE(task);
    REQUIRE(task->secrets);
    CHECK((*task->secrets == SecretUses{{"A", {"db"}}, {"B", {"db"}}, {"C", {"key", true}}, {"D", {"x"}}}));
    CHECK(to_json(*task).find(R"("secrets":{"A":"db","B":"db","C":{"secret":"key","as":"file"},"D":"x"})") != std::string::npos);

    const auto none = read_task_input(task_with(R"("secrets": {})"), faults);
    REQUIRE(none);
    CHECK_FALSE(none->secrets);
    CHECK(to_json(*none).find("secrets") == std::string::npos);
}

TEST_CASE("what is no use of a secret is refused") {
    using List = std::vector<std::string>;
    CHECK(secret_faults(R"("secrets": {"1A": "db"})") == List{"/secrets/1A: is not the name of a variable"});
    CHECK(secret_faults(R"("secrets": {"CLOUDTASK_X": "db"})") ==
          List{"/secrets/CLOUDTASK_X: is reserved: CloudTask sets the variables that begin with CLOUDTASK_"});
    CHECK(secret_faults(R"("environment": {"A": "x"}, "secrets": {"A": "db"})") ==
          List{"/secrets/A: is a variable of 'environment' as well"});
    CHECK(secret_faults(R"("secrets": {"A": "D B"})") == List{"/secrets/A: is not the name of a secret"});
    CHECK(secret_faults(R"("secrets": {"A": 5})") == List{"/secrets/A: names no secret"});
    CHECK(secret_faults(R"("secrets": {"A": {"as": "env"}})").size() == 1);
    CHECK(secret_faults(R"("secrets": {"A": {"secret": "db", "as": "word"}})").size() == 1);
    CHECK(secret_faults(R"("secrets": {"A": {"secret": "db", "value": "x"}})").size() == 1);
    CHECK(secret_faults(R"("secrets": ["db"])").size() == 1);
    std::string many;
    for (int i = 0; i < 33; ++i) many += fmt::format("{}\"V{}\": \"db\"", i == 0 ? "" : ",", i);
    CHECK(secret_faults("\"secrets\": {" + many + "}") == List{"/secrets: has 33 entries"});
}

TEST_CASE("a run tells which versions it was given") {
    Run run;
    run.id = run.task_id = "0190a0a0-0000-7000-8000-000000000001";
    run.runtime = run.group = run.task_name = "demo";
    run.trigger = Trigger::manual;
    const std::string without = to_json(run);
    CHECK(without.find("secrets") == std::string::npos);
    run.secrets = std::make_shared<const SecretVersions>(SecretVersions{{"db", 3}, {"key", 7}});
    const std::string text = to_json(run);
    CHECK(text.find(R"("secrets":{"db":3,"key":7})") != std::string::npos);
    const auto again = read_run(*json::parse(text));
    REQUIRE(again);
    REQUIRE(again->secrets);
    CHECK(*again->secrets == *run.secrets);
    CHECK_FALSE(read_run(*json::parse(without))->secrets);
}
