// SQL of runs: see runs_store.h. Rows are read and written with typed columns: SOCI's dynamic rows take SQLite's INTEGER for 32 bits.
#include "center/runs_store.h"

#include "center/sql.h"
#include "cloudtask/core/check.h"
#include "cloudtask/core/json.h"
#include "cloudtask/task/parameters.h"

namespace cloudtask::center {

using task::RunState;

namespace {

constexpr std::string_view kRunColumns =
    "id, task_id, task_version, runtime, group_name, task_name, trigger_kind, fire_time, attempt, state, reason, package, node_id, "
    "node_name, incarnation, epoch, started_at, ended_at, lateness, exit_code, signal, stdout_bytes, stderr_bytes, output_truncated, "
    "started_by, log_note, covers_until, late_report, parameters, http_status, piece, shard, secrets";

std::string secrets_text(const task::Run& run) {
    if (!run.secrets) return {};
    json::Writer out;
    out.begin_object();
    for (const auto& [name, version] : *run.secrets) out.member(name, version);
    return out.end_object().text();
}

std::shared_ptr<const task::SecretVersions> secrets_of(const std::string& text) {
    const auto document = text.empty() ? Result<json::Document>(fail(Errc::not_found, "")) : json::parse(text);
    if (!document || !document->IsObject()) return {};
    task::SecretVersions versions;
    for (const auto& member : document->GetObject()) {
        if (member.value.IsInt64()) versions.emplace(member.name.GetString(), member.value.GetInt64());
    }
    return std::make_shared<const task::SecretVersions>(std::move(versions));
}

// A column that may be NULL.
struct Optional {
    long long value = 0;
    soci::indicator indicator = soci::i_null;

    void set(const std::optional<std::int64_t>& from) {
        indicator = from ? soci::i_ok : soci::i_null;
        value = from.value_or(0);
    }
    void set(const std::optional<Instant>& from) {
        set(from ? std::optional<std::int64_t>(from->time_since_epoch().count()) : std::nullopt);
    }
    void set(const std::optional<Duration>& from) { set(from ? std::optional<std::int64_t>(from->count()) : std::nullopt); }
    std::optional<std::int64_t> number() const { return indicator == soci::i_ok ? std::optional<std::int64_t>(value) : std::nullopt; }
    std::optional<Instant> instant() const {
        return indicator == soci::i_ok ? std::optional<Instant>(Instant{Duration{value}}) : std::nullopt;
    }
    std::optional<Duration> duration() const { return indicator == soci::i_ok ? std::optional<Duration>(Duration{value}) : std::nullopt; }
};

std::shared_ptr<const task::RunParameters> parsed_parameters(const std::string& text) {
    const auto document = json::parse(text);
    CLOUDTASK_CHECK(document.has_value(), "parameters of a run in the database are JSON that this program wrote");
    Faults faults;
    json::ObjectReader reader{*document, "", faults};
    return task::read_run_parameters(reader);
}

std::string run_parameters_text(const task::RunParameters& parameters) {
    json::Writer out;
    out.begin_object();
    task::write_run_parameters(out, parameters);
    out.end_object();
    return out.text();
}

struct Columns {
    std::string id, task_id, runtime, group_name, task_name, trigger, state, reason, package, node_id, node_name, incarnation, started_by,
        log_note, late_report, parameters, secrets;
    long long task_version = 0, attempt = 1, epoch = 0, stdout_bytes = 0, stderr_bytes = 0;
    int truncated = 0;
    std::string piece;
    Optional fire_time, started_at, ended_at, lateness, exit_code, signal, covers_until, http_status, shard;
    soci::indicator has_late_report = soci::i_null, has_piece = soci::i_null;

