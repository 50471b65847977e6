// The schema, as a list of forward migrations: migration n brings user_version from n-1 to n. Released ones never change.
#pragma once

#include <string_view>
#include <vector>

namespace cloudtask::center {

const std::vector<std::string_view>& migrations();

}  // namespace cloudtask::center
