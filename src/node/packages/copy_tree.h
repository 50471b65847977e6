// Copies a folder's content into another folder: files (by sharing blocks where the file system can), folders and links, with their
// permission bits. Blocking; any thread. Nothing is written through a link; other kinds of files are refused.
#pragma once

#include <string>

#include "cloudtask/core/result.h"

namespace cloudtask::node {

// `to` is there and empty. On an error what was copied is left for the caller to remove.
Result<> copy_tree(const std::string& from, const std::string& to);

}  // namespace cloudtask::node
