// JSON for the domain's value types, with validation that reports every fault at once. Pure.
//
// read_*_input() take what a user may write (the API's request bodies, the CLI's YAML); fields that only the server writes (id, version,
// created_at, ...) are accepted and ignored, so that what was read from the API can be sent back. read_task() and read_run() take what a
// center or node wrote and are as strict. Unknown members are faults everywhere.
#pragma once

#include "cloudtask/core/faults.h"
#include "cloudtask/core/json.h"
#include "cloudtask/task/types.h"

namespace cloudtask::task {

// 1 to 63 characters of a-z, 0-9 and '-', beginning with a letter or digit: names of runtimes, groups, tasks and nodes.
bool is_slug(std::string_view text);

std::optional<Runtime> read_runtime_input(const json::Value& value, Faults& faults);
std::optional<Group> read_group_input(const json::Value& value, Faults& faults);
std::optional<Task> read_task_input(const json::Value& value, Faults& faults);

Result<Task> read_task(const json::Value& value);
Result<Run> read_run(const json::Value& value);

void write(json::Writer& out, const Runtime& runtime);
void write(json::Writer& out, const Group& group);
void write(json::Writer& out, const Task& task);
void write(json::Writer& out, const Package& package);
void write(json::Writer& out, const Run& run);

// Any of these as a document of its own.
template <class T>
std::string to_json(const T& value) {
    json::Writer out;
    write(out, value);
    return out.text();
}

}  // namespace cloudtask::task
