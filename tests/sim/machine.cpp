// Machine: see machine.h.
#include "tests/sim/machine.h"

#include "cloudtask/task/pieces.h"

#include <utility>

#include "cloudtask/core/check.h"
#include "node/backoff.h"
#include "node/node_core.h"
#include "tests/sim/script.h"

namespace cloudtask::sim {

using namespace std::chrono_literals;

namespace {

constexpr Duration kRetry = 1s;
constexpr Duration kNoAnswer = 500ms;
constexpr Duration kCatalogPeriod = 30s;
constexpr Duration kPoll = 300ms;
constexpr Duration kDrain = 15s;
constexpr std::size_t kBatch = 50;

Duration between(Random& random, Duration low, Duration high) {
    return low + Duration{static_cast<Duration::rep>(random.below(static_cast<std::uint64_t>((high - low).count()) + 1))};
}

// Folders of runs: no file is ever written, so nothing needs to be made or removed.
class NoScratch final : public Worker {
  public:
    void submit(Job) override {}
};

}  // namespace

DiskWorker::~DiskWorker() {
    timer_.cancel();
    // A process that ends in order waits for its threads.
    while (!dead_ && !jobs_.empty()) {
        const Job job = std::move(jobs_.front());
        jobs_.pop_front();
        job();
    }
}

void DiskWorker::submit(Job job) {
    if (dead_) return;
    jobs_.push_back(std::move(job));
    if (jobs_.size() == 1) arm();
}

void DiskWorker::arm() {
    if (dead_ || paused_ || jobs_.empty()) return;
    timer_ = world_.after(slowness_ + between(random_, 50us, 1500us), [this] {
        const Job job = std::move(jobs_.front());
        jobs_.pop_front();
        job();
        arm();
    });
}

void DiskWorker::set_paused(bool paused) {
    paused_ = paused;
    timer_.cancel();
    arm();
}

void DiskWorker::kill() {
    dead_ = true;
    timer_.cancel();
    jobs_.clear();
}

// One life of the node process. Destroyed from the last to the first.
struct Machine::Process {
    Machine& machine;
    MachineLoop loop;
    std::unique_ptr<node::NodeStore> store;
    DiskWorker worker;
    node::Disk disk;
    NoScratch scratch;
    node::PackageCache packages;
    FakeSupervisor supervisor;
    zk::Client keeper;
    std::unique_ptr<node::NodeCore> core;

    // The catalog: one pull at a time.
    std::int64_t revision = 0, announced = 0;
    bool pulling = false;
    node::Retry pull_retry;
    Timer pull_timer;
    // The outbox: one batch at a time.
    bool sending = false, woken = false;
    Timer send_timer;
    std::uint64_t commands = 0;  // of those that the center has made, the last that came here
    Timer poll_timer, fetch_timer, leave_timer, finish_timer;
    std::function<void()> on_gone;
    bool up = false;  // what was on disk is loaded

    explicit Process(Machine& m)
        : machine(m),
          loop(m.surroundings_.loop, m.clock_, [&m] { m.job_done(); }),
          store(open(m)),
          worker(m.surroundings_.loop, *m.random_),
          disk(loop, worker, *store),
          packages(loop, scratch, m.surroundings_.packages, [](const auto&, const auto&, auto) {}),
          supervisor(m.processes_, loop),
          keeper(loop, *m.random_, [this] { return connect(); }),
          pull_retry(loop, *m.random_, "catalog") {
        worker.set_slowness(m.slowness_);
        node::CoordinatorOptions options;
        options.runtime = "demo";
        options.node_id = m.id_;
        options.name = m.id_;
        options.address = m.id_;
        options.labels = {{"zone", zone_name(zone_of(m.number_))}};
        core = std::make_unique<node::NodeCore>(node::NodeParts{loop, *m.random_, scratch, disk, supervisor, packages, keeper},
                                                std::move(options), node::RunnerOptions{"/simulated/no-runs", m.id_, m.id_},
                                                [this](std::int64_t published) {
                                                    announced = published;
                                                    if (published <= revision || !up) return;
                                                    if (!pulling) return pull();
                                                    pull_retry.hurry();
                                                });
        disk.on_reports([this] { wake(); });
        core->load([this](const Result<>& loaded) {
            if (!loaded) return machine.crash();  // as the agent does: it ends, and is started again
            revision = core->catalog_revision();
            up = true;
            pull();
            wake();
            keeper.start();
            core->keep_house();
            poll();
            fetch();
        });
    }

    static std::unique_ptr<node::NodeStore> open(Machine& m) {
        auto opened = node::NodeStore::open(m.disk_.path("node.db"));
        return opened ? std::move(*opened) : nullptr;
    }

    std::unique_ptr<zk::Keeper> connect() {
        auto session = machine.surroundings_.ensemble.connect(machine.number_, loop);
        return machine.surroundings_.wrap ? machine.surroundings_.wrap(std::move(session), loop) : std::move(session);
    }

