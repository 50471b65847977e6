// CommandGate: see command_gate.h.
#include "node/command_gate.h"

#include <map>
#include <string>
#include <utility>
#include <vector>

namespace cloudtask::node {

struct CommandGate::Impl : std::enable_shared_from_this<Impl> {
    Impl(Need need_in, std::function<void(Command)> carry_out_in) : need(std::move(need_in)), carry_out(std::move(carry_out_in)) {}

    const Need need;
    const std::function<void(Command)> carry_out;
    std::map<std::string, std::vector<Command>> waiting;  // by run id: its start, and what came behind it

    void take(Command command) {
        if (const auto start = waiting.find(command.run_id); start != waiting.end()) {
            start->second.push_back(std::move(command));
            return;
        }
        if (!command.task) return carry_out(std::move(command));
        const task::Task task = *command.task;
        const std::string run_id = command.run_id;
        waiting[run_id].push_back(std::move(command));
        need(task, [weak = weak_from_this(), run_id] {
            if (const auto self = weak.lock()) self->go_on(run_id);
        });
    }

    void go_on(const std::string& run_id) {
        const auto ready = waiting.extract(run_id);
        if (ready.empty()) return;
        for (Command& command : ready.mapped()) carry_out(std::move(command));
    }
};

CommandGate::CommandGate(Need need, std::function<void(Command)> carry_out)
    : impl_(std::make_shared<Impl>(std::move(need), std::move(carry_out))) {}

CommandGate::~CommandGate() = default;

void CommandGate::take(Command command) { impl_->take(std::move(command)); }

}  // namespace cloudtask::node
