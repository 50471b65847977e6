// Comparison: a definition of a manifest held against what the center has of it. Asks the center, writes nothing. One thread.
#pragma once

#include <string>
#include <vector>

#include "cli/center.h"
#include "cli/manifest.h"
#include "cloudtask/core/json_diff.h"

namespace cloudtask::cli {

struct Comparison {
    json::Document present;                     // what the center has under the natural key; null: nothing
    std::string wanted;                         // the body that it is to have
    std::vector<json::Difference> differences;  // between the two, if there is something

    bool missing() const { return present.IsNull(); }
    bool same() const { return !missing() && differences.empty(); }
};

// A task whose file does not say whether it is enabled stays as it is.
Result<Comparison> compare(Center& center, const Definition& definition);

}  // namespace cloudtask::cli
