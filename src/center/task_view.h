// A task as the API shows it: its document, and what is read-only besides: state, owner, last run, next fire. Pure.
#pragma once

#include <string>
#include <string_view>

#include "center/cluster_view.h"
#include "center/task_store.h"

namespace cloudtask::center {

// running: a run is RUNNING; disabled; reallocating: enabled, but no node of the allocation can take it; failed: the last run ended so
// (FAILED, TIMED_OUT or LOST: a stopped run is neither a success nor a failure); idle: none of these. The first that holds.
std::string_view task_state(const StoredTask& stored, const ring::Member* owner);

// The next instant at which one of its schedules is due; nothing for a disabled task.
std::optional<Instant> next_fire(const task::Task& task, Instant now);

std::string task_json(const StoredTask& stored, const ClusterView& cluster, Instant now);

// {node_id, node_name, epoch, reason}; node_id is null while no node can take it.
std::string owner_json(const task::Task& task, const ClusterView& cluster);

}  // namespace cloudtask::center
