// Mutex: that no two runs of several tasks overlap: of the tasks of a runtime that name the same `mutex`, or of those of an exclusive
// group. Such tasks have one owner on the ring, which is placed by the mutex instead of by their ids: so the mutex is a node's own
// business.
//
// Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "cloudtask/core/json.h"
#include "cloudtask/task/types.h"

namespace cloudtask::task {

// The mutex that the task's runs go under, unique in its runtime: "mutex:NAME" or "group:NAME"; empty if there is none. No id of a task
// looks like one.
std::string mutex_key(const Task& task);
// Without making the key.
inline bool has_mutex(const Task& task) { return task.mutex != nullptr || task.exclusive_group; }
// For people: "the mutex NAME", "the exclusive group NAME".
std::string mutex_words(std::string_view key);

// Faults: a mode or an overlap policy that does not go with a mutex. `what`: "a mutex", "an exclusive group".
void check_under_mutex(const Task& task, std::string_view what, Faults& faults);

}  // namespace cloudtask::task
