// What every Keeper refuses before anything is sent, in one place, so that the memory and the real one refuse the same. Pure; any thread.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "cloudtask/zk/keeper.h"

namespace cloudtask::zk {

// A path as ZooKeeper's PathUtils.validatePath asks: absolute, no empty, "." or ".." part, no slash at the end, no control characters.
// Errors: bad_arguments.
Result<> check_path(std::string_view path);

// Of a write: a valid path other than the root, data within kMaxDataBytes (more than jute.maxbuffer, 1 MiB, would be a disconnect and
// not an error). Errors: bad_arguments, too_large.
Result<> check_write(std::string_view path, std::string_view data);

// Of a multi: not empty, every operation valid, all data together within kMaxDataBytes.
Result<> check_multi(const std::vector<Op>& ops);

// "create /a/b", for messages.
std::string describe(const Op& op);

// "/a/b" of "/a/b/c"; "/" of "/a".
std::string parent_of(std::string_view path);
std::string_view name_of(std::string_view path);
std::string join(std::string_view folder, std::string_view name);

}  // namespace cloudtask::zk
