// The reference for the center's ingest: what a batch of 200 run reports makes of the table of runs (100 runs inserted, 100 of them brought
// to their end), as one transaction straight on SQLite: WAL, synchronous=FULL, prepared statements, rows as wide as the center's.
//
//   bare_sqlite FOLDER SECONDS            the table alone
//   bare_sqlite FOLDER SECONDS indexes    with the secondary indexes that the center's table has
//
// Makes FOLDER/bare.db anew. One thread. Prints one JSON object; a "report" is one insert or update.
#include <sqlite3.h>

#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <string>
#include <string_view>
#include <vector>

namespace {

constexpr int kRunsPerBatch = 100;  // two reports each

constexpr const char* kTable = R"sql(
CREATE TABLE runs (
    id TEXT PRIMARY KEY, task_id TEXT NOT NULL, task_version INTEGER NOT NULL, runtime TEXT NOT NULL, group_name TEXT NOT NULL, task_name TEXT NOT NULL,
    trigger_kind TEXT NOT NULL, fire_time INTEGER, attempt INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL, package TEXT NOT NULL,
    node_id TEXT NOT NULL, node_name TEXT NOT NULL, incarnation TEXT NOT NULL, epoch INTEGER NOT NULL,
    started_at INTEGER, ended_at INTEGER, lateness INTEGER, exit_code INTEGER, signal INTEGER,
    stdout_bytes INTEGER NOT NULL, stderr_bytes INTEGER NOT NULL, output_truncated INTEGER NOT NULL, started_by TEXT NOT NULL) WITHOUT ROWID;
)sql";

constexpr const char* kIndexes = R"sql(
CREATE INDEX runs_by_task ON runs(task_id, id);
CREATE INDEX runs_by_node ON runs(node_id, id);
CREATE INDEX runs_by_node_unfinished ON runs(node_id) WHERE state IN ('PENDING', 'RUNNING');
CREATE INDEX runs_by_state ON runs(state, id);
CREATE INDEX runs_by_runtime ON runs(runtime, id);
)sql";

sqlite3* database = nullptr;

void check(int code) {
    if (code == SQLITE_OK || code == SQLITE_DONE || code == SQLITE_ROW) return;
    std::fprintf(stderr, "bare_sqlite: %s\n", sqlite3_errmsg(database));
    std::exit(1);
}

void execute(const char* sql) { check(sqlite3_exec(database, sql, nullptr, nullptr, nullptr)); }

sqlite3_stmt* prepare(const char* sql) {
    sqlite3_stmt* statement = nullptr;
    check(sqlite3_prepare_v2(database, sql, -1, &statement, nullptr));
    return statement;
}

void bind_text(sqlite3_stmt* statement, int column, std::string_view text) {
    check(sqlite3_bind_text(statement, column, text.data(), static_cast<int>(text.size()), SQLITE_TRANSIENT));
}

void step(sqlite3_stmt* statement) {
    check(sqlite3_step(statement));
    check(sqlite3_reset(statement));
}

// Of the form and order of UUIDv7s that are made one after the other.
std::string id_of(long long number) {
    const auto bits = static_cast<unsigned long long>(number);
    char text[48];
    std::snprintf(text, sizeof text, "%08llx-%04llx-7000-8000-%012llx", (bits >> 16) & 0xffffffffULL, bits & 0xffffULL,
                  (bits * 2654435761ULL) & 0xffffffffffffULL);
    return text;
}

void insert_run(sqlite3_stmt* insert, long long number, long long now) {
    const std::string id = id_of(number), task = id_of(number % 1000);
    const char* texts[] = {id.c_str(), task.c_str()};
    for (int i = 0; i < 2; ++i) bind_text(insert, i + 1, texts[i]);
    check(sqlite3_bind_int64(insert, 3, 1));
    bind_text(insert, 4, "demo");
    bind_text(insert, 5, "tests");
    bind_text(insert, 6, "task-000123");
    bind_text(insert, 7, "schedule");
    check(sqlite3_bind_int64(insert, 8, now));
    check(sqlite3_bind_int64(insert, 9, 1));
    bind_text(insert, 10, "RUNNING");
    bind_text(insert, 11, "");
    bind_text(insert, 12, "");
    bind_text(insert, 13, "0192f000-0000-7000-8000-00000000abcd");
    bind_text(insert, 14, "ingest-1");
    bind_text(insert, 15, "0192f000-0000-7000-8000-00000000dcba");
    check(sqlite3_bind_int64(insert, 16, 1));
    check(sqlite3_bind_int64(insert, 17, now));
    for (const int column : {18, 20, 21}) check(sqlite3_bind_null(insert, column));
    check(sqlite3_bind_int64(insert, 19, 900));
    for (const int column : {22, 23, 24}) check(sqlite3_bind_int64(insert, column, 0));
    bind_text(insert, 25, "");
    step(insert);
}

void end_run(sqlite3_stmt* update, long long number, long long now) {
    bind_text(update, 1, "SUCCEEDED");
    check(sqlite3_bind_int64(update, 2, now + 1500));
    check(sqlite3_bind_int64(update, 3, 0));
    bind_text(update, 4, id_of(number));
    step(update);
}

}  // namespace

int main(int argc, char** argv) {
    if (argc < 3) {
        std::fprintf(stderr, "usage: bare_sqlite FOLDER SECONDS [indexes]\n");
        return 2;
    }
    const std::string path = std::string(argv[1]) + "/bare.db";
    for (const char* suffix : {"", "-wal", "-shm"}) std::remove((path + suffix).c_str());
    check(sqlite3_open(path.c_str(), &database));
    execute("PRAGMA journal_mode=WAL; PRAGMA synchronous=FULL; PRAGMA cache_size=-16384;");
    execute(kTable);
    if (argc > 3) execute(kIndexes);
    sqlite3_stmt* insert = prepare("INSERT INTO runs VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    sqlite3_stmt* update = prepare("UPDATE runs SET state = ?, ended_at = ?, exit_code = ? WHERE id = ?");

    using Clock = std::chrono::steady_clock;
    const auto begin = Clock::now(), end = begin + std::chrono::seconds(std::atoi(argv[2]));
    long long runs = 0;
    while (Clock::now() < end) {
        execute("BEGIN IMMEDIATE");
        for (int i = 0; i < kRunsPerBatch; ++i) insert_run(insert, runs + i, 1'760'000'000'000'000LL + runs + i);
        for (int i = 0; i < kRunsPerBatch; ++i) end_run(update, runs + i, 1'760'000'000'000'000LL + runs + i);
        execute("COMMIT");
        runs += kRunsPerBatch;
    }
    const double seconds = std::chrono::duration<double>(Clock::now() - begin).count();
    sqlite3_finalize(insert);
    sqlite3_finalize(update);
    sqlite3_close(database);
    std::printf("{\"reports_per_second\": %.0f}\n", static_cast<double>(2 * runs) / seconds);
}
