// The node's database: what is committed survives, sequences grow by one, what is delivered and old is forgotten.
#include "node/node_store.h"

#include <signal.h>
#include <sys/resource.h>

#include <fstream>
#include <set>

#include "node/node_store_database.h"
#include "tests/node/node_store_support.h"
#include "tests/support/sanitized.h"

namespace cloudtask::node::test {
namespace {

namespace fs = std::filesystem;
using Catch::Matchers::Contains;

struct StoreFile {
    TempFolder folder;
    std::string path = folder / "node.db";
    std::unique_ptr<NodeStore> store = open_store(path);

    void reopen() {
        store.reset();
        store = open_store(path);
    }
    // What a power cut leaves: the files as they are while the store is open.
    std::unique_ptr<NodeStore> open_after_crash() const {
        const std::string copy = folder / "crashed.db";
        for (const std::string ending : {"", "-wal"}) {
            if (fs::exists(path + ending)) fs::copy_file(path + ending, copy + ending, fs::copy_options::overwrite_existing);
        }
        return open_store(copy);
    }
};

JournalEntry ended(Instant fire_time) {
    JournalEntry entry{.run = run_at(fire_time), .phase = Phase::ended, .process = {}, .stdout_sent = 0, .stderr_sent = 0};
    entry.run.state = task::RunState::succeeded;
    entry.run.ended_at = fire_time + std::chrono::seconds{1};
    return entry;
}

Batch batch_of(const JournalEntry& entry) {
    Batch batch;
    batch.entries = {entry};
    batch.reports = {run_report("n.1", entry.run)};
    return batch;
}

std::vector<std::int64_t> sequences(NodeStore& store) {
    std::vector<std::int64_t> list;
    const auto reports = store.oldest_reports(1000);
    for (const auto& report : *reports) list.push_back(report.sequence);
    return list;
}

TEST_CASE("an identity is kept") {
    StoreFile f;
    CHECK_FALSE(f.store->load_identity()->has_value());
    const Identity identity{.node_id = id_of(1),
                            .node_token = "token",
                            .runtime = "demo",
                            .name = "n1",
                            .center_url = "http://127.0.0.1:8080",
                            .zookeeper_servers = "127.0.0.1:2181",
                            .zookeeper_chroot = "/cloudtask",
                            .zookeeper_secret = "secret",
                            .zookeeper_session_timeout = std::chrono::seconds{4}};
    REQUIRE(f.store->save_identity({}));
    REQUIRE(f.store->save_identity(identity));
    f.reopen();
    const auto loaded = f.store->load_identity();
    REQUIRE(loaded);
    REQUIRE(*loaded);
    CHECK((*loaded)->node_token == "token");
    CHECK((*loaded)->zookeeper_secret == "secret");
    CHECK((*loaded)->zookeeper_session_timeout == std::chrono::seconds{4});
}

TEST_CASE("whether the node is cordoned is kept, with the report of it or not at all") {
    StoreFile fixture;
    CHECK_FALSE(*fixture.store->load_cordoned());
    Batch batch;
    batch.cordoned = true;
    batch.reports.push_back(command_report("n.1", "c1", true));
    REQUIRE(fixture.store->commit(batch));
    fixture.reopen();
    CHECK(*fixture.store->load_cordoned());
    CHECK(*fixture.store->outbox_depth() == 1);
    batch = {};
    batch.cordoned = false;
    REQUIRE(fixture.store->commit(batch));
    fixture.reopen();
    CHECK_FALSE(*fixture.store->load_cordoned());
}

TEST_CASE("a database of before there were cordons is brought forward") {
    StoreFile fixture;
    REQUIRE(fixture.store->commit(batch_of(ended(kNoon))));
    fixture.store.reset();
    {
        Database database;
        REQUIRE(database.open(fixture.path));
        REQUIRE(database.execute("DELETE FROM counters WHERE name = 'cordoned'"));
        REQUIRE(database.execute("ALTER TABLE journal DROP COLUMN stop_asked"));
        REQUIRE(database.execute("ALTER TABLE journal DROP COLUMN task"));
        REQUIRE(database.execute("ALTER TABLE journal DROP COLUMN retry"));
        REQUIRE(database.execute("DROP TABLE past"));
        REQUIRE(database.execute("DROP TABLE superseded"));
        REQUIRE(database.execute("DROP TABLE runtime"));
        REQUIRE(database.execute("DROP TABLE secrets"));
        REQUIRE(database.execute("PRAGMA user_version = 1"));
    }
    fixture.reopen();
    CHECK_FALSE(*fixture.store->load_cordoned());
    CHECK(fixture.store->load_runs()->size() == 1);
}

TEST_CASE("a run that waits keeps its definition until it has ended") {
    StoreFile fixture;
    JournalEntry entry = batch_of(ended(kNoon)).entries.front();
    auto task = task_named(7);
    task.retry = std::make_shared<const task::Retry>();
    entry.task = std::make_shared<const task::Task>(task);
    entry.retry = 2;
    entry.phase = Phase::waiting;
    Batch batch;
    batch.entries.push_back(entry);
    REQUIRE(fixture.store->commit(batch));
    fixture.reopen();
    const auto waiting = *fixture.store->load_unfinished();
    REQUIRE(waiting.size() == 1);
    CHECK(waiting[0].phase == Phase::waiting);
    CHECK(waiting[0].retry == 2);
    REQUIRE(waiting[0].task);
    CHECK(task::to_json(*waiting[0].task) == task::to_json(task));
    batch.entries.front().phase = Phase::ended;
    REQUIRE(fixture.store->commit(batch));
    CHECK(fixture.store->load_unfinished()->empty());
}

TEST_CASE("the catalog takes changes and full answers") {
    StoreFile f;
    CHECK(*f.store->catalog_empty());
    REQUIRE(f.store->apply_catalog({.revision = 5, .full = false, .tasks = {task_named(1), task_named(2), task_named(3)}, .deleted = {}}));
    task::Task changed = task_named(2, 6);
    changed.description = "another";
    REQUIRE(f.store->apply_catalog({.revision = 7, .full = false, .tasks = {changed}, .deleted = {{id_of(1), kNoon}, {id_of(99), kNoon}}}));
    CHECK_FALSE(*f.store->catalog_empty());
    f.reopen();
    auto catalog = f.store->load_catalog();
    REQUIRE(catalog);
    CHECK(catalog->revision == 7);
    REQUIRE(catalog->tasks.size() == 2);
    std::sort(catalog->tasks.begin(), catalog->tasks.end(), [](const auto& a, const auto& b) { return a.name < b.name; });
    CHECK(text_of(catalog->tasks[0]) == text_of(changed));
    CHECK(text_of(catalog->tasks[1]) == text_of(task_named(3)));

    REQUIRE(f.store->apply_catalog({.revision = 2, .full = true, .tasks = {task_named(3), task_named(4)}, .deleted = {}}));
    catalog = f.store->load_catalog();
    CHECK(catalog->revision == 2);
    std::set<std::string> names;
    for (const auto& task : catalog->tasks) names.insert(task.name);
    CHECK(names == std::set<std::string>{"task-3", "task-4"});
}

TEST_CASE("a catalog of 20,000 tasks loads in about ten times the time of one of 2,000") {
    if (kSanitized) return;  // how long it takes is not theirs to say
    const auto time_to_load = [](std::size_t tasks) {
        StoreFile f;
        CatalogChange change{.revision = 9, .full = true, .tasks = {}, .deleted = {}};
        for (std::size_t number = 0; number < tasks; ++number) change.tasks.push_back(task_named(static_cast<int>(number)));
        REQUIRE(f.store->apply_catalog(change));
        f.reopen();
        const auto begin = std::chrono::steady_clock::now();
        const auto catalog = f.store->load_catalog();
        const auto took = std::chrono::steady_clock::now() - begin;
        REQUIRE(catalog);
        CHECK(catalog->tasks.size() == tasks);
        return took;
    };
    const auto of_few = time_to_load(2'000);
    const auto of_many = time_to_load(20'000);
    CHECK(of_many < 40 * of_few);               // it would be a hundred times, were each looked for among all
    CHECK(of_many < std::chrono::seconds{20});  // without optimisation and beside other tests
}

TEST_CASE("a task that cannot be read is left out, and the whole catalog asked for") {
    StoreFile f;
    REQUIRE(f.store->apply_catalog({.revision = 5, .full = false, .tasks = {task_named(1), task_named(2)}, .deleted = {}}));
    f.store.reset();
    {
        Database database;
        REQUIRE(database.open(f.path));
        REQUIRE(Query(database, "UPDATE tasks SET document = '{\"from\": \"the future\"}' WHERE id = ?").bind(id_of(1)).run());
    }
    f.store = open_store(f.path);
    const auto catalog = f.store->load_catalog();
    REQUIRE(catalog);
    CHECK(catalog->revision == 0);
    REQUIRE(catalog->tasks.size() == 1);
    CHECK(catalog->tasks[0].name == "task-2");
}

TEST_CASE("what was committed is there after a crash, whole") {
    StoreFile f;
    JournalEntry entry{.run = run_at(kNoon),
                       .phase = Phase::started,
                       .process = RunningRecord{.run_id = run_at(kNoon).id,
                                                .folder = "/var/lib/run",
                                                .process = {.pid = 4711, .start_time = 0xffffffffffULL, .boot_id = "boot"},
                                                .started_at = kNoon + std::chrono::microseconds{5},
                                                .time_limit = std::chrono::minutes{7},
                                                .grace = std::chrono::seconds{3},
                                                .output_limit = 12345},
                       .stdout_sent = 10,
                       .stderr_sent = 20};
    Batch batch = batch_of(entry);
    batch.commands = {id_of(7)};
    REQUIRE(f.store->commit(batch));
    JournalEntry intent{
        .run = run_at(kNoon + std::chrono::seconds{1}), .phase = Phase::intent, .process = {}, .stdout_sent = 0, .stderr_sent = 0};
    REQUIRE(f.store->commit({.entries = {intent}, .reports = {}, .commands = {}}));
    REQUIRE(f.store->commit(batch_of(ended(kNoon + std::chrono::seconds{2}))));

    const auto after = f.open_after_crash();
    const auto unfinished = after->load_unfinished();
    REQUIRE(unfinished);
    REQUIRE(unfinished->size() == 2);
    const auto& first = (*unfinished)[0];
    CHECK(text_of(first.run) == text_of(entry.run));
    CHECK(first.phase == Phase::started);
    REQUIRE(first.process);
    CHECK(first.process->run_id == entry.run.id);
    CHECK(first.process->process == entry.process->process);
    CHECK(first.process->folder == "/var/lib/run");
    CHECK(first.process->started_at == entry.process->started_at);
    CHECK(first.process->time_limit == entry.process->time_limit);
    CHECK(first.process->grace == entry.process->grace);
    CHECK(first.process->output_limit == 12345);
    CHECK(first.stdout_sent == 10);
    CHECK(first.stderr_sent == 20);
    CHECK((*unfinished)[1].phase == Phase::intent);
    CHECK_FALSE((*unfinished)[1].process);
    CHECK(after->load_runs()->size() == 3);
    CHECK(*after->load_command_ids() == std::vector<std::string>{id_of(7)});
    const auto reports = after->oldest_reports(10);
    REQUIRE(reports->size() == 2);
    CHECK((*reports)[0].body == "{\"run\":" + text_of(entry.run) + "}");
    CHECK(*after->outbox_depth() == 2);
}

TEST_CASE("sequences grow by one within an incarnation, whatever was delivered and however often the node restarts") {
    StoreFile f;
    for (int i = 0; i < 3; ++i) REQUIRE(f.store->commit(batch_of(ended(kNoon + std::chrono::seconds{i}))));
    CHECK(sequences(*f.store) == std::vector<std::int64_t>{1, 2, 3});
    const auto reports = *f.store->oldest_reports(2);
    REQUIRE(f.store->delivered_until(reports[1].position));
    CHECK(*f.store->outbox_depth() == 1);
    CHECK(sequences(*f.store) == std::vector<std::int64_t>{3});
    REQUIRE(f.store->delivered_until(1'000'000));
    CHECK(*f.store->outbox_depth() == 0);
    f.reopen();
    CHECK(*f.store->outbox_depth() == 0);
    REQUIRE(f.store->commit(batch_of(ended(kNoon))));
    Batch other = batch_of(ended(kNoon));
    other.reports[0].incarnation = "n.2";
    other.reports.push_back(run_report("n.1", run_at(kNoon)));
    REQUIRE(f.store->commit(other));
    CHECK(sequences(*f.store) == std::vector<std::int64_t>{4, 1, 5});
    CHECK(f.store->oldest_reports(1)->front().position == reports[1].position + 2);
    REQUIRE(f.store->delivered_until(0));  // goes never back
    CHECK(*f.store->outbox_depth() == 3);
}

TEST_CASE("a long log report becomes several of 64 KiB, an empty one none") {
    StoreFile f;
    const LogShape shape{.limit = 1 << 20, .written = 200'000, .final = true};
    Batch batch;
    batch.reports = {log_report("n.1", "run", Stream::err, 1000, 1000 + 150'000, shape),
                     log_report("n.1", "run", Stream::out, 7, 7, shape)};
    REQUIRE(f.store->commit(batch));
    const auto reports = *f.store->oldest_reports(10);
    REQUIRE(reports.size() == 3);
    std::uint64_t at = 1000;
    for (const auto& report : reports) {
        CHECK(report.kind == Report::Kind::log);
        CHECK(report.stream == Stream::err);
        CHECK(report.from == at);
        CHECK(report.until - report.from <= 64 * 1024);
        CHECK(report.shape.limit == 1 << 20);
        CHECK(report.shape.written == 200'000);
        CHECK(report.shape.final);
        at = report.until;
    }
    CHECK(at == 151'000);
}

TEST_CASE("only what has ended, is old and is delivered is forgotten") {
    StoreFile f;
    const auto later = [](int count) { return kNoon + std::chrono::seconds{count}; };
    JournalEntry running{.run = run_at(later(-100)), .phase = Phase::started, .process = {}, .stdout_sent = 0, .stderr_sent = 0};
    REQUIRE(f.store->commit(batch_of(running)));
    REQUIRE(f.store->commit(batch_of(ended(later(0)))));
    const std::int64_t delivered = f.store->oldest_reports(10)->back().position;
    REQUIRE(f.store->commit(batch_of(ended(later(1)))));
    REQUIRE(f.store->commit(batch_of(ended(later(50)))));
    CHECK(f.store->forget_before(later(10))->runs.empty());  // nothing is delivered yet

    REQUIRE(f.store->delivered_until(delivered));
    CHECK(f.store->forget_before(later(10))->runs == std::vector<std::string>{run_at(later(0)).id});
    REQUIRE(f.store->delivered_until(delivered + 10));
    CHECK(f.store->forget_before(later(10))->runs == std::vector<std::string>{run_at(later(1)).id});
    CHECK(f.store->forget_before(later(10))->runs.empty());
    CHECK(f.store->load_runs()->size() == 2);

    // Its log is on the way: the run's folder is still needed.
    Batch log;
    log.reports = {log_report("n.1", run_at(later(50)).id, Stream::out, 0, 10, {})};
    REQUIRE(f.store->commit(log));
    CHECK(f.store->forget_before(later(100))->runs.empty());
    REQUIRE(f.store->delivered_until(1000));
    CHECK(f.store->forget_before(later(100))->runs.size() == 1);
}

TEST_CASE("at most 200 runs are forgotten at once") {
    StoreFile f;
    Batch batch;
    for (int i = 0; i < 450; ++i) batch.entries.push_back(ended(kNoon + std::chrono::seconds{i}));
    REQUIRE(f.store->commit(batch));
    CHECK(f.store->forget_before(kNoon + std::chrono::hours{1})->runs.size() == 200);
    CHECK(f.store->forget_before(kNoon + std::chrono::hours{1})->runs.size() == 200);
    CHECK(f.store->forget_before(kNoon + std::chrono::hours{1})->runs.size() == 50);
}

TEST_CASE("a command is forgotten once its outcome is delivered, never before") {
    StoreFile f;
    const std::string id = id_of(1);
    REQUIRE(f.store->commit({.entries = {}, .reports = {}, .commands = {id, "no uuid"}}));
    REQUIRE(f.store->commit({.entries = {}, .reports = {}, .commands = {id}}));
    const Instant late = kNoon + std::chrono::hours{1};
    REQUIRE(f.store->forget_before(late));
    CHECK(f.store->load_command_ids()->size() == 2);
    Batch outcome;
    outcome.reports = {command_report("n.1", id, true), command_report("n.1", "no uuid", false, "of a kind that is not known here")};
    REQUIRE(f.store->commit(outcome));
    REQUIRE(f.store->forget_before(late));
    CHECK(f.store->load_command_ids()->size() == 2);
    REQUIRE(f.store->delivered_until(1000));
    REQUIRE(f.store->forget_before(kNoon - std::chrono::hours{1}));
    CHECK(f.store->load_command_ids()->size() == 2);
    CHECK(f.store->forget_before(late)->commands == std::vector<std::string>{id});
    CHECK(*f.store->load_command_ids() == std::vector<std::string>{"no uuid"});
}

TEST_CASE("a commit that the disk does not take leaves nothing, and the next one works") {
    StoreFile f;
    REQUIRE(f.store->commit(batch_of(ended(kNoon))));
    Batch large = batch_of(ended(kNoon + std::chrono::seconds{1}));
    large.commands = {id_of(1)};
    for (int i = 0; i < 3000; ++i) large.reports.push_back(run_report("n.1", run_at(kNoon)));

    struct rlimit before{};
    REQUIRE(::getrlimit(RLIMIT_FSIZE, &before) == 0);
    const auto ignored = ::signal(SIGXFSZ, SIG_IGN);
    const struct rlimit tight{.rlim_cur = fs::file_size(f.path + "-wal") + 8192, .rlim_max = before.rlim_max};
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &tight) == 0);
    const auto failed = f.store->commit(large);
    REQUIRE(::setrlimit(RLIMIT_FSIZE, &before) == 0);
    ::signal(SIGXFSZ, ignored);

    REQUIRE_FALSE(failed);
    CHECK(failed.error().is(Errc::io));
    CHECK(*f.store->outbox_depth() == 1);
    CHECK(f.store->load_command_ids()->empty());
    REQUIRE(f.store->commit(batch_of(ended(kNoon + std::chrono::seconds{2}))));
    CHECK(sequences(*f.store) == std::vector<std::int64_t>{1, 2});
    f.reopen();
    CHECK(f.store->load_runs()->size() == 2);
    CHECK(*f.store->outbox_depth() == 2);
}

TEST_CASE("a full disk is told in a sentence that helps") {
    const Error full = database_error(13, "/data/node.db", "database or disk is full");  // SQLITE_FULL
    CHECK(full.is(Errc::io));
    CHECK_THAT(full.message, Contains("disk is full") && Contains("/data/node.db") && Contains("free some space"));
}

TEST_CASE("what is no database of a node is not opened") {
    StoreFile f;
    SECTION("other bytes") {
        write_file(f.folder / "other.db", std::string(5000, 'x'));
        const auto opened = NodeStore::open(f.folder / "other.db");
        REQUIRE_FALSE(opened);
        CHECK(opened.error().is(Errc::corrupt));
    }
    SECTION("no folder") {
        const auto opened = NodeStore::open(f.folder / "none/node.db");
        REQUIRE_FALSE(opened);
        CHECK(opened.error().is(Errc::io));
    }
    SECTION("of a newer program") {
        f.store.reset();
        {
            Database database;
            REQUIRE(database.open(f.path));
            REQUIRE(database.execute("PRAGMA user_version = 99"));
        }
        const auto opened = NodeStore::open(f.path);
        REQUIRE_FALSE(opened);
        CHECK(opened.error().is(Errc::unsupported));
        CHECK_THAT(opened.error().message, Contains("newer version"));
    }
    SECTION("in use") {
        const auto opened = NodeStore::open(f.path);
        REQUIRE_FALSE(opened);
        CHECK(opened.error().is(Errc::unavailable));
        CHECK_THAT(opened.error().message, Contains("another"));
    }
}

}  // namespace
}  // namespace cloudtask::node::test
