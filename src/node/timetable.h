// Timetable: the fires that this node may start, in order of time. One stream for each (version of a task, from, to): the version in force
// of an owned task has a stream without end; that of a task that was handed over, and a version that was superseded, one that ends. Pure:
// no clock, no I/O.
//
// Cost: a heap of streams; O(log n) per fire, nothing per idle task.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <set>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cloudtask/task/types.h"
#include "node/task_index.h"

namespace cloudtask::node {

// One point in time at which a task is due.
struct Fire {
    TaskPointer task;
    Instant time{};
    task::Misfire misfire = task::Misfire::skip;  // of the schedule that yields it
    // Of a fire that was taken: the task's further fires are this node's up to here, and not beyond.
    Instant permitted_until = Instant::max();
    std::int64_t epoch = 0;  // by which it was claimed
};

// The first fire of `task` after `after` by any of its enabled schedules; nothing if there is none or the task is disabled.
std::optional<Fire> next_fire(const TaskPointer& task, Instant after);

class Timetable {
  public:
    // Fires of this version after `floor`, up to `limit`, are this node's, until limit().
    void open(TaskPointer version, Instant floor, Instant limit = Instant::max());
    // The version's streams end at `limit` (inclusive), or where they ended already.
    void limit(const task::Task& version, Instant limit);
    // Every stream ends at `limit` or where it ended already.
    void limit_all(Instant limit);
    // `next` has the fires that `before` had, and takes its place.
    void amend(const task::Task& before, const TaskPointer& next);
    // `before` is in force up to `until`. From its effective_from on, where they had not come further already, its streams go on as those
    // of `next`; null: they do not.
    void supersede(const task::Task& before, Instant until, const TaskPointer& next);
    // Streams of these tasks that have an end and no fire left before it have none of a version that comes, either.
    void finish_parked(const std::function<bool(const task::Task&)>& these);
    // What the task's streams would yield up to `until` is passed over.
    void skip_until(const std::string& task_id, Instant until);
    // Up to where fires of this version, or of one before it by who did not know it yet, were taken or passed over, as far as that is
    // remembered (kSupersededKept beyond a stream's end).
    std::optional<Instant> taken_until(const task::Task& version) const;

    // Up to where the task's fires are this node's, by the last of its streams, as far as that is remembered (kSupersededKept beyond a
    // stream's end). Nothing if it has none.
    std::optional<Instant> limit_of(const std::string& task_id) const;

    // When the next fire of any stream is due.
    std::optional<Instant> next_due() const;

    // Takes the next fire with time <= `until`; the stream moves on behind it.
    std::optional<Fire> take(Instant until);

    // Streams that may yield a fire yet: those without end, and those that have a fire before it.
    std::size_t size() const { return heap_.size(); }

  private:
    struct Stream {
        TaskPointer task;
        Instant after{};  // fires up to here are taken, or were never this node's
        Instant taken{};  // fires up to here were taken or passed over, since it was opened
        Instant limit = Instant::max();
        Instant due{};
        task::Misfire misfire = task::Misfire::skip;
        std::uint32_t position = 0;  // in the heap, or kParked
    };

    bool advance(Stream& stream);
    void add(Stream stream);
    std::vector<std::uint32_t> streams_of(const std::string& task_id) const;
    std::vector<std::uint32_t> streams_of(const task::Task& version) const;
    void resume(std::uint32_t index);
    void park(std::uint32_t index);
    void cut(std::uint32_t index, Instant limit);
    void sweep(Instant now);
    void drop_parked(std::uint32_t index);
    void leave_heap(std::uint32_t index);
    void move_up(std::uint32_t position);
    void move_down(std::uint32_t position);
    void put(std::uint32_t position, std::uint32_t index);
    void settle(std::uint32_t position);

    std::vector<Stream> streams_;
    std::vector<std::uint32_t> free_;
    std::vector<std::uint32_t> heap_;  // indices of streams, the earliest due first
    // Indices of streams by the hash of their task's id: the ids themselves, a hundred thousand times, would be most of the timetable.
    std::unordered_multimap<std::size_t, std::uint32_t> by_task_;
    // Streams with an end and no fire left before it, by their ends: a version that comes may have one. Kept for kSupersededKept.
    std::set<std::pair<Instant, std::uint32_t>> parked_;
};

}  // namespace cloudtask::node
