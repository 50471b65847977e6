// Coordinator: the node's face to ZooKeeper. It registers the node, keeps its horizon record written, feeds Duties with what the runtime's
// other nodes do, and runs the allocator while this node leads. It gives out the fires that this node may start.
//
// Every ZooKeeper session is a new incarnation with Duties of its own; those of an earlier one stay until what they had claimed is started.
//
// Lives on the loop. It starts no process and writes no disk.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cloudtask/core/loop.h"
#include "cloudtask/core/random.h"
#include "cloudtask/ring/allocation.h"
#include "cloudtask/zk/client.h"
#include "node/duties.h"

namespace cloudtask::node {

// What the node does about scheduled fires while it has no contact with ZooKeeper.
enum class OnZookeeperLoss {
    pause,  // starts what it had claimed, and nothing beyond: a fire is never started twice
    go_on,  // starts all that it owned: none is late, but another node may start the same
};

struct CoordinatorOptions {
    std::string runtime, node_id, name;
    std::map<std::string, std::string> labels;
    std::uint32_t weight = 1;
    std::string address;  // host name, for people
    DutyOptions duties;
    Duration join_debounce = std::chrono::milliseconds{500};  // joins are gathered for so long before the ring is made anew
    OnZookeeperLoss on_loss = OnZookeeperLoss::pause;
    Duration max_clock_skew = std::chrono::seconds{5};  // between this machine and ZooKeeper; beyond it the node does not take part
};

class Coordinator {
  public:
    struct Hooks {
        // More may be given out, or something was taken away: look at take() and next_due() again.
        std::function<void()> duties_changed;
        // The catalog revision that the centers have published.
        std::function<void(std::int64_t)> revision_published;
        // The time of the earliest fire that was given out and is not started yet.
        std::function<std::optional<Instant>()> earliest_unstarted;
        // To be kept on disk: what a later process of this node must know of the runtime's past.
        std::function<void(const ring::Memory&)> remember{};
    };

    Coordinator(Loop& loop, Random& random, zk::Client& client, CoordinatorOptions options, Hooks hooks);
    ~Coordinator();

    // --- the catalog (from its replica); the versions of a task in their order
    void put_task(TaskPointer task);
    void erase_task(const std::string& task_id, Instant at);
    // The replica holds everything up to `revision`. The node registers once this was said and the replica has reached what the centers
    // have published.
    void set_catalog_revision(std::int64_t revision);

    // From this node's disk or from the center: what is known of the runtime's past. False if that is known already.
    bool recall(const ring::Memory& past);

    // --- fires
    std::optional<Fire> take(Instant until);
    std::optional<Instant> next_due() const;
    // Drops the fires of the task up to `until` (they were dealt with at once).
    void skip_until(const std::string& task_id, Instant until);
    std::vector<UncertainFires> take_uncertain();
    // Fires that were given out have been started.
    void started();
    // Runs are going on here, or are not any more. The key is a task's, or one of both its and a mutex's (RunCounts).
    void set_running(const std::string& key, bool running);
    // The name of a node, other than this one, that has said that it has a run of the task, or under the mutex, which is still going; empty
    // if there is none.
    std::string running_elsewhere(const std::string& name) const;
    // Whether somebody who had the task before may have begun runs that running_elsewhere() does not tell of yet.
    bool unsettled(const std::string& task_id) const;
    // By the allocation that this session has seen.
    bool owns(const std::string& task_id) const;

    // The present incarnation; the last one while there is no session.
    const std::string& incarnation() const;
    // The newest that this node knows of, also before the present session has seen one: it never goes back.
    std::int64_t epoch() const;
    std::size_t owned_count() const;
    bool registered() const;
    // Since this process began it has been a member of the ring that knew what it gained, or it is cordoned: from then on
    // running_elsewhere() tells of what others began meanwhile.
    bool took_part() const;
    bool leading() const;

    // A cordoned node stays registered, and may lead, but is no member of the ring: what it owned is handed over, and runs go on. Holds for
    // every session to come; said before there is one, no session ever takes part.
    void set_cordoned(bool cordoned);
    bool cordoned() const;
    // It is no member of the ring, and every fire that it had claimed is started or accounted for.
    bool handed_over() const;

    // Hands over everything; `done` when nothing is owned and nothing is left to fire. Then stop the client.
    void leave(std::function<void()> done);
    // Waits for that no longer: calls the `done` of leave().
    void leave_now();

    // Fires up to here cannot come up again on this node, whatever becomes of its session: a journal may forget them. Nothing while that is
    // not known; Instant::max() when all that was ever claimed is done.
    std::optional<Instant> settled_until() const;
    // Does this node own the task, or would it if the owner went away?
    bool in_reach(const task::Task& task) const;

  private:
    struct Impl;
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::node
