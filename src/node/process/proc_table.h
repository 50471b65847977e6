// What /proc tells of processes, proc(5). Each call reads anew; a process may be gone a moment later. Any thread; blocks briefly.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace cloudtask::node {

struct ProcessStat {
    pid_t pid = 0, parent = 0, group = 0, session = 0;
    char state = '?';
    std::uint64_t start_time = 0;    // clock ticks since boot
    std::optional<int> wait_status;  // field 52, as waitpid(2) gives it; only of one that is dead, and only to who may trace it

    bool dead() const { return state == 'Z' || state == 'X'; }  // only waits to be reaped
};

// Reads the text of /proc/<pid>/stat. Pure. The name in it may hold spaces and parentheses.
std::optional<ProcessStat> parse_stat(std::string_view text);

std::optional<ProcessStat> read_stat(pid_t pid);

// All processes that can be seen.
std::vector<ProcessStat> read_processes();

// The value of CLOUDTASK_RUN_ID in the environment that the process was started with; empty if it has none, is dead, or may not be read.
std::string run_id_of(pid_t pid);

// The children of this process that came to it as a subreaper, and those that its main thread has started.
std::vector<pid_t> children_of_this_process();

// Whether children_of_this_process() shows what the calling thread starts.
bool shows_children_of_this_thread();

// Which boot of the machine this is; empty if the kernel does not tell.
std::string boot_id();

}  // namespace cloudtask::node
