// JSON of the value types: what is read, what is refused with which pointer, and that reading what was written gives the same again.
#include "cloudtask/task/codec.h"

#include <catch2/catch.hpp>

#include <algorithm>
#include <random>
#include <string>
#include <vector>

#include "cloudtask/task/http_call.h"
#include "cloudtask/task/networks.h"
#include "cloudtask/task/parameters.h"
#include "task/codec_rules.h"

using namespace cloudtask;
using namespace cloudtask::task;

namespace {

constexpr const char* kUuid = "018f3c2e-1111-7222-8333-123456789abc";
constexpr const char* kOtherUuid = "018f3c2e-1111-7222-8333-123456789abd";
const std::string kSha256(64, 'a');

json::Document document(const std::string& text) {
    auto parsed = json::parse(text);
    if (!parsed) FAIL(parsed.error().message << " in " << text);
    return std::move(*parsed);
}

template <class T>
std::string written(const T& value) {
    json::Writer out;
    write(out, value);
    return out.text();
}

// The members of a valid task with `extra` members in front; of two members of one name the test's own counts.
std::string task_text(const std::string& extra = "\"shell\": \"true\"") {
    return R"({"runtime": "demo", "group": "ops", "name": "report")" + (extra.empty() ? "" : ", " + extra) + "}";
}

struct Expected {
    std::string pointer;
    std::string part;  // of the problem
};

void check_faults(const std::string& text, const std::vector<Expected>& expected) {
    Faults faults;
    CAPTURE(text);
    CHECK_FALSE(read_task_input(document(text), faults));
    CAPTURE(faults.summary());
    CHECK(faults.list().size() == expected.size());
    for (const Expected& one : expected) {
        CAPTURE(one.pointer, one.part);
        CHECK(std::any_of(faults.list().begin(), faults.list().end(), [&](const Fault& fault) {
            return fault.pointer == one.pointer && fault.problem.find(one.part) != std::string::npos;
        }));
    }
}

Task read_valid(const std::string& text) {
    Faults faults;
    auto task = read_task_input(document(text), faults);
    if (!task) FAIL(faults.summary() << " in " << text);
    return *task;
}

std::string quoted(const std::string& text) { return "\"" + text + "\""; }

std::string list_of(std::size_t count, const std::string& item) {
    std::string text = "[";
    for (std::size_t i = 0; i < count; ++i) text += (i == 0 ? "" : ",") + item;
    return text + "]";
}

ExitCodes random_exit_codes(std::mt19937_64& random) {
    const auto first = static_cast<std::int64_t>(random() % 200);
    return ExitCodes({{first, first}, {first, first + static_cast<std::int64_t>(random() % 56)}});
}

Retry random_retry(std::mt19937_64& random) {
    Retry retry;
    retry.attempts = 2 + static_cast<std::int64_t>(random() % 99);
    retry.delay = Duration{random() % 1'000'000'000};
    retry.factor = 1 + static_cast<double>(random() % 9000) / 1000;
    retry.max_delay = Duration{random() % 1'000'000'000};
    retry.jitter = static_cast<double>(random() % 1001) / 1000;
    retry.failed = random() % 2 == 0;
    retry.timed_out = random() % 2 == 0;
    retry.lost = !retry.failed && !retry.timed_out;
    if (random() % 2 == 0) retry.exit_codes = random_exit_codes(random);
    return retry;
}

SuccessRule random_success_rule(std::mt19937_64& random) {
    SuccessRule rule;
    if (random() % 2 == 0) rule.exit_codes = random_exit_codes(random);
    if (random() % 2 == 0) rule.output = OutputRule{random() % 2 == 0, "^done: \\d+ \"ä\"$", random() % 2 == 0};
    return rule;
}

Task random_task(std::mt19937_64& random) {
    const auto below = [&](std::uint64_t bound) { return static_cast<std::int64_t>(random() % bound); };
    const auto duration = [&](std::int64_t least) { return Duration{least + below(3'000'000'000)}; };
    const auto moment = [&] { return Instant{Duration{below(4'000'000'000'000'000)}}; };
    Task task;
    task.id = kUuid;
    task.runtime = "demo";
    task.group = "ops";
    task.name = fmt::format("t{}", below(1000));
    task.description = "Ümläute, \"quotes\",\nlines";
    if (below(2) == 0) task.tags = {{"team", "pay roll"}, {"example.org/kind", ""}};
    task.enabled = below(2) == 0;
    task.mode = static_cast<Mode>(below(3));
    if (task.mode == Mode::shards) task.shards = static_cast<std::uint16_t>(1 + below(kMostShards));
    if (below(2) == 0) {
        task.command = {"./run", "", "a b", "\"'\\\t"};
    } else {
        task.shell = "echo 'hello' |\n cat";
    }
    if (below(2) == 0) task.package = kSha256;
    if (below(2) == 0) task.environment = {{"A", ""}, {"_b9", "x=y\n"}};
    if (below(2) == 0) {
        task.secrets = std::make_shared<const SecretUses>(SecretUses{{"DB_PASSWORD", {"db"}}, {"_KEY", {"tls-key", true}}});
    }
    if (below(2) == 0) task.schedules.push_back(*Schedule::cron("*/5 8-18 * * mon-fri", "Europe/Berlin"));
    if (below(2) == 0) task.schedules.push_back(*Schedule::every(duration(1'000'000), moment(), "Asia/Kathmandu"));
    if (below(2) == 0) task.schedules.push_back(*Schedule::every(duration(1'000'000), Instant{std::chrono::hours{-1}}, "Europe/Berlin"));
    if (below(2) == 0) task.schedules.push_back(*Schedule::at(moment(), "America/New_York"));
    if (below(2) == 0) {
        Faults faults;
        task.schedules.push_back(*Schedule::read(document(R"({"cron": "@daily", "enabled": false})"), "", faults));
        task.schedules.push_back(
            *Schedule::read(document(R"({"cron": "H 2-4 * * *", "dst": {"gap": "skip", "overlap": "both"}})"), "", faults));
        task.schedules.push_back(
            *Schedule::read(document(R"({"at": ["2030-01-01T00:00", "2031-01-01T00:00:00.5"], "jitter": "1h"})"), "", faults));
        task.schedules.push_back(
            *Schedule::read(document(R"({"every": "1h", "start": "2030-01-01T00:00", "end": "2031-01-01T00:00"})"), "", faults));
        task.schedules.push_back(*Schedule::read(document(R"({"manual": true})"), "", faults));
        task.schedules.push_back(*Schedule::read(document(R"({"every": "1h", "window": {"from": "22:00", "to": "06:00"}})"), "", faults));
        task.schedules.push_back(*Schedule::read(
            document(R"({"calendar": {"frequency": "monthly", "days": [1, "last fri"], "times": ["18:00"]}})"), "", faults));
    }
    if (below(2) == 0) task.targets = {"node-1", "node-2"};
    if (below(2) == 0) task.labels = {{"disk", "ssd"}, {"example.org/zone", ""}};
    task.time_limit = duration(1'000'000);
    task.grace = duration(0);
    task.output_limit = 4096 + random() % (1 << 29);
    const auto misfire = below(4);
    if (misfire < 3) task.misfire = static_cast<Misfire>(misfire);
    task.misfire_tolerance = duration(0);
    task.misfire_limit = 1 + below(1000);
    task.overlap = static_cast<Overlap>(below(4));
    task.max_parallel = 1 + below(1000);
    task.queue_limit = 1 + below(1000);
    if (below(2) == 0) task.soft_limit = Duration{1'000'000 + below(3'000'000'000)};
    task.time_limit = std::max(task.time_limit, task.soft_limit.value_or(Duration{}) + Duration{1});
    if (below(2) == 0) task.start_deadline = duration(1'000'000);
    if (below(2) == 0) task.retry = std::make_shared<const Retry>(random_retry(random));
    if (below(2) == 0) task.success = std::make_shared<const SuccessRule>(random_success_rule(random));
    task.guarantee = below(2) == 0 ? Guarantee::at_least_once : Guarantee::at_most_once;
    const bool mutual = task.mode == Mode::single && (task.overlap == Overlap::forbid || task.overlap == Overlap::queue);
    if (mutual && below(2) == 0) {
        task.max_parallel = 1;
        task.mode = Mode::single;
        task.shards = 1;
        task.mutex = std::make_shared<const std::string>("database");
    }
    task.exclusive_group = below(2) == 0;
    if (below(2) == 0) task.notify = {"ops@example.org", "a.b+c@example.com"};
    task.version = 1 + below(100);
    task.revision = below(1'000'000);
    task.created_revision = below(1'000'000);
    task.effective_revision = below(1'000'000);
    task.created_at = moment();
    task.updated_at = moment();
    task.effective_from = moment();
    return task;
}

void check_equal(const Task& a, const Task& b) {
    REQUIRE(a.id == b.id);
    REQUIRE(a.runtime + "/" + a.group + "/" + a.name == b.runtime + "/" + b.group + "/" + b.name);
    REQUIRE(a.description == b.description);
    REQUIRE(a.tags == b.tags);
    REQUIRE(a.enabled == b.enabled);
    REQUIRE((a.mode == b.mode));
    REQUIRE(a.shards == b.shards);
    REQUIRE(a.command == b.command);
    REQUIRE(a.shell == b.shell);
    REQUIRE(a.package == b.package);
    REQUIRE(a.environment == b.environment);
    REQUIRE((a.secrets ? *a.secrets : SecretUses{}) == (b.secrets ? *b.secrets : SecretUses{}));
    REQUIRE((a.schedules == b.schedules));
    REQUIRE(a.targets == b.targets);
    REQUIRE(a.labels == b.labels);
    REQUIRE(a.time_limit == b.time_limit);
    REQUIRE(a.grace == b.grace);
    REQUIRE(a.output_limit == b.output_limit);
    REQUIRE((a.misfire == b.misfire));
    REQUIRE(a.misfire_tolerance == b.misfire_tolerance);
    REQUIRE((a.overlap == b.overlap));
    REQUIRE(a.max_parallel == b.max_parallel);
    REQUIRE(a.queue_limit == b.queue_limit);
    REQUIRE(a.misfire_limit == b.misfire_limit);
    REQUIRE((a.soft_limit == b.soft_limit));
    REQUIRE((a.start_deadline == b.start_deadline));
    REQUIRE((a.retry == nullptr) == (b.retry == nullptr));
    if (a.retry) REQUIRE((*a.retry == *b.retry));
    REQUIRE((a.success == nullptr) == (b.success == nullptr));
    if (a.success) REQUIRE((*a.success == *b.success));
    REQUIRE((a.guarantee == b.guarantee));
    REQUIRE((a.mutex == nullptr) == (b.mutex == nullptr));
    if (a.mutex) REQUIRE(*a.mutex == *b.mutex);
    REQUIRE(a.exclusive_group == b.exclusive_group);
    REQUIRE(a.notify == b.notify);
    REQUIRE(a.version == b.version);
    REQUIRE(a.revision == b.revision);
    REQUIRE(a.created_revision == b.created_revision);
    REQUIRE(a.effective_revision == b.effective_revision);
    REQUIRE(a.created_at == b.created_at);
    REQUIRE(a.updated_at == b.updated_at);
    REQUIRE(a.effective_from == b.effective_from);
}

}  // namespace

TEST_CASE("codec: slugs") {
    for (const char* slug : {"a", "7", "web-1", "a--b", "a-"}) CHECK(is_slug(slug));
    CHECK(is_slug(std::string(63, 'x')));
    for (const char* slug : {"", "-a", "A", "a_b", "a b", "a/b", "ä", "a\n"}) CHECK_FALSE(is_slug(slug));
    CHECK_FALSE(is_slug(std::string(64, 'x')));
}

TEST_CASE("codec: mail addresses") {
    for (const char* address : {"ops@example.org", "a.b+c@localhost", "müller@example.org"}) CHECK(is_mail_address(address));
    for (const char* address : {"", "ops", "@example.org", "ops@", "a@b@c", "a b@c", "a@b, c@d", "a@b,c", "<a@b", "a@b>", "a@b\r\nBcc: x",
                                "a@b\n", "a@b;c", "\"a\"@b", "a\x7f@b"}) {
        CAPTURE(address);
        CHECK_FALSE(is_mail_address(address));
    }
    CHECK_FALSE(is_mail_address("a@" + std::string(253, 'b')));
}

TEST_CASE("codec: the least task has the defaults of the type") {
    const Task task = read_valid(task_text());
    CHECK(task.runtime == "demo");
    CHECK(task.group == "ops");
    CHECK(task.name == "report");
    CHECK(task.shell == "true");
    CHECK(task.enabled);
    CHECK(task.time_limit == std::chrono::hours{1});
    CHECK(task.grace == std::chrono::seconds{10});
    CHECK(task.output_limit == 16ULL << 20);
    CHECK(task.misfire == std::nullopt);
    CHECK((task.overlap == Overlap::forbid));
    CHECK((task.guarantee == Guarantee::at_most_once));
    CHECK(task.max_parallel == 1);
    CHECK((task.misfire_for(*Schedule::at(Instant{})) == Misfire::once));
    CHECK((task.misfire_for(*Schedule::cron("@daily", "UTC")) == Misfire::skip));
}

TEST_CASE("codec: what the API answered can be sent back") {
    std::mt19937_64 random{1};
    std::string text = written(random_task(random));
    text.pop_back();
    const Task task = read_valid(text + R"(, "state": "idle", "last_run": {"id": "x"}})");
    CHECK(task.id.empty());
    CHECK(task.version == 1);
    CHECK(task.revision == 0);
    CHECK_FALSE(read_task(document(text + R"(, "state": "idle"})")));
}

TEST_CASE("codec: reading a written task gives the same task") {
    const auto seed = Catch::rngSeed();
    CAPTURE(seed);
    std::mt19937_64 random{seed};
    for (int round = 0; round < 200; ++round) {
        const Task task = random_task(random);
        const std::string text = written(task);
        CAPTURE(text);
        const auto read = read_task(document(text));
        if (!read) FAIL(read.error().message);
        check_equal(*read, task);
        REQUIRE(written(*read) == text);
    }
}

TEST_CASE("codec: a task without what the server writes is not a catalog's") {
    const auto read = read_task(document(task_text()));
    REQUIRE_FALSE(read);
    for (const char* name : {"/id", "/version", "/revision", "/created_revision", "/created_at", "/updated_at", "/effective_from"}) {
        CAPTURE(read.error().message);
        CHECK(read.error().message.find(name) != std::string::npos);
    }
}

TEST_CASE("codec: a task that is read has the times that its id picks") {
    std::mt19937_64 random{1};
    Task task = random_task(random);
    task.schedules = {*Schedule::cron("H H H * *", "UTC")};
    task.id = kOtherUuid;
    const auto read = read_task(document(written(task)));
    REQUIRE(read);
    const Schedule picked = task.schedules[0].for_task(kOtherUuid);
    CHECK(read->schedules[0].next(Instant{}) == picked.next(Instant{}));
    CHECK(picked.next(Instant{}) != task.schedules[0].next(Instant{}));
    CHECK(picked == task.schedules[0]);
    CHECK(picked.for_task({}).next(Instant{}) == task.schedules[0].next(Instant{}));
    adopt_schedules(task);
    CHECK(task.schedules[0].next(Instant{}) == picked.next(Instant{}));
}

TEST_CASE("codec: all faults of a task are told at once") {
    check_faults(R"({"runtime": "Demo", "name": "", "command": [], "environment": {"1A": "x", "CLOUDTASK_HOME": "y"}, "time_limit": "0s",
                     "max_parallel": 0, "misfire": "never", "notify": ["ops@example.org", "nobody"], "colour": "red",
                     "schedules": [{"cron": "61 * * * *"}, {"every": "1s", "at": "2026-01-01T00:00:00Z"}, 7], "targets": ["node 1"], "labels": {"a b": "c"},
                     "tags": {"a b": "c", "d": "e,f"}})",
                 {{"/runtime", "'Demo' is not a name"},
                  {"/group", "is missing"},
                  {"/name", "'' is not a name"},
                  {"", "neither 'command' nor 'shell'"},
                  {"/environment/1A", "is not the name of a variable"},
                  {"/environment/CLOUDTASK_HOME", "is reserved"},
                  {"/time_limit", "out of range"},
                  {"/max_parallel", "out of range"},
                  {"/misfire", "is not one of"},
                  {"/notify/1", "'nobody' is not a mail address"},
                  {"/colour", "is not a known field"},
                  {"/schedules/0/cron", "minute field '61': 61 is not in 0 to 59"},
                  {"/schedules/1", "has more than one rule"},
                  {"/schedules/2", "is not an object"},
                  {"/targets/0", "'node 1' is not the name of a node"},
                  {"/labels/a b", "is not the key of a label"},
                  {"/tags/a b", "is not the key of a tag"},
                  {"/tags/d", "has a comma"}});
}

TEST_CASE("codec: the number of shards stands with mode: shards, and only there") {
    const auto text = [](const std::string& extra) { return task_text(R"("shell": "true", )" + extra); };
    const Task task = read_valid(text(R"("mode": "shards", "shards": 256)"));
    CHECK((task.mode == Mode::shards));
    CHECK(task.shards == 256);
    CHECK((read_valid(text(R"("mode": "broadcast")")).mode == Mode::broadcast));
    CHECK(written(read_valid(text(R"("mode": "single")"))).find("mode") == std::string::npos);
    check_faults(text(R"("mode": "shards")"), {{"/shards", "is missing"}});
    check_faults(text(R"("mode": "broadcast", "shards": 2)"), {{"/shards", "stands without"}});
    check_faults(text(R"("shards": 2)"), {{"/shards", "stands without"}});
    check_faults(text(R"("mode": "shards", "shards": 0)"), {{"/shards", "out of range"}});
    check_faults(text(R"("mode": "shards", "shards": 257)"), {{"/shards", "out of range"}});
    check_faults(text(R"("mode": "sharded", "shards": 2)"), {{"/mode", "is not one of"}});
    check_faults(text(R"("piece": {})"), {{"/piece", "is not a known field"}});
}

TEST_CASE("codec: exactly one of command and shell") {
    check_faults(task_text(""), {{"", "neither"}});
    check_faults(task_text(R"("command": [], "shell": "")"), {{"", "neither"}});
    check_faults(task_text(R"("command": null)"), {{"", "neither"}});
    check_faults(task_text(R"("command": ["a"], "shell": "b")"), {{"/shell", "stands beside 'command'"}});
    check_faults(task_text(R"("command": "a b")"), {{"/command", "is not a list"}});
    check_faults(task_text(R"("command": ["", "x"])"), {{"/command/0", "is empty"}});
    CHECK(read_valid(task_text(R"("command": ["a", ""], "shell": "")")).command.size() == 2);
    CHECK(read_valid(task_text(R"("shell": "a", "command": null, "package": "")")).package.empty());
}

TEST_CASE("codec: a task calls an address instead of starting a program") {
    const Task task =
        read_valid(task_text(R"("http": {"url": "https://example.org/hook", "method": "POST", "body": "x"}, "time_limit": "5s")"));
    REQUIRE(task.http);
    CHECK(task.http->url == "https://example.org/hook");
    const std::string text = written(task);
    CHECK(text.find(R"("executor":"http","http":{"method":"POST","url":"https://example.org/hook","body":"x"})") != std::string::npos);
    for (const char* absent : {"\"command\"", "\"shell\"", "\"environment\"", "\"grace\""}) CHECK(text.find(absent) == std::string::npos);
    CHECK(*read_valid(text).http == *task.http);
    CHECK(read_valid(task_text(R"("executor": "program", "shell": "true")")).http == nullptr);

    const std::string call = R"("http": {"url": "https://example.org/"})";
    check_faults(task_text(R"("executor": "http")"), {{"", "has no 'http'"}});
    check_faults(task_text(R"("executor": "ftp", "shell": "true")"), {{"/executor", ""}});
    check_faults(task_text(R"("executor": "program", "shell": "true", )" + call), {{"/http", "beside the executor program"}});
    check_faults(task_text(call + R"(, "command": ["a"], "shell": "b", "package": "", "environment": {}, "success": {}, "grace": "1s")"),
                 {{"/command", "about programs"},
                  {"/shell", "about programs"},
                  {"/package", "about programs"},
                  {"/environment", "about programs"},
                  {"/success", "about programs"},
                  {"/grace", "about programs"}});
    check_faults(task_text(call + R"(, "retry": {"exit_codes": [1]})"), {{"/retry/exit_codes", "about programs"}});
    check_faults(task_text(call + R"(, "secrets": {"TOKEN": "books"})"), {{"/secrets", "without 'parameters'"}});
    check_faults(task_text(R"("http": {"url": "file:///etc/passwd"})"), {{"/http/url", "is neither http:// nor https://"}});
    check_faults(task_text(R"("http": "https://example.org/")"), {{"/http", ""}});
}

TEST_CASE("codec: bounds of a task") {
    const auto shell = std::string{R"("shell": "true", )"};
    const auto with = [&](const std::string& member) { return task_text(shell + member); };
    read_valid(task_text("\"command\": " + list_of(64, quoted(std::string(10, 'a')))));
    check_faults(task_text("\"command\": " + list_of(65, "\"a\"")), {{"/command", "has 65 entries"}});
    read_valid(task_text("\"command\": [" + quoted(std::string(4096, 'a')) + "]"));
    check_faults(task_text("\"command\": [\"a\"," + quoted(std::string(4097, 'a')) + "]"), {{"/command/1", "has 4097 bytes"}});
    check_faults(task_text(R"("command": ["a\u0000b"])"), {{"/command/0", "control character"}});
    read_valid(task_text("\"shell\": " + quoted(std::string(16384, 'a'))));
    check_faults(task_text("\"shell\": " + quoted(std::string(16385, 'a'))), {{"/shell", "has 16385 bytes"}});
    read_valid(with("\"schedules\": " + list_of(32, R"({"cron": "@daily"})")));
    check_faults(with("\"schedules\": " + list_of(33, R"({"cron": "@daily"})")), {{"/schedules", "has 33 entries"}});
    read_valid(with(R"("time_limit": "366d", "grace": "0s", "output_limit": "4KiB", "max_parallel": 1000)"));
    read_valid(with(R"("time_limit": "1s", "grace": "1h", "output_limit": "1GiB", "max_parallel": 1)"));
    check_faults(with(R"("time_limit": "999ms", "grace": "61min", "output_limit": "4095B", "max_parallel": 1001)"),
                 {{"/time_limit", ""}, {"/grace", ""}, {"/output_limit", ""}, {"/max_parallel", ""}});
    check_faults(with(R"("time_limit": 30, "output_limit": 4096, "max_parallel": 1.5, "enabled": "yes")"),
                 {{"/time_limit", "is not a duration"}, {"/output_limit", "is not a size"}, {"/max_parallel", ""}, {"/enabled", ""}});
    check_faults(with(R"("time_limit": "367d")"), {{"/time_limit", "out of range"}});
    check_faults(with(R"("output_limit": "2GiB")"), {{"/output_limit", "out of range"}});
    check_faults(with(R"("package": "abc")"), {{"/package", "is not the SHA-256"}});
    check_faults(with("\"package\": " + quoted(std::string(64, 'A'))), {{"/package", "is not the SHA-256"}});
    check_faults(with(R"("overlap": "Allow", "guarantee": "")"), {{"/overlap", "is not one of"}, {"/guarantee", "is not one of"}});
    check_faults(with(R"("targets": ["node-1", "node-1"])"), {{"/targets/1", "is there twice"}});

    std::string environment;
    std::string notify;
    for (int i = 0; i < 100; ++i) {
        environment += fmt::format("{}\"V{}\": \"x\"", i == 0 ? "" : ",", i);
        notify += fmt::format("{}\"a{}@example.org\"", i == 0 ? "" : ",", i);
    }
    CHECK(read_valid(with("\"environment\": {" + environment + "}, \"notify\": [" + notify + "]")).environment.size() == 100);
    check_faults(with("\"environment\": {" + environment + R"(, "X": "y"}, "notify": [)" + notify + ",\"x@y\"]"),
                 {{"/environment", "has 101 entries"}, {"/notify", "has 101 entries"}});
    check_faults("[]", {{"", "is not an object"}, {"", "neither"}});
}

TEST_CASE("codec: runtimes, groups and packages") {
    Faults faults;
    Runtime runtime{.name = "demo", .description = "for all", .notify = {"a@b"}, .version = 3};
    runtime.http = std::make_shared<const NetworkRules>(std::vector<Network>{*Network::parse("10.1.0.0/16")}, std::vector<Network>{});
    const auto runtime_again = read_runtime_input(document(written(runtime)), faults);
    REQUIRE(runtime_again);
    CHECK(runtime_again->name == "demo");
    CHECK(runtime_again->description == "for all");
    CHECK(runtime_again->notify == runtime.notify);
    CHECK((runtime_again->http && *runtime_again->http == *runtime.http));
    CHECK(runtime_again->version == 1);

    const Group group{.id = kUuid, .runtime = "demo", .name = "ops", .description = "", .notify = {}, .exclusive = true};
    const auto group_again = read_group_input(document(written(group)), faults);
    REQUIRE(group_again);
    CHECK(group_again->runtime == "demo");
    CHECK(group_again->name == "ops");
    CHECK(group_again->id.empty());
    CHECK(group_again->exclusive);
    CHECK(faults.empty());

    CHECK_FALSE(read_runtime_input(document(R"({"notify": ["x"], "what": 1})"), faults));
    CHECK(faults.list().size() == 3);
    CHECK_FALSE(read_group_input(document(R"({"runtime": "demo", "name": 5})"), faults));
    CHECK(faults.list().size() == 4);
    CHECK(faults.list().back().pointer == "/name");
    // Faults of others do not count against the next.
    CHECK(read_group_input(document(R"({"runtime": "demo", "name": "ops"})"), faults));

    const auto package =
        document(written(Package{.sha256 = kSha256, .filename = "x.zip", .format = "zip", .size = 7, .uploaded_by = "eva"}));
    CHECK(package["sha256"].GetString() == kSha256);
    CHECK(package["size"].GetUint64() == 7);
    CHECK(package["created_at"] == "1970-01-01T00:00:00Z");
}

TEST_CASE("codec: reading a written run gives the same run") {
    Run run;
    run.id = kUuid;
    run.task_id = kOtherUuid;
    run.task_version = 4;
    run.runtime = "demo";
    run.group = "ops";
    run.task_name = "report";
    run.fire_time = Instant{std::chrono::seconds{1'800'000'000}};
    run.attempt = 2;
    run.state = RunState::timed_out;
    run.reason = "took longer than 1h";
    run.package = kSha256;
    run.node_id = kUuid;
    run.node_name = "node-1";
    run.incarnation = kOtherUuid;
    run.epoch = 12;
    run.started_at = *run.fire_time - Duration{250};
    run.ended_at = *run.fire_time + std::chrono::hours{1};
    run.lateness = Duration{-250};
    run.covers_until = *run.fire_time + std::chrono::hours{2};
    run.exit_code = 143;
    run.signal = 15;
    run.http_status = 503;
    run.first_run = kOtherUuid;
    run.stdout_bytes = 5'000'000'000;
    run.stderr_bytes = 1;
    run.output_truncated = true;
    run.started_by = "eva";
    const std::string text = written(run);
    CHECK(text.find(R"("lateness_us":-250)") != std::string::npos);
    CHECK(text.find(R"("state":"TIMED_OUT")") != std::string::npos);
    const auto again = read_run(document(text));
    if (!again) FAIL(again.error().message);
    CHECK(written(*again) == text);
    CHECK(again->lateness == run.lateness);
    CHECK(again->covers_until == run.covers_until);
    CHECK(again->stdout_bytes == run.stdout_bytes);
    CHECK((again->state == RunState::timed_out));
    CHECK(again->exit_code == run.exit_code);
    CHECK(again->http_status == run.http_status);
    CHECK(again->first_run == run.first_run);

    Run pending;
    pending.id = kUuid;
    pending.task_id = kOtherUuid;
    pending.runtime = "demo";
    pending.group = "ops";
    pending.task_name = "t";
    pending.trigger = Trigger::manual;
    const auto pending_again = read_run(document(written(pending)));
    if (!pending_again) FAIL(pending_again.error().message);
    CHECK(written(*pending_again) == written(pending));
    CHECK(pending_again->exit_code == std::nullopt);
    CHECK(pending_again->lateness == std::nullopt);
    CHECK(pending_again->covers_until == std::nullopt);
    CHECK(written(pending).find("covers_until") == std::string::npos);
}

TEST_CASE("codec: an entry covers only what follows its fire") {
    const auto reading = [](std::string_view times) {
        return read_run(document(fmt::format(R"({{"id": "{}", "task_id": "{}", "runtime": "demo", "group": "ops", "task_name": "t",
                                                 "trigger": "manual", "state": "LOST"{}}})",
                                             kUuid, kOtherUuid, times)));
    };
    CHECK(reading(R"(, "fire_time": "2026-01-01T00:00:00Z", "covers_until": "2026-01-01T00:00:00Z")"));
    for (const char* times : {R"(, "covers_until": "2026-01-01T00:00:00Z")",
                              R"(, "fire_time": "2026-01-01T00:00:01Z", "covers_until": "2026-01-01T00:00:00Z")"}) {
        const auto run = reading(times);
        REQUIRE_FALSE(run);
        CHECK(run.error().message.find("/covers_until") != std::string::npos);
    }
}

TEST_CASE("codec: the parameters of a run have bounds") {
    Run run;
    run.id = kUuid;
    run.task_id = kOtherUuid;
    run.runtime = "demo";
    run.group = "ops";
    run.task_name = "t";
    run.trigger = Trigger::manual;
    const auto reading = [&run](std::size_t bytes) {
        RunParameters given;
        given.values["a"] = {std::string(bytes / 2 - 1, 'x'), ParameterOrigin::manual};
        given.values["b"] = {std::string(bytes / 2 - 1, 'x'), ParameterOrigin::task};
        run.parameters = std::make_shared<const RunParameters>(std::move(given));
        return read_run(document(written(run)));
    };
    CHECK(reading(kLargestParameters));
    const auto larger = reading(kLargestParameters + 2);
    REQUIRE_FALSE(larger);
    CHECK(larger.error().message.find("/parameters") != std::string::npos);
}

TEST_CASE("codec: a faulty run is refused with all its faults") {
    const auto run =
        read_run(document(R"({"id": "x", "runtime": "demo", "group": "ops", "task_name": "t", "trigger": "schedule", "state": "running",
                                           "attempt": 0, "exit_code": "0", "stdout_bytes": -1, "mood": "bad"})"));
    REQUIRE_FALSE(run);
    CHECK(run.error().is(Errc::invalid_argument));
    for (const char* part : {"/id", "/task_id", "/state", "'running'", "/attempt", "/exit_code", "/stdout_bytes", "/mood", "/fire_time"}) {
        CAPTURE(run.error().message, part);
        CHECK(run.error().message.find(part) != std::string::npos);
    }
}
