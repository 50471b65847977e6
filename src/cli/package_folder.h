// Packages beside an export: FOLDER/<sha256>/<file name>, one file each, so that another center can be given them. Blocking file access;
// one thread.
#pragma once

#include <filesystem>
#include <optional>
#include <string>

#include "cli/center.h"
#include "cli/pack.h"

namespace cloudtask::cli {

// Downloads the package into the folder, unless it is there. Returns whether it was downloaded.
Result<bool> save_package(Center& center, const std::string& sha256, const std::filesystem::path& folder);

// The package in the folder; nothing if it is not there. Whether its content is what its name says is checked by the center that gets it.
Result<std::optional<PackedProgram>> find_package_file(const std::filesystem::path& folder, const std::string& sha256);

}  // namespace cloudtask::cli
