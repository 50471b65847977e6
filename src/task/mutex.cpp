// Mutex: see mutex.h. Pure.
#include "cloudtask/task/mutex.h"

#include <fmt/format.h>

namespace cloudtask::task {

namespace {

constexpr std::string_view kOfTasks = "mutex:", kOfGroup = "group:";

}  // namespace

std::string mutex_key(const Task& task) {
    if (task.mutex) return fmt::format("{}{}", kOfTasks, *task.mutex);
    return task.exclusive_group ? fmt::format("{}{}", kOfGroup, task.group) : std::string{};
}

std::string mutex_words(std::string_view key) {
    if (key.starts_with(kOfGroup)) return fmt::format("the exclusive group {}", key.substr(kOfGroup.size()));
    return fmt::format("the mutex {}", key.substr(kOfTasks.size()));
}

void check_under_mutex(const Task& task, std::string_view what, Faults& faults) {
    // Who has the mutex would have all the pieces.
    if (task.mode != Mode::single) faults.add("/mode", fmt::format("'{}' does not go with {}", to_string(task.mode), what), "'single'");
    if (task.overlap == Overlap::allow || task.overlap == Overlap::replace) {
        faults.add("/overlap", fmt::format("'{}' does not go with {}", to_string(task.overlap), what), "'forbid' or 'queue'");
    } else if (task.max_parallel != 1) {
        faults.add("/max_parallel", fmt::format("is more than 1, beside {}", what), "1");
    }
}

}  // namespace cloudtask::task
