// RunMetrics: what /metrics shows of reports, runs, logs, mails and commands. Counters of this process; any thread.
#pragma once

#include <cstdint>
#include <memory>

#include "cloudtask/task/types.h"

namespace cloudtask::center {

class Metrics;
class Store;

class RunMetrics {
  public:
    explicit RunMetrics(Metrics& metrics);
    ~RunMetrics();

    enum class MailOutcome { queued, sent, retried, failed, nobody };

    void reports(std::uint64_t applied, std::uint64_t repeated);
    void dead_letter();
    void run_became(task::RunState state);
    void late_report();
    void log_bytes(std::uint64_t bytes);
    // Log chunks that the disk did not take. Something to be alarmed by.
    void log_dropped(std::uint64_t bytes);
    void mail(MailOutcome outcome);

  private:
    struct Impl;
    std::unique_ptr<Impl> impl_;
};

// Adds gauges of what waits in the database: commands, mails, dead letters. `store` outlives the metrics' page.
void add_queue_gauges(Metrics& metrics, Store& store);

}  // namespace cloudtask::center
