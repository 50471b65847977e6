// Secrets of a node: what it keeps of what it is told, what runs are given, and how it asks the center.
#include "node/node_secrets.h"

#include <linux/magic.h>
#include <sys/stat.h>
#include <sys/vfs.h>

#include "cloudtask/core/hash.h"
#include "cloudtask/task/http_call.h"
#include "cloudtask/task/parameters.h"
#include "node/report_batch.h"
#include "node/secret_sync.h"
#include "tests/node/link_support.h"
#include "tests/node/runner_machine.h"

namespace cloudtask::node::test {
namespace {

ToldSecret sealed_for(const KeyPair& keys, std::int64_t version, const std::string& group, const std::string& name,
                      const std::string& value) {
    return {version, group, name, *seal(keys.public_key, fmt::format("{}/{}@{}\n{}", group, name, version, value))};
}

// What is told without a value, as to a node that has it.
ToldSecret known(ToldSecret secret) {
    secret.sealed.clear();
    return secret;
}

std::shared_ptr<const task::SecretUses> uses(task::SecretUses map) { return std::make_shared<const task::SecretUses>(std::move(map)); }

// A folder in memory, as a node's.
struct MemoryFolder {
    MemoryFolder() { REQUIRE(::mkdtemp(path.data()) != nullptr); }
    ~MemoryFolder() { fs::remove_all(path); }
    std::string path = "/dev/shm/cloudtask-test-XXXXXX";
};

std::shared_ptr<const task::HttpCall> signed_task_call(std::string secret) {
    task::HttpCall call;
    call.url = "http://example.org/hook";
    call.sign = std::move(secret);
    return std::make_shared<const task::HttpCall>(std::move(call));
}

std::shared_ptr<task::Task> signed_task(const RunnerMachine& node, std::string secret = "hook") {
    auto task = node.make_task();
    task->shell.clear();
    task->command.clear();
    task->http = signed_task_call(std::move(secret));
    return task;
}

std::shared_ptr<const task::TaskParameters> region_parameter() {
    task::TaskParameters parameters;
    parameters.own.emplace("region", task::ParameterValue{"eu", task::Template::literal("eu")});
    return std::make_shared<const task::TaskParameters>(std::move(parameters));
}

struct Told {
    KeyPair keys = make_key_pair();
    MemoryFolder folder;
    NodeSecrets secrets{keys, folder.path + "/node"};
    Instant now = kNoon;
    task::Task task = task_named(1);
    task::Run run = run_at(kNoon);

