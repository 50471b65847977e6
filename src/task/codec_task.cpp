// JSON of a Task, with its bounds. Pure; any thread.
#include <fmt/format.h>

#include <memory>
#include <utility>

#include "cloudtask/core/hash.h"
#include "cloudtask/task/codec.h"
#include "cloudtask/task/definition.h"
#include "cloudtask/task/http_call.h"
#include "cloudtask/task/parameters.h"
#include "cloudtask/task/pieces.h"
#include "cloudtask/task/task_parameters.h"
#include "task/codec_policies.h"
#include "task/codec_rules.h"
#include "task/codec_secrets.h"

namespace cloudtask::task {

namespace {

constexpr std::size_t kMostSchedules = 32;
constexpr std::size_t kMostArguments = 64;
constexpr std::size_t kLongestArgument = 4 * 1024;
constexpr std::size_t kLongestShell = 16 * 1024;
constexpr const char* kProgramExecutor = "program";
constexpr const char* kHttpExecutor = "http";

// Of an HTTP call; the other members of what there is to run are about programs.
void read_call(json::ObjectReader& reader, Task& task) {
    if (const json::Value* http = reader.object("http")) {
        if (auto call = read_http_call(*http, reader.pointer("http"), reader.faults(), reader.has("parameters"))) {
            task.http = std::make_shared<const HttpCall>(std::move(*call));
        }
    } else if (!reader.has("http")) {
        reader.faults().add("", "has no 'http', which the executor http calls by", "{\"url\": \"https://...\"}");
    }
    read_secrets(reader, task);
    if (task.secrets && !reader.has("parameters")) {
        reader.faults().add(reader.pointer("secrets"), "stands beside 'http' without 'parameters', so that nothing can name what it has",
                            "'parameters' ({} is enough), and ${secrets.NAME} in a header or the body");
    }
    for (const std::string_view name : {"command", "shell", "package", "environment", "success", "grace"}) {
        if (reader.has(name))
            reader.faults().add(reader.pointer(name), "stands beside an HTTP call, and is about programs", "no such member");
        reader.ignore(name);
    }
}

void read_program(json::ObjectReader& reader, Task& task) {
    const FaultCount count{reader.faults()};
    reader.read("command", task.command,
                {.min = 0, .max = kMostArguments, .item = {.min = 0, .max = kLongestArgument, .multi_line = true}});
    reader.read("shell", task.shell, {.min = 0, .max = kLongestShell, .multi_line = true});
    // A faulty one is told already, and may be the one that would be missed here.
    if (count.none_since() && task.command.empty() == task.shell.empty()) {
        reader.faults().add(task.shell.empty() ? "" : reader.pointer("shell"),
                            task.shell.empty() ? "has neither 'command' nor 'shell'" : "stands beside 'command'",
                            "exactly one of 'command' (a list of words) and 'shell' (a line for /bin/sh)");
    }
    if (!task.command.empty() && task.command.front().empty()) {
        reader.faults().add(pointer_to(reader.pointer("command"), std::size_t{0}), "is empty", "the name or path of a program");
    }
    if (reader.read("package", task.package, {.min = 0, .max = 128}) && !task.package.empty() && !is_sha256_hex(task.package)) {
        reader.faults().add(reader.pointer("package"), "is not the SHA-256 of a package",
                            "64 lower-case hexadecimal digits, as the upload answered");
    }
    read_environment(reader, task.environment);
    read_secrets(reader, task);
}

void read_work(json::ObjectReader& reader, Task& task) {
    std::string executor = reader.has("http") ? kHttpExecutor : kProgramExecutor;
    reader.read_choice("executor", executor, {kProgramExecutor, kHttpExecutor});
    if (executor == kHttpExecutor) return read_call(reader, task);
    if (reader.has("http")) reader.faults().add(reader.pointer("http"), "stands beside the executor program", "the executor http");
    reader.ignore("http");
    read_program(reader, task);
}

void read_schedules(json::ObjectReader& reader, std::vector<Schedule>& out) {
    const json::Value* list = reader.array("schedules", {.min = 0, .max = kMostSchedules});
    if (list == nullptr) return;
    for (rapidjson::SizeType i = 0; i < list->Size(); ++i) {
        if (auto schedule = Schedule::read((*list)[i], pointer_to(reader.pointer("schedules"), i), reader.faults())) {
            out.push_back(std::move(*schedule));
        }
    }
}

// What a center wrote of the values of its group and runtime.
void read_inherited_parameters(json::ObjectReader& reader, Task& task) {
    const json::Value* object = reader.object("inherited_parameters");
    if (object == nullptr || !task.parameters) return;
    json::ObjectReader inherited{*object, reader.pointer("inherited_parameters"), reader.faults()};
    TaskParameters all = *task.parameters;
    all.group = read_parameters(inherited, "group", ParameterOrigin::group).value_or(Parameters{});
    all.runtime = read_parameters(inherited, "runtime", ParameterOrigin::runtime).value_or(Parameters{});
    inherited.finish();
    task.parameters = std::make_shared<const TaskParameters>(std::move(all));
}

void write_task_parameters(json::Writer& out, const TaskParameters& parameters) {
    write_parameters(out, "parameters", parameters.own);
    if (parameters.group.empty() && parameters.runtime.empty()) return;
    out.key("inherited_parameters").begin_object();
    if (!parameters.group.empty()) write_parameters(out, "group", parameters.group);
    if (!parameters.runtime.empty()) write_parameters(out, "runtime", parameters.runtime);
    out.end_object();
}

// The calendars that a center wrote beside the schedules: all that these name.
void read_embedded_calendars(json::ObjectReader& reader, Task& task) {
    if (const json::Value* embedded = reader.object("calendars")) {
        for (const auto& member : embedded->GetObject()) {
            std::string name{member.name.GetString(), member.name.GetStringLength()};
            auto calendar = Calendar::read(member.value, pointer_to(reader.pointer("calendars"), name), reader.faults());
            if (calendar) task.calendars.emplace(std::move(name), std::move(calendar));
        }
    }
    for (const Schedule& schedule : task.schedules) {
        for (const std::string& name : schedule.calendar_names()) {
            if (!task.calendars.contains(name)) reader.faults().add(reader.pointer("calendars"), "lacks the calendar " + name);
        }
    }
}

void read_mode(json::ObjectReader& reader, Task& task) {
    const FaultCount count{reader.faults()};
    std::string choice;
    if (reader.read_choice("mode", choice, {"single", "shards", "broadcast"})) {
        task.mode = choice == "shards" ? Mode::shards : choice == "broadcast" ? Mode::broadcast : Mode::single;
    }
    std::int64_t shards = 0;
    const bool given = reader.read("shards", shards, {.min = 1, .max = kMostShards});
    if (given) task.shards = static_cast<std::uint16_t>(shards);
    if (!count.none_since() || given == (task.mode == Mode::shards)) return;
    reader.faults().add(reader.pointer("shards"), given ? "stands without 'mode': 'shards'" : "is missing: 'mode' is 'shards'",
                        fmt::format("with 'mode': 'shards', a number from 1 to {}", kMostShards));
}

// What a center or node wrote of a piece, see pieces.h. Where a node's own piece goes is not written: who reads it has it.
void read_piece(json::ObjectReader& reader, Task& task) {
    const json::Value* value = reader.object("piece");
    if (value == nullptr) return;
    json::ObjectReader member{*value, reader.pointer("piece"), reader.faults()};
    Piece piece;
    read_uuid(member, "task_id", piece.task_id);
    std::int64_t shard = 0;
    if (member.read("shard", shard, {.min = 0, .max = kMostShards - 1})) piece.shard = shard;
    member.finish();
    task.piece = std::make_shared<const Piece>(std::move(piece));
}

// What a user may say about a task; the fields of the server are the caller's.
Task read_definition(json::ObjectReader& reader) {
    Task task;
    read_slug(reader, "runtime", task.runtime);
    read_slug(reader, "group", task.group);
    read_slug(reader, "name", task.name);
    reader.read("description", task.description, kDescriptionRule);
    read_tags(reader, task.tags);
    reader.read("enabled", task.enabled);
    read_mode(reader, task);
    read_work(reader, task);
    if (auto own = read_parameters(reader, "parameters", ParameterOrigin::task)) {
        task.parameters = std::make_shared<const TaskParameters>(TaskParameters{std::move(*own), {}, {}});
    }
    read_schedules(reader, task.schedules);
    read_targets(reader, task.targets);
    read_labels(reader, task.labels);
    read_policies(reader, task);
    read_notify(reader, task.notify);
    return task;
}

}  // namespace

std::optional<Task> read_task_input(const json::Value& value, Faults& faults) {
    const FaultCount count{faults};
    json::ObjectReader reader{value, "", faults};
    Task task = read_definition(reader);
    check_expressions(task, faults);
    for (const std::string_view name : kServerMembers) reader.ignore(name);
    reader.finish();
    if (!count.none_since()) return std::nullopt;
    return task;
}

Result<Task> read_task(const json::Value& value) {
    Faults faults;
    json::ObjectReader reader{value, "", faults};
    Task task = read_definition(reader);
    read_uuid(reader, "id", task.id);
    for (const std::string_view name : {"version", "revision", "created_revision", "created_at", "updated_at", "effective_from"}) {
        reader.require(name);
    }
    reader.read("version", task.version, {.min = 1});
    reader.read("revision", task.revision);
    reader.read("created_revision", task.created_revision);
    reader.read_instant("created_at", task.created_at);
    reader.read_instant("updated_at", task.updated_at);
    reader.read_instant("effective_from", task.effective_from);
    reader.read("effective_revision", task.effective_revision);
    reader.read("exclusive_group", task.exclusive_group);
    read_embedded_calendars(reader, task);
    read_piece(reader, task);
    read_inherited_parameters(reader, task);
    reader.finish();
    if (!faults.empty()) return fail(Errc::invalid_argument, "the task is not valid: {}", faults.summary());
    adopt_schedules(task);
    return task;
}

void write(json::Writer& out, const Task& task) {
    out.begin_object();
    out.member("id", task.id);
    out.member("runtime", task.runtime);
    out.member("group", task.group);
    out.member("name", task.name);
    out.member("description", task.description);
    if (!task.tags.empty()) out.member("tags", task.tags);
    out.member("enabled", task.enabled);
    if (task.mode != Mode::single) out.member("mode", to_string(task.mode));
    if (task.mode == Mode::shards) out.member("shards", std::int64_t{task.shards});
    if (!task.command.empty()) out.member("command", task.command);
    if (!task.shell.empty()) out.member("shell", task.shell);
    if (!task.package.empty()) out.member("package", task.package);
    if (task.http) {
        out.member("executor", kHttpExecutor).key("http");
        write_http_call(out, *task.http);
    } else {
        out.member("environment", task.environment);
    }
    write_secrets(out, task);
    if (task.parameters) write_task_parameters(out, *task.parameters);
    out.key("schedules").begin_array();
    for (const Schedule& schedule : task.schedules) schedule.write(out);
    out.end_array();
    if (!task.calendars.empty()) {
        out.key("calendars").begin_object();
        for (const auto& [name, calendar] : task.calendars) out.key(name).raw(calendar->text());
        out.end_object();
    }
    const bool of_node = task.piece && !task.piece->shard;
    out.member("targets", of_node ? std::vector<std::string>{} : task.targets);
    out.member("labels", task.labels);
    write_policies(out, task);
    if (task.exclusive_group) out.member("exclusive_group", true);
    out.member("notify", task.notify);
    out.member("version", task.version);
    out.member("revision", task.revision);
    out.member("created_revision", task.created_revision);
    out.member("created_at", task.created_at);
    out.member("updated_at", task.updated_at);
    out.member("effective_from", task.effective_from);
    out.member("effective_revision", task.effective_revision);
    if (task.piece) {
        out.key("piece").begin_object().member("task_id", task.piece->task_id);
        if (task.piece->shard) out.member("shard", *task.piece->shard);
        out.end_object();
    }
    out.end_object();
}

}  // namespace cloudtask::task
