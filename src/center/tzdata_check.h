// TzdataCheck: has the system's tzdata changed since the last look, and which tasks fire at other times by it?
//
// The center keeps a copy of each zone file that its tasks use (below its data folder, named by content) and which copy was in force (table
// meta, key `tzdata`). A look holds the files of the system against the copies. So a change is noticed however it came: while the center
// runs, or between two starts.
//
// Blocks: worker threads, one look at a time. It mails nobody but queues mails, in the transaction that notes the change.
#pragma once

#include <string>

#include "center/runs.h"
#include "center/store.h"

namespace cloudtask::center {

struct TzdataParts {
    Store& store;
    std::string folder;  // of the copies
    MailSettings mail;
    std::string loaded;  // the version that the system had when this process began: what its schedules go by
};

// What a look found.
struct TzdataOutcome {
    bool changed = false;    // a zone that tasks use has other rules
    std::int64_t tasks = 0;  // that fire at other times
    std::int64_t mails = 0;  // that were queued
};

class TzdataCheck {
  public:
    explicit TzdataCheck(TzdataParts parts) : parts_(std::move(parts)) {}

    // Errors: database, disk.
    Result<TzdataOutcome> look(Instant now);

  private:
    const TzdataParts parts_;
    bool restart_needed_ = false;
    bool looked_ = false;  // since this process began
};

// {version, loaded, restart_needed, checked_at, zones, change}: what the last look found, and what the system's files say now.
Result<std::string> tzdata_json(Store& store);

}  // namespace cloudtask::center
