// What a task's policies decide, as functions: the node acts by them, and the center explains a task's guarantee by them. Pure.
#pragma once

#include "cloudtask/task/types.h"

namespace cloudtask::task {

// Of fires that are all too late, is this one run? `last`: it is the latest of those with its policy.
inline bool is_made_up_for(Misfire policy, bool last) { return policy == Misfire::all || (policy == Misfire::once && last); }

// A fire that a node may have started or not when it died: is it begun again?
inline bool is_begun_again(const Task& task) { return task.guarantee == Guarantee::at_least_once; }

// So many runs of the task go on at one time at the most.
inline std::int64_t runs_at_once(const Task& task) {
    return task.overlap == Overlap::allow || task.overlap == Overlap::queue ? task.max_parallel : 1;
}

// What a fire does that comes due while so many go on.
enum class NoRoom { skip, queue, replace };
inline NoRoom without_room(const Task& task) {
    if (task.overlap == Overlap::queue) return NoRoom::queue;
    return task.overlap == Overlap::replace ? NoRoom::replace : NoRoom::skip;
}

}  // namespace cloudtask::task
