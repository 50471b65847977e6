// describe: what a task is, and what happens to it when something goes wrong. One thread.
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/resources.h"
#include "cli/task_call.h"

namespace cloudtask::cli {

namespace {

const json::Value& member_of(const json::Value& object, const char* name) {
    static const json::Value kNothing;
    const auto found = object.FindMember(name);
    return found == object.MemberEnd() ? kNothing : found->value;
}

// "team=payroll, live=".
std::string pairs_text(const json::Value& object) {
    std::string text;
    if (!object.IsObject()) return text;
    for (const auto& entry : object.GetObject()) {
        if (!text.empty()) text += ", ";
        text += fmt::format("{}={}", entry.name.GetString(), entry.value.IsString() ? entry.value.GetString() : json::to_text(entry.value));
    }
    return text;
}

std::string canary_text(const json::Value& canary) {
    if (!canary.IsObject()) return {};
    std::string text = fmt::format("version {} is {}: {} of {} fires succeeded", integer_member(canary, "version"),
                                   text_member(canary, "state"), integer_member(canary, "succeeded"), integer_member(canary, "fires"));
    const std::string detail = text_member(canary, "detail");
    return detail.empty() ? text : text + "; " + detail;
}

void print_facts(Invocation& invocation, const json::Value& task) {
    const Instant now = invocation.context().clock.now();
    const auto line = [&](std::string_view head, const std::string& value) {
        if (!value.empty()) invocation.out() << fmt::format("{:<12}{}\n", std::string(head) + ":", value);
    };
    line("Task", find_resource("task")->name(task));
    line("Id", text_member(task, "id"));
    line("Description", text_member(task, "description"));
    line("Tags", pairs_text(member_of(task, "tags")));
    line("State", text_member(task, "state"));
    line("Version", fmt::format("{}, changed {}", integer_member(task, "version"), short_time(text_member(task, "updated_at"), now)));
    line("Canary", canary_text(member_of(task, "canary")));
    const std::string next = text_member(task, "next_fire");
    if (!next.empty()) line("Next fire", fmt::format("{} ({})", next, short_time(next, now)));
}

Result<> describe(Invocation& invocation) {
    auto task = named_task(invocation);
    if (!task) return propagate(task);
    Center& center = **invocation.center();
    const Resource& resource = *find_resource("task");
    auto guarantee = center.get(path_of(resource, *task) + "/guarantee", "guarantee of task " + resource.name(*task));
    if (!guarantee) return propagate(guarantee);
    if (invocation.format() != Format::table) {
        invocation.out() << (invocation.format() == Format::json ? pretty_json(*guarantee) : to_yaml(*guarantee));
        return {};
    }
    if (!invocation.quiet()) {
        print_facts(invocation, *task);
        invocation.out() << "\n";
    }
    const json::Value& sentences = member_of(*guarantee, "sentences");
    if (!sentences.IsArray()) return {};
    for (const auto& sentence : sentences.GetArray()) invocation.out() << "- " << text_member(sentence, "text") << '\n';
    return {};
}

}  // namespace

std::vector<Command> describe_commands() {
    return {{
        .name = "describe",
        .summary = "Say what a task is, and what happens when its node dies, a run fails or takes too long, or a fire is missed",
        .details =
            "The sentences follow from the task's policies and the nodes that are there now, by the rules that the nodes act by. With -o "
            "json they come with their topics.",
        .positionals = {{"TASK", "RUNTIME/GROUP/NAME or an id"}},
        .options = {},
        .examples = {{"cloudtask describe demo/reports/package-report", "what is promised?"}},
        .run = describe,
    }};
}

}  // namespace cloudtask::cli
