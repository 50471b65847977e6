// describe: what a task is, and what happens to it when something goes wrong. One thread.
#include <algorithm>
#include <map>
#include <ostream>
#include <vector>

#include "cli/commands/commands.h"
#include "cli/resources.h"
#include "cli/task_call.h"

namespace cloudtask::cli {

namespace {

const json::Value& member_of(const json::Value& object, const char* name) {
    static const json::Value kNothing;
    if (!object.IsObject()) return kNothing;
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

std::string without_controls(std::string text) {
    std::replace_if(text.begin(), text.end(), [](char c) { return static_cast<unsigned char>(c) < 0x20 || c == 0x7f; }, '?');
    return text;
}

// What counts if neither a schedule nor a start gives another: the task's own value, else its group's, else its runtime's. Names that only
// an inherited value names are there, too.
std::vector<std::string> parameter_lines(const json::Value& task) {
    std::map<std::string, std::string> lines;
    const auto take = [&lines](const json::Value& values, std::string_view whose) {
        if (!values.IsObject()) return;
        for (const auto& value : values.GetObject()) {
            std::string& line = lines[value.name.GetString()];
            if (line.empty() && value.value.IsString())
                line = fmt::format("{}={}{}", value.name.GetString(), value.value.GetString(), whose);
        }
    };
    take(member_of(task, "parameters"), "");
    take(member_of(member_of(task, "inherited_parameters"), "group"), "  (of the group)");
    take(member_of(member_of(task, "inherited_parameters"), "runtime"), "  (of the runtime)");
    std::vector<std::string> list;
    for (auto& [name, line] : lines) list.push_back(line.empty() ? name + "  (given by each schedule or start)" : std::move(line));
    const json::Value& schedules = member_of(task, "schedules");
    for (rapidjson::SizeType i = 0; schedules.IsArray() && i < schedules.Size(); ++i) {
        const std::string given = pairs_text(member_of(schedules[i], "parameters"));
        if (!given.empty()) list.push_back(fmt::format("by schedule {}: {}", i + 1, given));
    }
    return list;
}

std::vector<std::string> secret_lines(const json::Value& task) {
    std::vector<std::string> list;
    const json::Value& secrets = member_of(task, "secrets");
    if (secrets.IsObject()) {
        for (const auto& use : secrets.GetObject()) {
            const bool as_file = use.value.IsObject() && text_member(use.value, "as") == "file";
            const std::string secret = use.value.IsObject() ? text_member(use.value, "secret") : text_member(secrets, use.name.GetString());
            list.push_back(fmt::format("{}: {} {}", use.name.GetString(), as_file ? "the path of a file with" : "the value of", secret));
        }
    }
    const std::string key = text_member(member_of(member_of(task, "http"), "sign"), "secret");
    if (!key.empty()) list.push_back("the signature: by " + key);
    return list;
}

void print_facts(Invocation& invocation, const json::Value& task) {
    const Instant now = invocation.context().clock.now();
    const auto line = [&](std::string_view head, const std::string& value) {
        if (!value.empty())
            invocation.out() << fmt::format("{:<13}{}\n", head.empty() ? "" : std::string(head) + ":", without_controls(value));
    };
    const auto list = [&](std::string_view head, const std::vector<std::string>& values) {
        for (std::size_t i = 0; i < values.size(); ++i) line(i == 0 ? head : "", values[i]);
    };
    line("Task", find_resource("task")->name(task));
    line("Id", text_member(task, "id"));
    line("Description", text_member(task, "description"));
    line("Tags", pairs_text(member_of(task, "tags")));
    line("State", text_member(task, "state"));
    line("Version", fmt::format("{}, changed {}", integer_member(task, "version"), short_time(text_member(task, "updated_at"), now)));
    line("Canary", canary_text(member_of(task, "canary")));
    list("Parameters", parameter_lines(task));
    list("Secrets", secret_lines(task));
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
            "The values of its parameters, as they are written and with whose they are, come first; then the secrets that it is given, by "
            "name. The sentences follow from the task's policies and the nodes that are there now, by the rules that the nodes act by. "
            "With "
            "-o json they come with their topics, and nothing else.",
        .positionals = {{"TASK", "RUNTIME/GROUP/NAME or an id"}},
        .options = {},
        .examples = {{"cloudtask describe demo/reports/package-report", "what is promised?"}},
        .run = describe,
    }};
}

}  // namespace cloudtask::cli
