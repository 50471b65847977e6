// What the tests of the store and of the link share: tasks, runs and reports.
#pragma once

#include <string>

#include "cloudtask/core/ids.h"
#include "cloudtask/task/codec.h"
#include "node/node_store.h"
#include "tests/node/process_support.h"

namespace cloudtask::node::test {

inline constexpr Instant kNoon{std::chrono::hours{24 * 365 * 60 + 12}};

inline std::string id_of(int number, Instant at = kNoon) { return make_named_uuid(at, std::to_string(number)); }

inline task::Task task_named(int number, std::int64_t revision = 1) {
    task::Task task;
    task.id = id_of(number);
    task.runtime = "demo";
    task.group = "nightly";
    task.name = "task-" + std::to_string(number);
    task.command = {"/bin/true", "an argument"};
    task.environment = {{"LANG", "C.UTF-8"}};
    task.schedules = {*task::Schedule::cron("*/5 * * * *", "Europe/Berlin")};
    task.notify = {"team@example.org"};
    task.revision = task.created_revision = task.effective_revision = revision;
    task.created_at = task.updated_at = task.effective_from = kNoon;
    return task;
}

inline task::Run run_at(Instant fire_time, int task_number = 1) {
    task::Run run;
    run.task_id = id_of(task_number);
    run.id = task::run_id(run.task_id, fire_time, 1);
    run.task_version = 3;
    run.runtime = "demo";
    run.group = "nightly";
    run.task_name = "task-" + std::to_string(task_number);
    run.fire_time = fire_time;
    run.state = task::RunState::running;
    run.node_id = id_of(1000);
    run.node_name = "n1";
    run.incarnation = run.node_id + ".1";
    return run;
}

inline std::string text_of(const task::Task& task) {
    json::Writer out;
    task::write(out, task);
    return out.text();
}

inline std::string text_of(const task::Run& run) {
    json::Writer out;
    task::write(out, run);
    return out.text();
}

inline std::unique_ptr<NodeStore> open_store(const std::string& path) {
    auto opened = NodeStore::open(path);
    if (!opened) FAIL(opened.error().message);
    return std::move(*opened);
}

}  // namespace cloudtask::node::test
