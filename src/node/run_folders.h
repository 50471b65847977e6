// RunFolders: where the runs of this node have their folders, and the work of making and clearing them, off the loop.
//
//   <root>/<shard>/<number>/stdout, stderr, work/
//
// Folders are used again, where they are: a node that makes, moves and removes thousands of files a minute spends its time in the file
// system, and wears out its allocator (ext4 without a journal gives no inode before it has looked at all that were freed in the last
// minutes). Which run has which folder is in the journal, with the run's intent.
//
// Lives on the loop, but for what is marked as blocking, which is for the start of the node.
#pragma once

#include <chrono>
#include <cstdint>
#include <memory>
#include <string>
#include <unordered_map>

#include "cloudtask/core/result.h"
#include "cloudtask/core/worker.h"

namespace cloudtask::node {

class RunFolders {
  public:
    // `scratch` makes and clears the folders; it must outlive this. Blocking.
    // `step`: changes that lie so close together may have one time stamp.
    RunFolders(Worker& scratch, std::string root, std::chrono::nanoseconds step = std::chrono::milliseconds{2100});

    // Makes `root` with its shards. Blocking.
    static Result<> make_shards(const std::string& root);

    // The folder of a run of an earlier process, as the journal knows it. It need not be there: the journal is written first.
    void recall(const std::string& run_id, const std::string& folder);
    // All are recalled: what an earlier process left and no run has is cleared for the next runs, or removed.
    void tidy();

    // Gives the run a folder. True if it is one that was cleared; else there is nothing of it yet.
    bool assign(const std::string& run_id);
    // Empty for a run that has none.
    std::string of(const std::string& run_id) const;

    // A package is being unpacked into the run's folder: until that is over, a release() waits.
    void begin_unpacking(const std::string& run_id);
    void end_unpacking(const std::string& run_id);

    // Makes what assign() has only named, ahead of time, so that the start has nothing to make. What this cannot make, the supervisor
    // tries again and tells of.
    void make(const std::string& run_id);
    // The run has ended: its working folder is emptied, its output stays.
    void clear_work(const std::string& run_id);
    // Nobody needs the run's folder any more, and the journal does not name it. It is cleared and given to another run if it can be: if
    // nothing holds its files any more and it is as it was made. Nothing happens if that was said before.
    void release(const std::string& run_id);

  private:
    class Shelf;

    Worker& scratch_;
    const std::string root_;
    const std::shared_ptr<Shelf> shelf_;                  // shared with the jobs
    std::unordered_map<std::string, std::string> names_;  // of the folders that runs have, below the root, by run id
    std::unordered_map<std::string, bool> unpacking_;     // by run id: whether the folder was released meanwhile
    std::uint64_t next_number_ = 0;
};

}  // namespace cloudtask::node
