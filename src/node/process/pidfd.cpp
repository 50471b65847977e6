// pidfds by bare system calls. Any thread.
#include "node/process/pidfd.h"

#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>
#include <cstdint>

namespace cloudtask::node {
namespace {

// The kernel's struct pidfd_info in its first size (include/uapi/linux/pidfd.h), which Debian 12's headers do not have yet.
struct PidfdInfo {
    std::uint64_t mask = 0;
    std::uint64_t cgroup_id = 0;
    std::uint32_t pid = 0, thread_group = 0, parent = 0;
    std::uint32_t users_and_groups[8] = {};
    std::int32_t exit_code = 0;
};
static_assert(sizeof(PidfdInfo) == 64);

constexpr std::uint64_t kInfoExit = 1U << 3;  // PIDFD_INFO_EXIT

}  // namespace

Pidfd::Pidfd(pid_t pid) : descriptor_(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0))) {}

Pidfd::~Pidfd() {
    if (descriptor_ >= 0) ::close(descriptor_);
}

bool has_exited(int pidfd) {
    pollfd question{pidfd, POLLIN, 0};
    return ::poll(&question, 1, 0) == 1;
}

bool send_signal(int pidfd, int signal) { return ::syscall(SYS_pidfd_send_signal, pidfd, signal, nullptr, 0) == 0; }

ExitStatus exit_status_from(int wait_status) {
    if (WIFSIGNALED(wait_status)) return ExitStatus{true, WTERMSIG(wait_status)};
    return ExitStatus{false, WEXITSTATUS(wait_status)};
}

Result<ExitStatus> exit_status_of(int pidfd) {
    PidfdInfo info;
    info.mask = kInfoExit;
    if (::ioctl(pidfd, _IOWR(0xFF, 11, PidfdInfo), &info) != 0) {
        if (errno == ESRCH) return fail(Errc::unavailable, "the process has not been reaped yet");
        return fail(Errc::unsupported, "this kernel does not tell how other processes' children end");
    }
    if ((info.mask & kInfoExit) == 0) return fail(Errc::unavailable, "the process has not been reaped yet");
    return exit_status_from(info.exit_code);
}

}  // namespace cloudtask::node
