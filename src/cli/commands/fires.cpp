// task fires: each fire of a task as a whole, with all of its pieces. One thread.
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/resources.h"
#include "cli/task_call.h"

namespace cloudtask::cli {

namespace {

constexpr std::int64_t kUsualFires = 10;
constexpr std::int64_t kMostFires = 100'000;

// "7 SUCCEEDED, 1 RUNNING"
std::string counts_text(const json::Value& fire) {
    std::string text;
    const auto counts = fire.FindMember("counts");
    if (counts == fire.MemberEnd() || !counts->value.IsObject()) return text;
    for (const auto& count : counts->value.GetObject()) {
        text +=
            fmt::format("{}{} {}", text.empty() ? "" : ", ", integer_member(counts->value, count.name.GetString()), count.name.GetString());
    }
    return text;
}

void print_pieces(Table& table, const json::Value& fire) {
    const auto pieces = fire.FindMember("pieces");
    if (pieces == fire.MemberEnd() || !pieces->value.IsArray()) return;
    for (const auto& piece : pieces->value.GetArray()) {
        const std::string shard = piece.HasMember("shard") ? std::to_string(integer_member(piece, "shard")) : "";
        const std::int64_t attempts = integer_member(piece, "attempts");
        table.add({text_member(fire, "fire_time"), shard, text_member(piece, "state"), text_member(piece, "node_name"),
                   attempts == 0 ? "" : std::to_string(attempts), text_member(piece, "run_id"), text_member(piece, "reason")});
    }
}

Result<> fires(Invocation& invocation) {
    const Arguments& arguments = invocation.arguments();
    auto limit = arguments.integer("limit", 1, kMostFires, kUsualFires);
    if (!limit) return propagate(limit);
    auto center = invocation.center();
    if (!center) return propagate(center);
    auto id = named_task_id(invocation);
    if (!id) return propagate(id);
    auto listed = (*center)->list("/tasks/" + *id + "/fires", {}, static_cast<std::size_t>(*limit));
    if (!listed) return propagate(listed);
    if (invocation.format() != Format::table) {
        invocation.out() << (invocation.format() == Format::json ? pretty_json(*listed) : to_yaml(*listed));
        return {};
    }
    const bool with_pieces = arguments.has("pieces");
    Table table(with_pieces ? std::vector<std::string>{"FIRE", "SHARD", "STATE", "NODE", "ATTEMPTS", "RUN", "REASON"}
                            : std::vector<std::string>{"FIRE", "STATE", "RUNS", "VERSION"});
    for (const auto& fire : listed->GetArray()) {
        if (invocation.quiet()) {
            invocation.out() << text_member(fire, "fire_time") << ' ' << text_member(fire, "state") << '\n';
        } else if (with_pieces) {
            print_pieces(table, fire);
        } else {
            table.add({text_member(fire, "fire_time"), text_member(fire, "state"), counts_text(fire),
                       std::to_string(integer_member(fire, "task_version"))});
        }
    }
    if (invocation.quiet()) return {};
    if (listed->Empty()) {
        invocation.remark("the history has no fire of the task");
    } else {
        table.print(invocation.out(), false);
    }
    return {};
}

}  // namespace

std::vector<Command> fire_commands() {
    return {{.name = "task fires",
             .summary = "List the fires of a task, each with what became of all its shards or nodes",
             .details = "The newest come first. SUCCEEDED: all of it has. FAILED: a part has failed for good, whatever the others do. "
                        "INCOMPLETE: a part was skipped. Runs that were started by hand are no fires.",
             .positionals = {{"TASK", "RUNTIME/GROUP/NAME or an id"}},
             .options = {{"limit", 'n', "N", "at most this many (default 10)"},
                         {"pieces", 'p', "", "a line for each shard or node of each fire"}},
             .examples = {{"cloudtask task fires demo/reports/by-customer", "did all shards succeed?"},
                          {"cloudtask task fires demo/reports/by-customer -n 1 --pieces", "the shards of the last fire"}},
             .run = fires}};
}

}  // namespace cloudtask::cli
