// TaskIndex: task definitions by id. The id is looked up in the definition itself, so an entry costs a quarter of what a map with the id
// as its key would: a node holds a hundred thousand tasks, in several indices.
//
// A value, as a standard container is; not thread-safe.
#pragma once

#include <cstddef>
#include <functional>
#include <memory>
#include <string_view>
#include <unordered_set>
#include <utility>

#include "cloudtask/task/types.h"

namespace cloudtask::node {

using TaskPointer = std::shared_ptr<const task::Task>;

class TaskIndex {
    struct Hash {
        using is_transparent = void;
        std::size_t operator()(std::string_view id) const { return std::hash<std::string_view>{}(id); }
        std::size_t operator()(const TaskPointer& task) const { return (*this)(task->id); }
    };
    struct Equal {
        using is_transparent = void;
        bool operator()(const TaskPointer& a, const TaskPointer& b) const { return a->id == b->id; }
        bool operator()(std::string_view id, const TaskPointer& task) const { return id == task->id; }
        bool operator()(const TaskPointer& task, std::string_view id) const { return id == task->id; }
    };
    using Tasks = std::unordered_set<TaskPointer, Hash, Equal>;

  public:
    // Takes the place of the definition that has the same id.
    void put(TaskPointer task) {
        erase(task->id);
        tasks_.insert(std::move(task));
    }

    // `id` may be that of the very definition that goes.
    void erase(std::string_view id) {
        if (const auto found = tasks_.find(id); found != tasks_.end()) tasks_.erase(found);
    }

    // Null if there is none. Valid until the index changes.
    const TaskPointer* find(std::string_view id) const {
        const auto found = tasks_.find(id);
        return found == tasks_.end() ? nullptr : &*found;
    }

    void clear() { tasks_.clear(); }
    bool empty() const { return tasks_.empty(); }
    std::size_t size() const { return tasks_.size(); }

    Tasks::const_iterator begin() const { return tasks_.begin(); }
    Tasks::const_iterator end() const { return tasks_.end(); }

  private:
    Tasks tasks_;
};

}  // namespace cloudtask::node
