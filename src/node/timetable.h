// Timetable: the fires that this node may start, in order of time. One stream for each (task, from, to): an owned task has a stream without
// end; a task that was handed over keeps one that ends at the handover. Pure: no clock, no I/O.
//
// Cost: a heap of streams; O(log n) per fire, nothing per idle task.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <unordered_map>
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
};

// The first fire of `task` after `after` by any of its enabled schedules; nothing if there is none or the task is disabled.
std::optional<Fire> next_fire(const TaskPointer& task, Instant after);

class Timetable {
  public:
    // Fires of `task` after `floor`, up to `limit`, are this node's, until close() or limit().
    void open(TaskPointer task, Instant floor, Instant limit = Instant::max());
    // The task's endless stream ends at `limit` (inclusive).
    void limit(const std::string& task_id, Instant limit);
    // Every stream ends at `limit` or where it ended already.
    void limit_all(Instant limit);
    // A new version of the definition: its streams go on with it, from its effective_from (from its change, if that disabled it) or where
    // they are, the later. What the version before still owes up to there stays with it.
    void replace(TaskPointer task);
    // A new version that counts only from its effective_from: up to there the endless stream goes on with the version that it has.
    void succeed(const TaskPointer& task);
    // What the task's streams would yield up to `until` is passed over.
    void skip_until(const std::string& task_id, Instant until);
    // Nothing of the task is fired any more.
    void close(const std::string& task_id);

    // When the next fire of any stream is due.
    std::optional<Instant> next_due() const;

    // Takes the next fire with time <= `until`; the stream moves on behind it.
    std::optional<Fire> take(Instant until);

    // Tasks with a stream.
    std::size_t size() const { return tasks_; }

  private:
    struct Stream {
        TaskPointer task;
        Instant after{};  // fires up to here are taken
        Instant limit = Instant::max();
        Instant due{};
        task::Misfire misfire = task::Misfire::skip;
        std::uint32_t position = 0;  // in the heap
    };

    bool advance(Stream& stream);
    std::vector<std::uint32_t> streams_of(const std::string& task_id) const;
    void pass(std::uint32_t index, Instant until, const TaskPointer& task);
    void cut(std::uint32_t index, Instant limit);
    void erase(std::uint32_t index);
    void move_up(std::uint32_t position);
    void move_down(std::uint32_t position);
    void put(std::uint32_t position, std::uint32_t index);
    void settle(std::uint32_t position);

    std::vector<Stream> streams_;
    std::vector<std::uint32_t> free_;
    std::vector<std::uint32_t> heap_;  // indices of streams, the earliest due first
    // Indices of streams by the hash of their task's id: the ids themselves, a hundred thousand times, would be most of the timetable.
    std::unordered_multimap<std::size_t, std::uint32_t> by_task_;
    std::size_t tasks_ = 0;  // that have a stream
};

}  // namespace cloudtask::node
