// SQL of the ledger: see ledger_store.h.
#include "center/ledger_store.h"

#include "center/sql.h"
#include "cloudtask/core/check.h"
#include "cloudtask/task/codec.h"

namespace cloudtask::center {

namespace {

// A version may take effect some seconds after it was saved, and the one before it counts for a while after that.
constexpr Duration kVersionsBefore = std::chrono::minutes{2};

std::optional<Instant> optional_instant(long long value, soci::indicator indicator) {
    return indicator == soci::i_ok ? std::optional<Instant>(from_db(value)) : std::nullopt;
}

// What is said of it in the definition is not known; when it was saved is.
DefinitionVersion unreadable(std::int64_t number, Instant effective_from, const std::string& problem) {
    DefinitionVersion version;
    version.version = number;
    version.effective_from = effective_from;
    version.problem = problem;
    return version;
}

DefinitionVersion version_of(task::Task&& task) {
    DefinitionVersion version;
    version.version = task.version;
    version.effective_from = task.effective_from;
    version.enabled = task.enabled;
    version.schedules = std::move(task.schedules);
    version.targets = std::move(task.targets);
    version.labels = std::move(task.labels);
    version.mode = task.mode;
    version.shards = task.shards;
    version.tolerance = task.misfire_tolerance;
    return version;
}

// Beyond every id of a fire before `to`.
std::string end_id(Instant to) { return least_run_id(std::chrono::ceil<std::chrono::milliseconds>(to)); }

}  // namespace

std::vector<std::string> ledger_tasks(soci::session& sql, const LedgerScope& scope, Instant since, const std::string& beyond, int limit) {
    std::vector<std::string> ids;
    std::string id;
    const long long at = to_db(since);
    soci::statement statement =
        (sql.prepare
             << "SELECT id FROM (SELECT id FROM tasks WHERE id > :b1 AND (:t1 = '' OR id = :t2) AND (:r1 = '' OR runtime = :r2) AND "
                "(:g1 = '' OR group_name = :g2) UNION ALL SELECT task_id FROM deleted_tasks WHERE task_id > :b2 AND "
                "(:t3 = '' OR task_id = :t4) AND (:r3 = '' OR runtime = :r4) AND deleted_at > :since) ORDER BY id LIMIT :limit",
         soci::into(id), soci::use(beyond), soci::use(scope.task_id), soci::use(scope.task_id), soci::use(scope.runtime),
         soci::use(scope.runtime), soci::use(scope.group), soci::use(scope.group), soci::use(beyond), soci::use(scope.task_id),
         soci::use(scope.task_id), soci::use(scope.runtime), soci::use(scope.runtime), soci::use(at), soci::use(limit));
    statement.execute();
    while (statement.fetch()) ids.push_back(id);
    return ids;
}

Definition read_definition(soci::session& sql, const std::string& task_id, Instant from, Instant to) {
    Definition definition;
    definition.task_id = task_id;
    std::string document, by;
    long long number = 0, changed_at = 0;
    const long long base = to_db(from - kVersionsBefore), end = to_db(to);
    soci::statement versions =
        (sql.prepare << "SELECT version, document, created_at, created_by FROM task_versions WHERE task_id = :t1 AND created_at < "
                        ":end AND version >= coalesce((SELECT max(version) FROM task_versions WHERE task_id = :t2 AND "
                        "created_at <= :base), 0) ORDER BY version",
         soci::into(number), soci::into(document), soci::into(changed_at), soci::into(by), soci::use(task_id), soci::use(end),
         soci::use(task_id), soci::use(base));
    versions.execute();
    while (versions.fetch()) {
        const auto parsed = json::parse(document);
        auto read = parsed ? task::read_task(*parsed) : Result<task::Task>(propagate(parsed));
        if (read) {
            definition.runtime = read->runtime;
            definition.group = read->group;
            definition.name = read->name;
        }
        DefinitionVersion version = read ? version_of(std::move(*read)) : unreadable(number, from_db(changed_at), read.error().message);
        version.changed_at = from_db(changed_at);
        version.changed_by = by;
        definition.versions.push_back(std::move(version));
    }
    if (definition.runtime.empty() && !definition.versions.empty()) {
        sql << "SELECT runtime, group_name, name FROM tasks WHERE id = :t1 UNION ALL SELECT runtime, '', '' FROM deleted_tasks WHERE "
               "task_id "
               "= :t2",
            soci::use(task_id), soci::use(task_id), soci::into(definition.runtime), soci::into(definition.group),
            soci::into(definition.name);
    }
    long long deleted_at = 0;
    sql << "SELECT deleted_at, deleted_by FROM deleted_tasks WHERE task_id = :id", soci::use(task_id), soci::into(deleted_at),
        soci::into(by);
    if (sql.got_data()) {
        definition.deleted_at = from_db(deleted_at);
        definition.deleted_by = by;
    }
    return definition;
}

std::map<std::string, Covers> read_covers(soci::session& sql, const std::string& task_id, Instant from, Instant to) {
    std::map<std::string, std::vector<Cover>> covers;
    long long after = 0, until = 0;
    std::string state, reason, piece;
    const long long first = to_db(from), end = to_db(to);
    soci::statement statement =
        (sql.prepare
             << "SELECT fire_time, covers_until, coalesce(covers_state, state), coalesce(covers_reason, "
                "reason), coalesce(piece, '') FROM runs WHERE task_id = :id AND covers_until IS NOT NULL AND covers_until >= :first "
                "AND fire_time < :end ORDER BY covers_until",
         soci::into(after), soci::into(until), soci::into(state), soci::into(reason), soci::into(piece), soci::use(task_id),
         soci::use(first), soci::use(end));
    statement.execute();
    while (statement.fetch()) {
        const auto parsed = task::parse_run_state(state);
        CLOUDTASK_CHECK(parsed.has_value(), "a run in the database has a state that this program wrote");
        covers[piece].push_back({from_db(after), from_db(until), *parsed, reason});
    }
    std::map<std::string, Covers> by_piece;
    for (auto& [id, list] : covers) by_piece.emplace(id, std::move(list));
    return by_piece;
}

void visit_fire_records(soci::session& sql, const std::string& task_id, Instant from, Instant to,
                        const std::function<bool(FireRecord record)>& visit) {
    const std::string begin = least_run_id(from), end = end_id(to);
    std::string state, reason, piece;
    long long fire_time = 0, attempt = 0, version = 0, started_at = 0, lateness = 0;
    soci::indicator started = soci::i_null, late = soci::i_null;
    soci::statement statement =
        (sql.prepare << "SELECT fire_time, attempt, task_version, state, reason, started_at, lateness, coalesce(piece, '') FROM runs WHERE "
                        "task_id = :id AND id >= :begin AND id < :end AND fire_time IS NOT NULL ORDER BY id",
         soci::into(fire_time), soci::into(attempt), soci::into(version), soci::into(state), soci::into(reason),
         soci::into(started_at, started), soci::into(lateness, late), soci::into(piece), soci::use(task_id), soci::use(begin),
         soci::use(end));
    statement.execute();
    while (statement.fetch()) {
        const auto parsed = task::parse_run_state(state);
        CLOUDTASK_CHECK(parsed.has_value(), "a run in the database has a state that this program wrote");
        FireRecord record{piece,       from_db(fire_time), attempt, version, *parsed, reason, optional_instant(started_at, started),
                          std::nullopt};
        if (late == soci::i_ok) record.lateness = Duration{lateness};
        if (!visit(std::move(record))) return;
    }
}

std::optional<Instant> last_fire_before_version(soci::session& sql, const std::string& task_id, const std::string& piece,
                                                std::int64_t version, Instant from, Instant to) {
    const std::string begin = least_run_id(from), end = end_id(to);
    const long long number = version;
    long long latest = 0;
    soci::indicator found = soci::i_null;
    sql << "SELECT max(max(fire_time, coalesce(covers_until, fire_time))) FROM runs WHERE task_id = :id AND id >= :begin AND id < :end AND "
           "coalesce(piece, '') = :piece AND fire_time IS NOT NULL AND task_version < (SELECT min(version) FROM task_versions WHERE "
           "task_id = :id2 AND "
           "(version = :version OR iif(json_valid(document), json_extract(document, '$.effective_from'), NULL) = (SELECT "
           "iif(json_valid(document), json_extract(document, '$.effective_from'), NULL) FROM task_versions WHERE task_id = :id3 AND "
           "version = :version2)))",
        soci::use(task_id), soci::use(begin), soci::use(end), soci::use(piece), soci::use(task_id), soci::use(number), soci::use(task_id),
        soci::use(number), soci::into(latest, found);
    return optional_instant(latest, found);
}

std::vector<NodeContact> node_contacts(soci::session& sql, const std::string& runtime) {
    std::vector<NodeContact> nodes;
    NodeContact node;
    long long registered = 0, contact = 0, reported_until = 0, reported_at = 0, pending = 0;
    soci::statement statement =
        (sql.prepare << "SELECT id, name, registered_at, max(last_seen_at, reported_at), reported_until, reported_at, pending_reports "
                        "FROM nodes WHERE runtime = :runtime ORDER BY name",
         soci::into(node.id), soci::into(node.name), soci::into(registered), soci::into(contact), soci::into(reported_until),
         soci::into(reported_at), soci::into(pending), soci::use(runtime));
    statement.execute();
    while (statement.fetch()) {
        node.registered_at = from_db(registered);
        node.contact = from_db(contact);
        node.reported_until = from_db(reported_until);
        node.reported_at = from_db(reported_at);
        node.pending = pending;
        nodes.push_back(node);
    }
    return nodes;
}

std::vector<NodeAbsence> node_absences(soci::session& sql, const std::string& runtime, Instant from, Instant to) {
    std::vector<NodeAbsence> absences;
    NodeAbsence absence;
    long long since = 0, last_seen = 0, until = 0;
    soci::indicator ended = soci::i_null;
    const long long begin = to_db(from), end = to_db(to);
    soci::statement statement =
        (sql.prepare
             << "SELECT node_id, since, last_seen, until FROM node_absences WHERE (runtime = :runtime OR runtime = '') AND last_seen <= "
                ":end AND (until IS NULL OR until >= :begin) ORDER BY since",
         soci::into(absence.node_id), soci::into(since), soci::into(last_seen), soci::into(until, ended), soci::use(runtime),
         soci::use(end), soci::use(begin));
    statement.execute();
    while (statement.fetch()) {
        absence.since = from_db(since);
        absence.last_seen = from_db(last_seen);
        absence.until = optional_instant(until, ended);
        absences.push_back(absence);
    }
    return absences;
}

void note_presence(soci::session& sql, const std::string& runtime, const std::set<std::string>& present, Instant now) {
    const long long at = to_db(now);
    std::vector<std::string> back, gone;
    std::string id;
    soci::statement open =
        (sql.prepare << "SELECT node_id FROM node_absences WHERE runtime = :runtime AND until IS NULL", soci::into(id), soci::use(runtime));
    open.execute();
    std::set<std::string> absent;
    while (open.fetch()) absent.insert(id);
    std::set<std::string> joined;
    for (const auto& node : node_contacts(sql, runtime)) {
        joined.insert(node.id);
        if (present.contains(node.id) || absent.contains(node.id)) continue;
        const long long seen = std::min(to_db(node.contact), at);
        sql << "INSERT OR REPLACE INTO node_absences (node_id, since, runtime, last_seen) VALUES (:id, :since, :runtime, :seen)",
            soci::use(node.id), soci::use(at), soci::use(runtime), soci::use(seen);
    }
    for (const auto& node : absent) {
        // One that was deleted is not waited for.
        if (!present.contains(node) && joined.contains(node)) continue;
        sql << "UPDATE node_absences SET until = :at WHERE node_id = :id AND until IS NULL", soci::use(at), soci::use(node);
    }
}

void note_zookeeper(soci::session& sql, bool connected, Instant now) {
    const long long at = to_db(now);
    if (connected) {
        sql << "UPDATE node_absences SET until = :at WHERE node_id = '' AND until IS NULL", soci::use(at);
    } else {
        sql << "INSERT OR REPLACE INTO node_absences (node_id, since, runtime, last_seen) SELECT '', :at, '', :at2 WHERE NOT EXISTS "
               "(SELECT 1 "
               "FROM node_absences WHERE node_id = '' AND until IS NULL)",
            soci::use(at), soci::use(at);
    }
}

void forget_absences(soci::session& sql, Instant before) {
    const long long at = to_db(before);
    sql << "DELETE FROM node_absences WHERE until < :at", soci::use(at);
}

void note_reported(soci::session& sql, const std::string& node_id, Instant until, Instant now) {
    const long long told = to_db(until), at = to_db(now);
    sql << "UPDATE nodes SET reported_until = :until, reported_at = :at WHERE id = :id", soci::use(told), soci::use(at), soci::use(node_id);
}

void note_pending(soci::session& sql, const std::string& node_id, std::int64_t pending) {
    const long long count = pending;
    sql << "UPDATE nodes SET pending_reports = :count WHERE id = :id AND pending_reports <> :count2", soci::use(count), soci::use(node_id),
        soci::use(count);
}

}  // namespace cloudtask::center
