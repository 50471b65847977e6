// Ring: consistent hashing of tasks to the nodes of a runtime. Immutable after construction; pure; any thread.
//
// Each node has weight × V points, xxHash64 of its id with the point's number as the seed. A task belongs to the first node clockwise
// from xxHash64(task id) that satisfies the task's targets and labels; tasks under one mutex, from the mutex's point: as their targets and
// labels are the same, they have one owner. When a node leaves, exactly its tasks move; when it returns,
// exactly those come back. Karger et al., "Consistent Hashing and Random Trees", STOC 1997.
#pragma once

#include <cstdint>
#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace cloudtask::ring {

// Points per unit of weight. Chosen by measurement: docs/benchmarks.md, "Ring". All nodes of a runtime must use the same.
inline constexpr std::uint32_t kPointsPerWeight = 512;

struct Member {
    std::string id;           // of the node; stays the same over restarts
    std::string incarnation;  // of this life of it; not hashed
    std::string name;
    std::map<std::string, std::string> labels = {};
    std::uint32_t weight = 1;  // 1 to 100

    friend bool operator==(const Member&, const Member&) = default;
};

// What a task demands of its node.
struct Placement {
    std::vector<std::string> targets = {};           // node names, or ids behind task::kNodeIdMark; empty: any
    std::map<std::string, std::string> labels = {};  // all must match
    std::uint64_t mutex_point = 0;                   // where it is on the ring, whatever its id; 0: it is where its id says
    bool unconstrained() const { return targets.empty() && labels.empty(); }
    bool accepts(const Member& member) const;
};

// Of the tasks that go under this mutex (task/mutex.h); 0 for "", which is none.
std::uint64_t mutex_point(std::string_view mutex_key);

class Ring {
  public:
    Ring() = default;
    // Members in any order; ids must be distinct (of two with one id, the later incarnation counts). A weight outside 1 to 100 counts
    // as the nearest that is inside.
    explicit Ring(std::vector<Member> members, std::uint32_t points_per_weight = kPointsPerWeight);

    // The node that runs the task; null when no member may. Valid as long as the ring.
    const Member* owner(std::string_view task_id, const Placement& placement = {}) const;

    // The first `count` distinct members clockwise that may run it, the owner first; fewer if there are not so many.
    std::vector<const Member*> preference(std::string_view task_id, const Placement& placement, std::size_t count) const;

    // Sorted by id.
    const std::vector<Member>& members() const { return members_; }

  private:
    struct Point {
        std::uint64_t hash;
        std::uint32_t member;
    };
    // The index of the first point at or after `hash`, clockwise. There must be a point.
    std::size_t first_point(std::uint64_t hash) const;

    std::vector<Member> members_;  // by id
    std::vector<Point> points_;    // by hash
    // [b]: the first point whose hash has b or more in its upper bits; about one point to a slot, so that a look-up does not have to
    // search a million points with a cache miss at each step.
    std::vector<std::uint32_t> slots_;
    unsigned slot_shift_ = 0;
};

}  // namespace cloudtask::ring
