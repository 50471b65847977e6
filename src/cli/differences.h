// Member-wise differences as commands show them. Pure, but for the stream.
#pragma once

#include <iosfwd>
#include <vector>

#include "cloudtask/core/json_diff.h"

namespace cloudtask::cli {

// As the center lists them. An entry that is none is left out.
std::vector<json::Difference> read_differences(const json::Value& list);

// A line each, indented.
void print_differences(std::ostream& out, const std::vector<json::Difference>& differences);

}  // namespace cloudtask::cli