    // One request to the center and its answer. `work` is carried out there, also when the node has died meanwhile.
    void ask(std::function<Result<>()> work, std::function<void(Result<>)> done) {
        auto& world = machine.surroundings_;
        const auto answer = [to = loop.poster()](const std::function<void(Result<>)>& call, Result<> result) {
            to([call, result = std::move(result)] { call(result); });
        };
        const auto request = std::make_shared<Timer>();
        const auto latency = [this, &world] { return between(*machine.random_, 100us, 2 * world.network); };
        *request = world.loop.after(
            latency(), [m = &machine, &world, request, answer, work = std::move(work), done = std::move(done), back = latency()] {
                const auto keep = request;
                if (!m->center_reachable()) {
                    *request = world.loop.after(
                        kNoAnswer, [request, answer, done] { answer(done, fail(Errc::unavailable, "the center does not answer")); });
                    return;
                }
                *request = world.loop.after(back, [m, request, answer, done, result = work()] {
                    // Taken, though the node does not hear of it.
                    answer(done, m->center_reachable() ? result : Result<>{fail(Errc::unavailable, "the answer was lost")});
                });
            });
    }

    // --- the catalog, as CatalogSync does it

    void pull() {
        pulling = true;
        pull_timer.cancel();
        const auto change = std::make_shared<node::CatalogChange>();
        ask(
            [&center = machine.surroundings_.center, change, since = revision] {
                *change = center.changes_since(since);
                return Result<>{};
            },
            [this, change](const Result<>& answer) {
                if (!answer) return pull_retry.failed(answer.error(), [this] { pull(); });
                keep(change);
            });
    }

    void keep(const std::shared_ptr<node::CatalogChange>& change) {
        disk.run<bool>(
            [change](node::NodeStore& to) -> Result<bool> {
                if (const auto applied = to.apply_catalog(*change); !applied) return propagate(applied);
                return true;
            },
            [this, change](const Result<bool>& kept) {
                if (!kept) return pull_retry.failed(kept.error(), [this] { pull(); });
                pull_retry.succeeded();
                pulling = false;
                revision = change->revision;
                machine.surroundings_.note(machine.number_, fmt::format("knows catalog revision {}", revision));
                if (change->past.epoch > 0) core->recall(change->past);
                core->apply(std::move(*change));
                core->caught_up(revision);
                if (announced > revision) {
                    pull();
                } else {
                    pull_timer = loop.after(kCatalogPeriod, [this] { pull(); });
                }
            });
    }

    // --- commands of the center

    void poll() {
        if (commands == machine.commands_) return;
        if (!machine.center_reachable()) {
            poll_timer = loop.after(kPoll, [this] { poll(); });
            return;
        }
        commands = machine.commands_;
        node::Command command;
        command.id = fmt::format("command-{}", commands);
        command.kind = machine.cordoned_ ? node::Command::Kind::cordon : node::Command::Kind::uncordon;
        core->carry_out(std::move(command));
    }

    // Starts: asked for again until the center has heard that they are taken on.
    void fetch() {
        auto& center = machine.surroundings_.center;
        if (center.commands_for(machine.id_).empty()) return;
        const auto found = std::make_shared<std::vector<node::Command>>();
        ask(
            [&center, found, id = machine.id_] {
                *found = center.commands_for(id);
                return Result<>{};
            },
            [this, found](const Result<>& answer) {
                if (answer) {
                    for (const auto& command : *found) core->carry_out(command);
                }
                fetch_later(kRetry);
            });
    }

    void fetch_later(Duration delay) {
        fetch_timer = loop.after(delay, [this] { fetch(); });
    }

    // --- the outbox, as OutboxSender does it

    void wake() {
        woken = true;
        if (up && !sending) send(0);
    }

    void send(std::int64_t delivered) {
        sending = true;
        woken = false;
        disk.run<std::vector<node::Report>>(
            [delivered](node::NodeStore& from) -> Result<std::vector<node::Report>> {
                if (const auto dropped = from.delivered_until(delivered); !dropped) return propagate(dropped);
                return from.oldest_reports(kBatch);
            },
            [this, delivered](Result<std::vector<node::Report>> reports) {
                if (!reports) return send_later(delivered);
                if (reports->empty()) {
                    sending = false;
                    if (woken) send(0);
                    return;
                }
                const auto batch = std::make_shared<std::vector<node::Report>>(std::move(*reports));
                ask([&center = machine.surroundings_.center, id = machine.id_,
                     batch] { return center.take(id, *batch) ? Result<>{} : Result<>{fail(Errc::internal, "{}", center.problem())}; },
                    [this, batch](const Result<>& answer) {
                        if (!answer) return send_later(0);
                        send(batch->back().position);
                    });
            });
    }

    void send_later(std::int64_t delivered) {
        send_timer = loop.after(kRetry, [this, delivered] { send(delivered); });
    }

    bool told_all() const { return up && !sending && !woken && core->runner().idle(); }

