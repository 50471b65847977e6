// RunFolders: where the runs of this node have their folders, and the work of making and clearing them, off the loop.
//
//   <root>/<shard>/<run id>/stdout, stderr, work/
//   <root>/spare/...                               cleared folders that wait for their next run
//   <root>/strays/...                              what nobody knows any more; goes at the next start
//
// Folders are used again, because a node that makes and removes thousands of files a minute wears out the file system's allocator: ext4
// without a journal, for one, gives no inode before it has looked at all that were freed in the last minutes.
//
// Lives on the loop, but for what is marked as blocking, which is for the start of the node.
#pragma once

#include <memory>
#include <string>
#include <vector>

#include "cloudtask/core/result.h"
#include "cloudtask/core/worker.h"

namespace cloudtask::node {

class RunFolders {
  public:
    // `scratch` makes and clears the folders; it must outlive this. Spare folders of an earlier process are taken up. Blocking.
    RunFolders(Worker& scratch, std::string root);

    // Makes `root` with its shards. Blocking.
    static Result<> make_shards(const std::string& root);
    // Moves the folders of runs that are not `known` to strays(), out of the way of the same runs should they be begun again. Before any
    // run is begun; blocking. Errors: a folder cannot be moved.
    static Result<> set_strays_aside(const std::string& root, const std::vector<std::string>& known);
    static std::string strays(const std::string& root) { return root + "/strays"; }

    std::string of(const std::string& run_id) const;

    // Ahead of time, so that the start has nothing to make. What this cannot make, the supervisor tries again and tells of.
    void make(const std::string& run_id);
    // The run has ended: its working folder is emptied, its output stays.
    void clear_work(const std::string& run_id);
    // Nobody needs the run's folder any more. It becomes a spare one if it can: if nothing holds its files any more and it is as it was
    // made. Nothing happens if that was said before.
    void release(const std::string& run_id);
    // Both at once, for a run whose output nobody needs.
    void clear_and_release(const std::string& run_id);

  private:
    class Spares;

    static std::string name_of(const std::string& run_id);  // below the root

    Worker& scratch_;
    std::shared_ptr<Spares> spares_;  // shared with the jobs
};

}  // namespace cloudtask::node