    // In the order of kRunColumns.
    void fetch_into(soci::statement& statement) {
        using soci::into;
        statement.exchange(into(id));
        statement.exchange(into(task_id));
        statement.exchange(into(task_version));
        statement.exchange(into(runtime));
        statement.exchange(into(group_name));
        statement.exchange(into(task_name));
        statement.exchange(into(trigger));
        statement.exchange(into(fire_time.value, fire_time.indicator));
        statement.exchange(into(attempt));
        statement.exchange(into(state));
        statement.exchange(into(reason));
        statement.exchange(into(package));
        statement.exchange(into(node_id));
        statement.exchange(into(node_name));
        statement.exchange(into(incarnation));
        statement.exchange(into(epoch));
        statement.exchange(into(started_at.value, started_at.indicator));
        statement.exchange(into(ended_at.value, ended_at.indicator));
        statement.exchange(into(lateness.value, lateness.indicator));
        statement.exchange(into(exit_code.value, exit_code.indicator));
        statement.exchange(into(signal.value, signal.indicator));
        statement.exchange(into(stdout_bytes));
        statement.exchange(into(stderr_bytes));
        statement.exchange(into(truncated));
        statement.exchange(into(started_by));
        statement.exchange(into(log_note));
        statement.exchange(into(covers_until.value, covers_until.indicator));
        statement.exchange(into(late_report, has_late_report));
        statement.exchange(into(parameters));
        statement.exchange(into(http_status.value, http_status.indicator));
        statement.exchange(into(piece, has_piece));
        statement.exchange(into(shard.value, shard.indicator));
        statement.exchange(into(secrets));
    }

    void set(const task::Run& run) {
        id = run.id;
        task_id = run.task_id;
        task_version = run.task_version;
        runtime = run.runtime;
        group_name = run.group;
        task_name = run.task_name;
        trigger = task::to_string(run.trigger);
        fire_time.set(run.fire_time);
        attempt = run.attempt;
        state = task::to_string(run.state);
        reason = run.reason;
        package = run.package;
        node_id = run.node_id;
        node_name = run.node_name;
        incarnation = run.incarnation;
        epoch = run.epoch;
        started_at.set(run.started_at);
        ended_at.set(run.ended_at);
        lateness.set(run.lateness);
        exit_code.set(run.exit_code);
        signal.set(run.signal);
        http_status.set(run.http_status);
        stdout_bytes = static_cast<long long>(run.stdout_bytes);
        stderr_bytes = static_cast<long long>(run.stderr_bytes);
        truncated = run.output_truncated ? 1 : 0;
        started_by = run.started_by;
        piece = run.piece;
        has_piece = piece.empty() ? soci::i_null : soci::i_ok;
        shard.set(run.shard);
    }

