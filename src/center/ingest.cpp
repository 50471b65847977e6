// Taking reports: see ingest.h.
#include "center/ingest.h"

#include <map>

#include "center/commands_store.h"
#include "center/handed_over.h"
#include "center/ingest_store.h"
#include "center/ledger_store.h"
#include "center/run_metrics.h"
#include "cloudtask/core/log.h"

namespace cloudtask::center {

using task::RunState;

// What became of the log chunks of a batch.
struct Ingest::Logs {
    std::map<std::string, std::string> notes;  // run id → what was dropped of its log now
    std::set<std::string> grown;               // run ids
    std::uint64_t bytes = 0, dropped = 0;
};

namespace {

// Whose run it is: by the history, or by what the batch itself brings before the chunk.
struct LogOwner {
    std::string node_id;   // empty: not known yet
    bool dropped = false;  // part of its log could not be written
    bool pending = false;  // not begun: another node may still take it
};

std::string drop_note(LogStream stream, std::uint64_t offset, std::string_view why) {
    return fmt::format("{} is incomplete from byte {} on: {}", to_string(stream), offset, why);
}

// The newest instant that a run's report tells of.
Instant told_of(const task::Run& run) { return std::max(run.started_at.value_or(Instant{}), run.ended_at.value_or(Instant{})); }

std::string source_text(const Report& report) { return json::to_text(*report.source); }

// What a node says of a command. A start that it refuses ends the run: it would wait for ever.
Result<> close(soci::session& sql, RunRecorder& recorder, const std::string& node_id, const CommandOutcome& outcome, Instant now) {
    const auto command = find_command(sql, outcome.command_id);
    if (!command || command->node_id != node_id) {
        return fail(Errc::invalid_argument, "there is no command {} for node {}", outcome.command_id, node_id);
    }
    const bool closed = close_command(sql, command->id, outcome.refused ? "refused" : "done", outcome.detail);
    if (!closed || !outcome.refused || command->kind != "start") return {};
    const auto stored = find_run(sql, command->run_id);
    if (!stored || stored->run.state != RunState::pending) return {};
    task::Run run = stored->run;
    run.state = RunState::failed;
    run.reason = fmt::format("node {} refused to start it: {}", run.node_name, outcome.detail);
    run.ended_at = now;
    const auto recorded = recorder.record(run, node_id);
    if (!recorded) return propagate(recorded);
    return {};
}

}  // namespace

Result<> Ingest::write_logs(const std::string& node_id, ReportBatch& batch, Logs& logs) {
    // Whose logs they are. What the transaction does later cannot change that: a run's node is set when the run is known.
    std::map<std::string, std::int64_t> cursors;
    std::map<std::string, LogOwner> owners;
    const auto looked_up = parts_.store.read([&](soci::session& sql) -> Result<> {
        RunWriter runs(sql);
        for (const auto& report : batch.reports) {
            if (!report.problem.empty()) continue;
            if (!cursors.contains(report.incarnation)) cursors[report.incarnation] = read_cursor(sql, report.incarnation);
            const auto* chunk = std::get_if<LogChunk>(&report.content);
            if (chunk == nullptr || owners.contains(chunk->run_id)) continue;
            if (const auto known = runs.find(chunk->run_id)) {
                owners[chunk->run_id] = {known->node_id, known->log_dropped, known->state == RunState::pending};
            }
        }
        return {};
    });
    if (!looked_up) return looked_up;

    LogBatch files(parts_.logs);
    for (auto& report : batch.reports) {
        if (!report.problem.empty() || report.sequence <= cursors[report.incarnation]) continue;
        if (const auto* run = std::get_if<task::Run>(&report.content); run != nullptr && run->node_id == node_id) {
            auto& owner = owners[run->id];
            if (owner.node_id.empty() || owner.pending) owner.node_id = node_id;
        }
        const auto* chunk = std::get_if<LogChunk>(&report.content);
        if (chunk == nullptr) continue;
        const auto owner = owners.find(chunk->run_id);
        if (owner == owners.end() || owner->second.node_id != node_id) {
            report.problem = fmt::format("run {} is not one of node {}", chunk->run_id, node_id);
            continue;
        }
        if (chunk->offset + chunk->data.size() > parts_.max_log_bytes) {
            report.problem = fmt::format("the log of a run may have {} bytes at most", parts_.max_log_bytes);
            continue;
        }
        const auto written = files.write(chunk->run_id, chunk->stream, chunk->offset, chunk->data);
        if (written) {
            logs.bytes += chunk->data.size();
            logs.grown.insert(chunk->run_id);
            continue;
        }
        // Behind bytes that the disk did not take there is a gap that is known.
        const bool known_gap = written.error().is(Errc::conflict) && owner->second.dropped;
        if (!written.error().is(Errc::io) && !known_gap) {
            report.problem = written.error().message;
            continue;
        }
        logs.dropped += chunk->data.size();
        if (!owner->second.dropped) {
            owner->second.dropped = true;
            logs.notes[chunk->run_id] = drop_note(chunk->stream, chunk->offset, written.error().message);
            log::error("log of run {}: {}", chunk->run_id, logs.notes[chunk->run_id]);
        }
    }
    for (const auto& lost : files.sync()) {
        auto& owner = owners[lost.run_id];
        if (!owner.dropped) logs.notes[lost.run_id] = drop_note(lost.stream, lost.first_offset, "the disk failed while it was stored");
        owner.dropped = true;
        log::error("log of run {}: the disk failed while {} was stored", lost.run_id, to_string(lost.stream));
    }
    return {};
}

Result<std::size_t> Ingest::apply(const std::string& node_id, const std::string& runtime, std::string_view body) {
    auto batch = read_reports(body, node_id, runtime);
    if (!batch) return propagate(batch);
    Logs logs;
    if (const auto written = write_logs(node_id, *batch, logs); !written) return propagate(written);

    const auto cluster = parts_.cluster.get();
    const Instant now = parts_.clock.now();
    RecordEffects effects;
    std::uint64_t applied = 0, repeated = 0;
    std::vector<std::string> dead;
    std::set<std::string> woken;  // node ids
    const auto committed = parts_.store.write([&](soci::session& sql) -> Result<> {
        RunRecorder recorder(sql, parts_.mail, parts_.logs, *cluster, now);
        std::map<std::string, std::int64_t> cursors, before;
        const auto bury = [&](const Report& report, std::string_view problem) {
            add_dead_letter(sql, node_id, problem, source_text(report), now);
            dead.push_back(fmt::format("{} of {}: {}", report.sequence, report.incarnation, problem));
        };
        for (const auto& report : batch->reports) {
            if (report.sequence > 0 && !cursors.contains(report.incarnation)) {
                cursors[report.incarnation] = before[report.incarnation] = read_cursor(sql, report.incarnation);
            }
        }
        const auto record = [&](const task::Run& run, const Report& report) -> Result<> {
            if (!report.hand_over) {
                const auto recorded = recorder.record(run, node_id, [&] { return source_text(report); });
                return recorded ? Result<>{} : propagate(recorded);
            }
            const auto given = take_hand_over(sql, recorder, *cluster, run, *report.hand_over, node_id, now);
            if (!given) return propagate(given);
            if (!given->empty()) woken.insert(*given);
            return {};
        };
        Instant told{};
        // Notes first: a mail of this batch tells of them.
        for (const auto& [run_id, note] : logs.notes) recorder.note_log(run_id, note);
        for (const auto& report : batch->reports) {
            if (report.sequence > 0) {
                std::int64_t& cursor = cursors[report.incarnation];
                if (report.sequence <= cursor) {
                    ++repeated;
                    continue;
                }
                cursor = report.sequence;
            }
            ++applied;
            if (!report.problem.empty()) {
                bury(report, report.problem);
                continue;
            }
            if (const auto* run = std::get_if<task::Run>(&report.content)) {
                told = std::max(told, told_of(*run));
                const auto recorded = record(*run, report);
                if (!recorded) bury(report, recorded.error().message);
                if (const auto note = logs.notes.find(run->id); note != logs.notes.end()) recorder.note_log(run->id, note->second);
            } else if (const auto* outcome = std::get_if<CommandOutcome>(&report.content)) {
                const auto closed = close(sql, recorder, node_id, *outcome, now);
                if (!closed) bury(report, closed.error().message);
            }
        }
        for (const auto& [incarnation, sequence] : cursors) {
            if (sequence != before[incarnation]) write_cursor(sql, incarnation, node_id, sequence, now);
        }
        if (told > Instant{}) note_reported(sql, node_id, told, now);
        if (batch->pending) note_pending(sql, node_id, *batch->pending);
        effects = recorder.effects();
        return {};
    });
    if (!committed) return propagate(committed);

    parts_.metrics.reports(applied, repeated);
    parts_.metrics.log_bytes(logs.bytes);
    if (logs.dropped > 0) parts_.metrics.log_dropped(logs.dropped);
    for (const auto& sentence : dead) {
        parts_.metrics.dead_letter();
        log::warn("node {}: report {}; it is kept as a dead letter", node_id, sentence);
    }
    count_effects(parts_.metrics, effects);
    std::set<std::string> changed = std::move(logs.grown);
    changed.insert(effects.ended.begin(), effects.ended.end());
    if (!changed.empty() && parts_.runs_changed) parts_.runs_changed(changed);
    if (effects.mails > 0 && parts_.mail_waiting) parts_.mail_waiting();
    for (const auto& woken_node : woken) {
        if (parts_.commands_waiting) parts_.commands_waiting(woken_node);
    }
    for (const auto& [runtime_changed, revision] : effects.catalog_changes) {
        if (parts_.catalog_changed) parts_.catalog_changed(runtime_changed, revision);
    }
    return batch->reports.size();
}

}  // namespace cloudtask::center
