// Reading of reports: see reports.h.
#include "center/reports.h"

#include <algorithm>
#include <map>
#include <utility>

#include "cloudtask/core/hash.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/task/codec.h"

namespace cloudtask::center {

namespace {

constexpr std::size_t kMaxBase64 = (kMaxChunkBytes + 2) / 3 * 4;

std::string read_run_content(json::ObjectReader& reader, Report& report, std::string_view node_id, std::string_view runtime) {
    reader.require("run");
    const json::Value* value = reader.object("run");
    if (value == nullptr) return {};
    auto run = task::read_run(*value);
    if (!run) return run.error().message;
    if (!is_uuid(run->id) || !is_uuid(run->task_id)) return "a run and its task are named by UUIDs";
    if (run->runtime != runtime) return fmt::format("the run is of runtime {}, the node of {}", run->runtime, runtime);
    if (run->node_id != node_id && run->state != task::RunState::lost && run->state != task::RunState::skipped) {
        return fmt::format("the run is said to be on node {}", run->node_id);
    }
    report.hand_over = task::read_hand_over(reader);
    const bool waits = run->state == task::RunState::pending && run->trigger == task::Trigger::retry;
    if (report.hand_over && (!waits || report.hand_over->after != node_id)) return "only an attempt that is yet to begin is handed over";
    report.content = std::move(*run);
    return {};
}

std::string read_log_content(json::ObjectReader& reader, Report& report) {
    LogChunk chunk;
    std::string stream, data;
    std::int64_t offset = 0;
    for (const auto* name : {"run_id", "stream", "offset", "data"}) reader.require(name);
    reader.read("run_id", chunk.run_id);
    reader.read_choice("stream", stream, {"stdout", "stderr"});
    reader.read("offset", offset);
    const bool has_data = reader.read("data", data, {.min = 0, .max = kMaxBase64});
    if (has_data) {
        auto bytes = from_base64(data);
        if (!bytes) return bytes.error().message;
        chunk.data = std::move(*bytes);
    }
    if (!is_uuid(chunk.run_id)) return "a run is named by a UUID";
    chunk.stream = stream == "stderr" ? LogStream::standard_error : LogStream::standard_output;
    chunk.offset = static_cast<std::uint64_t>(offset);
    report.content = std::move(chunk);
    return {};
}

std::string read_command_content(json::ObjectReader& reader, Report& report) {
    CommandOutcome outcome;
    std::string word;
    reader.require("command_id");
    reader.require("outcome");
    reader.read("command_id", outcome.command_id);
    reader.read_choice("outcome", word, {"done", "refused"});
    reader.read("detail", outcome.detail, {.min = 0, .max = 4096, .multi_line = true});
    outcome.refused = word == "refused";
    report.content = std::move(outcome);
    return {};
}

Report read_report(const json::Value& value, std::string_view node_id, std::string_view runtime) {
    Report report;
    report.source = &value;
    Faults faults;
    json::ObjectReader reader(value, "", faults);
    std::string kind;
    for (const auto* name : {"incarnation", "sequence", "kind"}) reader.require(name);
    reader.read("incarnation", report.incarnation, {.min = 1, .max = 200});
    reader.read("sequence", report.sequence, {.min = 1});
    reader.read_choice("kind", kind, {"run", "log", "command"});
    std::string problem;
    if (kind == "run") problem = read_run_content(reader, report, node_id, runtime);
    if (kind == "log") problem = read_log_content(reader, report);
    if (kind == "command") problem = read_command_content(reader, report);
    reader.finish();
    if (!faults.empty()) {
        problem = faults.summary();
    } else if (!incarnation_of(report.incarnation, node_id)) {
        problem = fmt::format("'{}' is not an incarnation of node {}", report.incarnation, node_id);
    }
    report.problem = std::move(problem);
    // Only the node's own incarnations have a cursor here.
    if (!incarnation_of(report.incarnation, node_id)) report.sequence = 0;
    return report;
}

}  // namespace

bool incarnation_of(std::string_view incarnation, std::string_view node_id) {
    return !node_id.empty() && incarnation.size() > node_id.size() + 1 && incarnation.starts_with(node_id) &&
           incarnation[node_id.size()] == '.';
}

Result<ReportBatch> read_reports(std::string_view body, std::string_view node_id, std::string_view runtime) {
    auto document = json::parse(body, {.max_bytes = kMaxReportsBytes, .max_depth = 32});
    if (!document) return propagate(document);
    ReportBatch batch;
    batch.document = std::move(*document);
    Faults faults;
    json::ObjectReader reader(batch.document, "", faults);
    reader.require("reports");
    const json::Value* list = reader.array("reports", {.min = 0, .max = kMaxReports, .item = {}});
    std::int64_t pending = 0;
    if (reader.has("pending") && reader.read("pending", pending, {.min = 0})) batch.pending = pending;
    reader.finish();
    if (!faults.empty()) return fail(Errc::invalid_argument, "{}", faults.summary());
    batch.reports.reserve(list->Size());
    for (const auto& value : list->GetArray()) batch.reports.push_back(read_report(value, node_id, runtime));
    // Incarnations stay in the order in which they came first.
    std::map<std::string, std::size_t> ranks;
    for (const auto& report : batch.reports) ranks.emplace(report.incarnation, ranks.size());
    std::stable_sort(batch.reports.begin(), batch.reports.end(), [&](const Report& left, const Report& right) {
        return std::pair(ranks.at(left.incarnation), left.sequence) < std::pair(ranks.at(right.incarnation), right.sequence);
    });
    return batch;
}

}  // namespace cloudtask::center
