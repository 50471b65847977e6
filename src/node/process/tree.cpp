// Membership of a run's tree over a table of processes, and signals by pidfd. Any thread.
#include "node/process/tree.h"

#include <unistd.h>

#include <algorithm>
#include <unordered_map>
#include <unordered_set>

#include "node/process/pidfd.h"

namespace cloudtask::node {

std::vector<ProcessStat> members_of(const TreeRoots& roots, const std::vector<ProcessStat>& processes) {
    const pid_t self = ::getpid();
    // A number is free for reuse only when its group and its session are empty as well: whoever has it now is a stranger, as is its group.
    const bool group_is_foreign = std::any_of(processes.begin(), processes.end(), [&roots](const ProcessStat& process) {
        return process.pid == roots.first && (roots.first_reaped || process.start_time != roots.first_start_time);
    });

    std::unordered_multimap<pid_t, const ProcessStat*> by_parent;
    std::vector<const ProcessStat*> found;
    std::unordered_set<pid_t> seen;
    for (const ProcessStat& process : processes) {
        by_parent.emplace(process.parent, &process);
        if (process.pid == self || process.pid == 1) continue;
        const bool in_group = !group_is_foreign && (process.group == roots.first || process.session == roots.first);
        const bool named = !in_group && !roots.search_run_id.empty() && process.start_time >= roots.first_start_time && !process.dead() &&
                           run_id_of(process.pid) == roots.search_run_id;
        if (in_group || named || roots.orphans.contains(process.pid)) {
            found.push_back(&process);
            seen.insert(process.pid);
        }
    }
    for (std::size_t i = 0; i < found.size(); ++i) {
        const auto [begin, end] = by_parent.equal_range(found[i]->pid);
        for (auto child = begin; child != end; ++child) {
            if (child->second->pid != self && seen.insert(child->second->pid).second) found.push_back(child->second);
        }
    }

    std::vector<ProcessStat> alive;
    for (const ProcessStat* process : found) {
        if (!process->dead()) alive.push_back(*process);
    }
    return alive;
}

bool signal_process(const ProcessStat& process, int signal) {
    const Pidfd pidfd(process.pid);
    if (!pidfd) return false;
    const std::optional<ProcessStat> now = read_stat(process.pid);
    return now && now->start_time == process.start_time && send_signal(pidfd.descriptor(), signal);
}

}  // namespace cloudtask::node
