// TzdataWatch: looks at the system's tzdata soon after the start and then every hour. What a look is, and what it finds, is in
// tzdata_check.h.
//
// Lives on the loop; looks run on the worker.
#pragma once

#include <functional>
#include <memory>

#include "center/tzdata_check.h"
#include "cloudtask/core/loop.h"
#include "cloudtask/core/worker.h"

namespace cloudtask::center {

class TzdataWatch {
  public:
    // `mail_waiting` is called on the worker. The worker's jobs may outlive the watch; what is in `parts` must outlive them.
    TzdataWatch(Loop& loop, Worker& worker, TzdataParts parts, std::function<void()> mail_waiting);
    ~TzdataWatch();

    void start();

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::center