    // --- a graceful stop, as the agent does it

    void leave(std::function<void()> gone) {
        on_gone = std::move(gone);
        core->halt();
        leave_timer = loop.after(kDrain, [this] { core->coordinator().leave_now(); });
        const SteadyInstant deadline = loop.clock().steady_now() + kDrain;
        core->coordinator().leave([this, deadline] { drain(deadline); });
    }

    void drain(SteadyInstant deadline) {
        if (told_all() || loop.clock().steady_now() >= deadline) {
            leave_timer.cancel();
            keeper.stop([this] { on_gone(); });
            return;
        }
        finish_timer = loop.after(100ms, [this, deadline] { drain(deadline); });
    }
};

Machine::Machine(Surroundings& surroundings, std::uint64_t world, int number)
    : surroundings_(surroundings),
      number_(number),
      id_(fmt::format("n{}", number)),
      clock_(surroundings.loop.clock()),
      disk_(fmt::format("{}-{}", world, number)),
      processes_(
          surroundings.loop, surroundings.random, [this](const Start& start) { surroundings_.on_start(number_, start); },
          surroundings.run_for,
          [this](const std::string& task_id, const std::string& shard) {
              if (!shard.empty()) return task::shard_id(task_id, std::stoll(shard));
              return surroundings_.center.is_broadcast(task_id) ? task::node_piece_id(task_id, id_) : task_id;
          }) {}

Machine::~Machine() {
    if (process_) kill();
}

bool Machine::leading() const { return process_ && !process_->loop.dead() && process_->core->coordinator().leading(); }
bool Machine::registered() const { return process_ && !process_->loop.dead() && process_->core->coordinator().registered(); }
std::int64_t Machine::catalog_revision() const { return process_ ? process_->revision : 0; }

bool Machine::hindered() const {
    return !process_ || !process_->up || process_->loop.dead() || process_->loop.paused() || process_->on_gone || !center_reachable() ||
           lost_answers_ > 0 || slowness_ > 0s || disk_full_;
}

void Machine::start() {
    if (process_) return;
    set_full_disk(false);  // a node does not come up on a full disk
    random_ = std::make_unique<SeededRandom>(surroundings_.random.next());
    ++lives_;
    surroundings_.note(number_, fmt::format("starts for the {}. time", lives_));
    process_ = std::make_unique<Process>(*this);
}

void Machine::crash() {
    if (!process_ || process_->loop.dead()) return;
    surroundings_.note(number_, "crashes");
    kill();
    // Not from inside of a job of the process itself.
    surroundings_.loop.post([this, died = process_.get()] {
        if (process_.get() != died) return;
        process_.reset();
        if (surroundings_.forgets_journal) disk_.erase_all();
    });
}

void Machine::kill() {
    jobs_left_ = 0;
    process_->loop.kill();
    process_->worker.kill();
    surroundings_.ensemble.process_gone(number_);
}

void Machine::power_off() {
    crash();
    processes_.end_all();
}

void Machine::leave(std::function<void()> gone) {
    if (!process_ || process_->loop.dead()) return gone();
    surroundings_.note(number_, "leaves");
    process_->leave([this, gone = std::move(gone), leaving = process_.get()] {
        surroundings_.loop.post([this, gone, leaving] {
            if (process_.get() != leaving) return;
            surroundings_.note(number_, "has left");
            process_.reset();
            gone();
        });
    });
}

void Machine::set_paused(bool paused) {
    if (!process_ || process_->loop.dead() || process_->loop.paused() == paused) return;
    surroundings_.note(number_, paused ? "stands still" : "goes on");
    surroundings_.ensemble.set_paused(number_, paused);
    process_->worker.set_paused(paused);
    if (paused) {
        process_->loop.pause();
    } else {
        process_->loop.resume(random_->below(2) == 0);
    }
}

void Machine::set_cordoned(bool cordoned) {
    if (std::exchange(cordoned_, cordoned) == cordoned) return;
    ++commands_;
    if (process_ && !process_->loop.dead() && process_->up)
        process_->poll_timer = process_->loop.after(kPoll, [this] { process_->poll(); });
}

void Machine::command_waits() {
    if (process_ && !process_->loop.dead() && process_->up) process_->fetch_later(kPoll);
}

void Machine::set_clock(Duration offset) { clock_.offset = offset; }

void Machine::set_full_disk(bool full) {
    disk_full_ = full;
    disk_.set_failing(full);
}

void Machine::set_slow_disk(Duration each) {
    slowness_ = each;
    if (process_) process_->worker.set_slowness(each);
}

Fate Machine::fate_of_call() {
    if (lost_answers_ == 0 || random_->below(1000) >= lost_answers_) return Fate::goes_out;
    return random_->below(2) == 0 ? Fate::refused : Fate::unanswered;
}

void Machine::job_done() {
    surroundings_.after_job(number_);
    if (jobs_left_ > 0 && --jobs_left_ == 0) crash();
}

}  // namespace cloudtask::sim