    StoredRun get() const {
        StoredRun stored;
        task::Run& run = stored.run;
        run.id = id;
        run.task_id = task_id;
        run.task_version = task_version;
        run.runtime = runtime;
        run.group = group_name;
        run.task_name = task_name;
        run.trigger = task::parse_trigger(trigger).value_or(task::Trigger::schedule);
        run.fire_time = fire_time.instant();
        run.attempt = attempt;
        const auto parsed = task::parse_run_state(state);
        CLOUDTASK_CHECK(parsed.has_value(), "a run in the database has a state that this program wrote");
        run.state = *parsed;
        run.reason = reason;
        run.package = package;
        run.node_id = node_id;
        run.node_name = node_name;
        run.incarnation = incarnation;
        run.epoch = epoch;
        run.started_at = started_at.instant();
        run.ended_at = ended_at.instant();
        run.lateness = lateness.duration();
        run.exit_code = exit_code.number();
        run.signal = signal.number();
        run.http_status = http_status.number();
        run.stdout_bytes = static_cast<std::uint64_t>(stdout_bytes);
        run.stderr_bytes = static_cast<std::uint64_t>(stderr_bytes);
        run.output_truncated = truncated != 0;
        run.started_by = started_by;
        run.covers_until = covers_until.instant();
        if (has_piece == soci::i_ok) run.piece = piece;
        run.shard = shard.number();
        run.secrets = secrets_of(secrets);
        stored.log_note = log_note;
        if (has_late_report == soci::i_ok) stored.late_report = late_report;
        if (!parameters.empty()) run.parameters = parsed_parameters(parameters);
        return stored;
    }
};

// Of a row, whether the run waits on its node: waits_on_node() of run_rules.h.
std::string waiting() {
    std::string reasons;
    for (const auto reason : kWaitingReasons) reasons += fmt::format("{}reason GLOB '{}*'", reasons.empty() ? "" : " OR ", reason);
    return fmt::format("(state = 'PENDING' AND ({}))", reasons);
}

// Of a row, whether the run is not over, and is not left to a node that may come back and begin it.
std::string left_to_end() {
    return fmt::format("(state IN ('PENDING', 'RUNNING') AND (NOT {} OR node_id NOT IN (SELECT id FROM nodes)))", waiting());
}

// `values` are bound to the ? of `rest` in order.
std::vector<StoredRun> select_runs(soci::session& sql, const std::string& rest, const std::vector<std::string>& values) {
    std::vector<StoredRun> found;
    Columns columns;
    soci::statement statement(sql);
    columns.fetch_into(statement);
    for (const auto& value : values) statement.exchange(soci::use(value));
    statement.alloc();
    statement.prepare(fmt::format("SELECT {} FROM runs {}", kRunColumns, rest));
    statement.define_and_bind();
    statement.execute();
    while (statement.fetch()) found.push_back(columns.get());
    return found;
}

}  // namespace

std::optional<StoredRun> find_run(soci::session& sql, std::string_view id) {
    auto found = select_runs(sql, "WHERE id = :v0", {std::string(id)});
    return found.empty() ? std::nullopt : std::optional<StoredRun>(std::move(found.front()));
}

std::vector<StoredRun> list_runs(soci::session& sql, const RunFilter& filter) {
    std::string where;
    std::vector<std::string> values;
    const auto demand = [&](std::string_view condition, std::string value, std::string_view end = "") {
        where += fmt::format("{} {} :v{}{}", where.empty() ? "WHERE" : " AND", condition, values.size(), end);
        values.push_back(std::move(value));
    };
    if (!filter.runtime.empty()) demand("runtime =", filter.runtime);
    if (!filter.group.empty()) demand("group_name =", filter.group);
    if (!filter.task_id.empty()) demand("task_id =", filter.task_id);
    if (!filter.node_id.empty()) demand("node_id =", filter.node_id);
    if (filter.shard) demand("shard = CAST(", std::to_string(*filter.shard), " AS INTEGER)");
    if (filter.state) demand("state =", std::string(task::to_string(*filter.state)));
    if (filter.since) demand("id >=", least_run_id(std::chrono::ceil<std::chrono::milliseconds>(*filter.since)));
    if (filter.until) demand("id <", least_run_id(std::chrono::ceil<std::chrono::milliseconds>(*filter.until)));
    if (!filter.beyond.empty()) demand(filter.oldest_first ? "id >" : "id <", filter.beyond);
    return select_runs(sql, fmt::format("{} ORDER BY id {} LIMIT {}", where, filter.oldest_first ? "ASC" : "DESC", filter.limit), values);
}

std::vector<StoredRun> unfinished_runs(soci::session& sql, std::string_view node_id) {
    const std::string where = fmt::format("WHERE node_id = :v0 AND {} ORDER BY id", left_to_end());
    return select_runs(sql, where, {std::string(node_id)});
}

std::int64_t count_unfinished_runs(soci::session& sql, std::string_view node_id) {
    const std::string node(node_id);
    long long count = 0;
    sql << "SELECT count(*) FROM runs WHERE node_id = :node AND state IN ('PENDING', 'RUNNING')", soci::use(node), soci::into(count);
    return count;
}

std::vector<NodeOfRuns> nodes_with_unfinished_runs(soci::session& sql) {
    std::vector<NodeOfRuns> nodes;
    NodeOfRuns node;
    soci::statement statement =
        (sql.prepare << fmt::format("SELECT DISTINCT runtime, node_id FROM runs WHERE {} AND node_id <> ''", left_to_end()),
         soci::into(node.runtime), soci::into(node.node_id));
    statement.execute();
    while (statement.fetch()) nodes.push_back(node);
    return nodes;
}

struct RunWriter::Impl {
    explicit Impl(soci::session& session)
        : sql(session),
          find((sql.prepare << fmt::format("SELECT task_id, state, node_id, log_note, {} FROM runs WHERE id = :id", waiting()),
                soci::into(known.task_id), soci::into(state), soci::into(known.node_id), soci::into(log_note), soci::into(waits),
                soci::use(id))),
          insert(sql),
          update(sql) {}

