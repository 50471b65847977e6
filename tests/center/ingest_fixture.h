// HistoryFixture: a database with one task, a folder of logs, and Ingest on top, without server or threads; and the reports that a node
// would send. One thread.
#pragma once

#include <string>
#include <vector>

#include "api_fixture.h"
#include "center/ingest.h"
#include "center/log_files.h"
#include "center/mail_store.h"
#include "center/run_metrics.h"
#include "center/runs_store.h"
#include "cloudtask/core/random.h"
#include "cloudtask/task/types.h"

namespace cloudtask::center {

class HistoryFixture {
  public:
    HistoryFixture();

    // A run of the task, due `number` seconds after the clock's start, in this state on the node.
    task::Run run(int number, task::RunState state, const std::string& node = kNode) const;

    // One report each, as JSON. Sequences count per incarnation.
    std::string run_report(const task::Run& run, std::int64_t sequence, const std::string& incarnation = kIncarnation) const;
    std::string log_report(const task::Run& run, const std::string& stream, std::uint64_t offset, const std::string& data,
                           std::int64_t sequence) const;
    std::string command_report(const std::string& command_id, const std::string& outcome, std::int64_t sequence) const;

    // The attempt that follows `run`, 2 s after its end, as its node gives it up to another one.
    task::Run further_attempt(const task::Run& run) const;
    std::string hand_over_report(const task::Run& attempt, std::int64_t sequence, const std::string& incarnation = kIncarnation) const;

    // Sends a batch as the node; what Ingest answers.
    Result<std::size_t> send(const std::vector<std::string>& reports, const std::string& node = kNode);
    // The same, and it must be taken.
    void take(const std::vector<std::string>& reports, const std::string& node = kNode);

    StoredRun stored(const std::string& run_id);
    std::optional<std::string> late_report(const std::string& run_id);
    std::optional<QueuedMail> failure_mail(const std::string& run_id);
    long long number(const std::string& query);  // of a query that yields one number
    std::string text(const std::string& query);  // of one that yields one text; "" for none

    // Publishes that these nodes are registered in the runtime.
    void set_online(const std::vector<std::string>& node_ids);

    static constexpr const char* kNode = "01920000-0000-7000-8000-00000000000a";
    static constexpr const char* kOther = "01920000-0000-7000-8000-00000000000b";
    static constexpr const char* kIncarnation = "01920000-0000-7000-8000-00000000000a.1";
    static constexpr const char* kOtherIncarnation = "01920000-0000-7000-8000-00000000000b.1";

    TemporaryFolder folder;
    TestClock clock;
    std::unique_ptr<Store> store;
    LogFiles logs;
    ClusterSnapshot cluster;
    Metrics metrics;
    RunMetrics run_metrics{metrics};
    SeededRandom random{1};
    task::Task task;
    std::set<std::string> changed;      // what runs_changed was told since the start
    std::int64_t catalog_revision = 0;  // what catalog_changed was told last
    std::vector<std::string> woken;     // nodes that commands_waiting was told of
    Ingest ingest;

  private:
    Ingest make_ingest();
};

}  // namespace cloudtask::center
