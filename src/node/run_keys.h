// RunKeys, RunCounts, NamedKeys: by what runs are counted where they must not overlap: by their task, and by the mutex that they go under;
// and which of these a node's record in ZooKeeper names. Pure.
#pragma once

#include <cstdint>
#include <string>
#include <unordered_map>
#include <utility>
#include <vector>

#include "cloudtask/task/mutex.h"

namespace cloudtask::node {

// By the version of the task by which it was begun.
struct RunKeys {
    std::string task_id;
    std::string mutex;  // see task/mutex.h; empty: it goes under none

    // Of the task's runs under that mutex, apart from its others: in no id and no key is a blank.
    std::string both() const { return task_id + ' ' + mutex; }
    // What runs of the task, and of those beside it, wait in.
    const std::string& line() const { return mutex.empty() ? task_id : mutex; }
};
inline RunKeys keys_of(const task::Task& task) { return {task.id, task::mutex_key(task)}; }

// A key of both kinds taken apart: {task id, mutex}; the mutex is empty if it is a task's alone.
inline std::pair<std::string, std::string> take_apart(const std::string& key) {
    const auto blank = key.find(' ');
    return blank == std::string::npos ? std::pair{key, std::string{}} : std::pair{key.substr(0, blank), key.substr(blank + 1)};
}

class RunCounts {
  public:
    // `changed` is called with the task's id, and with both(), where that has its first run or has lost its last.
    template <class Changed>
    void add(const RunKeys& keys, Changed changed) {
        if (++counts_[keys.task_id] == 1) changed(keys.task_id);
        if (keys.mutex.empty()) return;
        ++counts_[keys.mutex];
        if (const std::string both = keys.both(); ++counts_[both] == 1) changed(both);
    }
    template <class Changed>
    void remove(const RunKeys& keys, Changed changed) {
        if (take(keys.task_id)) changed(keys.task_id);
        if (keys.mutex.empty()) return;
        take(keys.mutex);
        if (const std::string both = keys.both(); take(both)) changed(both);
    }

    // Of a task's id, a mutex, or both().
    std::int64_t of(const std::string& key) const {
        const auto found = counts_.find(key);
        return found == counts_.end() ? 0 : found->second;
    }
    // Runs that a run with these keys must not overlap with: those of its task by whatever version, and those under its mutex.
    std::int64_t beside(const RunKeys& keys) const {
        const std::int64_t of_task = of(keys.task_id);
        return keys.mutex.empty() ? of_task : of_task + of(keys.mutex) - of(keys.both());
    }

  private:
    bool take(const std::string& key) {
        const auto found = counts_.find(key);
        if (--found->second > 0) return false;
        counts_.erase(found);
        return true;
    }

    std::unordered_map<std::string, std::int64_t> counts_;
};

// A record that does not fit into a znode (256 KiB) is not written, and a node that cannot write its record starts nothing more. So what is
// beyond this is not named, however long the keys are.
class NamedKeys {
  public:
    static constexpr std::size_t kMostBytes = 160 << 10;

    void add(const std::string& key) {
        const std::size_t size = key.size() + 3;  // quotes and a comma
        if (size > room_) return;
        room_ -= size;
        keys_.push_back(key);
    }
    std::vector<std::string> take() { return std::move(keys_); }

  private:
    std::vector<std::string> keys_;
    std::size_t room_ = kMostBytes;
};

}  // namespace cloudtask::node
