// Timetable: an indexed binary heap of streams (each stream knows its place, so that a change of one task costs O(log n)).
#include "node/timetable.h"

#include <algorithm>
#include <functional>
#include <limits>

namespace cloudtask::node {

namespace {

constexpr std::uint32_t kParkedPosition = std::numeric_limits<std::uint32_t>::max();  // not in the heap

}  // namespace

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

std::vector<std::uint32_t> Timetable::streams_of(const task::Task& version) const {
    auto found = streams_of(version.id);
    std::erase_if(found, [&](std::uint32_t index) { return streams_[index].task->version != version.version; });
    return found;
}

void Timetable::open(TaskPointer version, Instant floor, Instant limit) {
    add({std::move(version), floor, {}, limit, {}, {}, kParkedPosition});
}

void Timetable::add(Stream stream) {
    if (stream.limit <= stream.after) return;
    const std::size_t hash = std::hash<std::string>{}(stream.task->id);
    std::uint32_t index = 0;
    if (free_.empty()) {
        index = static_cast<std::uint32_t>(streams_.size());
        streams_.push_back(std::move(stream));
    } else {
        index = free_.back();
        free_.pop_back();
        streams_[index] = std::move(stream);
    }
    by_task_.emplace(hash, index);
    resume(index);
}

// Puts the stream to where its next fire belongs, after it was changed: into the heap or, with an end and no fire before it, aside.
void Timetable::resume(std::uint32_t index) {
    Stream& stream = streams_[index];
    if (stream.position == kParkedPosition) parked_.erase({stream.limit, index});
    if (!advance(stream)) {
        if (stream.limit != Instant::max()) return park(index);
        stream.due = Instant::max();  // its next version may have a fire
    }
    if (stream.position == kParkedPosition) {
        heap_.push_back(index);
        move_up(static_cast<std::uint32_t>(heap_.size() - 1));
    } else {
        settle(stream.position);
    }
}

void Timetable::leave_heap(std::uint32_t index) {
    const std::uint32_t position = streams_[index].position;
    const std::uint32_t last = heap_.back();
    heap_.pop_back();
    if (last != index) {
        put(position, last);
        settle(position);
    }
    streams_[index].position = kParkedPosition;
}

void Timetable::park(std::uint32_t index) {
    Stream& stream = streams_[index];
    if (stream.position != kParkedPosition) leave_heap(index);
    parked_.emplace(stream.limit, index);
}

// Drops what was parked long ago.
void Timetable::sweep(Instant now) {
    while (!parked_.empty() && parked_.begin()->first < now - task::kSupersededKept) {
        const std::uint32_t index = parked_.begin()->second;
        parked_.erase(parked_.begin());
        drop_parked(index);
    }
}

void Timetable::finish_parked(const std::function<bool(const task::Task&)>& these) {
    for (const auto& [limit, index] : parked_) {
        Stream& stream = streams_[index];
        if (these(*stream.task)) stream.after = std::max(stream.after, limit);
    }
}

// It is not in `parked_` any more.
void Timetable::drop_parked(std::uint32_t index) {
    const auto [begin, end] = by_task_.equal_range(std::hash<std::string>{}(streams_[index].task->id));
    by_task_.erase(std::find_if(begin, end, [index](const auto& entry) { return entry.second == index; }));
    streams_[index] = Stream{};
    free_.push_back(index);
}

void Timetable::limit(const task::Task& version, Instant limit) {
    for (const std::uint32_t index : streams_of(version)) cut(index, limit);
}

void Timetable::limit_all(Instant limit) {
    for (const auto& [hash, index] : by_task_) cut(index, limit);
}

// The stream ends at `limit`, if it did not end before.
void Timetable::cut(std::uint32_t index, Instant limit) {
    Stream& stream = streams_[index];
    if (stream.limit <= limit) return;
    if (stream.position == kParkedPosition) {
        parked_.erase({stream.limit, index});
        stream.limit = limit;
        return park(index);
    }
    stream.limit = limit;
    if (stream.due > limit) park(index);
}

void Timetable::amend(const task::Task& before, const TaskPointer& next) {
    for (const std::uint32_t index : streams_of(before)) {
        streams_[index].task = next;
        resume(index);
    }
}

void Timetable::supersede(const task::Task& before, Instant until, const TaskPointer& next) {
    for (const std::uint32_t index : streams_of(before)) {
        Stream rest = streams_[index];
        cut(index, until);
        if (!next) continue;
        rest.task = next;
        rest.after = std::max(rest.after, next->effective_from);
        rest.position = kParkedPosition;
        add(std::move(rest));
    }
}

void Timetable::skip_until(const std::string& task_id, Instant until) {
    for (const std::uint32_t index : streams_of(task_id)) {
        if (streams_[index].after >= until) continue;
        streams_[index].after = streams_[index].taken = until;
        resume(index);
    }
}

std::optional<Instant> Timetable::taken_until(const task::Task& version) const {
    std::optional<Instant> taken;
    for (const std::uint32_t index : streams_of(version)) taken = std::max(taken, std::optional{streams_[index].taken});
    return taken;
}

std::optional<Instant> Timetable::limit_of(const std::string& task_id) const {
    std::optional<Instant> limit;
    for (const std::uint32_t index : streams_of(task_id)) limit = std::max(limit, std::optional{streams_[index].limit});
    return limit;
}

std::optional<Instant> Timetable::next_due() const {
    if (heap_.empty() || streams_[heap_.front()].due == Instant::max()) return std::nullopt;
    return streams_[heap_.front()].due;
}

std::optional<Fire> Timetable::take(Instant until) {
    sweep(until);
    if (heap_.empty()) return std::nullopt;
    const std::uint32_t index = heap_.front();
    Stream& stream = streams_[index];
    if (stream.due > until || stream.due == Instant::max()) return std::nullopt;
    Fire fire{stream.task, stream.due, stream.misfire, stream.limit};
    stream.after = stream.taken = stream.due;
    resume(index);
    return fire;
}

}  // namespace cloudtask::node