    // Prepared at the first use: most batches need only some of them.
    void prepare_insert() {
        if (insert_ready) return;
        using soci::use;
        Columns& c = row;
        insert.exchange(use(c.id));
        insert.exchange(use(c.task_id));
        insert.exchange(use(c.task_version));
        insert.exchange(use(c.runtime));
        insert.exchange(use(c.group_name));
        insert.exchange(use(c.task_name));
        insert.exchange(use(c.trigger));
        insert.exchange(use(c.fire_time.value, c.fire_time.indicator));
        insert.exchange(use(c.attempt));
        exchange_state(insert);
        insert.exchange(use(c.started_by));
        insert.exchange(use(c.piece, c.has_piece));
        insert.exchange(use(c.shard.value, c.shard.indicator));
        insert.alloc();
        insert.prepare(
            "INSERT INTO runs (id, task_id, task_version, runtime, group_name, task_name, trigger_kind, fire_time, attempt, state, reason, "
            "package, node_id, node_name, incarnation, epoch, started_at, ended_at, lateness, exit_code, signal, stdout_bytes, "
            "stderr_bytes, output_truncated, http_status, started_by, piece, shard) VALUES (:id, :task_id, :task_version, :runtime, "
            ":group_name, "
            ":task_name, "
            ":trigger, "
            ":fire_time, :attempt, :state, :reason, :package, :node_id, :node_name, :incarnation, :epoch, :started_at, :ended_at, "
            ":lateness, :exit_code, :signal, :stdout_bytes, :stderr_bytes, :truncated, :http_status, :started_by, :piece, :shard)");
        insert.define_and_bind();
        insert_ready = true;
    }

    void prepare_update() {
        if (update_ready) return;
        using soci::use;
        update.exchange(use(row.task_version));
        exchange_state(update);
        update.exchange(use(row.id));
        update.alloc();
        update.prepare(
            "UPDATE runs SET task_version = :task_version, state = :state, reason = :reason, package = :package, node_id = :node_id, "
            "node_name = :node_name, incarnation = :incarnation, epoch = :epoch, started_at = :started_at, ended_at = :ended_at, "
            "lateness = :lateness, exit_code = :exit_code, signal = :signal, stdout_bytes = :stdout_bytes, stderr_bytes = :stderr_bytes, "
            "output_truncated = :truncated, http_status = :http_status WHERE id = :id");
        update.define_and_bind();
        update_ready = true;
    }

    void exchange_state(soci::statement& statement) {
        using soci::use;
        Columns& c = row;
        statement.exchange(use(c.state));
        statement.exchange(use(c.reason));
        statement.exchange(use(c.package));
        statement.exchange(use(c.node_id));
        statement.exchange(use(c.node_name));
        statement.exchange(use(c.incarnation));
        statement.exchange(use(c.epoch));
        statement.exchange(use(c.started_at.value, c.started_at.indicator));
        statement.exchange(use(c.ended_at.value, c.ended_at.indicator));
        statement.exchange(use(c.lateness.value, c.lateness.indicator));
        statement.exchange(use(c.exit_code.value, c.exit_code.indicator));
        statement.exchange(use(c.signal.value, c.signal.indicator));
        statement.exchange(use(c.stdout_bytes));
        statement.exchange(use(c.stderr_bytes));
        statement.exchange(use(c.truncated));
        statement.exchange(use(c.http_status.value, c.http_status.indicator));
    }

