// Migrations: see node_store_schema.h. The version that a database has is its user_version.
#include "node/node_store_schema.h"

#include <array>
#include <string>

namespace cloudtask::node {

namespace {

// Times are microseconds since 1970 in UTC. A step that was released never changes; what is new is a new step.
constexpr std::array kSteps = {
    // Positions in the outbox grow by one and leave from the front: its depth is last_position - delivered_position.
    R"sql(
CREATE TABLE counters (name TEXT PRIMARY KEY, value INTEGER NOT NULL) WITHOUT ROWID;
INSERT INTO counters VALUES ('catalog_revision', 0), ('last_position', 0), ('delivered_position', 0);

CREATE TABLE identity (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    node_id TEXT NOT NULL, node_token TEXT NOT NULL, runtime TEXT NOT NULL, name TEXT NOT NULL, center_url TEXT NOT NULL,
    zookeeper_servers TEXT NOT NULL, zookeeper_chroot TEXT NOT NULL, zookeeper_secret TEXT NOT NULL, session_timeout INTEGER NOT NULL);

CREATE TABLE tasks (id TEXT NOT NULL UNIQUE, document TEXT NOT NULL);

CREATE TABLE journal (
    run_id TEXT PRIMARY KEY,
    phase INTEGER NOT NULL,
    at INTEGER NOT NULL,        -- fire time, else end: by which it is forgotten
    position INTEGER NOT NULL,  -- of the last report that may tell of it
    document TEXT NOT NULL,     -- the run
    pid INTEGER, start_time INTEGER, boot_id TEXT, folder TEXT, started_at INTEGER,
    time_limit INTEGER, grace INTEGER, output_limit INTEGER,
    stdout_sent INTEGER NOT NULL, stderr_sent INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX journal_phase ON journal (phase, at, position);

CREATE TABLE commands (
    id TEXT PRIMARY KEY,
    at INTEGER NOT NULL,
    position INTEGER  -- of the report of its outcome; null until there is one
    ) WITHOUT ROWID;
CREATE INDEX commands_at ON commands (at);

CREATE TABLE outbox (
    position INTEGER PRIMARY KEY,
    kind INTEGER NOT NULL, incarnation TEXT NOT NULL, sequence INTEGER NOT NULL, body TEXT NOT NULL,
    run_id TEXT NOT NULL, stream INTEGER NOT NULL, from_offset INTEGER NOT NULL, until_offset INTEGER NOT NULL,
    shape_limit INTEGER NOT NULL, shape_written INTEGER NOT NULL, shape_final INTEGER NOT NULL);

CREATE TABLE sequences (incarnation TEXT PRIMARY KEY, last INTEGER NOT NULL) WITHOUT ROWID;
)sql",
    // 1: the node is cordoned.
    "INSERT INTO counters VALUES ('cordoned', 0);",
    // A run that was asked to stop is stopped also by the next process of this node.
    "ALTER TABLE journal ADD COLUMN stop_asked INTEGER NOT NULL DEFAULT 0",
    // What is known of the runtime's past, should ZooKeeper's tree be lost.
    "CREATE TABLE past (one INTEGER PRIMARY KEY CHECK (one = 1), epoch INTEGER NOT NULL, at INTEGER NOT NULL)",
    // What a task says of a node's death has got another name.
    R"(UPDATE tasks SET document = replace(document, '"on_lost":"at_', '"guarantee":"at_'))",
    // Versions of tasks that are not in force any more, but may still owe something: each was in force in (begins, until].
    R"sql(
CREATE TABLE superseded (
    task_id TEXT NOT NULL, version INTEGER NOT NULL, begins INTEGER NOT NULL, until INTEGER NOT NULL, document TEXT NOT NULL,
    PRIMARY KEY (task_id, version)) WITHOUT ROWID;
CREATE INDEX superseded_until ON superseded (until);
)sql",
    // What a run that goes on, or waits, goes by; and which attempt it is.
    "ALTER TABLE journal ADD COLUMN task TEXT; ALTER TABLE journal ADD COLUMN retry INTEGER NOT NULL DEFAULT 0",
    // What the runtime says of its tasks' HTTP calls; no row: nothing.
    "CREATE TABLE runtime (one INTEGER PRIMARY KEY CHECK (one = 1), networks TEXT NOT NULL)",
    // Secrets, sealed for this node; gone_at: when the center did not name the version any more.
    R"sql(
CREATE TABLE secrets (
    version INTEGER PRIMARY KEY, group_name TEXT NOT NULL, name TEXT NOT NULL, sealed TEXT NOT NULL, key TEXT NOT NULL, gone_at INTEGER);
)sql",
};

Result<std::int64_t> version_of(Database& database) {
    Query query(database, "PRAGMA user_version");
    const std::int64_t version = query.next() ? query.integer(0) : 0;
    if (const auto read = query.finish(); !read) return propagate(read);
    return version;
}

}  // namespace

Result<> migrate(Database& database) {
    const auto version = version_of(database);
    if (!version) return propagate(version);
    const auto newest = static_cast<std::int64_t>(kSteps.size());
    if (*version > newest) {
        return fail(Errc::unsupported, "{} was made by a newer version of this program (schema {}, this one knows {})", database.path(),
                    *version, newest);
    }
    for (std::int64_t step = *version; step < newest; ++step) {
        const auto done = database.transaction([&]() -> Result<> {
            if (const auto made = database.execute(kSteps.at(static_cast<std::size_t>(step))); !made) return made;
            return database.execute(fmt::format("PRAGMA user_version = {}", step + 1).c_str());
        });
        if (!done) return done;
    }
    return {};
}

}  // namespace cloudtask::node