    void tell(const std::vector<ToldSecret>& told) { secrets.apply(secrets.compare(told, now)); }
    Result<std::map<std::string, std::string>> give() {
        run.secrets = secrets.versions_for(task);
        secrets.note(run.id, run.secrets);
        return secrets.give(task, run);
    }
};

}  // namespace

TEST_CASE("a run is given values and files, and the files go with it") {
    Told node;
    const auto db = sealed_for(node.keys, 3, "", "db", "a runtime's value"), own = sealed_for(node.keys, 5, "nightly", "db", "the group's");
    const auto key = sealed_for(node.keys, 4, "", "key", std::string("-----BEGIN\0KEY", 14));
    node.tell({db, own, key});
    CHECK(node.secrets.have() == std::vector<std::int64_t>{3, 4, 5});
    node.task.secrets = uses({{"DB", {"db"}}, {"KEY_FILE", {"key", true}}});
    CHECK(node.secrets.knows(node.task));
    const auto given = node.give();
    REQUIRE(given);
    CHECK(*node.run.secrets == task::SecretVersions{{"db", 5}, {"key", 4}});
    CHECK(given->at("DB") == "the group's");
    const std::string file = given->at("KEY_FILE");
    CHECK(file == node.folder.path + "/node/" + node.run.id + "/KEY_FILE");
    CHECK(read_file(file) == std::string("-----BEGIN\0KEY", 14));
    struct stat status{};
    REQUIRE(::stat(file.c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0400);
    REQUIRE(::stat((node.folder.path + "/node").c_str(), &status) == 0);
    CHECK((status.st_mode & 0777) == 0700);
    node.secrets.take_back(node.run.id);
    CHECK_FALSE(fs::exists(node.folder.path + "/node"));

    // What an earlier process left: the files of runs that do not go on.
    REQUIRE(node.give());
    NodeSecrets next(node.keys, node.folder.path + "/node");
    next.tidy({node.run.id});
    CHECK(fs::exists(file));
    next.tidy({});
    CHECK_FALSE(fs::exists(file));
}

TEST_CASE("what a run cannot be given is named") {
    Told node;
    node.task.secrets = uses({{"DB", {"db"}}, {"FILE", {"db", true}}});
    CHECK_FALSE(node.secrets.knows(node.task));
    CHECK_THAT(node.give().error().message, Contains("'db'"));
    node.tell({sealed_for(make_key_pair(), 3, "", "db", "of another node")});
    CHECK_THAT(node.give().error().message, Contains("'db' cannot be opened"));
    // A row in another's place.
    auto moved = sealed_for(node.keys, 4, "", "key", "another value");
    moved.name = "db";
    node.tell({moved});
    CHECK_THAT(node.give().error().message, Contains("it is another one's"));
    node.tell({sealed_for(node.keys, 5, "", "db", std::string("with a\0zero", 11))});
    CHECK_THAT(node.give().error().message, Contains("give it as a file"));
    // None of it is left.
    CHECK_FALSE(fs::exists(node.folder.path + "/node/" + node.run.id));

    TempFolder on_disk;
    node.tell({sealed_for(node.keys, 6, "", "db", "a good value")});
    NodeSecrets elsewhere(node.keys, on_disk / "node");
    elsewhere.apply(elsewhere.compare({sealed_for(node.keys, 6, "", "db", "a good value")}, kNoon));
    node.run.secrets = elsewhere.versions_for(node.task);
    struct statfs system{};
    REQUIRE(::statfs(on_disk.path().c_str(), &system) == 0);
    if (system.f_type != TMPFS_MAGIC) CHECK_THAT(elsewhere.give(node.task, node.run).error().message, Contains("secrets.folder"));
    REQUIRE(::mkdir((node.folder.path + "/open").c_str(), 0755) == 0);
    NodeSecrets open_folder(node.keys, node.folder.path + "/open");
    open_folder.apply(open_folder.compare({sealed_for(node.keys, 6, "", "db", "a good value")}, kNoon));
    node.run.secrets = open_folder.versions_for(node.task);
    CHECK(open_folder.give(node.task, node.run).error().is(Errc::permission_denied));
}

TEST_CASE("a version that was superseded stays for a day, and as long as a run was given it") {
    Told node;
    node.task.secrets = uses({{"DB", {"db"}}});
    const auto old = sealed_for(node.keys, 3, "", "db", "old-password"), next = sealed_for(node.keys, 9, "", "db", "new-password");
    node.tell({old});
    REQUIRE(node.give());
    node.tell({next});
    CHECK(*node.secrets.versions_for(node.task) == task::SecretVersions{{"db", 9}});
    CHECK(node.secrets.mask_of(node.run.id)->texts == std::vector<std::string>{"old-password"});
    CHECK(node.secrets.have() == std::vector<std::int64_t>{3, 9});
    node.now += std::chrono::hours{25};
    node.tell({known(next)});
    CHECK(node.secrets.have() == std::vector<std::int64_t>{3, 9});
    node.secrets.forget(node.run.id);
    CHECK_FALSE(node.secrets.mask_of(node.run.id));
    node.tell({known(next)});
    CHECK(node.secrets.have() == std::vector<std::int64_t>{9});
    // What no task needs any more is there for what older definitions still owe, and taken up again where one does.
    node.tell({});
    CHECK(node.secrets.versions_for(node.task));
    node.tell({known(next)});
    node.now += std::chrono::hours{25};
    CHECK(node.secrets.compare({known(next)}, node.now).empty());
    node.tell({});
    node.now += std::chrono::hours{25};
    node.tell({});
    CHECK(node.secrets.empty());
    CHECK_FALSE(node.secrets.versions_for(node.task));
}

TEST_CASE("output of a run whose secret is not there any more is starred whole") {
    Told node;
    node.secrets.note(node.run.id, std::make_shared<const task::SecretVersions>(task::SecretVersions{{"db", 3}}));
    REQUIRE(node.secrets.mask_of(node.run.id));
    CHECK(node.secrets.mask_of(node.run.id)->everything);
}

TEST_CASE("the node's key is made once, and is its user's alone") {
    TempFolder folder;
    const auto made = open_node_keys(folder / "secrets.key");
    REQUIRE(made);
    CHECK(open_node_keys(folder / "secrets.key")->public_key == made->public_key);
    REQUIRE(::chmod((folder / "secrets.key").c_str(), 0644) == 0);
    CHECK(open_node_keys(folder / "secrets.key").error().is(Errc::permission_denied));
    std::ofstream(folder / "other") << "not a key\n";
    REQUIRE(::chmod((folder / "other").c_str(), 0600) == 0);
    CHECK_THAT(open_node_keys(folder / "other").error().message, Contains("remove the file"));
}

TEST_CASE("the store keeps secrets as they came, and knows what runs were given") {
    TempFolder folder;
    const KeyPair keys = make_key_pair();
    const KeptSecret kept{7, "nightly", "db", *seal(keys.public_key, "the-plain-value"), keys.public_key, {}};
    task::Run run = run_at(kNoon);
    run.secrets = std::make_shared<const task::SecretVersions>(task::SecretVersions{{"db", 7}});
    {
        const auto store = open_store(folder / "node.db");
        KeptSecret gone = kept;
        gone.version = 6;
        gone.gone_at = kNoon;
        REQUIRE(store->change_secrets({{kept, gone}, {}}));
        Batch batch;
        batch.entries.push_back({.run = run, .phase = Phase::intent});
        batch.entries.push_back({.run = run_at(kNoon, 2), .phase = Phase::intent});
        REQUIRE(store->commit(batch));
    }
    const auto store = open_store(folder / "node.db");
    const auto loaded = store->load_secrets();
    REQUIRE(loaded->size() == 2);
    CHECK((*loaded)[0].gone_at == kNoon);
    CHECK((*loaded)[1].sealed == kept.sealed);
    CHECK((*loaded)[1].key == keys.public_key);
    CHECK_FALSE((*loaded)[1].gone_at);
    const auto runs = store->load_runs();
    REQUIRE(runs->size() == 2);
    for (const auto& one : *runs) {
        if (one.id == run.id) CHECK(*one.secrets == *run.secrets);
        if (one.id != run.id) CHECK_FALSE(one.secrets);
    }
    REQUIRE(store->change_secrets({{}, {6, 7}}));
    CHECK(store->load_secrets()->empty());
}

TEST_CASE("a node asks for what it lacks, until it has all, and keeps it on disk first") {
    Node node;
    const KeyPair keys = make_key_pair();
    NodeSecrets secrets(keys, "/none");
    SecretSync sync(node.loop, node.random, node.client, node.disk, secrets, {{"disk", "ssd"}});
    const auto item = [&](int version, bool sealed) {
        const auto told = sealed_for(keys, version, "", fmt::format("s{}", version), "the-value");
        return fmt::format(R"({{"group":"","name":"s{}","version":{}{}}})", version, version,
                           sealed ? R"(,"sealed":")" + to_base64(told.sealed) + "\"" : "");
    };
    const auto answer = [&](const std::string& items, bool more) {
        node.center.once("POST", FakeCenter::json(200, fmt::format(R"({{"revision":9,"secrets":[{}],"more":{}}})", items, more)));
    };
    int done = 0;
    const auto count = [&] { ++done; };
    sync.follow(0, true, count);  // the runtime never had any
    CHECK(done == 1);
    answer(item(1, true) + "," + item(2, false), true);
    answer(item(1, false) + "," + item(2, true), false);
    sync.follow(9, false, count);
    CHECK(done == 1);
    REQUIRE(node.until([&] { return done == 2; }));
    CHECK(secrets.have() == std::vector<std::int64_t>{1, 2});
    CHECK(node.store->load_secrets()->size() == 2);
    const auto bodies = node.center.bodies();
    REQUIRE(bodies.size() == 2);
    CHECK_THAT(bodies[0], Contains(R"("have":[])") && Contains(R"("labels":{"disk":"ssd"})"));
    CHECK_THAT(bodies[1], Contains(R"("have":[1])"));
    sync.follow(9, false, count);  // nothing is new
    CHECK(done == 3);
    task::Task task = task_named(1);
    task.secrets = uses({{"A", {"s1"}}});
    sync.need(task, count);
    CHECK(done == 4);
    CHECK(node.center.bodies().size() == 2);

    // Nobody waits for a center that fails; it is asked again.
    node.center.once("POST", FakeCenter::problem(503, "not now"));
    answer(item(1, false) + "," + item(2, false) + "," + item(3, true), false);
    task.secrets = uses({{"A", {"s3"}}});
    sync.need(task, count);
    REQUIRE(node.until([&] { return done == 5; }));
    CHECK_FALSE(secrets.knows(task));
    REQUIRE(node.until([&] { return secrets.knows(task); }));
    CHECK(done == 5);
}

TEST_CASE("the catalog is told of when its secrets are there") {
    Node node;
    std::vector<std::string> events;
    std::function<void()> then;
    CatalogSync sync(node.loop, node.random, node.client, node.disk, 0,
                     CatalogSync::Hooks{.changed = [&](const CatalogChange&) { events.emplace_back("changed"); },
                                        .caught_up = [&](std::int64_t) { events.emplace_back("caught up"); },
                                        .secrets =
                                            [&](std::int64_t revision, bool named, std::function<void()> go_on) {
                                                events.push_back(fmt::format("secrets {} {}", revision, named));
                                                then = std::move(go_on);
                                            }});
    task::Task task = task_named(1);
    SECTION("of a program") { task.secrets = uses({{"A", {"db"}}}); }
    SECTION("the key of a call") {
        task.command.clear();
        task.shell.clear();
        task.http = signed_task_call("db");
    }
    node.center.once("GET", FakeCenter::json(200, R"({"revision":5,"full":false,"secrets":4,"tasks":[)" + task::to_json(task) +
                                                      R"(],"deleted":[],"more":false})"));
    sync.start();
    REQUIRE(node.until([&] { return !events.empty(); }, Duration{}));
    CHECK(events == std::vector<std::string>{"secrets 4 true"});
    then();
    CHECK(events == std::vector<std::string>{"secrets 4 true", "changed", "caught up"});
}

TEST_CASE("a run is started with its secrets, told of with stars, also by the next process and after a rotation") {
    RunnerMachine node;
    const auto tell = [&](std::int64_t version, const std::string& value) {
        const auto change = node.process->runner.secrets().compare({sealed_for(node_keys(), version, "", "db", value)}, kNoon);
        REQUIRE(node.process->store->change_secrets(change));
        node.process->runner.secrets().apply(change);
    };
    tell(3, "old-password");
    auto task = node.make_task();
    task->secrets = uses({{"DB", {"db"}}, {"DB_FILE", {"db", true}}});
    node.give(task);
    node.go_to(10s, -5ms);
    const std::string run_id = node.only_started();
    const LaunchSpec& spec = node.processes.started[0];
    CHECK(spec.environment.at("DB") == "old-password");
    const std::string file = spec.environment.at("DB_FILE");
    CHECK(read_file(file) == "old-password");

    const auto write_output = [&](const std::string& text) {
        fs::create_directories(spec.folder);
        std::ofstream(spec.folder + "/stdout", std::ios::app) << text;
        return text.size();
    };
    std::size_t written = write_output("it is old-pass");
    node.process->supervisor.write(run_id, written);
    node.loop.advance(200ms);
    tell(9, "new-password");
    node.kill();
    node.boot();
    CHECK(fs::exists(file));
    written += write_output("word, not new-password\n");
    node.process->supervisor.write(run_id, written);
    node.loop.advance(200ms);
    node.process->supervisor.written[run_id] = written;
    node.process->supervisor.end(run_id);
    node.loop.advance(200ms);
    CHECK_FALSE(fs::exists(file));

    std::vector<OutgoingReport> outgoing;
    std::string told;
    for (auto& report : node.reports()) {
        if (report.kind != Report::Kind::log || report.run_id != run_id) continue;
        const auto mask = node.process->runner.secrets().mask_of(run_id);
        REQUIRE(mask);
        outgoing = {{report, spec.folder + "/stdout", mask}};
        const auto body = json::parse(make_report_body(outgoing, 0).body);
        told += *from_base64((*body)["reports"][0]["data"].GetString());
    }
    CHECK(told == "it is ************, not new-password\n");
    CHECK(*node.runs().at(run_id).secrets == task::SecretVersions{{"db", 3}});
    for (const auto& report : node.reports()) CHECK_THAT(report.body, !Contains("password"));
}

TEST_CASE("a call is signed by the secret that its run was given, and is starred like others") {
    RunnerMachine node;
    auto& secrets = node.process->runner.secrets();
    secrets.apply(secrets.compare({sealed_for(node_keys(), 3, "", "hook", std::string("key\0with zero", 13))}, kNoon));
    node.give(signed_task(node));
    node.go_to(10s, -5ms);
    const std::string run_id = node.only_started();
    CHECK(node.processes.started[0].signing_key == std::string("key\0with zero", 13));
    CHECK(secrets.mask_of(run_id)->texts == std::vector<std::string>{std::string("key\0with zero", 13)});
    node.process->supervisor.end(run_id);
    node.loop.advance(200ms);
    CHECK(*node.runs().at(run_id).secrets == task::SecretVersions{{"hook", 3}});
}

TEST_CASE("a call has its parameters and secrets, and what it was given stands in the history without the secrets") {
    RunnerMachine node;
    auto& secrets = node.process->runner.secrets();
    secrets.apply(secrets.compare(
        {sealed_for(node_keys(), 3, "", "token", "only-for-it"), sealed_for(node_keys(), 4, "", "lines", "two\nlines")}, kNoon));
    auto made = signed_task(node, "token");
    task::HttpCall call = *made->http;
    call.url = "http://example.org/days/${fire_time as %H:%M}";
    call.method = "POST";
    call.headers = {{"authorization", "Bearer ${secrets.TOKEN}"}};
    call.body = "${region} ${secrets.TOKEN}";
    made->http = std::make_shared<const task::HttpCall>(call);
    made->parameters = region_parameter();
    bool fits = true;
    SECTION("a value that fits") { made->secrets = uses({{"TOKEN", {"token"}}}); }
    SECTION("a value that is no header") {
        made->secrets = uses({{"TOKEN", {"lines"}}});
        fits = false;
    }
    node.give(made);
    const Instant due = node.go_to(10s, -5ms);
    if (!fits) {
        CHECK(node.processes.started.empty());
        node.loop.advance(50ms);
        const auto run = node.runs().at(id_of_fire(made, due));
        CHECK(run.state == RunState::failed);
        CHECK(run.reason == "it could not be started: the header authorization has a control character or one outside of ASCII");
        return;
    }
    const std::string run_id = node.only_started();
    const LaunchSpec& spec = node.processes.started[0];
    CHECK(spec.http->url ==
          fmt::format("http://example.org/days/{}", format_instant(due).substr(11, 2) + "%3A" + format_instant(due).substr(14, 2)));
    CHECK(spec.http->headers.at("authorization") == "Bearer only-for-it");
    CHECK(spec.http->body == "eu only-for-it");
    CHECK(spec.private_body);
    CHECK(spec.signing_key == "only-for-it");
    node.process->supervisor.end(run_id);
    node.loop.advance(200ms);
    CHECK(node.runs().at(run_id).parameters->values.at("region").text == "eu");
    CHECK(*node.runs().at(run_id).secrets == task::SecretVersions{{"token", 3}});
    for (const auto& report : node.reports()) CHECK_THAT(report.body, !Contains("only-for-it"));
}

TEST_CASE("a run whose secret is not there fails and says which") {
    RunnerMachine node;
    std::shared_ptr<task::Task> task;
    SECTION("a variable of a program") {
        task = node.make_task();
        task->secrets = uses({{"DB", {"db"}}});
    }
    SECTION("the key of a call, which is not made without") { task = signed_task(node, "db"); }
    SECTION("a key that does not open") {
        auto& secrets = node.process->runner.secrets();
        secrets.apply(secrets.compare({sealed_for(make_key_pair(), 3, "", "db", "of another node")}, kNoon));
        task = signed_task(node, "db");
    }
    node.give(task);
    const Instant due = node.go_to(10s, -5ms);
    CHECK(node.processes.started.empty());
    node.loop.advance(50ms);
    const auto run = node.runs().at(id_of_fire(task, due));
    CHECK(run.state == RunState::failed);
    CHECK_THAT(run.reason, Contains("'db'"));
    CHECK(node.process->runner.running() == 0);
    CHECK(node.process->runner.idle());
}

}  // namespace cloudtask::node::test
