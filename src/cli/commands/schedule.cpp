// schedule: preview, what a rule means before it is saved; forecast and spread, the load that the rules of a runtime make; and tzdata, the
// time zones that the center goes by. One thread.
#include <algorithm>
#include <fstream>
#include <iterator>
#include <ostream>

#include "cli/commands/commands.h"
#include "cli/exit.h"
#include "cli/invocation.h"
#include "cli/resources.h"
#include "cli/yaml.h"
#include "cloudtask/core/units.h"
#include "cloudtask/task/schedule_words.h"

namespace cloudtask::cli {

namespace {

constexpr Duration kQuestionTakes = std::chrono::minutes{1};
constexpr std::size_t kBars = 24;
constexpr std::size_t kLongestBar = 50;

const json::Value& items_of(const json::Value& object, const char* name) {
    static const json::Value kNoItems(rapidjson::kArrayType);
    return object.HasMember(name) && object[name].IsArray() ? object[name] : kNoItems;
}

// The answer in the format that was asked for. False: as a table, which the caller prints.
bool print_document(Invocation& invocation, const json::Value& answer) {
    if (invocation.format() == Format::json) invocation.out() << pretty_json(answer);
    if (invocation.format() == Format::yaml) invocation.out() << to_yaml(answer);
    return invocation.format() != Format::table;
}

// As the person's locale says; English where there are no words of that language.
task::Language language_of(Context& context) {
    for (const char* name : {"LC_ALL", "LC_MESSAGES", "LANG"}) {
        const std::string locale = context.variable(name);
        if (!locale.empty()) return task::parse_language(locale).value_or(task::Language::english);
    }
    return task::Language::english;
}

// The schedules of a file: one, a list of them, or a definition that has them, which may name its `runtime`.
Result<json::Document> schedules_of_file(const std::filesystem::path& path, std::string& runtime) {
    std::ifstream file(path);
    if (!file) return fail(Exit::usage, "{} cannot be read", path.string());
    const std::string text{std::istreambuf_iterator<char>(file), {}};
    auto documents = read_yaml(text);
    if (!documents) return fail(Exit::usage, "{}, line {}: {}", path.string(), documents.error().line, documents.error().problem);
    json::Document list;
    list.SetArray();
    auto& memory = list.GetAllocator();
    const auto add = [&](const json::Value& value) { list.PushBack(json::Value(value, memory), memory); };
    for (const auto& document : *documents) {
        const json::Value* value = &document.value;
        if (value->IsObject() && value->HasMember("schedules")) {
            if (runtime.empty()) runtime = text_member(*value, "runtime");
            value = &(*value)["schedules"];
        }
        if (value->IsArray()) {
            for (const auto& schedule : value->GetArray()) add(schedule);
        } else {
            add(*value);
        }
    }
    if (list.Empty()) return fail(Exit::usage, "{} holds no schedule", path.string());
    return list;
}

// The rule that the options describe.
json::Document schedule_of_options(const Arguments& arguments) {
    json::Document schedule;
    schedule.SetObject();
    auto& memory = schedule.GetAllocator();
    const auto add = [&](const char* member, const std::string& option) {
        if (!arguments.has(option)) return;
        schedule.AddMember(json::Value(member, memory), json::Value(arguments.text(option).c_str(), memory), memory);
    };
    for (const char* name : {"cron", "every", "zone", "jitter"}) add(name, name);
    add("on_excluded", "on-excluded");
    add("working_days", "working-days");
    if (arguments.has("exclude")) {
        json::Value names(rapidjson::kArrayType);
        for (const std::string& name : arguments.list("exclude")) names.PushBack(json::Value(name.c_str(), memory), memory);
        schedule.AddMember("exclude", names, memory);
    }
    return schedule;
}

Result<std::string> preview_request(Invocation& invocation) {
    const Arguments& arguments = invocation.arguments();
    const bool by_options = arguments.has("cron") || arguments.has("every");
    if (!by_options && !arguments.has("file") && !arguments.has("task")) {
        return fail(Exit::usage, "there is nothing to preview\n  give a rule by --cron or --every, a file by -f, or a task by --task");
    }
    auto count = arguments.integer("count", 1, 1000, 20);
    if (!count) return propagate(count);
    json::Document body;
    body.SetObject();
    auto& memory = body.GetAllocator();
    const auto set = [&](const char* name, const json::Value& value) {
        body.AddMember(json::Value(name, memory), json::Value(value, memory), memory);
    };
    std::string runtime = arguments.text("runtime");
    if (arguments.has("task")) {
        auto center = invocation.center();
        if (!center) return propagate(center);
        auto task = resolve(**center, *find_resource("task"), arguments.text("task"));
        if (!task) return propagate(task);
        if (!task->IsObject() || !task->HasMember("id")) return fail(Exit::failed, "preview: the center's answer is not a task");
        set("task_id", (*task)["id"]);
        if (runtime.empty()) runtime = text_member(*task, "runtime");
        if (!by_options && !arguments.has("file")) {
            if (items_of(*task, "schedules").Empty()) return fail(Exit::usage, "the task {} has no schedule", arguments.text("task"));
            set("schedules", items_of(*task, "schedules"));
        }
    }
    if (by_options) {
        set("schedule", schedule_of_options(arguments));
    } else if (arguments.has("file")) {
        auto schedules = schedules_of_file(invocation.path(arguments.text("file")), runtime);
        if (!schedules) return propagate(schedules);
        set("schedules", *schedules);
    }
    if (!runtime.empty()) set("runtime", json::Value(runtime.c_str(), memory));
    if (arguments.has("after")) set("after", json::Value(arguments.text("after").c_str(), memory));
    set("count", json::Value(*count));
    return json::to_text(body);
}

// What happened to a fire, for a table.
std::string remark_of(const json::Value& fire) {
    std::string remark;
    const auto add = [&](const std::string& text) { remark += (remark.empty() ? "" : "; ") + text; };
    const std::string change = text_member(fire, "clock_change");
    if (change == "moved") add("the clocks skip its time");
    if (change == "first_of_two") add("the clocks show this time twice: the first");
    if (change == "second_of_two") add("the clocks show this time twice: the second");
    if (fire.HasMember("excluded")) {
        const std::string by = text_member(fire["excluded"], "calendar") + ", " + text_member(fire["excluded"], "entry");
        add(text_member(fire["excluded"], "what") == "dropped" ? "does not fire: " + by : "deferred: " + by);
    }
    if (!text_member(fire, "nominal").empty()) add("named for " + text_member(fire, "nominal"));
    return remark;
}

Result<> preview(Invocation& invocation) {
    const auto body = preview_request(invocation);
    if (!body) return propagate(body);
    auto center = invocation.center();
    if (!center) return propagate(center);
    auto answer = (*center)->write({.method = "POST", .path = "/schedules/preview", .body = *body, .doing = "preview"});
    if (!answer) return propagate(answer);
    if (!answer->IsObject()) return fail(Exit::failed, "preview: the center's answer is not a preview");
    if (print_document(invocation, *answer)) return {};
    const json::Value& fires = items_of(*answer, "fires");
    if (invocation.quiet()) {
        for (const auto& fire : fires.GetArray()) invocation.out() << text_member(fire, "at") << '\n';
        return {};
    }
    const char* language = language_of(invocation.context()) == task::Language::chinese ? "zh" : "en";
    if (answer->HasMember("words") && (*answer)["words"].IsObject()) {
        for (const auto& sentence : items_of((*answer)["words"], language).GetArray()) {
            if (sentence.IsString()) invocation.out() << sentence.GetString() << '\n';
        }
    }
    invocation.out() << '\n';
    Table table({"LOCAL TIME", "OFFSET", "ZONE", "UTC", "REMARK"});
    for (const auto& fire : fires.GetArray()) {
        table.add({text_member(fire, "local"), text_member(fire, "offset"), text_member(fire, "abbreviation"), text_member(fire, "at"),
                   remark_of(fire)});
    }
    table.print(invocation.out(), false);
    if (fires.Empty()) invocation.remark("no fire is left");
    const std::string version = text_member(*answer, "tzdata");
    if (!version.empty()) invocation.remark("tzdata " + version);
    return {};
}

std::string peak_text(const json::Value& sums, const char* name) {
    if (!sums.HasMember(name) || !sums[name].IsObject()) return "-";
    return fmt::format("{} at {}", integer_member(sums[name], "fires"), text_member(sums[name], "at"));
}

Result<json::Document> ask_runtime(Invocation& invocation, const std::string& question, const std::vector<const char*>& options) {
    const Arguments& arguments = invocation.arguments();
    auto center = invocation.center();
    if (!center) return propagate(center);
    Query query;
    for (const char* name : options) {
        std::string parameter = name;
        std::replace(parameter.begin(), parameter.end(), '-', '_');
        query.emplace_back(parameter, arguments.text(name));
    }
    const std::string runtime = arguments.text("RUNTIME");
    auto answer =
        (*center)->get("/runtimes/" + http::encode_component(runtime) + "/" + question, "runtime " + runtime, query, kQuestionTakes);
    if (answer && !answer->IsObject()) return fail(Exit::failed, "{}: the center's answer is not what was asked for", question);
    return answer;
}

// One bar for each part of the time, as long as its fires.
void print_histogram(std::ostream& out, const json::Value& forecast) {
    const json::Value& minutes = items_of(forecast, "minutes");
    const auto from = parse_instant(text_member(forecast, "from"));
    if (minutes.Empty() || !from) return;
    const std::size_t width = (minutes.Size() + kBars - 1) / kBars;  // minutes of a bar
    std::vector<std::int64_t> bars((minutes.Size() + width - 1) / width);
    std::vector<std::int64_t> fullest(bars.size());
    for (rapidjson::SizeType i = 0; i < minutes.Size(); ++i) {
        const std::int64_t fires = minutes[i].IsInt64() ? minutes[i].GetInt64() : 0;
        bars[i / width] += fires;
        fullest[i / width] = std::max(fullest[i / width], fires);
    }
    const std::int64_t most = std::max<std::int64_t>(1, *std::max_element(bars.begin(), bars.end()));
    Table table({"FROM", "FIRES", "FULLEST MINUTE", ""});
    for (std::size_t i = 0; i < bars.size(); ++i) {
        const auto length = static_cast<std::size_t>((bars[i] * static_cast<std::int64_t>(kLongestBar) + most - 1) / most);
        table.add({format_instant(*from + std::chrono::minutes{i * width}), std::to_string(bars[i]), std::to_string(fullest[i]),
                   std::string(length, '#')});
    }
    table.print(out, false);
}

Result<> forecast(Invocation& invocation) {
    auto answer = ask_runtime(invocation, "forecast", {"from", "hours"});
    if (!answer) return propagate(answer);
    if (print_document(invocation, *answer)) return {};
    invocation.out() << fmt::format("{} fires of {} tasks from {} to {}\n", integer_member(*answer, "fires"),
                                    integer_member(*answer, "tasks"), text_member(*answer, "from"), text_member(*answer, "to"));
    invocation.out() << "fullest second: " << peak_text(*answer, "peak_second") << '\n';
    invocation.out() << "fullest minute: " << peak_text(*answer, "peak_minute") << '\n';
    if (invocation.quiet()) return {};
    invocation.out() << '\n';
    print_histogram(invocation.out(), *answer);
    return {};
}

// Writes one proposal into its task, unless somebody changed the task since.
Result<> apply_proposal(Center& center, const json::Value& proposal) {
    const std::string id = text_member(proposal, "task_id");
    const std::string what = "task " + text_member(proposal, "group") + "/" + text_member(proposal, "name");
    auto task = center.get("/tasks/" + http::encode_component(id), what);
    if (!task) return propagate(task);
    const std::int64_t index = integer_member(proposal, "schedule");
    const bool is_there = task->IsObject() && integer_member(*task, "version") == integer_member(proposal, "version") && index >= 0 &&
                          index < static_cast<std::int64_t>(items_of(*task, "schedules").Size());
    if (!is_there) return fail(Exit::failed, "{} has changed since; spread again", what);
    json::Value& schedule = (*task)["schedules"][static_cast<rapidjson::SizeType>(index)];
    schedule.AddMember("jitter", json::Value(text_member(proposal, "jitter").c_str(), task->GetAllocator()), task->GetAllocator());
    auto written = center.write({.method = "PUT",
                                 .path = "/tasks/" + http::encode_component(id),
                                 .body = json::to_text(*task),
                                 .doing = "spread " + what,
                                 .version = integer_member(proposal, "version")});
    if (!written) return propagate(written);
    return {};
}

// Several schedules of one task are one change after another: each has the version that the one before made.
Result<> apply_spread(Invocation& invocation, json::Document& answer) {
    auto center = invocation.center();
    if (!center) return propagate(center);
    json::Value& proposals = answer["proposals"];
    std::int64_t done = 0, same_task = 0;
    std::string before;
    for (auto& proposal : proposals.GetArray()) {
        const std::string id = text_member(proposal, "task_id");
        same_task = id == before ? same_task + 1 : 0;
        before = id;
        proposal["version"].SetInt64(integer_member(proposal, "version") + same_task);
        if (auto applied = apply_proposal(**center, proposal); !applied) {
            return fail(Exit::failed, "{}\n  {} of {} were written before", applied.error().message, done, proposals.Size());
        }
        ++done;
    }
    invocation.remark(fmt::format("{} schedules spread", done));
    return {};
}

Result<> spread(Invocation& invocation) {
    const bool apply = invocation.arguments().has("apply");
    auto answer = ask_runtime(invocation, "spread", {"from", "hours", "max-jitter", "target"});
    if (!answer) return propagate(answer);
    if (!answer->HasMember("before") || !answer->HasMember("after") || !answer->HasMember("proposals") ||
        !(*answer)["proposals"].IsArray()) {
        return fail(Exit::failed, "spread: the center's answer is not a proposal");
    }
    if (!print_document(invocation, *answer)) {
        if (!invocation.quiet()) {
            Table table({"TASK", "SCHEDULE", "JITTER"});
            for (const auto& proposal : items_of(*answer, "proposals").GetArray()) {
                table.add({text_member(*answer, "runtime") + "/" + text_member(proposal, "group") + "/" + text_member(proposal, "name"),
                           std::to_string(integer_member(proposal, "schedule")), text_member(proposal, "jitter")});
            }
            table.print(invocation.out(), false);
            invocation.out() << '\n';
        }
        Table peaks({"", "FULLEST SECOND", "FULLEST MINUTE"});
        for (const char* when : {"before", "after"}) {
            peaks.add({when, peak_text((*answer)[when], "peak_second"), peak_text((*answer)[when], "peak_minute")});
        }
        peaks.print(invocation.out(), false);
    }
    if (apply) return apply_spread(invocation, *answer);
    if (integer_member(*answer, "proposed") > 0) invocation.remark("nothing is written; --apply writes it");
    return {};
}

Result<> tzdata(Invocation& invocation) {
    auto center = invocation.center();
    if (!center) return propagate(center);
    auto answer = (*center)->get("/tzdata", "tzdata");
    if (!answer) return propagate(answer);
    if (!answer->IsObject()) return fail(Exit::failed, "tzdata: the center's answer is not what was asked for");
    if (print_document(invocation, *answer)) return {};
    const bool restart = answer->HasMember("restart_needed") && (*answer)["restart_needed"].IsTrue();
    invocation.out() << fmt::format("the system has tzdata {}, the center goes by {}{}\n", text_member(*answer, "version"),
                                    text_member(*answer, "loaded"), restart ? ": restart the center and the nodes" : "");
    if (!answer->HasMember("change") || !(*answer)["change"].IsObject()) {
        invocation.out() << "no change of the zones that tasks use has been noticed\n";
        return {};
    }
    const json::Value& change = (*answer)["change"];
    invocation.out() << fmt::format("changed from {} to {}, noticed {}: {} tasks fire at other times\n", text_member(change, "from"),
                                    text_member(change, "to"), text_member(change, "noticed_at"), integer_member(change, "task_count"));
    if (items_of(change, "tasks").Empty()) return {};
    invocation.out() << '\n';
    Table table({"TASK", "ZONE", "FIRST FIRE BEFORE", "NOW"});
    for (const auto& task : items_of(change, "tasks").GetArray()) {
        const std::string name = text_member(task, "runtime") + "/" + text_member(task, "group") + "/" + text_member(task, "name");
        table.add({name, text_member(task, "zone"), text_member(task, "before"), text_member(task, "after")});
    }
    table.print(invocation.out(), false);
    return {};
}

}  // namespace

std::vector<Command> schedule_commands() {
    const std::vector<Option> interval = {{"from", 0, "TIME", "begin here, RFC 3339 (default now)"},
                                          {"hours", 0, "N", "look so far ahead, up to 48 (default 24)"}};
    std::vector<Option> spread_options = interval;
    spread_options.push_back({"max-jitter", 0, "DURATION", "delay no fire by more (default 5min)"});
    spread_options.push_back({"target", 0, "N", "more fires than this in one second are a burst (default 10)"});
    spread_options.push_back({"apply", 0, "", "write the jitters into the tasks"});
    return {
        {.name = "schedule preview",
         .summary = "Show when a schedule fires, before it is saved",
         .details =
             "Says the rule in words, and lists its next fires: local time, offset from UTC, and what a change of the clocks, jitter or a "
             "calendar does to them. The words follow LC_ALL, LC_MESSAGES or LANG: English, or Chinese for zh. With --task, H and "
             "jitter are that task's.",
         .positionals = {},
         .options = {{"cron", 0, "RULE", "a cron rule: '0 9 * * mon-fri'"},
                     {"every", 0, "INTERVAL", "an interval: 30s"},
                     {"zone", 0, "ZONE", "its time zone (default UTC)"},
                     {"jitter", 0, "DURATION", "its jitter"},
                     {"exclude", 0, "CALENDAR", "a calendar of --runtime whose holidays and blackouts it keeps clear of", {}, true},
                     {"on-excluded", 0, "CHOICE", "what becomes of a fire that is excluded (default drop)", {"drop", "defer"}},
                     {"working-days", 0, "CALENDAR", "the calendar of --runtime that says which days are worked"},
                     {"runtime", 'r', "NAME", "the runtime whose calendars are meant (default: the task's)"},
                     {.name = "file",
                      .letter = 'f',
                      .value = "FILE",
                      .meaning = "the schedules of a YAML file: one, a list, or a task's",
                      .file = true},
                     {"task", 't', "TASK", "the schedules of this task, or as it would have them: RUNTIME/GROUP/NAME or an id"},
                     {"after", 0, "TIME", "fires after this, RFC 3339 (default now)"},
                     {"count", 0, "N", "so many, up to 1000 (default 20)"}},
         .examples = {{"cloudtask schedule preview --cron '30 2 * * *' --zone Europe/Berlin --count 5", "a rule"},
                      {"cloudtask schedule preview --task demo/reports/daily -o json", "those of a task, for scripts"}},
         .run = preview},
        {.name = "schedule forecast",
         .summary = "Show how many fires of a runtime are due when",
         .details = "Counts the fires of the enabled tasks, minute by minute, and names the fullest second and minute.",
         .positionals = {{"RUNTIME", "the runtime's name"}},
         .options = interval,
         .examples = {{"cloudtask schedule forecast demo", "the next day"}},
         .run = forecast},
        {.name = "schedule spread",
         .summary = "Propose a jitter for the schedules that fire in bursts",
         .details =
             "A burst is a second with more fires than --target. Each of its schedules is offered the jitter that spreads the burst, up to "
             "--max-jitter and half the time between two of its own fires; the peaks are shown before and after. Nothing is written "
             "without --apply, which stops at the first task that somebody changed meanwhile.",
         .positionals = {{"RUNTIME", "the runtime's name"}},
         .options = spread_options,
         .examples = {{"cloudtask schedule spread demo --max-jitter 2min", "see what it would do"},
                      {"cloudtask schedule spread demo --max-jitter 2min --apply", "do it"}},
         .run = spread},
        {.name = "tzdata",
         .summary = "Show the time zone database, and what its last change did",
         .details =
             "The center notices when the rules of a zone that its tasks use change, and lists the tasks whose fires of the next year do.",
         .positionals = {},
         .options = {},
         .examples = {{"cloudtask tzdata", "which version, and which tasks fire at other times"}},
         .run = tzdata},
    };
}

}  // namespace cloudtask::cli
