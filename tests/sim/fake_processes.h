// Processes: what runs on one simulated machine. A process runs for a while of virtual time and ends with a code; it outlives the node
// process that started it, and is found again by the next one. Every start is told to the world, which is the independent sink that the
// invariants are checked against.
//
// A run that calls an address is played here as well: nobody finds it again, and it is over when its node process is.
//
// FakeSupervisor: the node's Supervisor over them. Most starts come to pass at once, some are on their way for a while.
#pragma once

#include <functional>
#include <map>
#include <set>
#include <string>

#include "cloudtask/core/random.h"
#include "node/process/supervisor.h"
#include "tests/sim/machine_loop.h"

namespace cloudtask::sim {

struct Start {
    std::string run_id, task_id;  // or, where the task has pieces, its piece
    std::optional<Instant> fire_time;
    int attempt = 1;
    std::string parameters = {};  // what it was given for "${fire_time as %s}/${attempt}"; empty: its task has none
};

class FakeSupervisor;

class Processes {
  public:
    using OnStart = std::function<void(const Start&)>;
    // `run_for`: the longest that a run of the task takes.
    // `placed`: what a run is counted by, from what its process is told (the second is its shard, if it has one).
    Processes(FakeLoop& world, Random& random, OnStart on_start, std::function<Duration(const std::string& task_id)> run_for,
              std::function<std::string(const std::string& task_id, const std::string& shard)> placed);

    // The machine goes down.
    void end_all();
    void set_refusing(bool refusing) { refusing_ = refusing; }
    std::size_t running() const { return alive_.size(); }
    std::size_t running_of(const std::string& task_id) const;

  private:
    friend class FakeSupervisor;
    struct Process {
        node::ProcessIdentity identity;
        std::string task_id;
        std::int64_t exit_code = 0;
        bool call = false;  // without an identity
        Timer end;
    };
    Result<node::Started> start(const node::LaunchSpec& spec, Instant now);
    void end(const std::string& run_id);
    void end_soon(const std::string& run_id);
    void end_calls();

    FakeLoop& world_;
    Random& random_;
    OnStart on_start_;
    std::function<Duration(const std::string&)> run_for_;
    std::function<std::string(const std::string&, const std::string&)> placed_;
    std::map<std::string, Process> alive_;
    std::uint64_t next_pid_ = 100, boot_ = 1;
    bool refusing_ = false;
    FakeSupervisor* supervisor_ = nullptr;  // of the node process that lives
};

class FakeSupervisor final : public node::Supervisor {
  public:
    FakeSupervisor(Processes& processes, MachineLoop& loop);
    ~FakeSupervisor() override;

    void start(node::LaunchSpec spec, OnStarted on_started, OnEnd on_end) override;
    std::optional<node::ProcessIdentity> identity(std::string_view run_id) override;
    Result<> adopt(node::RunningRecord record, OnEnd on_end) override;
    std::map<std::string, node::ProcessIdentity> find(const std::set<std::string>& run_ids) override;
    bool stop(std::string_view run_id) override;
    std::optional<node::LogProgress> progress(std::string_view) override { return std::nullopt; }
    void on_output(OnOutput) override {}
    std::size_t running() const override { return watched_.size() + starting_.size(); }

  private:
    friend class Processes;
    struct Watched {
        OnEnd on_end;
        bool adopted = false;
        bool stopped = false;
        bool told = false;  // that it has been started
    };
    struct Starting {
        node::LaunchSpec spec;
        OnStarted on_started;
        OnEnd on_end;
        bool stopped = false;
        Timer timer;
    };
    void spawn(const std::string& run_id);
    void ended(const std::string& run_id, std::int64_t exit_code);

    Processes& processes_;
    MachineLoop& loop_;
    std::map<std::string, Starting, std::less<>> starting_;  // on their way: no process is there yet
    std::map<std::string, Watched, std::less<>> watched_;
};

}  // namespace cloudtask::sim
