// The inside of Coordinator, for the coordinator*.cpp alone: what they share, and who does what. Lives on the loop.
//
//   coordinator.cpp          the node's duties, over all its sessions: the catalog, the fires, leaving
//   coordinator_session.cpp  a session: its incarnation, the registration, the election, the allocation
//   coordinator_record.cpp   the horizon record of a session, and the clock that it is written by
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "cloudtask/zk/recipes.h"
#include "node/allocator_task.h"
#include "node/catalog_past.h"
#include "node/coordinator.h"
#include "node/neighbours.h"

namespace cloudtask::node {

struct Coordinator::Impl : std::enable_shared_from_this<Impl> {
    // After what ZooKeeper did not do, it is asked again so much later.
    static constexpr Duration kRetry = std::chrono::milliseconds{200};

    Loop& loop;
    Random& random;
    zk::Client& client;
    CoordinatorOptions options;
    Hooks hooks;
    const std::string runtime_path;

    TaskIndex catalog;
    CatalogPast past;
    std::optional<std::int64_t> catalog_revision;  // nothing before the first one is known; 0: a center without tasks

    // --- of the present session
    std::string incarnation;  // the last one while there is no session; at first one that reports are told apart by
    std::uint64_t generation = 0;
    std::unique_ptr<Duties> duties;  // null between sessions
    std::int32_t record_version = 0;
    bool record_made = false;
    // Both clocks of this machine at one moment.
    struct Moment {
        Instant wall{};
        SteadyInstant steady{};
    };
    std::optional<Moment> record_asked;  // when this session first asked for its record to be made
    bool registered = false;
    Moment agreement;  // when the clock was last found to agree with ZooKeeper's
    std::unique_ptr<zk::Mirror> revision, allocation;
    std::unique_ptr<zk::Registration> registration;
    std::unique_ptr<zk::Election> election;
    std::unique_ptr<AllocatorTask> allocator;
    std::unique_ptr<Neighbours> neighbours;
    Timer session_timer, pulse, leave_check;

    std::vector<std::unique_ptr<Duties>> retired;
    std::map<std::string, Instant> running;  // since when there are runs here, by the keys of Coordinator::set_running()
    ring::Memory memory;
    zk::Client::Subscription subscription;
    bool member = false;  // of the ring, as the allocation was last seen
    bool took_part = false;
    bool cordoned = false;
    bool departing = false;  // for good: no session registers any more
    std::function<void()> on_left;

    Impl(Loop& l, Random& r, zk::Client& c, CoordinatorOptions o, Hooks h)
        : loop(l),
          random(r),
          client(c),
          options(std::move(o)),
          hooks(std::move(h)),
          runtime_path("/runtimes/" + options.runtime),
          incarnation(new_incarnation()) {}

    std::string new_incarnation() const;

    void start();

    // --- sessions

    void contact_changed(bool connected);
    void begin_session(zk::Keeper& keeper, std::uint64_t number);
    void end_session();
    // Runs `function` later in this session, if it lasts.
    void later(Duration delay, std::function<void()> function) { session_timer = loop.after(delay, std::move(function)); }
    void make_folders(std::size_t index);
    void watch();
    // The node takes part once its catalog is as new as what the centers have published: before that it would gain tasks that it does not
    // know.
    void try_register();
    ring::Registration describe() const;
    // Whether this node wants to be in the ring has changed. The registration writes only to the znode of its own session; a later session
    // begins with what holds by then.
    void announce();
    bool handed_over() const;
    // An earlier incarnation of this node whose session lingers: its record is sealed in the same transaction that takes its place, so that
    // no write of it can land afterwards even if its process lives.
    // No place is taken without the seal, unless there is nothing to seal: what cannot be read is read again, and at the latest when the
    // ghost's session is over there is no ghost any more.
    void seal_ghost(zk::Keeper& keeper, const std::string& ghost, std::function<void(Result<std::vector<zk::Op>>)> proceed);
    void stand_for_election();
    // How far beyond this machine's clock a claim that stands by now can reach: both clocks may be off, its owner's and ours.
    Duration longest_claim() const { return options.duties.horizon + 2 * options.max_clock_skew; }

    // --- the allocation and the other nodes' records

    // What is taken over and what is handed over is bounded by this machine's clock: before that was compared with ZooKeeper's, or after it
    // was set, no allocation is acknowledged.
    void allocation_changed();
    void watch_neighbours();

    // --- what is to be known after a restart

    void remember();

    // --- the record

    std::string record_path() const { return runtime_path + "/horizons/" + incarnation; }
    void make_record();
    // Learns the record's version and, from its time of making, whether the clocks agree.
    void read_record();
    // The clocks did not agree: the record is made anew after a pause, since its time of making is what tells.
    void ask_again_later();
    Moment present() const { return {loop.clock().now(), loop.clock().steady_now()}; }
    // Fire times are wall clock: a node whose clock is off would fire at the wrong time, and take over at the wrong time.
    // What is judged is the clock as it was at `asked`: it may have been set while the answer was on its way.
    bool clock_agrees(const Moment& asked, Instant server_time);
    // Since it last agreed with ZooKeeper's. A horizon that is raised by a wrong clock would claim what is far ahead.
    bool clock_has_stepped() const;
    void distrust_clock();
    // Writes the record if there is something to say.
    void pump();
    void arm_pulse(Instant now);
    void write(zk::Keeper& keeper, std::string text);
    void record_written(std::int32_t version, const Moment& asked, Instant server_time);
    // The outcome of a write is not known: the record tells.
    void find_out(const std::string& text, const Moment& asked);

    // --- what changed

    void changed();
    // A leave is over when nothing is owned and nothing of what was claimed is left to start. That comes by the clock as well as by events.
    void finish_leaving();
    void drop_finished() {
        std::erase_if(retired, [](const auto& old) { return old->finished(); });
    }
    template <class Action>
    void each_duties(Action action) {
        for (const auto& old : retired) action(*old);
        if (duties) action(*duties);
    }
};

}  // namespace cloudtask::node
