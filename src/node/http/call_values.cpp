// What a call is made with: see call_values.h. Lives on the loop.
#include "node/http/call_values.h"

#include <map>
#include <memory>
#include <string>
#include <utility>

#include "cloudtask/task/task_parameters.h"

namespace cloudtask::node {

Result<> put_call_values(LaunchSpec& spec, const task::Task& task, const task::Run& run, const NodeSecrets& secrets) {
    if (!task.http->sign.empty()) {
        auto key = secrets.give_value(run, task.http->sign);
        if (!key) return propagate(key);
        spec.signing_key = std::move(*key);
    }
    if (!task.parameters) return {};
    std::map<std::string, std::string> values;
    if (task.secrets) {
        for (const auto& [name, use] : *task.secrets) {
            auto value = secrets.give_value(run, use.secret);
            if (!value) return propagate(value);
            values.emplace(name, std::move(*value));
        }
    }
    auto made = task::worked_out_call(task, run, values);
    if (!made) return propagate(made);
    spec.http = std::make_shared<const task::HttpCall>(std::move(made->call));
    spec.private_body = made->private_body;
    return {};
}

}  // namespace cloudtask::node
