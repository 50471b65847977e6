// Which secrets a task names, wherever its definition does: under `secrets`, and as the key that its call is signed with. Who keeps, sends
// or gives secrets asks here, so that none of them is forgotten. Pure; any thread.
#pragma once

#include <string>
#include <vector>

#include "cloudtask/task/types.h"

namespace cloudtask::task {

struct NamedSecret {
    std::string pointer;  // of what names it in the definition
    std::string secret;
};

bool names_secrets(const Task& task);

// One for each place that names one.
std::vector<NamedSecret> named_secrets(const Task& task);

}  // namespace cloudtask::task
