// Timetable: an indexed binary heap of streams (each stream knows its place, so that a change of one task costs O(log n)).
#include "node/timetable.h"

#include <algorithm>
#include <functional>

namespace cloudtask::node {

std::optional<Fire> next_fire(const TaskPointer& task, Instant after) {
    if (!task->enabled) return std::nullopt;
    std::optional<Fire> earliest;
    for (const auto& schedule : task->schedules) {
        if (!schedule.enabled()) continue;
        const auto time = schedule.next(after);
        // Two schedules that meet in one instant make one fire.
        if (time && (!earliest || *time < earliest->time)) earliest = Fire{task, *time, task->misfire_for(schedule)};
    }
    return earliest;
}

void Timetable::put(std::uint32_t position, std::uint32_t index) {
    heap_[position] = index;
    streams_[index].position = position;
}

void Timetable::move_up(std::uint32_t position) {
    const std::uint32_t index = heap_[position];
    while (position > 0) {
        const std::uint32_t parent = (position - 1) / 2;
        if (streams_[heap_[parent]].due <= streams_[index].due) break;
        put(position, heap_[parent]);
        position = parent;
    }
    put(position, index);
}

void Timetable::move_down(std::uint32_t position) {
    const std::uint32_t index = heap_[position];
    const auto size = static_cast<std::uint32_t>(heap_.size());
    for (;;) {
        std::uint32_t child = 2 * position + 1;
        if (child >= size) break;
        if (child + 1 < size && streams_[heap_[child + 1]].due < streams_[heap_[child]].due) ++child;
        if (streams_[index].due <= streams_[heap_[child]].due) break;
        put(position, heap_[child]);
        position = child;
    }
    put(position, index);
}

void Timetable::settle(std::uint32_t position) {
    const std::uint32_t index = heap_[position];
    move_up(position);
    if (heap_[position] == index) move_down(position);
}

std::vector<std::uint32_t> Timetable::streams_of(const std::string& task_id) const {
    std::vector<std::uint32_t> found;
    const auto [begin, end] = by_task_.equal_range(std::hash<std::string>{}(task_id));
    for (auto entry = begin; entry != end; ++entry) {
        if (streams_[entry->second].task->id == task_id) found.push_back(entry->second);
    }
    return found;
}

// Moves the stream to its next fire; false when it has none.
bool Timetable::advance(Stream& stream) {
    const auto fire = next_fire(stream.task, stream.after);
    if (!fire || fire->time > stream.limit) return false;
    stream.due = fire->time;
    stream.misfire = fire->misfire;
    return true;
}

void Timetable::open(TaskPointer task, Instant floor, Instant limit) {
    const std::string id = task->id;
    Stream stream{std::move(task), floor, limit, {}, {}, 0};
    if (!advance(stream)) {
        // A task without a fire to come keeps a stream only if it is owned: its next version may have one.
        if (limit != Instant::max()) return;
        stream.due = Instant::max();
    }
    if (streams_of(id).empty()) ++tasks_;
    std::uint32_t index = 0;
    if (free_.empty()) {
        index = static_cast<std::uint32_t>(streams_.size());
        streams_.push_back(std::move(stream));
    } else {
        index = free_.back();
        free_.pop_back();
        streams_[index] = std::move(stream);
    }
    by_task_.emplace(std::hash<std::string>{}(id), index);
    heap_.push_back(index);
    move_up(static_cast<std::uint32_t>(heap_.size() - 1));
}

void Timetable::erase(std::uint32_t index) {
    const std::uint32_t position = streams_[index].position;
    const std::uint32_t last = heap_.back();
    heap_.pop_back();
    if (last != index) {
        put(position, last);
        settle(position);
    }
    const std::string& id = streams_[index].task->id;
    if (streams_of(id).size() == 1) --tasks_;
    const auto [begin, end] = by_task_.equal_range(std::hash<std::string>{}(id));
    by_task_.erase(std::find_if(begin, end, [index](const auto& entry) { return entry.second == index; }));
    streams_[index] = Stream{};
    free_.push_back(index);
}

// Sets the stream's limit; a stream that has nothing left before it goes.
void Timetable::cut(std::uint32_t index, Instant limit) {
    streams_[index].limit = limit;
    if (streams_[index].due > limit) erase(index);
}

void Timetable::limit(const std::string& task_id, Instant limit) {
    for (const std::uint32_t index : streams_of(task_id)) {
        if (streams_[index].limit == Instant::max()) cut(index, limit);
    }
}

void Timetable::limit_all(Instant limit) {
    const auto indices = heap_;
    for (const std::uint32_t index : indices) cut(index, std::min(limit, streams_[index].limit));
}

// Moves the stream behind `until`, and on to the definition `task` if it is given.
void Timetable::pass(std::uint32_t index, Instant until, const TaskPointer& task) {
    Stream& stream = streams_[index];
    if (task) stream.task = task;
    stream.after = std::max(stream.after, until);
    if (!advance(stream)) {
        if (stream.limit != Instant::max()) return erase(index);
        stream.due = Instant::max();
    }
    settle(stream.position);
}

void Timetable::replace(TaskPointer task) {
    for (const std::uint32_t index : streams_of(task->id)) {
        const Stream& stream = streams_[index];
        const Instant until = task->enabled ? task->effective_from : task->updated_at;
        if (stream.limit <= until) continue;
        if (stream.due > until) {
            pass(index, until, task);
            continue;
        }
        const Instant floor = std::max(stream.after, until), limit = stream.limit;
        cut(index, until);
        open(task, floor, limit);
    }
}

void Timetable::succeed(const TaskPointer& task) {
    for (const std::uint32_t index : streams_of(task->id)) {
        if (streams_[index].limit != Instant::max()) continue;
        const Instant floor = std::max(streams_[index].after, task->effective_from);
        cut(index, task->effective_from);
        open(task, floor);
    }
}

void Timetable::skip_until(const std::string& task_id, Instant until) {
    for (const std::uint32_t index : streams_of(task_id)) pass(index, until, nullptr);
}

void Timetable::close(const std::string& task_id) {
    for (const std::uint32_t index : streams_of(task_id)) erase(index);
}

std::optional<Instant> Timetable::next_due() const {
    if (heap_.empty() || streams_[heap_.front()].due == Instant::max()) return std::nullopt;
    return streams_[heap_.front()].due;
}

std::optional<Fire> Timetable::take(Instant until) {
    if (heap_.empty()) return std::nullopt;
    const std::uint32_t index = heap_.front();
    Stream& stream = streams_[index];
    if (stream.due > until || stream.due == Instant::max()) return std::nullopt;
    Fire fire{stream.task, stream.due, stream.misfire, stream.limit};
    stream.after = stream.due;
    if (advance(stream)) {
        move_down(0);
    } else if (stream.limit != Instant::max()) {
        erase(index);
    } else {
        stream.due = Instant::max();
        move_down(0);
    }
    return fire;
}

}  // namespace cloudtask::node
