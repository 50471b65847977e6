// Disk: the NodeStore's face on the loop. Commits that are asked for while one is under way go together in the next (group commit).
//
// Lives on the loop; the store's blocking calls run on `worker` (one thread). Callbacks come on the loop, in the order of the calls, never
// inline, and not after the Disk is destroyed.
#pragma once

#include <functional>
#include <memory>

#include "cloudtask/core/loop.h"
#include "cloudtask/core/worker.h"
#include "node/node_store.h"

namespace cloudtask::node {

class Disk {
  public:
    using Done = std::function<void(Result<>)>;

    // Both must outlive the Disk and the worker's jobs.
    Disk(Loop& loop, Worker& worker, NodeStore& store);
    ~Disk();

    // Durable when `done` gets a success. A failure (disk full) concerns every batch of its group; the caller tries again or gives up what
    // it stands for.
    void commit(Batch batch, Done done);

    // Runs `job` against the store on the worker, after what was submitted before it, then `done` with its result on the loop.
    template <class T>
    void run(std::function<Result<T>(NodeStore&)> job, std::function<void(Result<T>)> done) {
        auto result = std::make_shared<Result<T>>(fail(Errc::cancelled, "the job did not run"));
        submit([job = std::move(job), result](NodeStore& store) { *result = job(store); },
               [done = std::move(done), result] { done(std::move(*result)); });
    }

    // Called on the loop after each commit that appended reports.
    void on_reports(std::function<void()> handler);

  private:
    void submit(std::function<void(NodeStore&)> job, std::function<void()> done);

    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::node
