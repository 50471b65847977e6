// NodeStore: the journal of runs and of commands, and commit().
#include "cloudtask/core/ids.h"
#include "cloudtask/task/codec.h"
#include "node/node_store_outbox.h"

namespace cloudtask::node {

namespace {

constexpr std::int64_t kForgetAtOnce = 200;

// Ids of the center and of runs have a time (UUIDv7); what has none is never old.
Instant time_of_id(std::string_view id) { return is_uuid(id) && id[14] == '7' ? uuid_time(id) : Instant::max(); }

// By which a run is forgotten.
Instant age_of(const task::Run& run) {
    if (run.fire_time) return *run.fire_time;
    if (run.ended_at) return *run.ended_at;
    return time_of_id(run.id);
}

Result<> put_entry(Database& database, const JournalEntry& entry, std::int64_t position) {
    Query put(database, "INSERT OR REPLACE INTO journal VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)");
    put.bind(entry.run.id)
        .bind(static_cast<std::int64_t>(entry.phase))
        .bind(to_column(age_of(entry.run)))
        .bind(position)
        .bind(task::to_json(entry.run));
    if (entry.process) {
        const RunningRecord& process = *entry.process;
        put.bind(static_cast<std::int64_t>(process.process.pid))
            .bind(process.process.start_time)
            .bind(process.process.boot_id)
            .bind(process.folder)
            .bind(to_column(process.started_at))
            .bind(static_cast<std::int64_t>(process.time_limit.count()))
            .bind(static_cast<std::int64_t>(process.grace.count()))
            .bind(process.output_limit);
    } else {
        for (int column = 0; column < 8; ++column) put.bind_null();
    }
    put.bind(entry.stdout_sent).bind(entry.stderr_sent).bind(std::int64_t{entry.stop_asked});
    if (entry.task && entry.phase != Phase::ended) {
        put.bind(task::to_json(*entry.task));
    } else {
        put.bind_null();
    }
    return put.bind(entry.retry).run();
}

Result<JournalEntry> entry_of(const Query& row, const std::string& path) {
    const std::string id = row.text(0);
    const auto damaged = [&](const Error& error) {
        return fail(Errc::corrupt, "{}: run {} of the journal cannot be read: {}", path, id, error.message);
    };
    const auto document = json::parse(row.text(2));
    if (!document) return damaged(document.error());
    auto run = task::read_run(*document);
    if (!run) return damaged(run.error());
    JournalEntry entry{.run = std::move(*run),
                       .phase = static_cast<Phase>(row.integer(1)),
                       .process = {},
                       .stdout_sent = row.size(11),
                       .stderr_sent = row.size(12),
                       .stop_asked = row.integer(13) != 0,
                       .task = {},
                       .retry = row.integer(15)};
    if (!row.is_null(14)) {
        const auto definition = json::parse(row.text(14));
        if (!definition) return damaged(definition.error());
        auto task = task::read_task(*definition);
        if (!task) return damaged(task.error());
        entry.task = std::make_shared<const task::Task>(std::move(*task));
    }
    if (!row.is_null(3)) {
        entry.process =
            RunningRecord{.run_id = id,
                          .folder = row.text(6),
                          .process = {.pid = static_cast<pid_t>(row.integer(3)), .start_time = row.size(4), .boot_id = row.text(5)},
                          .started_at = instant_of(row.integer(7)),
                          .time_limit = Duration{row.integer(8)},
                          .grace = Duration{row.integer(9)},
                          .output_limit = row.size(10)};
    }
    return entry;
}

Result<std::vector<std::string>> texts_of(Query& query) {
    std::vector<std::string> texts;
    while (query.next()) texts.push_back(query.text(0));
    if (const auto read = query.finish(); !read) return propagate(read);
    return texts;
}

Result<> erase(Database& database, const char* sql, const std::vector<std::string>& ids) {
    Query query(database, sql);
    for (const auto& id : ids) {
        if (const auto done = query.bind(id).run(); !done) return done;
    }
    return {};
}

}  // namespace

Result<> NodeStore::commit(const Batch& batch) {
    if (batch.empty()) return {};
    Database& database = impl_->database;
    OutboxAppender outbox(*impl_);
    const auto done = database.transaction([&]() -> Result<> {
        if (batch.cordoned) {
            if (const auto set = set_counter(database, "cordoned", *batch.cordoned ? 1 : 0); !set) return set;
        }
        for (const auto& id : batch.commands) {
            const auto taken = Query(database, "INSERT INTO commands (id, at) VALUES (?, ?) ON CONFLICT DO NOTHING")
                                   .bind(id)
                                   .bind(to_column(time_of_id(id)))
                                   .run();
            if (!taken) return taken;
        }
        for (const auto& report : batch.reports) {
            if (const auto appended = outbox.append(report); !appended) return appended;
        }
        // Reports leave in order: when the last one of this transaction is delivered, all that tell of these runs are.
        for (const auto& entry : batch.entries) {
            if (const auto put = put_entry(database, entry, outbox.position()); !put) return put;
        }
        return outbox.write_counters();
    });
    if (done) outbox.committed();
    return done;
}

Result<std::vector<JournalEntry>> NodeStore::load_unfinished() {
    std::vector<JournalEntry> entries;
    Query query(impl_->database,
                "SELECT run_id, phase, document, pid, start_time, boot_id, folder, started_at, time_limit, grace, output_limit, "
                "stdout_sent, stderr_sent, stop_asked, task, retry FROM journal WHERE phase < ? ORDER BY run_id");
    query.bind(static_cast<std::int64_t>(Phase::ended));
    while (query.next()) {
        auto entry = entry_of(query, impl_->database.path());
        if (!entry) return propagate(entry);
        entries.push_back(std::move(*entry));
    }
    if (const auto read = query.finish(); !read) return propagate(read);
    return entries;
}

Result<std::vector<KnownRun>> NodeStore::load_runs() {
    std::vector<KnownRun> runs;
    // Few runs have secrets: of the others the document is not read.
    Query query(impl_->database, "SELECT run_id, folder, CASE WHEN instr(document, '\"secrets\":{') > 0 THEN document END FROM journal");
    while (query.next()) {
        KnownRun& known = runs.emplace_back(KnownRun{query.text(0), query.text(1)});
        if (query.is_null(2)) continue;
        const auto document = json::parse(query.text(2));
        const auto run = document ? task::read_run(*document) : Result<task::Run>(propagate(document));
        if (!run)
            return fail(Errc::corrupt, "{}: run {} of the journal cannot be read: {}", impl_->database.path(), known.id,
                        run.error().message);
        known.secrets = run->secrets;
    }
    if (const auto read = query.finish(); !read) return propagate(read);
    return runs;
}

Result<std::vector<std::string>> NodeStore::load_command_ids() {
    Query query(impl_->database, "SELECT id FROM commands");
    return texts_of(query);
}

Result<NodeStore::Forgotten> NodeStore::forget_before(Instant before) {
    Database& database = impl_->database;
    Query old_runs(database, "SELECT run_id FROM journal WHERE phase = ? AND at < ? AND position <= ? ORDER BY at LIMIT ?");
    old_runs.bind(static_cast<std::int64_t>(Phase::ended)).bind(to_column(before)).bind(impl_->delivered_position).bind(kForgetAtOnce);
    auto runs = texts_of(old_runs);
    if (!runs) return propagate(runs);
    old_runs.reset();
    Query old_commands(database, "SELECT id FROM commands WHERE at < ? AND position <= ? ORDER BY at LIMIT ?");
    old_commands.bind(to_column(before)).bind(impl_->delivered_position).bind(kForgetAtOnce);
    auto commands = texts_of(old_commands);
    if (!commands) return propagate(commands);
    old_commands.reset();
    if (runs->empty() && commands->empty()) return Forgotten{};
    const auto done = database.transaction([&]() -> Result<> {
        if (const auto erased = erase(database, "DELETE FROM journal WHERE run_id = ?", *runs); !erased) return erased;
        return erase(database, "DELETE FROM commands WHERE id = ?", *commands);
    });
    if (!done) return propagate(done);
    return Forgotten{std::move(*runs), std::move(*commands)};
}

}  // namespace cloudtask::node
