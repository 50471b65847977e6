// The description of the API, src/center/openapi.json, as it was when this program was built. Any thread.
#pragma once

#include <string_view>

namespace cloudtask::center {

std::string_view openapi_json();

}  // namespace cloudtask::center
