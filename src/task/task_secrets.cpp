// Which secrets a task names: see task_secrets.h. Pure; any thread.
#include "cloudtask/task/task_secrets.h"

#include "cloudtask/core/faults.h"
#include "cloudtask/task/http_call.h"

namespace cloudtask::task {

bool names_secrets(const Task& task) { return task.secrets != nullptr || (task.http && !task.http->sign.empty()); }

std::vector<NamedSecret> named_secrets(const Task& task) {
    std::vector<NamedSecret> named;
    if (task.secrets) {
        for (const auto& [variable, use] : *task.secrets) named.push_back({pointer_to("/secrets", variable), use.secret});
    }
    if (task.http && !task.http->sign.empty()) named.push_back({"/http/sign/secret", task.http->sign});
    return named;
}

}  // namespace cloudtask::task
