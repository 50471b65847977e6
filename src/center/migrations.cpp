// The schema of the center's database. Instants are microseconds since 1970 (UTC); documents are the JSON of task/codec.h.
#include "center/migrations.h"

namespace cloudtask::center {

namespace {

constexpr std::string_view kInitial = R"sql(
CREATE TABLE meta (key TEXT PRIMARY KEY, value TEXT NOT NULL) WITHOUT ROWID;
-- 'revision': the catalog revision, one for all runtimes; 'cluster_secret'

CREATE TABLE users (
    id TEXT PRIMARY KEY, name TEXT NOT NULL UNIQUE, role TEXT NOT NULL, email TEXT NOT NULL DEFAULT '',
    password_hash TEXT NOT NULL, version INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE user_tokens (          -- bearer tokens, by SHA-256 of the token
    token_hash TEXT PRIMARY KEY, user_id TEXT NOT NULL REFERENCES users(id) ON DELETE CASCADE,
    created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX user_tokens_by_user ON user_tokens(user_id);
CREATE INDEX user_tokens_by_expiry ON user_tokens(expires_at);
CREATE TABLE idempotency_keys (     -- the answer that a write under this key was given
    principal TEXT NOT NULL, key TEXT NOT NULL, request_hash TEXT NOT NULL, status INTEGER NOT NULL, headers TEXT NOT NULL,
    body TEXT NOT NULL, created_at INTEGER NOT NULL, PRIMARY KEY (principal, key)) WITHOUT ROWID;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys(created_at);

CREATE TABLE runtimes (
    name TEXT PRIMARY KEY, document TEXT NOT NULL, version INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE task_groups (
    id TEXT PRIMARY KEY, runtime TEXT NOT NULL REFERENCES runtimes(name), name TEXT NOT NULL, document TEXT NOT NULL,
    version INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, UNIQUE (runtime, name)) WITHOUT ROWID;
CREATE TABLE tasks (
    id TEXT PRIMARY KEY, runtime TEXT NOT NULL, group_id TEXT NOT NULL REFERENCES task_groups(id), group_name TEXT NOT NULL, name TEXT NOT NULL,
    enabled INTEGER NOT NULL, package TEXT NOT NULL DEFAULT '', placement TEXT NOT NULL DEFAULT '', document TEXT NOT NULL,
    version INTEGER NOT NULL, revision INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL,
    last_run_id TEXT, last_run_state TEXT, last_run_at INTEGER, running INTEGER NOT NULL DEFAULT 0,
    UNIQUE (runtime, group_name, name)) WITHOUT ROWID;
-- placement: {"targets": [...], "labels": {...}} of a task that may not run on every node, else ''
CREATE INDEX tasks_by_runtime_name ON tasks(runtime, name, id);
CREATE INDEX tasks_by_enabled ON tasks(enabled, name, id);
CREATE INDEX tasks_by_update ON tasks(updated_at, id);
CREATE INDEX tasks_by_revision ON tasks(runtime, revision);
CREATE INDEX tasks_by_group ON tasks(group_id);
CREATE INDEX tasks_by_name ON tasks(name, id);
CREATE INDEX tasks_by_package ON tasks(package) WHERE package <> '';
CREATE TABLE task_versions (        -- every version that ever was, for history
    task_id TEXT NOT NULL, version INTEGER NOT NULL, document TEXT NOT NULL, created_at INTEGER NOT NULL, created_by TEXT NOT NULL,
    PRIMARY KEY (task_id, version)) WITHOUT ROWID;
CREATE TABLE deleted_tasks (        -- for nodes that ask for changes
    task_id TEXT PRIMARY KEY, runtime TEXT NOT NULL, revision INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX deleted_tasks_by_revision ON deleted_tasks(runtime, revision);
CREATE TABLE packages (
    sha256 TEXT PRIMARY KEY, filename TEXT NOT NULL, format TEXT NOT NULL, size INTEGER NOT NULL, uploaded_by TEXT NOT NULL,
    created_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX packages_by_age ON packages(created_at, sha256);

CREATE TABLE join_tokens (
    id TEXT PRIMARY KEY, token_hash TEXT NOT NULL UNIQUE, runtime TEXT NOT NULL REFERENCES runtimes(name) ON DELETE CASCADE, description TEXT NOT NULL,
    created_by TEXT NOT NULL, created_at INTEGER NOT NULL, expires_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE nodes (
    id TEXT PRIMARY KEY, runtime TEXT NOT NULL, name TEXT NOT NULL, token_hash TEXT NOT NULL UNIQUE, document TEXT NOT NULL,
    registered_at INTEGER NOT NULL, last_seen_at INTEGER NOT NULL, UNIQUE (runtime, name)) WITHOUT ROWID;

CREATE TABLE runs (
    id TEXT PRIMARY KEY, task_id TEXT NOT NULL, task_version INTEGER NOT NULL, runtime TEXT NOT NULL, group_name TEXT NOT NULL, task_name TEXT NOT NULL,
    trigger_kind TEXT NOT NULL, fire_time INTEGER, attempt INTEGER NOT NULL, state TEXT NOT NULL, reason TEXT NOT NULL DEFAULT '', package TEXT NOT NULL DEFAULT '',
    node_id TEXT NOT NULL DEFAULT '', node_name TEXT NOT NULL DEFAULT '', incarnation TEXT NOT NULL DEFAULT '', epoch INTEGER NOT NULL DEFAULT 0,
    started_at INTEGER, ended_at INTEGER, lateness INTEGER, exit_code INTEGER, signal INTEGER,
    stdout_bytes INTEGER NOT NULL DEFAULT 0, stderr_bytes INTEGER NOT NULL DEFAULT 0, output_truncated INTEGER NOT NULL DEFAULT 0,
    started_by TEXT NOT NULL DEFAULT '', log_note TEXT NOT NULL DEFAULT '', late_report TEXT) WITHOUT ROWID;
-- ids are UUIDv7, so "newest first" is by id; log_note: what the center had to drop of the log; late_report: what came after a terminal
-- state and was not applied
CREATE INDEX runs_by_task ON runs(task_id, id);
CREATE INDEX runs_by_node ON runs(node_id, id);
CREATE INDEX runs_by_node_unfinished ON runs(node_id) WHERE state IN ('PENDING', 'RUNNING');
CREATE INDEX runs_by_state ON runs(state, id);
CREATE INDEX runs_by_runtime ON runs(runtime, id);

CREATE TABLE ingest_cursors (       -- the last report applied, by incarnation
    incarnation TEXT PRIMARY KEY, node_id TEXT NOT NULL, sequence INTEGER NOT NULL, updated_at INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE dead_letters (
    id INTEGER PRIMARY KEY, node_id TEXT NOT NULL, received_at INTEGER NOT NULL, problem TEXT NOT NULL, report TEXT NOT NULL);
CREATE TABLE commands (             -- for nodes; kept until the node reports them done
    id TEXT PRIMARY KEY, node_id TEXT NOT NULL, kind TEXT NOT NULL, run_id TEXT NOT NULL, document TEXT NOT NULL, state TEXT NOT NULL,
    delivered INTEGER NOT NULL DEFAULT 0, detail TEXT NOT NULL DEFAULT '', created_at INTEGER NOT NULL) WITHOUT ROWID;
-- state: open, done, refused, withdrawn; delivered: when it was last handed to its node, 0 never
CREATE INDEX commands_open ON commands(node_id, id) WHERE state = 'open';
CREATE INDEX commands_open_by_run ON commands(run_id) WHERE state = 'open';
CREATE TABLE mails (                -- the durable queue; one row per (subject, kind, run)
    id INTEGER PRIMARY KEY, unique_key TEXT NOT NULL UNIQUE, recipients TEXT NOT NULL, delivered TEXT NOT NULL DEFAULT '', subject TEXT NOT NULL, body TEXT NOT NULL, created_at INTEGER NOT NULL,
    state TEXT NOT NULL, attempts INTEGER NOT NULL DEFAULT 0, next_attempt_at INTEGER NOT NULL, last_error TEXT NOT NULL DEFAULT '', message_id TEXT NOT NULL);
-- state: waiting, sent, failed; recipients and those whom it was delivered to: one address a line
CREATE INDEX mails_waiting ON mails(next_attempt_at) WHERE state = 'waiting';
CREATE TABLE audit (
    id INTEGER PRIMARY KEY, at INTEGER NOT NULL, principal TEXT NOT NULL, remote_address TEXT NOT NULL, action TEXT NOT NULL, subject TEXT NOT NULL,
    before TEXT, after TEXT);
CREATE INDEX audit_by_subject ON audit(subject, id);
)sql";

// What the ledger needs: entries that stand for many fires, who deleted a task and when, who was away and when.
constexpr std::string_view kLedger = R"sql(
ALTER TABLE runs ADD COLUMN covers_until INTEGER;
ALTER TABLE runs ADD COLUMN covers_state TEXT;
ALTER TABLE runs ADD COLUMN covers_reason TEXT;
-- covers_until: the entry also stands for all further fires of its task up to here; they have that state and reason, which are not always
-- the run's own: its fire may have been known better
CREATE INDEX runs_covering ON runs(task_id, covers_until) WHERE covers_until IS NOT NULL;

ALTER TABLE deleted_tasks ADD COLUMN deleted_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE deleted_tasks ADD COLUMN deleted_by TEXT NOT NULL DEFAULT '';
UPDATE deleted_tasks SET deleted_at = coalesce((SELECT at FROM audit WHERE subject = 'task:' || task_id AND action = 'task.delete'), 0),
    deleted_by = coalesce((SELECT principal FROM audit WHERE subject = 'task:' || task_id AND action = 'task.delete'), '');

-- When nodes were not registered in ZooKeeper, as the center saw it; node_id '': when the center had no contact with ZooKeeper.
-- last_seen: the node's last contact with the center before; until: NULL while it lasts
CREATE TABLE node_absences (
    node_id TEXT NOT NULL, since INTEGER NOT NULL, runtime TEXT NOT NULL, last_seen INTEGER NOT NULL, until INTEGER,
    PRIMARY KEY (node_id, since)) WITHOUT ROWID;
CREATE INDEX node_absences_by_runtime ON node_absences(runtime, since);
-- The newest instant that the node's reports have told of, and when it was told: what lies between is still in its outbox.
ALTER TABLE nodes ADD COLUMN reported_until INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN reported_at INTEGER NOT NULL DEFAULT 0;
)sql";

constexpr std::string_view kCordons = R"sql(
ALTER TABLE nodes ADD COLUMN cordoned_at INTEGER NOT NULL DEFAULT 0;
ALTER TABLE nodes ADD COLUMN cordoned_by TEXT NOT NULL DEFAULT '';
-- the wish that the node stay out of the ring; 0: there is none
)sql";

// What nodes are told of their runtime's past, should ZooKeeper lose it: the highest epoch that was seen in force, and when that was.
constexpr std::string_view kPast = R"sql(
ALTER TABLE runtimes ADD COLUMN epoch INTEGER NOT NULL DEFAULT 0;
ALTER TABLE runtimes ADD COLUMN epoch_seen_at INTEGER NOT NULL DEFAULT 0;
-- what a task says of a node's death has got another name
UPDATE tasks SET document = replace(document, '"on_lost":"at_', '"guarantee":"at_');
UPDATE task_versions SET document = replace(document, '"on_lost":"at_', '"guarantee":"at_');
UPDATE commands SET document = replace(document, '"on_lost":"at_', '"guarantee":"at_');
)sql";

// Plans and counts look at the place of every enabled task of a runtime: without its document.
constexpr std::string_view kPlaced = R"sql(
CREATE INDEX tasks_placed ON tasks(runtime, id, group_name, name, placement, enabled) WHERE enabled = 1;
)sql";

constexpr std::string_view kPending = R"sql(
ALTER TABLE nodes ADD COLUMN pending_reports INTEGER NOT NULL DEFAULT 0;
-- reports that wait in the node's outbox, as it said last
)sql";

// Revisions (after, until] were given by this database before it was restored from a backup, and are not known to it: what nodes have by
// them has to be compared with all that there is.
constexpr std::string_view kLostRevisions = R"sql(
CREATE TABLE lost_revisions (after INTEGER PRIMARY KEY, until INTEGER NOT NULL);
)sql";

// Versions with a note, tags, trials of new versions.
constexpr std::string_view kDefinitions = R"sql(
ALTER TABLE task_versions ADD COLUMN note TEXT NOT NULL DEFAULT '';
-- how the version came about, where that is more than somebody's edit

CREATE TABLE task_tags (            -- of the tasks that there are, to find them by
    task_id TEXT NOT NULL, key TEXT NOT NULL, tag TEXT NOT NULL, PRIMARY KEY (task_id, key)) WITHOUT ROWID;
-- tag: key=value; a key has no '='
CREATE INDEX task_tags_by_tag ON task_tags(tag, task_id);
CREATE INDEX task_tags_by_key ON task_tags(key, task_id);

CREATE TABLE task_canaries (        -- new versions on trial, at most one a task
    task_id TEXT PRIMARY KEY, version INTEGER NOT NULL, last_version INTEGER NOT NULL, previous INTEGER NOT NULL, fires INTEGER NOT NULL,
    succeeded INTEGER NOT NULL, state TEXT NOT NULL, detail TEXT NOT NULL, started_at INTEGER NOT NULL, decided_at INTEGER) WITHOUT ROWID;
-- state: running, confirmed, rolled_back, superseded, stuck
CREATE INDEX task_canaries_running ON task_canaries(task_id) WHERE state = 'running';
)sql";

// Calendars of runtimes, and which tasks use them (a task's document holds their content).
constexpr std::string_view kCalendars = R"sql(
CREATE TABLE calendars (
    id TEXT PRIMARY KEY, runtime TEXT NOT NULL REFERENCES runtimes(name), name TEXT NOT NULL, document TEXT NOT NULL,
    version INTEGER NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, UNIQUE (runtime, name)) WITHOUT ROWID;
CREATE TABLE task_calendars (
    task_id TEXT NOT NULL, runtime TEXT NOT NULL, calendar TEXT NOT NULL, PRIMARY KEY (task_id, calendar)) WITHOUT ROWID;
CREATE INDEX task_calendars_by_calendar ON task_calendars(runtime, calendar, task_id);
)sql";

