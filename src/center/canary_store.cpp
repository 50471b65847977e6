// SQL of task_canaries: see canary_store.h.
#include "center/canary_store.h"

#include <array>

#include "center/sql.h"
#include "cloudtask/core/check.h"
#include "cloudtask/core/json.h"

namespace cloudtask::center {

namespace {

constexpr std::array<std::pair<Canary::State, std::string_view>, 5> kCanaryStates{{{Canary::State::running, "running"},
                                                                                   {Canary::State::confirmed, "confirmed"},
                                                                                   {Canary::State::rolled_back, "rolled_back"},
                                                                                   {Canary::State::superseded, "superseded"},
                                                                                   {Canary::State::stuck, "stuck"}}};
constexpr const char* kCanaryColumns =
    "SELECT task_id, version, last_version, previous, fires, succeeded, state, detail, started_at, decided_at FROM task_canaries ";

constexpr Duration kCountedBefore = std::chrono::hours{1};

struct CanaryColumns {
    std::string task_id, state, detail;
    long long version = 0, last = 0, previous = 0, fires = 0, succeeded = 0, started_at = 0, decided_at = 0;
    soci::indicator decided = soci::i_null;

    void bind(soci::statement& statement) {
        statement.exchange(soci::into(task_id));
        statement.exchange(soci::into(version));
        statement.exchange(soci::into(last));
        statement.exchange(soci::into(previous));
        statement.exchange(soci::into(fires));
        statement.exchange(soci::into(succeeded));
        statement.exchange(soci::into(state));
        statement.exchange(soci::into(detail));
        statement.exchange(soci::into(started_at));
        statement.exchange(soci::into(decided_at, decided));
    }

    Canary take() const {
        Canary canary{.task_id = task_id,
                      .version = version,
                      .last = last,
                      .previous = previous,
                      .fires = fires,
                      .succeeded = succeeded,
                      .detail = detail,
                      .started_at = from_db(started_at),
                      .decided_at = {}};
        for (const auto& [value, name] : kCanaryStates) {
            if (name == state) canary.state = value;
        }
        if (decided == soci::i_ok) canary.decided_at = from_db(decided_at);
        return canary;
    }
};

}  // namespace

std::string_view to_string(Canary::State state) {
    for (const auto& [value, name] : kCanaryStates) {
        if (value == state) return name;
    }
    check_failed(__FILE__, __LINE__, "value is one of the enumerators", "a canary has a state that it does not have");
}

std::string canary_json(const Canary& canary) {
    json::Writer out;
    out.begin_object().member("version", canary.version).member("previous", canary.previous).member("fires", canary.fires);
    out.member("succeeded", canary.succeeded).member("state", to_string(canary.state)).member("started_at", canary.started_at);
    out.member("decided_at", canary.decided_at);
    if (!canary.detail.empty()) out.member("detail", canary.detail);
    return out.end_object().text();
}

std::optional<Canary> find_canary(soci::session& sql, const std::string& task_id) {
    CanaryColumns row;
    soci::statement statement(sql);
    row.bind(statement);
    statement.exchange(soci::use(task_id));
    statement.alloc();
    statement.prepare(std::string(kCanaryColumns) + "WHERE task_id = :id");
    statement.define_and_bind();
    if (!statement.execute(true)) return std::nullopt;
    return row.take();
}

std::vector<Canary> running_canaries(soci::session& sql) {
    std::vector<Canary> list;
    CanaryColumns row;
    soci::statement statement(sql);
    row.bind(statement);
    statement.alloc();
    statement.prepare(std::string(kCanaryColumns) + "WHERE state = 'running'");
    statement.define_and_bind();
    statement.execute(false);
    while (statement.fetch()) list.push_back(row.take());
    return list;
}

void write_canary(soci::session& sql, const Canary& canary) {
    const long long version = canary.version, last = canary.last, previous = canary.previous, fires = canary.fires,
                    succeeded = canary.succeeded, started_at = to_db(canary.started_at),
                    decided_at = canary.decided_at ? to_db(*canary.decided_at) : 0;
    const std::string state(to_string(canary.state));
    soci::indicator decided = canary.decided_at ? soci::i_ok : soci::i_null;
    sql << "INSERT OR REPLACE INTO task_canaries (task_id, version, last_version, previous, fires, succeeded, state, detail, started_at, "
           "decided_at) VALUES (:id, :version, :last, :previous, :fires, :succeeded, :state, :detail, :started, :decided)",
        soci::use(canary.task_id), soci::use(version), soci::use(last), soci::use(previous), soci::use(fires), soci::use(succeeded),
        soci::use(state), soci::use(canary.detail), soci::use(started_at), soci::use(decided_at, decided);
}

void extend_canaries(soci::session& sql, const std::string& runtime, const std::string& calendar) {
    sql << "UPDATE task_canaries SET last_version = (SELECT version FROM tasks WHERE id = task_id) WHERE state = 'running' AND task_id IN "
           "(SELECT task_id FROM task_calendars WHERE runtime = :runtime AND calendar = :calendar)",
        soci::use(runtime), soci::use(calendar);
}

void extend_canary(soci::session& sql, const std::string& task_id, std::int64_t version) {
    const long long last = version;
    sql << "UPDATE task_canaries SET last_version = :version WHERE state = 'running' AND task_id = :id", soci::use(last),
        soci::use(task_id);
}

void erase_canary(soci::session& sql, const std::string& task_id) {
    sql << "DELETE FROM task_canaries WHERE task_id = :id", soci::use(task_id);
}

std::int64_t count_succeeded(soci::session& sql, const Canary& canary, std::int64_t pieces, std::optional<Instant> only) {
    // Ids of runs are ordered by their fire times. A version may run fires that came due, by a node's clock, some time before it was saved.
    const auto millisecond = std::chrono::floor<std::chrono::milliseconds>(only.value_or(Instant{}));
    const std::string since = least_run_id(only ? Instant{millisecond} : canary.started_at - kCountedBefore);
    const std::string until = only ? least_run_id(millisecond + std::chrono::milliseconds{1}) : std::string(1, '~');
    const long long first = canary.version, last = canary.last, most = canary.fires, needed = pieces;
    long long count = 0;
    sql << "SELECT count(*) FROM (SELECT 1 FROM runs WHERE task_id = :id AND id >= :since AND id < :until AND task_version BETWEEN :first "
           "AND "
           ":last AND fire_time IS NOT NULL GROUP BY fire_time HAVING count(DISTINCT iif(state = 'SUCCEEDED', coalesce(piece, ''), NULL)) "
           ">= "
           ":needed AND sum(state IN ('PENDING', 'RUNNING')) = 0 LIMIT :most)",
        soci::use(canary.task_id), soci::use(since), soci::use(until), soci::use(first), soci::use(last), soci::use(needed),
        soci::use(most), soci::into(count);
    return count;
}

}  // namespace cloudtask::center
