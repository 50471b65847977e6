// RunRecorder: the one way in which a run's state is reported into the history, by its node or by the center about a node that is gone:
// judged by run_rules.h, written, counted in its task, mailed when it is a failure, and held against its task's canary: all in the
// caller's transaction.
//
// One transaction, one thread. What the world outside should hear of it stands in effects(), to be acted upon after the commit.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "center/canary.h"
#include "center/cluster_view.h"
#include "center/log_files.h"
#include "center/mail_text.h"
#include "center/run_rules.h"
#include "center/runs_store.h"
#include "cloudtask/core/clock.h"

namespace cloudtask::center {

struct MailSettings {
    std::vector<std::string> fallback;  // told where neither task, group nor runtime names anybody
    std::string from;                   // its domain is that of the Message-ID
    std::string site_url;
};

struct RecordEffects {
    std::vector<task::RunState> became;  // one for each state that was written
    std::size_t late = 0;
    std::size_t mails = 0, mails_for_nobody = 0;
    std::set<std::string> ended;                          // ids of runs that are over now
    std::map<std::string, std::int64_t> catalog_changes;  // the newest revisions that roll-backs of canaries made, by runtime
};

class RunMetrics;

// Counts what was committed.
void count_effects(RunMetrics& metrics, const RecordEffects& effects);

class RunRecorder {
  public:
    RunRecorder(soci::session& sql, const MailSettings& mail, const LogFiles& logs, const ClusterView& cluster, Instant now);

    // Records what `reporter` (a node id; empty: the center) says of a run. `source` makes the report's text, kept when it is late.
    // Errors: invalid_argument: it can never be recorded (a task that nobody knows, another task than the run's).
    Result<Verdict> record(const task::Run& run, std::string_view reporter, const std::function<std::string()>& source = {});

    // As the history has it now, changes of this transaction included.
    std::optional<KnownRun> known(std::string_view run_id) { return runs_.find(run_id); }

    // Notes that part of a run's log could not be stored.
    void note_log(std::string_view run_id, std::string_view note) { runs_.set_log_note(run_id, note); }

    const RecordEffects& effects() const { return effects_; }

  private:
    void queue_canary_mail(const CanaryJudge::Decision& decision);
    void queue(const std::string& key, std::vector<std::string> recipients, const MailText& text);
    // Of a failure, or of a run that takes long: once for each `subject` and run.
    void queue_mail_about(const task::Run& run, std::string_view subject);
    // It failed, and another attempt of it is planned already.
    bool tried_again(const task::Run& run);

    soci::session& sql_;
    const MailSettings& mail_;
    const LogFiles& logs_;
    const ClusterView& cluster_;
    Instant now_;
    RunWriter runs_;
    CanaryJudge canaries_;
    RecordEffects effects_;
};

}  // namespace cloudtask::center
