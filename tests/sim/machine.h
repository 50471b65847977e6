// Machine: one simulated machine with a node on it: the node's real code (NodeCore over a real NodeStore) with an outside that is played.
// Its disk, its processes and its clock outlive the node process, which may die between any two jobs.
//
// Lives on the world's loop. It decides nothing; the world tells it what happens.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <memory>
#include <optional>
#include <string>

#include "cloudtask/zk/client.h"
#include "node/packages/package_store.h"
#include "tests/sim/ensemble.h"
#include "tests/sim/fake_processes.h"
#include "tests/sim/memory_disk.h"
#include "tests/sim/sim_center.h"

namespace cloudtask::sim {

// What a machine needs of the world.
struct Surroundings {
    FakeLoop& loop;
    Ensemble& ensemble;
    SimCenter& center;
    node::PackageStore& packages;
    Random& random;
    Duration network;
    std::function<void(int machine, const Start&)> on_start;
    std::function<Duration(const std::string& task_id)> run_for;
    std::function<void(int machine, const std::string& what)> note;
    std::function<void(int machine)> after_job;
    // Puts something between a node and ZooKeeper; for the mutations.
    std::function<std::unique_ptr<zk::Keeper>(std::unique_ptr<zk::Keeper>, Loop&)> wrap;
    bool forgets_journal = false;  // a mutation: the disk is empty after each crash
    bool center_away = false;
};

// The disk's thread: jobs one after the other, each after a while; none while the process stands still.
class DiskWorker final : public Worker {
  public:
    DiskWorker(FakeLoop& world, Random& random) : world_(world), random_(random) {}
    ~DiskWorker() override;

    void submit(Job job) override;
    void set_slowness(Duration each) { slowness_ = each; }
    void set_paused(bool paused);
    // What was submitted is not carried out any more.
    void kill();

  private:
    void arm();

    FakeLoop& world_;
    Random& random_;
    std::deque<Job> jobs_;
    Duration slowness_{};
    bool paused_ = false, dead_ = false;
    Timer timer_;
};

class Machine {
  public:
    Machine(Surroundings& surroundings, std::uint64_t world, int number);
    ~Machine();

    int number() const { return number_; }
    const std::string& id() const { return id_; }
    bool running() const { return process_ != nullptr; }
    bool leading() const;
    bool registered() const;
    std::int64_t catalog_revision() const;
    // Something other than ZooKeeper's absence keeps its process from the catalog, or it is none of its business any more.
    bool hindered() const;

    void start();
    // The node process dies now. Safe inside of one of its own jobs: no job follows.
    void crash();
    void crash_after(std::int64_t jobs) { jobs_left_ = jobs; }
    // The machine goes down with all that runs on it.
    void power_off();
    void leave(std::function<void()> gone);
    // The center's wish: it is handed to the node when it is in reach, and to each later process again.
    void set_cordoned(bool cordoned);
    // The center has a start for it.
    void command_waits();
    void set_paused(bool paused);
    void set_clock(Duration offset);
    void set_slow_disk(Duration each);
    void set_full_disk(bool full);
    std::size_t running_of(const std::string& task_id) const { return processes_.running_of(task_id); }
    void set_refusing(bool refusing) { processes_.set_refusing(refusing); }
    void set_center_cut(bool cut) { center_cut_ = cut; }
    // Out of 1,000 calls to ZooKeeper.
    void set_lost_answers(std::uint32_t rate) { lost_answers_ = rate; }
    Fate fate_of_call();

  private:
    struct Process;
    void kill();
    void job_done();
    bool center_reachable() const { return !center_cut_ && !surroundings_.center_away; }

    Surroundings& surroundings_;
    const int number_;
    const std::string id_;
    MachineClock clock_;
    MemoryDisk disk_;
    Processes processes_;
    std::unique_ptr<Random> random_;
    std::unique_ptr<Process> process_;
    std::uint64_t lives_ = 0;
    std::int64_t jobs_left_ = 0;  // until it crashes; 0: it does not
    Duration slowness_{};
    std::uint32_t lost_answers_ = 0;
    std::uint64_t commands_ = 0;  // that the center has made for this node; the last one counts
    bool cordoned_ = false;
    bool center_cut_ = false, disk_full_ = false;
};

}  // namespace cloudtask::sim
