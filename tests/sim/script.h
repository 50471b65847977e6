// Script: what one simulated world goes through: its nodes, its tasks, and what happens to them when. Made from a seed, printed for people,
// and taken apart when a failing seed is shrunk. A value.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "cloudtask/core/clock.h"

namespace cloudtask::sim {

enum class Happening {
    join,              // a node starts for the first time
    leave,             // a node leaves gracefully, and starts again after `lasting` (never, if that is zero)
    cordon,            // a node is cordoned, and taken back after `lasting`
    crash,             // SIGKILL of the node process after `amount` further jobs; it starts again after `lasting`
    reboot,            // the machine goes down with all its processes, and comes back after `lasting`
    pause,             // SIGSTOP, SIGCONT after `lasting`
    cut_zookeeper,     // the machine and ZooKeeper do not hear each other for `lasting`
    cut_center,        // the machine and the center
    expire,            // ZooKeeper ends the node's session
    lose_answers,      // for `lasting`, `amount` of 1,000 keeper calls of the node fail, before or after they happened
    step_clock,        // the machine's wall clock steps to `amount` ms off, and back after `lasting`
    slow_disk,         // each disk job of the node takes `amount` ms, for `lasting`
    fail_disk,         // no write succeeds for `lasting`
    crash_leader,      // the leading node dies at its `amount`th keeper call from now on; it starts again after `lasting`
    zookeeper_outage,  // nobody hears ZooKeeper for `lasting`, which expires no session meanwhile
    zookeeper_wiped,   // ZooKeeper comes back empty: all sessions are over, the tree is gone
    center_outage,     // for `lasting`
    spawn_fails,       // no process can be started on the machine for `lasting`
    create_task,       // `task` comes into the catalog
    edit_task,         // its schedule becomes another; or, of a task with shards, their number, or it is single for a while
    move_task,         // its targets become those of `amount`, a set as in ScriptTask; with it all that share its mutex move
    leave_mutex,       // it goes under its mutex no more
    enter_mutex,       // it does again
    disable_task,
    enable_task,
    delete_task,
};

struct Event {
    Duration at{};  // since the world began
    Happening what{};
    int node = 0;
    int task = 0;
    Duration lasting{};
    std::int64_t amount = 0;

    friend bool operator==(const Event&, const Event&) = default;
};

// Each node is in one of two zones, by its label `zone`.
inline constexpr int kZones = 2;
inline constexpr int kNoZone = -1;
inline int zone_of(int node) { return node % kZones; }
std::string zone_name(int zone);

struct ScriptTask {
    Duration interval{};  // zero: fires once, at `offset` after the world began
    Duration offset{};
    Duration run_for{};         // the longest that a run takes
    std::uint32_t targets = 0;  // the nodes that may take it, a bit for each; 0: any
    int zone = kNoZone;         // whose nodes may take it
    bool at_least_once = false;
    bool overlapping = false;
    int misfire = 0;  // task::Misfire
    Duration tolerance{};
    int attempts = 1;  // in all
    Duration delay{};  // before the second
    bool retries_lost = false;
    bool elsewhere = false;  // each attempt on another node
    int queue = 0;           // fires that wait for their turn; 0: it has no queue
    bool replaces = false;   // the newest fire stops the run before it
    Duration deadline{};     // to start; zero: none
    int mutex = 0;           // which it goes under; 0: none. Those of one have the same nodes
    bool from_start = true;  // else create_task brings it
    int shards = 0;          // 0: it is single
    bool broadcast = false;

    friend bool operator==(const ScriptTask&, const ScriptTask&) = default;
};

struct Script {
    std::uint64_t seed = 0;
    // Nothing dies, expires or fails: every fire is to be started, on time.
    bool calm = false;
    int nodes = 0;  // those with a lower number than `early` are there from the start, the others join
    int early = 0;
    std::vector<ScriptTask> tasks;
    std::vector<Event> events;  // by time
    Duration trouble{};         // from here on everything is healed
    Duration network{};         // the longest that a message takes

    friend bool operator==(const Script&, const Script&) = default;
};

// `wiped`: ZooKeeper loses all its data in the middle of it.
Script make_script(std::uint64_t seed, bool wiped = false);
// What make_script() begins with: troubles by chance alone, and tasks for one of the nodes or for any.
Script make_plain_script(std::uint64_t seed, bool wiped = false);
// Some of its tasks are sharded, or broadcast: those of every other seed. By dice of its own, so that all else stays what it was.
Script with_modes(Script script);
// Has some tasks share mutexes. After this nothing changes how a task overlaps.
void add_mutexes(Script& script);
// Has some be tried again on other nodes, where the overlap allows it.
void add_elsewhere(Script& script);
std::string describe(const Event& event);
std::string describe(const Script& script);

}  // namespace cloudtask::sim
