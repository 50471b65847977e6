// The version of this build, as `--version`, the API and the nodes' registrations show it.
#pragma once

#include <string_view>

namespace cloudtask {

inline constexpr std::string_view kVersion = "0.1.0";

}  // namespace cloudtask
