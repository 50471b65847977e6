// Long polls: see command_hub.h.
#include "center/command_hub.h"

#include <algorithm>
#include <optional>
#include <vector>

#include "center/api_routes.h"
#include "center/commands_store.h"
#include "cloudtask/core/json.h"

namespace cloudtask::center {

namespace {

struct Poll {
    std::shared_ptr<http::Exchange> exchange;
    std::string node_id;
    Timer deadline, again;
    bool asking = false;    // the database is being asked
    bool notified = false;  // while it was
    bool expired = false;   // the time is up: the next answer is the last
};

struct Found {
    std::vector<Command> commands;
    std::optional<Instant> next;  // when one that was handed out before is due again
};

std::string body_of(const std::vector<Command>& commands) {
    json::Writer out;
    out.begin_object().key("commands").begin_array();
    for (const auto& command : commands) out.raw(command.document);
    out.end_array().end_object();
    return out.text();
}

Result<Found> take_commands(Store& store, const std::string& node_id, Instant now, const CommandHubOptions& options) {
    Found found;
    const auto read = store.read([&](soci::session& sql) -> Result<> {
        for (auto& command : open_commands(sql, node_id, options.max_commands)) {
            const Instant due = command.delivered ? *command.delivered + options.deliver_again : now;
            if (due <= now) {
                found.commands.push_back(std::move(command));
            } else {
                found.next = std::min(due, found.next.value_or(due));
            }
        }
        return {};
    });
    if (!read) return propagate(read);
    if (found.commands.empty()) return found;
    // Before they go out: a start that counts as not delivered may be given to another node.
    std::vector<Command> taken;
    const auto marked = store.write([&](soci::session& sql) -> Result<> {
        std::vector<std::string> ids;
        for (auto& command : found.commands) {
            const auto current = find_command(sql, command.id);
            if (!current || current->state != "open" || current->node_id != node_id) continue;
            ids.push_back(command.id);
            taken.push_back(std::move(command));
        }
        mark_delivered(sql, ids, now);
        return {};
    });
    if (!marked) return propagate(marked);
    found.commands = std::move(taken);
    return found;
}

}  // namespace

struct CommandHub::Impl : std::enable_shared_from_this<CommandHub::Impl> {
    Impl(Loop& the_loop, Worker& the_worker, Store& the_store, CommandHubOptions the_options)
        : loop(the_loop), worker(the_worker), store(the_store), options(the_options) {}

    void ask(const std::shared_ptr<Poll>& poll) {
        poll->asking = true;
        poll->notified = false;
        poll->again.cancel();
        worker.submit([self = shared_from_this(), poll, now = loop.clock().now()] {
            auto found = std::make_shared<Result<Found>>(take_commands(self->store, poll->node_id, now, self->options));
            self->loop.post([self, poll, found] { self->answered(poll, *found); });
        });
    }

    void answered(const std::shared_ptr<Poll>& poll, const Result<Found>& found) {
        poll->asking = false;
        if (!holds(poll)) return;
        if (!found) return finish(poll, problem_for(found.error()));
        if (!found->commands.empty() || poll->expired) return finish(poll, http::Response::json(200, body_of(found->commands)));
        if (poll->notified) return ask(poll);
        if (found->next) {
            const Duration delay = std::max(Duration::zero(), Duration{*found->next - loop.clock().now()});
            poll->again = loop.after(delay, [self = weak_from_this(), poll = std::weak_ptr(poll)] {
                const auto hub = self.lock();
                const auto waiting = poll.lock();
                if (hub && waiting && !waiting->asking) hub->ask(waiting);
            });
        }
    }

    bool holds(const std::shared_ptr<Poll>& poll) const {
        const auto found = polls.find(poll->node_id);
        return found != polls.end() && found->second == poll;
    }

    void finish(const std::shared_ptr<Poll>& poll, http::Response response) {
        poll->deadline.cancel();
        poll->again.cancel();
        if (holds(poll)) polls.erase(poll->node_id);
        poll->exchange->reply(std::move(response));
    }

    void forget(const std::shared_ptr<Poll>& poll) {
        poll->deadline.cancel();
        poll->again.cancel();
        if (holds(poll)) polls.erase(poll->node_id);
    }

    Loop& loop;
    Worker& worker;
    Store& store;
    const CommandHubOptions options;
    std::map<std::string, std::shared_ptr<Poll>> polls;  // by node
    bool closed = false;
};

CommandHub::CommandHub(Loop& loop, Worker& worker, Store& store, CommandHubOptions options)
    : impl_(std::make_shared<Impl>(loop, worker, store, options)) {}

CommandHub::~CommandHub() { close(); }

void CommandHub::poll(std::shared_ptr<http::Exchange> exchange, std::string node_id, Duration wait) {
    impl_->loop.assert_on_loop();
    if (impl_->closed) return exchange->reply(http::Response::json(200, body_of({})));
    if (const auto older = impl_->polls.find(node_id); older != impl_->polls.end()) {
        impl_->finish(std::shared_ptr(older->second), http::Response::json(200, body_of({})));
    }
    auto poll = std::make_shared<Poll>();
    poll->exchange = std::move(exchange);
    poll->node_id = std::move(node_id);
    impl_->polls[poll->node_id] = poll;
    poll->exchange->on_disconnect([self = std::weak_ptr(impl_), weak = std::weak_ptr(poll)] {
        const auto hub = self.lock();
        const auto gone = weak.lock();
        if (hub && gone) hub->forget(gone);
    });
    poll->deadline = impl_->loop.after(wait, [self = std::weak_ptr(impl_), weak = std::weak_ptr(poll)] {
        const auto hub = self.lock();
        const auto late = weak.lock();
        if (!hub || !late) return;
        late->expired = true;
        if (!late->asking) hub->finish(late, http::Response::json(200, body_of({})));
    });
    impl_->ask(poll);
}

void CommandHub::notify(const std::string& node_id) {
    impl_->loop.post([self = std::weak_ptr(impl_), node_id] {
        const auto hub = self.lock();
        if (!hub) return;
        const auto found = hub->polls.find(node_id);
        if (found == hub->polls.end()) return;
        found->second->notified = true;
        if (!found->second->asking) hub->ask(found->second);
    });
}

void CommandHub::close() {
    impl_->closed = true;
    const auto polls = std::exchange(impl_->polls, {});
    for (const auto& [node_id, poll] : polls) {
        poll->deadline.cancel();
        poll->again.cancel();
        poll->exchange->reply(http::Response::json(200, body_of({})));
    }
}

std::size_t CommandHub::waiting() const { return impl_->polls.size(); }

}  // namespace cloudtask::center
