// The registry of the process's children, and their reaping. Any thread; blocks for no child but in end_registered().
#include "node/process/children.h"

#include <signal.h>
#include <sys/prctl.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <mutex>
#include <unordered_set>

#include "node/process/proc_table.h"

namespace cloudtask::node {
namespace {

struct Registry {
    std::mutex mutex;
    std::unordered_set<pid_t> spawned;  // guarded by mutex
    int spawning = 0;                   // guarded by mutex: spawns on their way whose child children_of_this_process() may show
};

Registry& registry() {
    static Registry instance;
    return instance;
}

std::optional<ExitStatus> reap(pid_t pid) {
    int status = 0;
    pid_t reaped = 0;
    while ((reaped = ::waitpid(pid, &status, WNOHANG)) < 0 && errno == EINTR) {
    }
    if (reaped != pid) return std::nullopt;
    if (WIFSIGNALED(status)) return ExitStatus{true, WTERMSIG(status)};
    return ExitStatus{false, WEXITSTATUS(status)};
}

}  // namespace

Result<pid_t> spawn_registered(const std::function<Result<pid_t>()>& make) {
    Registry& all = registry();
    const int shown = shows_children_of_this_thread() ? 1 : 0;
    {
        const std::lock_guard lock(all.mutex);
        all.spawning += shown;
    }
    Result<pid_t> pid = make();
    const std::lock_guard lock(all.mutex);
    all.spawning -= shown;
    if (pid) all.spawned.insert(*pid);
    return pid;
}

bool register_if_child(pid_t pid) {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    siginfo_t info{};
    if (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOHANG | WNOWAIT) != 0) return false;
    all.spawned.insert(pid);
    return true;
}

std::optional<ExitStatus> reap_registered(pid_t pid) {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    std::optional<ExitStatus> status = reap(pid);
    if (status) all.spawned.erase(pid);
    return status;
}

void end_registered(pid_t pid) {
    ::kill(-pid, SIGKILL);
    siginfo_t info{};
    while (::waitid(P_PID, static_cast<id_t>(pid), &info, WEXITED | WNOWAIT) != 0 && errno == EINTR) {
    }
    reap_registered(pid);
}

std::vector<pid_t> reap_orphans() {
    Registry& all = registry();
    const std::lock_guard lock(all.mutex);
    const pid_t own_session = ::getsid(0);
    std::vector<pid_t> alive;
    for (const pid_t pid : children_of_this_process()) {
        // Runs live in sessions of their own and cannot come back to the node's: a child there was started by somebody else here.
        const pid_t session = ::getsid(pid);
        if (all.spawned.contains(pid) || session == own_session) continue;
        // What leads a session may be a child that is just coming up.
        if (all.spawning > 0 && session == pid) continue;
        if (!reap(pid)) alive.push_back(pid);
    }
    return alive;
}

void become_subreaper() { ::prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); }

}  // namespace cloudtask::node
