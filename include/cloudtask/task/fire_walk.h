// FireWalk: every fire that a schedule's rule names, in order, with what the calendars do to it: what they drop is told too, and what they
// defer is told where it was due. For ledgers and previews; what is to be started is asked of Schedule::next(). Pure; one thread at a time.
//
// A step costs below a microsecond for a rule without jitter, also within an exclusion: that is looked up once, not at each fire.
#pragma once

#include <memory>
#include <optional>

#include "cloudtask/task/schedule.h"

namespace cloudtask::task {

class FireWalk {
  public:
    // From the first fire that is due after `after` (exclusive) on. Ignores enabled().
    FireWalk(const Schedule& schedule, Instant after);
    ~FireWalk();
    FireWalk(FireWalk&& other) noexcept;
    FireWalk& operator=(FireWalk&& other) noexcept;

    // The next by its `due`: see ScheduledFire. Of deferred ones several may have one `at`, and then they are one fire, also with one that
    // is due there by itself. Nothing: there are no more.
    std::optional<ScheduledFire> next();

  private:
    struct State;
    std::unique_ptr<State> state_;
};

}  // namespace cloudtask::task