// Which tasks may use values of their group and runtime, and what runs were started with.
constexpr std::string_view kParameters = R"sql(
ALTER TABLE tasks ADD COLUMN parameters INTEGER NOT NULL DEFAULT 0;
CREATE INDEX tasks_with_parameters ON tasks(runtime, id) WHERE parameters = 1;
ALTER TABLE runs ADD COLUMN parameters TEXT NOT NULL DEFAULT '';
-- an object with the members "parameters" and "as_of" of the run's JSON; '': none
)sql";

// HTTP calls: the status of the last answer; the catalog's revision of the last change of a runtime's networks, 0: they never changed.
constexpr std::string_view kHttpCalls = R"sql(
ALTER TABLE runs ADD COLUMN http_status INTEGER;
ALTER TABLE runtimes ADD COLUMN networks_revision INTEGER NOT NULL DEFAULT 0;
)sql";

// Runs of sharded and broadcast tasks; NULL in those of single ones.
constexpr std::string_view kPieces = R"sql(
ALTER TABLE runs ADD COLUMN piece TEXT;
ALTER TABLE runs ADD COLUMN shard INTEGER;
)sql";

// Which mutex tasks go under; those of one have the same placement.
constexpr std::string_view kMutexes = R"sql(
ALTER TABLE tasks ADD COLUMN mutex TEXT NOT NULL DEFAULT '';
CREATE INDEX tasks_by_mutex ON tasks(runtime, mutex, placement) WHERE mutex <> '';
)sql";

