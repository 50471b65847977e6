// CommandPoll: asks, hands over, asks again.
#include <optional>
#include <utility>

#include "cloudtask/core/log.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/hand_over.h"
#include "cloudtask/task/parameters.h"
#include "node/backoff.h"
#include "node/center_answer.h"
#include "node/center_link.h"

namespace cloudtask::node {

namespace {

constexpr const char* kTarget = "/api/v1/node/commands?wait=25s";
constexpr Duration kPollTimeout = std::chrono::seconds{40};
// A center that is stopping, or a second poll of the same node, ends a poll at once and empty: that is no reason to ask in a circle.
constexpr Duration kShortest = std::chrono::seconds{1};

constexpr json::ListRule kCommandList{.min = 0, .max = 10'000, .item = {}};

Command::Kind kind_of(std::string_view word) {
    if (word == "start") return Command::Kind::start;
    if (word == "stop") return Command::Kind::stop;
    return word == "cordon" ? Command::Kind::cordon : Command::Kind::uncordon;
}

// What cannot be read is refused: without its task.
void read_hand_over(json::ObjectReader& reader, Command& command) {
    const json::Value* document = reader.any("run");
    auto run = document != nullptr ? task::read_run(*document) : fail(Errc::invalid_argument, "it names no run");
    command.hand_over = task::read_hand_over(reader);
    if (run && run->id == command.run_id && command.hand_over) {
        command.run = std::move(*run);
        return;
    }
    log::error("commands: the attempt of {} cannot be read: {}", command.id, run ? reader.faults().summary() : run.error().message);
    command.task.reset();
}

// Nothing if it has no id or is of a kind that this program does not know; the center then tells its users that it was never carried out.
std::optional<Command> read_command(const json::Value& value) {
    Faults faults;
    json::ObjectReader reader(value, "", faults);
    Command command;
    std::string kind;
    for (const auto* name : {"id", "kind"}) reader.require(name);
    reader.read("id", command.id, {.min = 1, .max = 128});
    reader.read_choice("kind", kind, {"start", "stop", "cordon", "uncordon"});
    const bool of_run = kind == "start" || kind == "stop";
    if (of_run) reader.require("run_id");
    if (of_run) reader.read("run_id", command.run_id, {.min = 1, .max = 128});
    if (reader.has("started_by")) reader.read("started_by", command.started_by);
    command.parameters = task::read_run_parameters(reader);
    if (!faults.empty()) {
        log::error("commands: one cannot be read and is left out: {}", faults.summary());
        return std::nullopt;
    }
    command.kind = kind_of(kind);
    if (command.kind == Command::Kind::start) {
        const json::Value* document = reader.any("task");
        auto task = document != nullptr ? task::read_task(*document) : fail(Errc::invalid_argument, "it names no task");
        if (task) {
            command.task = std::move(*task);
        } else {
            log::error("commands: the task of {} cannot be read: {}", command.id, task.error().message);
        }
        if (reader.has("hand_over")) read_hand_over(reader, command);
    }
    return command;
}

Result<std::vector<Command>> read_commands(std::string_view body) {
    const auto document = json::parse(body, {.max_bytes = kMaxCenterAnswer, .max_depth = 32});
    if (!document) return fail(Errc::unavailable, "the center's answer cannot be read: {}", document.error().message);
    Faults faults;
    json::ObjectReader reader(*document, "", faults);
    reader.require("commands");
    const json::Value* list = reader.array("commands", kCommandList);
    if (!faults.empty()) return fail(Errc::unavailable, "the center's answer cannot be read: {}", faults.summary());
    std::vector<Command> commands;
    for (const auto& value : list->GetArray()) {
        if (auto command = read_command(value)) commands.push_back(std::move(*command));
    }
    return commands;
}

}  // namespace

struct CommandPoll::Impl : std::enable_shared_from_this<Impl> {
    Impl(Loop& loop_in, Random& random_in, http::Client& client_in, std::function<void(Command)> handle_in,
         std::function<std::optional<std::int64_t>()> pending_in)
        : loop(loop_in),
          client(client_in),
          handle(std::move(handle_in)),
          pending(std::move(pending_in)),
          retry(loop_in, random_in, "commands") {}

    Loop& loop;
    http::Client& client;
    const std::function<void(Command)> handle;
    const std::function<std::optional<std::int64_t>()> pending;
    Retry retry;
    Timer pause;
    bool started = false;
    bool closed = false;

    void ask() {
        http::ClientRequest request;
        request.target = kTarget;
        if (const auto waiting = pending()) request.target += fmt::format("&pending={}", *waiting);
        request.timeout = kPollTimeout;
        client.send(std::move(request), [weak = weak_from_this(), asked = loop.clock().steady_now()](Result<http::Response> answer) {
            const auto self = weak.lock();
            if (self && !self->closed) self->answered(judge_for_node(std::move(answer)), asked);
        });
    }

    void answered(Result<http::Response> answer, SteadyInstant asked) {
        if (!answer) return failed(answer.error());
        auto commands = read_commands(answer->body);
        if (!commands) return failed(commands.error());
        retry.succeeded();
        const bool hasty = commands->empty() && loop.clock().steady_now() - asked < kShortest;
        for (Command& command : *commands) {
            handle(std::move(command));
            if (closed) return;
        }
        if (!hasty) return ask();
        pause = loop.after(kShortest, [this] { ask(); });
    }

    void failed(const Error& error) {
        retry.failed(error, [this] { ask(); });
    }
};

CommandPoll::CommandPoll(Loop& loop, Random& random, http::Client& client, std::function<void(Command)> handle,
                         std::function<std::optional<std::int64_t>()> pending)
    : impl_(std::make_shared<Impl>(loop, random, client, std::move(handle), std::move(pending))) {}

CommandPoll::~CommandPoll() {
    impl_->closed = true;
    impl_->pause.cancel();
    impl_->retry.cancel();
}

void CommandPoll::start() {
    impl_->loop.assert_on_loop();
    if (std::exchange(impl_->started, true)) return;
    impl_->ask();
}

}  // namespace cloudtask::node
