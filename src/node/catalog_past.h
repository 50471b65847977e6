// CatalogPast: the versions of tasks that were superseded of late, and the tasks that were deleted of late, in the order in which that was
// learnt. Each new incarnation is told of them before it is told of the catalog: their fires may still be owed.
//
// A value; no clock, no threads.
#pragma once

#include <deque>
#include <optional>

#include "node/task_index.h"

namespace cloudtask::node {

class CatalogPast {
  public:
    struct Entry {
        TaskPointer task;
        std::optional<Instant> erased_at{};  // nothing: the version was superseded
    };

    // `next` has taken the place of `before`.
    void superseded(TaskPointer before, const task::Task& next) {
        if (next.version <= before->version) return;  // the same once more
        add({std::move(before), std::nullopt}, next.updated_at);
    }

    // The task was deleted at `at`; this was its last version.
    void erased(const TaskPointer& last, Instant at) {
        add({last, std::nullopt}, at);
        add({last, at}, at);
    }

    // Oldest first.
    template <class Function>
    void each(Function function) const {
        for (const auto& [entry, at] : entries_) function(entry);
    }

  private:
    struct Kept {
        Entry entry;
        Instant at{};
    };

    // What is too old to be owed by anybody is forgotten: by the times of the catalog, as this machine's clock may be wrong.
    void add(Entry entry, Instant at) {
        while (!entries_.empty() && entries_.front().at + task::kSupersededKept < at) entries_.pop_front();
        entries_.push_back({std::move(entry), at});
    }

    std::deque<Kept> entries_;
};

}  // namespace cloudtask::node
