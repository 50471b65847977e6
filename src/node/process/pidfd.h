// pidfd_open(2) and its kin, which glibc 2.36 wraps only in part. A pidfd names one process for ever, whatever becomes of its number.
#pragma once

#include <sys/types.h>

#include <utility>

#include "node/process/children.h"

namespace cloudtask::node {

class Pidfd {
  public:
    Pidfd() = default;
    // Close-on-exec; not open if there is no such process (errno tells).
    explicit Pidfd(pid_t pid);
    // Takes over a descriptor that clone(2) has given.
    static Pidfd taken(int descriptor) {
        Pidfd pidfd;
        pidfd.descriptor_ = descriptor;
        return pidfd;
    }
    ~Pidfd();
    Pidfd(Pidfd&& other) noexcept : descriptor_(std::exchange(other.descriptor_, -1)) {}
    Pidfd& operator=(Pidfd&& other) noexcept {
        std::swap(descriptor_, other.descriptor_);
        return *this;
    }

    explicit operator bool() const { return descriptor_ >= 0; }
    int descriptor() const { return descriptor_; }
    int release() { return std::exchange(descriptor_, -1); }

  private:
    int descriptor_ = -1;
};

// Whether the process has exited, be it reaped or not.
bool has_exited(int pidfd);

// False if the process is gone or may not be signalled. `signal` 0 only asks.
bool send_signal(int pidfd, int signal);

// The meaning of a status as waitpid(2) gives it.
ExitStatus exit_status_from(int wait_status);

// How a process that is not our child ended: Linux 6.15 and later tell the holders of a pidfd, once its parent has reaped it. Errors:
// Errc::unavailable (not yet), unsupported (this kernel does not tell).
Result<ExitStatus> exit_status_of(int pidfd);

}  // namespace cloudtask::node
