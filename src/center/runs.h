// The rules of runs that people start and stop. Worker threads, within a transaction; rows are in runs_store.h and commands_store.h.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "center/api_routes.h"
#include "center/run_recorder.h"
#include "center/runs_store.h"
#include "center/task_store.h"
#include "cloudtask/task/parameters.h"

namespace cloudtask::center {

// What somebody gives to a start.
struct StartRequest {
    task::Parameters parameters;
    std::optional<Instant> as_of;  // what stands for the fire time in expressions; none: the time of the request
    // Which pieces of a sharded or broadcast task; all, if nothing is said.
    std::optional<std::int64_t> shard = {};
    std::string node = {};  // a name or id, of those that a broadcast is for
};
// {"parameters": {"bucket": "b1"}, "as_of": "2026-11-20T03:00:00Z"}, both optional.
StartRequest read_start_request(const json::Value& document, Faults& faults);

// A run, or one for each piece, and for each a command `start` for the node that owns it now; the nodes are told after the commit. Adds a
// fault for parameters that the task does not declare, that are missing, or of which no values come out; the error then is
// Errc::unsupported. Other errors: conflict: no node can take it; invalid_argument: there is no such shard, or the task has no pieces.
Result<std::vector<task::Run>> start_task(const Context& context, WriteScope& scope, const StoredTask& stored, const StartRequest& request,
                                          Faults& faults);

// Stops a run: a command `stop` for its node, or, when its start never left the center, at once. Asking again changes nothing. Errors:
// not_found; conflict: it has ended.
Result<StoredRun> stop_run(const Context& context, WriteScope& scope, const std::string& run_id);

// The start of a run that is PENDING goes to another node; for a start that was never delivered. The caller wakes the node.
void move_start(soci::session& sql, const task::Run& run, const ring::Member& node, std::int64_t epoch, const std::string& command_id,
                std::string_view task_document, Instant now);

// Who is told of failures, by the configuration.
MailSettings mail_settings(const Options& options);

// The run as the API shows it: the codec's JSON, with what was dropped of its log said in its reason, and what was reported of it after its
// end, and not applied, as `late_report`.
std::string run_json(const StoredRun& stored);

}  // namespace cloudtask::center
