// What differs between two JSON values, member by member. Pure.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "cloudtask/core/json.h"

namespace cloudtask::json {

struct Difference {
    std::string pointer;                       // RFC 6901; "" is the whole value
    std::optional<std::string> before, after;  // JSON texts; absent: the value is not there
};

// Objects are compared member by member, in the order of `before`, then what only `after` has. Lists that hold objects are compared entry
// by entry; other lists differ as a whole, since an entry that was put in front is not a change of all behind it.
std::vector<Difference> differences(const Value& before, const Value& after);

}  // namespace cloudtask::json