    soci::session& sql;
    std::string id, state, log_note;
    int waits = 0;
    KnownRun known;
    Columns row;
    soci::statement find, insert, update;
    bool insert_ready = false, update_ready = false;
    std::unique_ptr<soci::statement> task_find, task_running, task_last, parameters;
    std::string task_id, runtime, last_id, last_state, last_piece;
    long long last_at = 0, delta = 0;
    int kind = 0;
};

RunWriter::RunWriter(soci::session& sql) : impl_(std::make_unique<Impl>(sql)) {}
RunWriter::~RunWriter() = default;

std::optional<KnownRun> RunWriter::find(std::string_view id) {
    Impl& i = *impl_;
    i.id = id;
    if (!i.find.execute(true)) return std::nullopt;
    const auto state = task::parse_run_state(i.state);
    CLOUDTASK_CHECK(state.has_value(), "a run in the database has a state that this program wrote");
    i.known.state = *state;
    i.known.log_dropped = !i.log_note.empty();
    i.known.waits = i.waits != 0;
    return i.known;
}

RunWriter::TaskIs RunWriter::find_task(std::string_view task_id, std::string_view runtime) {
    Impl& i = *impl_;
    if (!i.task_find) {
        i.task_find = std::make_unique<soci::statement>(
            (i.sql.prepare << "SELECT 1 FROM tasks WHERE id = :id AND runtime = :runtime UNION ALL "
                              "SELECT 2 FROM deleted_tasks WHERE task_id = :id2 AND runtime = :runtime2",
             soci::into(i.kind), soci::use(i.task_id), soci::use(i.runtime), soci::use(i.task_id), soci::use(i.runtime)));
    }
    i.task_id = task_id;
    i.runtime = runtime;
    if (!i.task_find->execute(true)) return TaskIs::unknown;
    return i.kind == 1 ? TaskIs::present : TaskIs::deleted;
}

void RunWriter::insert(const task::Run& run) {
    impl_->prepare_insert();
    impl_->row.set(run);
    impl_->insert.execute(true);
    if (run.parameters) set_parameters(run);
    if (run.secrets) set_secrets(run);
}

void RunWriter::update(const task::Run& run) {
    impl_->prepare_update();
    impl_->row.set(run);
    impl_->update.execute(true);
    if (run.parameters) set_parameters(run);
    if (run.secrets) set_secrets(run);
}

// Few runs have any: the others' statements are not burdened with them.
void RunWriter::set_parameters(const task::Run& run) {
    Impl& i = *impl_;
    if (!i.parameters) {
        i.parameters = std::make_unique<soci::statement>(
            (i.sql.prepare << "UPDATE runs SET parameters = :parameters WHERE id = :id", soci::use(i.row.parameters), soci::use(i.row.id)));
    }
    i.row.id = run.id;
    i.row.parameters = run_parameters_text(*run.parameters);
    i.parameters->execute(true);
}

void RunWriter::set_secrets(const task::Run& run) {
    const std::string text = secrets_text(run);
    impl_->sql << "UPDATE runs SET secrets = :secrets WHERE id = :id", soci::use(text), soci::use(run.id);
}

void RunWriter::set_late_report(std::string_view id, std::string_view report) {
    const std::string key(id), text(report);
    impl_->sql << "UPDATE runs SET late_report = :report WHERE id = :id", soci::use(text), soci::use(key);
}

void RunWriter::set_covers(const task::Run& reported) {
    const long long until = reported.covers_until->time_since_epoch().count();
    const std::string state(task::to_string(reported.state));
    impl_->sql << "UPDATE runs SET covers_until = max(coalesce(covers_until, :until), :until2), covers_state = :state, "
                  "covers_reason = :reason WHERE id = :id",
        soci::use(until), soci::use(until), soci::use(state), soci::use(reported.reason), soci::use(reported.id);
}

void RunWriter::set_log_note(std::string_view id, std::string_view note) {
    const std::string key(id), text(note);
    impl_->sql << "UPDATE runs SET log_note = :note WHERE id = :id", soci::use(text), soci::use(key);
}

void RunWriter::update_task(const task::Run& run, std::optional<RunState> before) {
    Impl& i = *impl_;
    i.task_id = run.task_id;
    i.delta = (run.state == RunState::running ? 1 : 0) - (before == RunState::running ? 1 : 0);
    if (i.delta != 0) {
        if (!i.task_running) {
            i.task_running =
                std::make_unique<soci::statement>((i.sql.prepare << "UPDATE tasks SET running = max(0, running + :delta) WHERE id = :id",
                                                   soci::use(i.delta), soci::use(i.task_id)));
        }
        i.task_running->execute(true);
    }
    if (run.state == RunState::skipped) return;
    // By the milliseconds of the ids: further attempts of a fire have those of its first, and so have its other pieces. Of these one that
    // failed is not hidden by one that did not.
    if (!i.task_last) {
        i.task_last = std::make_unique<soci::statement>(
            (i.sql.prepare << "UPDATE tasks SET last_run_id = :run, last_run_state = :state, last_run_at = :at WHERE id = :id AND "
                              "(last_run_id IS NULL OR substr(last_run_id, 1, 13) < substr(:run2, 1, 13) OR (substr(last_run_id, 1, 13) = "
                              "substr(:run3, 1, 13) AND (last_run_state NOT IN ('FAILED', 'TIMED_OUT', 'LOST') OR :state2 IN ('FAILED', "
                              "'TIMED_OUT', 'LOST') OR coalesce((SELECT piece FROM runs WHERE runs.id = last_run_id), '') = :piece)))",
             soci::use(i.last_id), soci::use(i.last_state), soci::use(i.last_at), soci::use(i.task_id), soci::use(i.last_id),
             soci::use(i.last_id), soci::use(i.last_state), soci::use(i.last_piece)));
    }
    i.last_id = run.id;
    i.last_piece = run.piece;
    i.last_state = task::to_string(run.state);
    const auto at = run.started_at ? run.started_at : run.ended_at ? run.ended_at : run.fire_time;
    i.last_at = at ? at->time_since_epoch().count() : 0;
    i.task_last->execute(true);
}

}  // namespace cloudtask::center
