// Ensemble: ZooKeeper as simulated machines reach it: MemoryKeeper's tree behind a network with delays and cuts, with sessions that time
// out by virtual time. A write that was sent may arrive after its sender's death; an answer may be lost; a session outlives its process,
// and a process its session.
//
// Lives on the world's loop; what it tells a process comes to it as jobs of its MachineLoop.
#pragma once

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "cloudtask/core/random.h"
#include "cloudtask/zk/memory_keeper.h"
#include "tests/sim/machine_loop.h"

namespace cloudtask::sim {

// What becomes of a call that a process makes.
enum class Fate {
    goes_out,
    refused,     // it fails with connection_loss, and did not happen
    unanswered,  // it fails with connection_loss, and did happen
    lost,        // the process dies before it is sent
    arrives,     // the process dies, but the call arrives
};

class Ensemble {
  public:
    struct Hooks {
        std::function<Fate(int machine)> before_send;
        // A write was applied, by the machine.
        std::function<void(int machine, const std::vector<zk::Op>& ops)> applied;
        std::function<void(int machine, const std::string& what)> note;
    };

    Ensemble(FakeLoop& world, Random& random, Duration network, Duration session_timeout, Hooks hooks);
    ~Ensemble();

    // A session for a process of the machine. `loop` is its loop.
    std::unique_ptr<zk::Keeper> connect(int machine, MachineLoop& loop);

    void set_cut(int machine, bool cut);
    bool reachable(int machine) const;
    void set_paused(int machine, bool paused);
    // The machine's process died; it was not to say a last word.
    void process_gone(int machine);
    // Ends the sessions of the machine's present process.
    void expire(int machine);
    void set_outage(bool outage);
    // All sessions end, and the tree is empty.
    void wipe();

    // A session that no fault touches: the center's, and the checks'.
    zk::Keeper& admin();

    struct Impl;

  private:
    std::shared_ptr<Impl> impl_;
};

}  // namespace cloudtask::sim
