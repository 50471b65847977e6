// What a task demands of its node, of the task's definition. Pure; any thread.
#pragma once

#include "cloudtask/ring/ring.h"
#include "cloudtask/task/mutex.h"

namespace cloudtask::ring {

inline Placement placement_of(const task::Task& task) {
    return {task.targets, task.labels, task::has_mutex(task) ? mutex_point(task::mutex_key(task)) : 0};
}

// The ring places both alike, as far as these are versions of one task.
inline bool same_place(const task::Task& a, const task::Task& b) {
    if (a.targets != b.targets || a.labels != b.labels) return false;
    if (!task::has_mutex(a) && !task::has_mutex(b)) return true;
    return task::mutex_key(a) == task::mutex_key(b);
}

}  // namespace cloudtask::ring
