// Launcher: what a start consists of before anybody watches it: the run's folder, its output files, the child, and the pidfd by which its
// end is learnt. Any thread, and several at once. It keeps nothing: what became of the child is the Supervisor's to follow.
#pragma once

#include <sys/types.h>

#include <string>

#include "cloudtask/core/clock.h"
#include "cloudtask/core/descriptor.h"
#include "cloudtask/core/result.h"
#include "node/process/output.h"
#include "node/process/pidfd.h"
#include "node/process/spawn.h"
#include "node/process/supervisor.h"

namespace cloudtask::node {

// A child that has begun its program, or why there is none.
struct Launched {
    Result<pid_t> pid = 0;  // registered, see children.h
    Pidfd pidfd;
    Instant started_at{};
    OutputFile out, err;  // closed: the child has them
    bool output_lost = false;
};

class Launcher {
  public:
    // Throws std::system_error if /dev/null cannot be opened.
    explicit Launcher(const Clock& clock);

    // Blocks until the child has begun its program. Errors: those of Supervisor::start().
    Launched launch(LaunchSpec spec) const;

  private:
    Result<> launch(LaunchSpec spec, Launched& launched) const;

    const Clock& clock_;
    const Environment base_environment_;
    Descriptor null_device_;
};

// Opens a stream's file into `file`. A disk that does not take it costs the output (`lost`), not the run; a lack of descriptors would cost
// both: Errc::unavailable.
Result<> open_output(const std::string& folder, Stream stream, std::uint64_t limit, OutputFile& file, bool& lost);

}  // namespace cloudtask::node
