// ScheduleLoad: how many fires are due in each second of an interval by the schedules of many tasks. Pure: no I/O, no clock.
//
// Schedules that say the same are walked once, however many tasks have them. Those with jitter or H have other times for each task and are
// walked one by one; with more than one fire a minute, jitter moves none by as much as a minute, and they count where their rule names.
// Each schedule counts for itself: two of one task that name one instant count twice. Of a sharded task each shard counts, of a broadcast
// each of the nodes that it is for now.
#pragma once

#include <cstdint>
#include <deque>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "cloudtask/core/json.h"
#include "cloudtask/ring/ring.h"
#include "cloudtask/task/types.h"

namespace cloudtask::center {

// Fires by second.
class FireCounts {
  public:
    FireCounts(Instant from, Duration length)
        : from_(from), seconds_(static_cast<std::size_t>(std::chrono::ceil<std::chrono::seconds>(length).count())) {}

    struct Peak {
        Instant at{};
        std::int64_t fires = 0;
    };
    Instant from() const { return from_; }
    Instant to() const { return from_ + std::chrono::seconds{seconds_.size()}; }
    std::size_t size() const { return seconds_.size(); }
    std::int64_t at(std::size_t second) const { return seconds_[second]; }
    void add(std::size_t second, std::int64_t fires) { seconds_[second] += fires; }
    void add(Instant fire, std::int64_t fires = 1) { add(static_cast<std::size_t>((fire - from_) / std::chrono::seconds{1}), fires); }

    std::vector<std::int64_t> by_minute() const;
    std::int64_t total() const;
    Peak peak_second() const;
    Peak peak_minute() const;

  private:
    Instant from_;
    std::vector<std::int64_t> seconds_;
};

class ScheduleLoad {
  public:
    // `over` is asked now and then: true when the time is up. `nodes`: those that a broadcast may be for.
    ScheduleLoad(Instant from, Duration length, std::function<bool()> over = {}, std::vector<ring::Member> nodes = {});

    struct TaskRow {
        std::string id, group, name;
        std::int64_t version = 0;
    };
    // Adds the schedules of an enabled task by its definition. Error: timeout.
    Result<> add(TaskRow row, const std::string& document);
    // Counts what was added. Once, after the last add(). Error: timeout.
    Result<> finish();

    // Schedules that say the same, and when they fire.
    struct Shape {
        std::string text;  // JSON, canonical
        task::Schedule schedule;
        std::vector<std::uint32_t> seconds;  // of its fires
        std::int64_t schedules = 0;
        Duration least_gap = Duration::max();  // between two of its fires
    };
    // A schedule without jitter and H, of a single task.
    struct Entry {
        std::size_t task = 0;      // in tasks()
        std::size_t schedule = 0;  // by index in the task
        Shape* shape = nullptr;
    };

    const FireCounts& counts() const { return counts_; }
    const std::vector<TaskRow>& tasks() const { return tasks_; }
    const std::vector<Entry>& entries() const { return entries_; }
    std::int64_t unreadable() const { return unreadable_; }  // definitions of which nobody knows when they fire

    // Calls `visit` for each fire of `schedule` in the interval. Error: timeout.
    Result<> walk(const task::Schedule& schedule, const std::function<void(Instant fire)>& visit) const;

  private:
    std::int64_t pieces_of(const json::Value& task) const;
    Result<> add_schedule(std::size_t task, std::size_t index, json::Document& document);
    Result<Shape*> shape_of(const json::Value& schedule);

    FireCounts counts_;
    std::function<bool()> over_;
    std::vector<ring::Member> nodes_;
    std::vector<TaskRow> tasks_;
    std::vector<Entry> entries_;
    std::deque<Shape> shapes_;  // a deque: entries point into it
    std::map<std::string, Shape*> by_text_;
    std::int64_t unreadable_ = 0;
};

}  // namespace cloudtask::center
