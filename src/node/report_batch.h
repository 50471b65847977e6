// A batch of reports as `POST /node/reports` takes it (docs/wire.md). Reads log bytes from the runs' output: blocks; on a worker.
#pragma once

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "node/masked_log.h"
#include "node/node_store.h"

namespace cloudtask::node {

inline constexpr std::size_t kMaxBatchReports = 500;
inline constexpr std::size_t kMaxBatchBytes = 1 << 20;

// A report, and for a log report the file that its bytes are in.
struct OutgoingReport {
    Report report;
    std::string output_path;
    std::shared_ptr<const RunMask> mask = {};  // of a run that was given secrets
};

struct ReportBody {
    std::string body;
    std::size_t count = 0;  // of the reports, from the first on, that are in it
};

// As many of `reports`, from the first, as make at most `max_bytes`; always the first one. It also says how many of the `depth` reports of
// the outbox are left behind it. Bytes of a log that cannot be read (said in the log) are left out: the states behind it matter more.
ReportBody make_report_body(const std::vector<OutgoingReport>& reports, std::int64_t depth, std::size_t max_bytes = kMaxBatchBytes);

}  // namespace cloudtask::node
