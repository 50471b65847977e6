// Files that hold keys: readable by one user only. Blocking; for the start of a program and rare changes.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "cloudtask/core/result.h"

namespace cloudtask {

// The content; nothing if there is no such file. Errors: permission_denied (others may read or write it, or it is another user's),
// too_large (more than 64 KiB), io.
Result<std::optional<std::string>> read_private_file(const std::string& path);

// Makes the file, mode 0600; on disk when this returns. Error: already_exists; io.
Result<> make_private_file(const std::string& path, std::string_view content);

}  // namespace cloudtask
