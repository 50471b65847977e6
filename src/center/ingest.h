// Ingest: takes a node's reports into the history. The whole batch is one transaction; what was acknowledged is durable; a batch that comes
// again changes nothing (idempotent by incarnation and sequence).
//
// Order within a batch: log chunks go to their files and are made durable first, then the transaction that advances the cursor commits.
// So an acknowledged chunk is never missing, and a chunk that is written twice is the same bytes at the same place. When the disk takes
// no more logs the states of runs are still recorded: state first, logs last, and the run says what was dropped.
//
// Threads: any but the loop; calls may run side by side.
#pragma once

#include <functional>
#include <set>
#include <string>
#include <string_view>

#include "center/cluster_view.h"
#include "center/log_files.h"
#include "center/reports.h"
#include "center/run_recorder.h"
#include "center/store.h"
#include "cloudtask/core/clock.h"

namespace cloudtask::center {

class RunMetrics;

struct IngestParts {
    Store& store;
    const LogFiles& logs;
    const ClusterSnapshot& cluster;
    const Clock& clock;
    RunMetrics& metrics;
    MailSettings mail;
    std::uint64_t max_log_bytes = kMaxLogBytes;  // of one stream of one run
    // After the commit, on the calling thread.
    std::function<void(const std::set<std::string>& run_ids)> runs_changed;  // their logs grew, or they are over
    std::function<void()> mail_waiting;
    std::function<void(const std::string& runtime, std::int64_t revision)> catalog_changed = {};
    std::function<void(const std::string& node_id)> commands_waiting = {};
};

class Ingest {
  public:
    explicit Ingest(IngestParts parts) : parts_(std::move(parts)) {}

    // Applies a batch; returns how many reports it held. Errors: invalid_argument (not a batch; nothing is applied), unavailable and io
    // (the store; nothing is applied, the node sends it again).
    Result<std::size_t> apply(const std::string& node_id, const std::string& runtime, std::string_view body);

  private:
    struct Logs;
    Result<> write_logs(const std::string& node_id, ReportBatch& batch, Logs& logs);

    IngestParts parts_;
};

}  // namespace cloudtask::center
