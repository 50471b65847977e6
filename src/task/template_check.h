// The check of one text that may have expressions, wherever it stands in a definition. Private to src/task. Pure; any thread.
#pragma once

#include <string>
#include <string_view>

#include "cloudtask/core/faults.h"
#include "cloudtask/task/template.h"

namespace cloudtask::task {

// Adds a fault for what is wrong in itself and for names that are not known. `no_expressions`: the fault of a text that may have none;
// empty: it may.
void check_template(const std::string& text, const std::string& pointer, const KnownNames& known, std::string_view no_expressions,
                    Faults& faults);

}  // namespace cloudtask::task
