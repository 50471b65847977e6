// The way into the history: see run_recorder.h.
#include "center/run_recorder.h"

#include <algorithm>

#include "center/commands_store.h"
#include "center/mail_store.h"
#include "center/mail_text.h"
#include "center/run_metrics.h"
#include "cloudtask/core/log.h"
#include "cloudtask/task/attempts.h"

namespace cloudtask::center {

using task::RunState;

namespace {

bool is_failure(RunState state) { return state == RunState::failed || state == RunState::timed_out || state == RunState::lost; }

// What the report leaves open of a run that is lost or skipped by another's word stays as the run's own node had said it.
task::Run completed(task::Run run, const std::optional<StoredRun>& stored) {
    if (!stored) return run;
    const task::Run& before = stored->run;
    run.trigger = before.trigger;
    run.fire_time = before.fire_time;
    run.attempt = before.attempt;
    run.started_by = before.started_by;
    if (run.state == RunState::lost) {
        run.node_id = before.node_id;
        run.node_name = before.node_name;
        run.incarnation = before.incarnation;
        run.epoch = before.epoch;
        if (!run.started_at) run.started_at = before.started_at;
        if (!run.lateness) run.lateness = before.lateness;
        if (run.package.empty()) run.package = before.package;
        if (run.task_version == 0) run.task_version = before.task_version;
        run.stdout_bytes = std::max(run.stdout_bytes, before.stdout_bytes);
        run.stderr_bytes = std::max(run.stderr_bytes, before.stderr_bytes);
    }
    return run;
}

}  // namespace

void count_effects(RunMetrics& metrics, const RecordEffects& effects) {
    for (const auto state : effects.became) metrics.run_became(state);
    for (std::size_t n = 0; n < effects.late; ++n) metrics.late_report();
    for (std::size_t n = 0; n < effects.mails; ++n) metrics.mail(RunMetrics::MailOutcome::queued);
    for (std::size_t n = 0; n < effects.mails_for_nobody; ++n) metrics.mail(RunMetrics::MailOutcome::nobody);
}

RunRecorder::RunRecorder(soci::session& sql, const MailSettings& mail, const LogFiles& logs, const ClusterView& cluster, Instant now)
    : sql_(sql), mail_(mail), logs_(logs), cluster_(cluster), now_(now), runs_(sql), canaries_(sql, now) {}

Result<Verdict> RunRecorder::record(const task::Run& reported, std::string_view reporter, const std::function<std::string()>& source) {
    const auto known = runs_.find(reported.id);
    if (known && known->task_id != reported.task_id) {
        return fail(Errc::invalid_argument, "run {} is of task {}, not of {}", reported.id, known->task_id, reported.task_id);
    }
    if (!known && runs_.find_task(reported.task_id, reported.runtime) == RunWriter::TaskIs::unknown) {
        return fail(Errc::invalid_argument, "task {} is not known in runtime {}", reported.task_id, reported.runtime);
    }
    // Without contact with ZooKeeper a node counts as there: if it is not, LostWatch ends its runs later.
    const bool gone = known && cluster_.gone(reported.runtime, known->node_id);
    const Verdict verdict = judge(known, reported, reporter, !gone);
    if (verdict == Verdict::late) {
        ++effects_.late;
        log::warn("run {}: {} says {}, but it is {}; kept as a late report", reported.id, reporter.empty() ? "the center" : reporter,
                  task::to_string(reported.state), task::to_string(known->state));
        if (source) runs_.set_late_report(reported.id, source());
    }
    // Also where the run itself is known better: the fires behind it are not.
    if (known && reported.covers_until) runs_.set_covers(reported);
    if (verdict != Verdict::apply) return verdict;

    // Only LOST (rare) and mail need the whole row; the common way writes what the node says.
    const bool look_up = known && (is_failure(reported.state));
    const task::Run run = look_up ? completed(reported, find_run(sql_, reported.id)) : reported;
    if (known) {
        runs_.update(run);
    } else {
        runs_.insert(run);
        if (run.covers_until) runs_.set_covers(run);
    }
    runs_.update_task(run, known ? std::optional<RunState>(known->state) : std::nullopt);
    if (!known || known->state != run.state) effects_.became.push_back(run.state);
    if (task::is_terminal(run.state)) {
        effects_.ended.insert(run.id);
        if (known) withdraw_commands(sql_, run.id);
    }
    const bool given_up = task::is_given_up(run);
    const bool again = is_failure(run.state) && tried_again(run);
    if ((is_failure(run.state) || given_up) && !again) queue_mail_about(run, "run-failed");
    if (run.state == RunState::running && !run.reason.empty()) queue_mail_about(run, "run-slow");
    if (!task::is_terminal(run.state) || again) return verdict;
    if (const auto decided = canaries_.on_end(run)) {
        queue_canary_mail(*decided);
        effects_.catalog_changes = canaries_.catalog_changes();
    }
    return verdict;
}

// Who reports the end of an attempt has reported the next one before.
bool RunRecorder::tried_again(const task::Run& run) {
    const auto made_at = run.fire_time ? run.fire_time : run.ended_at;
    return made_at && runs_.find(task::retry_id(run.id, *made_at)).has_value();
}

void RunRecorder::queue_mail_about(const task::Run& run, std::string_view subject) {
    std::vector<std::string> recipients = find_recipients(sql_, run.task_id, run.runtime, run.group);
    if (recipients.empty() && mail_.fallback.empty()) {
        ++effects_.mails_for_nobody;
        return;
    }
    // A log that cannot be read does not keep the mail back.
    const auto tail = logs_.tail(run.id, LogStream::standard_error, kMailTailBytes);
    const auto stored = find_run(sql_, run.id);
    std::string note = stored ? stored->log_note : std::string{};
    if (!tail) note += (note.empty() ? "" : "; ") + tail.error().message;
    queue(fmt::format("{}:{}", subject, run.id), std::move(recipients),
          failure_mail(run, tail ? *tail : std::string{}, note, mail_.site_url));
}

void RunRecorder::queue_canary_mail(const CanaryJudge::Decision& decision) {
    const Canary& canary = decision.canary;
    if (canary.state == Canary::State::confirmed) return;
    const task::Task& task = decision.task;
    queue(fmt::format("canary:{}:{}", canary.task_id, canary.version), find_recipients(sql_, task.id, task.runtime, task.group),
          canary_mail(task, canary.version, canary.state == Canary::State::rolled_back, canary.detail, mail_.site_url));
}

void RunRecorder::queue(const std::string& key, std::vector<std::string> recipients, const MailText& text) {
    if (recipients.empty()) recipients = mail_.fallback;
    if (recipients.empty()) {
        ++effects_.mails_for_nobody;
        return;
    }
    const auto at = mail_.from.rfind('@');
    const std::string domain = at == std::string::npos ? "localhost" : mail_.from.substr(at + 1);
    NewMail mail;
    mail.unique_key = key;
    mail.recipients = std::move(recipients);
    mail.subject = text.subject;
    mail.body = text.body;
    std::string local = key;
    std::replace(local.begin(), local.end(), ':', '.');
    mail.message_id = fmt::format("{}@{}", local, domain);
    if (queue_mail(sql_, mail, now_)) ++effects_.mails;
}

}  // namespace cloudtask::center
