// The headers of a run: see run_headers.h. Pure; any thread.
#include "node/http/run_headers.h"

#include "cloudtask/task/pieces.h"

namespace cloudtask::node {

std::map<std::string, std::string> run_headers(const task::Run& run) {
    const std::string& first = run.first_run.empty() ? run.id : run.first_run;
    std::map<std::string, std::string> headers{
        {"CloudTask-Run-Id", run.id},
        {"CloudTask-Attempt", std::to_string(run.attempt)},
        {"CloudTask-Epoch", std::to_string(run.epoch)},
        {"Idempotency-Key", run.fire_time ? task::run_id(task::placed_id(run), *run.fire_time, 1) : first},
    };
    if (run.shard) headers.emplace("CloudTask-Shard", std::to_string(*run.shard));
    if (run.fire_time) headers.emplace("CloudTask-Fire-Time", format_instant(*run.fire_time));
    return headers;
}

}  // namespace cloudtask::node
