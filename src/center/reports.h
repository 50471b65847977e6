// Reports: what a node tells the center, as it comes over the wire (docs/wire.md, `POST /node/reports`), read and judged one by one, so
// that one that cannot be understood does not hold up those behind it. Pure; any thread.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <variant>
#include <vector>

#include "center/log_files.h"
#include "cloudtask/core/json.h"
#include "cloudtask/task/hand_over.h"
#include "cloudtask/task/types.h"

namespace cloudtask::center {

inline constexpr std::size_t kMaxReports = 500;
// A batch is 1 MiB at most; a node that counts a little differently is not turned away.
inline constexpr std::size_t kMaxReportsBytes = 2 << 20;
inline constexpr std::size_t kMaxChunkBytes = 64 * 1024;

struct LogChunk {
    std::string run_id;
    LogStream stream = LogStream::standard_output;
    std::uint64_t offset = 0;
    std::string data;
};

struct CommandOutcome {
    std::string command_id;
    bool refused = false;
    std::string detail;
};

struct Report {
    std::string incarnation;    // empty when not readable
    std::int64_t sequence = 0;  // 0 when not readable
    std::variant<std::monostate, task::Run, LogChunk, CommandOutcome> content;
    std::optional<task::HandOver> hand_over;  // with a run: an attempt that another node is to begin
    std::string problem;                      // why it can never be applied; empty: it may be
    const json::Value* source = nullptr;      // in the batch's document
};

struct ReportBatch {
    json::Document document;
    std::vector<Report> reports;          // by incarnation in order of sequence
    std::optional<std::int64_t> pending;  // so many reports the node still had behind these, if it says so
};

// Reads a batch of the node. Errors (invalid_argument): not JSON, not a batch, more than kMaxReports: nothing of it is applied. What is
// wrong with a single report stands in its `problem`.
Result<ReportBatch> read_reports(std::string_view body, std::string_view node_id, std::string_view runtime);

// "<node id>.<suffix>": the incarnation is one of the node.
bool incarnation_of(std::string_view incarnation, std::string_view node_id);

}  // namespace cloudtask::center
