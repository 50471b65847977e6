// JournalWriter: puts the runner's batches on disk in the order in which they are given, and tries each again until the disk takes it. A
// later batch never overtakes an earlier one: otherwise the retried "started" of a run could come to stand over its "ended".
//
// What is given while a write is under way, or within a few milliseconds of its beginning, goes together in the next one; what nobody waits
// for is gathered for a little longer (Pace). The writer holds what the disk does not take, so its user must give it nothing that can wait
// while failing() is true.
//
// Lives on the loop.
#pragma once

#include <functional>
#include <memory>

#include "cloudtask/core/loop.h"
#include "node/disk.h"

namespace cloudtask::node {

class JournalWriter {
  public:
    using Done = std::function<void()>;
    enum class Pace {
        soon,      // somebody waits for it
        gathered,  // within kGathered, together with what comes meanwhile
    };
    static constexpr Duration kGathered = std::chrono::milliseconds{15};

    // `written`: called after each write that succeeded, when the `done`s of its batches have been called. The disk must outlive the
    // writer.
    JournalWriter(Loop& loop, Disk& disk, Done written);
    // What is not written yet is handed to the disk all the same. Nobody is told.
    ~JournalWriter();

    // `done` is called when the batch is durable; never inline, and not after the writer is destroyed.
    void write(Batch batch, Pace pace, Done done = {});

    // The disk did not take the last write.
    bool failing() const;
    // Everything is durable.
    bool idle() const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::node