// Secrets of runtimes and groups as they are encrypted (secret_keys.h), which tasks name them, and which versions a run was given.
constexpr std::string_view kSecrets = R"sql(
CREATE TABLE secrets (              -- group_name: '' for a secret of the runtime
    runtime TEXT NOT NULL REFERENCES runtimes(name), group_name TEXT NOT NULL, name TEXT NOT NULL, version INTEGER NOT NULL,
    key_id TEXT NOT NULL, ciphertext TEXT NOT NULL, created_at INTEGER NOT NULL, updated_at INTEGER NOT NULL, updated_by TEXT NOT NULL,
    PRIMARY KEY (runtime, group_name, name));
CREATE INDEX secrets_by_key ON secrets(key_id);
CREATE TABLE task_secrets (
    task_id TEXT NOT NULL, runtime TEXT NOT NULL, group_name TEXT NOT NULL, secret TEXT NOT NULL, PRIMARY KEY (task_id, secret)) WITHOUT ROWID;
CREATE INDEX task_secrets_by_secret ON task_secrets(runtime, secret, group_name, task_id);
ALTER TABLE runtimes ADD COLUMN secrets_revision INTEGER NOT NULL DEFAULT 0;
-- the catalog's revision of the last change of one of its secrets
ALTER TABLE runs ADD COLUMN secrets TEXT NOT NULL DEFAULT '';
-- versions by name, as JSON
)sql";

}  // namespace

const std::vector<std::string_view>& migrations() {
    static const std::vector<std::string_view> list{kInitial,     kLedger,    kCordons,    kPast,      kPlaced, kPending, kLostRevisions,
                                                    kDefinitions, kCalendars, kParameters, kHttpCalls, kPieces, kMutexes, kSecrets};
    return list;
}

}  // namespace cloudtask::center
