// Hooks: what the API tells the rest of the center after a commit. Called from any thread, must not block; an empty hook is skipped by
// the fire_...() functions below. center.cpp fills them before the server listens, and they do not change after that.
#pragma once

#include <cstdint>
#include <functional>
#include <string>

namespace cloudtask::center {

struct Hooks {
    // A task of the runtime changed; `revision` is the catalog revision of the change. May come out of order.
    std::function<void(const std::string& runtime, std::int64_t revision)> catalog_changed;
    // A command waits for the node.
    std::function<void(const std::string& node_id)> commands_waiting;
    // A runtime was made or deleted.
    std::function<void()> runtimes_changed;
    // A mail was queued.
    std::function<void()> mail_waiting;

    void fire_catalog_changed(const std::string& runtime, std::int64_t revision) const {
        if (catalog_changed) catalog_changed(runtime, revision);
    }
    void fire_commands_waiting(const std::string& node_id) const {
        if (commands_waiting) commands_waiting(node_id);
    }
    void fire_runtimes_changed() const {
        if (runtimes_changed) runtimes_changed();
    }
    void fire_mail_waiting() const {
        if (mail_waiting) mail_waiting();
    }
};

}  // namespace cloudtask::center
