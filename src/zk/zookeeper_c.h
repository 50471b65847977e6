// ZooKeeper's C client in this project's terms: codes, stats, flags, its log. Pure but for the log; any thread. Makes no calls (see
// session_core.h).
#pragma once

#include <string>
#include <string_view>

#include <zookeeper/zookeeper.h>

#include "cloudtask/zk/keeper.h"

namespace cloudtask::zk {

// The error that code `rc` of the library stands for, told as "`what`: the library's words".
Error error_of(int rc, std::string_view what);

zk::Stat stat_of(const ::Stat& from);

int flags_of(CreateMode mode);

inline int length_of(const std::string& data) { return static_cast<int>(data.size()); }

// Where the library logs: our log, at level debug.
void log_from_library(const char* message);

// Has the library log from warnings up. To be called before its first handle; the first call counts.
void quiet_library();

}  // namespace cloudtask::zk
