// The center's resources as people see them. One thread.
#include "cli/resources.h"

#include <algorithm>

#include "cli/exit.h"
#include "cloudtask/core/hash.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/core/units.h"
#include "cloudtask/task/schedule_words.h"

namespace cloudtask::cli {

namespace {

const json::Value& member(const json::Value& object, const char* name) {
    static const json::Value kNone;
    if (!object.IsObject()) return kNone;
    const auto found = object.FindMember(name);
    return found == object.MemberEnd() ? kNone : found->value;
}

// A text as it is, a number or boolean in JSON, a list separated by commas, an object as k=v separated by commas.
std::string cell(const json::Value& value) {
    if (value.IsNull()) return {};
    if (value.IsString()) return {value.GetString(), value.GetStringLength()};
    std::string text;
    if (value.IsArray()) {
        for (const auto& item : value.GetArray()) text += (text.empty() ? "" : ",") + cell(item);
        return text;
    }
    if (value.IsObject()) {
        for (const auto& entry : value.GetObject())
            text += fmt::format("{}{}={}", text.empty() ? "" : ",", entry.name.GetString(), cell(entry.value));
        return text;
    }
    return json::to_text(value);
}

std::string cell(const json::Value& item, const char* name) { return cell(member(item, name)); }

std::string time_cell(const json::Value& item, const char* name, Instant now) { return short_time(text_member(item, name), now); }

std::string name_of(const json::Value& item) { return text_member(item, "name"); }
std::string id_of(const json::Value& item) { return text_member(item, "id"); }
std::string sha256_of(const json::Value& item) { return text_member(item, "sha256"); }
std::string group_name(const json::Value& item) { return text_member(item, "runtime") + "/" + text_member(item, "name"); }
std::string task_name(const json::Value& item) {
    return text_member(item, "runtime") + "/" + text_member(item, "group") + "/" + text_member(item, "name");
}
std::string task_of_run(const json::Value& run) {
    const std::string shard = run.HasMember("shard") ? fmt::format(" #{}", integer_member(run, "shard")) : std::string{};
    return text_member(run, "runtime") + "/" + text_member(run, "group") + "/" + text_member(run, "task_name") + shard;
}

// In words; as it is if this program does not understand it (a newer center).
std::string schedule_text(const json::Value& schedule, const std::string& task_id) {
    Faults faults;
    const auto read = task::Schedule::read(schedule, "", faults);
    return read ? task::words(read->for_task(task_id), task::Language::english) : json::to_text(schedule);
}

std::string schedules_cell(const json::Value& item) {
    std::string text;
    const json::Value& schedules = member(item, "schedules");
    if (!schedules.IsArray()) return text;
    for (const auto& schedule : schedules.GetArray()) text += (text.empty() ? "" : " | ") + schedule_text(schedule, id_of(item));
    return text;
}

std::string last_run_cell(const json::Value& item, Instant now) {
    const json::Value& run = member(item, "last_run");
    if (!run.IsObject()) return {};
    const std::string ended = text_member(run, "ended_at");
    return text_member(run, "state") + " " + short_time(ended.empty() ? text_member(run, "started_at") : ended, now);
}

std::string exit_cell(const json::Value& run) {
    if (member(run, "exit_code").IsInt64()) return cell(run, "exit_code");
    if (member(run, "http_status").IsInt64()) return "HTTP " + cell(run, "http_status");
    return member(run, "signal").IsInt64() ? "signal " + cell(run, "signal") : std::string{};
}

std::string size_cell(const json::Value& item) {
    const json::Value& size = member(item, "size");
    if (!size.IsUint64()) return {};
    const std::uint64_t bytes = size.GetUint64();
    constexpr std::uint64_t kKiB = 1024;
    constexpr std::uint64_t kMiB = kKiB * 1024;
    if (bytes < 10 * kKiB) return fmt::format("{}B", bytes);
    return bytes < 10 * kMiB ? fmt::format("{}KiB", bytes / kKiB) : fmt::format("{}MiB", bytes / kMiB);
}

std::vector<std::string> runtime_cells(const json::Value& i, Instant now) {
    return {name_of(i), time_cell(i, "updated_at", now), cell(i, "notify"), cell(i, "description")};
}
std::string node_state(const json::Value& node) {
    const std::string state = member(node, "online").IsTrue() ? "online" : "offline";
    if (member(node, "cordoned").IsObject()) return state + ",cordoned";
    return member(node, "leaving").IsTrue() ? state + ",leaving" : state;
}
std::vector<std::string> node_cells(const json::Value& i, Instant now) {
    return {cell(i, "runtime"),
            name_of(i),
            node_state(i),
            member(i, "in_ring").IsTrue() ? "yes" : "no",
            cell(i, "running_runs"),
            cell(i, "epoch"),
            time_cell(i, "last_seen_at", now),
            cell(i, "version"),
            id_of(i),
            cell(i, "labels")};
}
std::vector<std::string> group_cells(const json::Value& i, Instant now) {
    return {group_name(i), time_cell(i, "updated_at", now), cell(i, "notify"), cell(i, "description")};
}
std::string count_cell(const json::Value& item, const char* name) {
    const json::Value& list = member(item, name);
    return list.IsArray() ? std::to_string(list.Size()) : std::string{};
}
std::vector<std::string> calendar_cells(const json::Value& i, Instant now) {
    return {group_name(i),         time_cell(i, "updated_at", now), cell(i, "zone"), count_cell(i, "holidays"), count_cell(i, "blackouts"),
            cell(i, "description")};
}
std::vector<std::string> task_cells(const json::Value& i, Instant now) {
    return {task_name(i), cell(i, "state"), last_run_cell(i, now), schedules_cell(i), id_of(i)};
}
// What was reported after the end, and not applied, is told beside the reason.
std::string reason_cell(const json::Value& run) {
    const json::Value& late = member(run, "late_report");
    if (!late.IsObject()) return cell(run, "reason");
    const std::string reason = cell(run, "reason");
    return reason + (reason.empty() ? "" : "; ") + "reported late: " + cell(late, "state");
}
std::vector<std::string> run_cells(const json::Value& i, Instant now) {
    const std::string started = text_member(i, "started_at");
    const std::string fire = text_member(i, "fire_time");
    return {id_of(i),
            task_of_run(i),
            cell(i, "state"),
            exit_cell(i),
            short_time(started.empty() ? fire : started, now),
            short_duration(started, text_member(i, "ended_at")),
            cell(i, "node_name"),
            cell(i, "trigger"),
            reason_cell(i)};
}
std::vector<std::string> user_cells(const json::Value& i, Instant) { return {name_of(i), cell(i, "role"), cell(i, "email"), id_of(i)}; }
std::vector<std::string> package_cells(const json::Value& i, Instant now) {
    return {cell(i, "filename"), cell(i, "format"), size_cell(i), time_cell(i, "created_at", now), cell(i, "uploaded_by"), sha256_of(i)};
}
std::vector<std::string> join_token_cells(const json::Value& i, Instant now) {
    return {id_of(i), cell(i, "runtime"), time_cell(i, "expires_at", now), cell(i, "description")};
}

std::vector<std::string> split(const std::string& text) {
    std::vector<std::string> parts;
    std::size_t begin = 0;
    for (;;) {
        const std::size_t slash = text.find('/', begin);
        parts.push_back(text.substr(begin, slash - begin));
        if (slash == std::string::npos) return parts;
        begin = slash + 1;
    }
}

// How many parts a name has, and what they are called.
struct Shape {
    std::vector<std::string> members;
    std::string text;
};

Shape shape_of(const Resource& resource) {
    if (resource.singular == "task") return {{"runtime", "group", "name"}, "RUNTIME/GROUP/NAME or an id"};
    if (resource.singular == "calendar") return {{"runtime", "name"}, "RUNTIME/NAME or an id"};
    if (resource.singular == "group") return {{"runtime", "name"}, "RUNTIME/NAME or an id"};
    if (resource.singular == "node") return {{"runtime", "name"}, "RUNTIME/NAME or an id"};
    return {{"name"}, "a name"};
}

}  // namespace

const std::vector<Resource>& resources() {
    static const std::vector<Resource> kResources = {
        {"runtimes", "runtime", {}, {"NAME", "CHANGED", "NOTIFY", "DESCRIPTION"}, runtime_cells, name_of},
        {"nodes",
         "node",
         {"runtime"},
         {"RUNTIME", "NAME", "STATE", "IN RING", "RUNS", "EPOCH", "LAST SEEN", "VERSION", "ID", "LABELS"},
         node_cells,
         group_name},
        {"groups", "group", {"runtime"}, {"GROUP", "CHANGED", "NOTIFY", "DESCRIPTION"}, group_cells, group_name},
        {"calendars",
         "calendar",
         {"runtime"},
         {"CALENDAR", "CHANGED", "ZONE", "HOLIDAYS", "BLACKOUTS", "DESCRIPTION"},
         calendar_cells,
         group_name},
        {"tasks", "task", {"runtime", "group"}, {"TASK", "STATE", "LAST RUN", "SCHEDULES", "ID"}, task_cells, task_name},
        {"runs",
         "run",
         {"runtime", "group", "task", "state"},
         {"ID", "TASK", "STATE", "EXIT", "STARTED", "TOOK", "NODE", "TRIGGER", "REASON"},
         run_cells,
         id_of},
        {"users", "user", {}, {"NAME", "ROLE", "EMAIL", "ID"}, user_cells, name_of},
        {"packages", "package", {}, {"FILE", "FORMAT", "SIZE", "UPLOADED", "BY", "SHA256"}, package_cells, sha256_of},
        {"join-tokens", "join-token", {"runtime"}, {"ID", "RUNTIME", "EXPIRES", "DESCRIPTION"}, join_token_cells, id_of},
    };
    return kResources;
}

const Resource* find_resource(const std::string& word) {
    const auto found = std::find_if(resources().begin(), resources().end(),
                                    [&](const Resource& resource) { return resource.plural == word || resource.singular == word; });
    return found == resources().end() ? nullptr : &*found;
}

Result<json::Document> resolve(Center& center, const Resource& resource, const std::string& reference) {
    const std::string what = resource.singular + " " + reference;
    const bool direct = resource.singular == "runtime" || resource.singular == "run" ||
                        (resource.singular == "package" && is_sha256_hex(reference)) || is_uuid(reference);
    if (direct && resource.singular != "join-token")
        return center.get("/" + resource.plural + "/" + http::encode_component(reference), what);

    Query query;
    std::vector<std::pair<std::string, std::string>> wanted;
    if (resource.singular == "join-token") {
        wanted.emplace_back("id", reference);
    } else if (resource.singular == "package") {
        wanted.emplace_back("filename", reference);
    } else {
        const Shape shape = shape_of(resource);
        const auto parts = split(reference);
        if (parts.size() != shape.members.size() || std::count(parts.begin(), parts.end(), "") > 0) {
            return fail(Exit::usage, "\"{}\" does not name a {}; it is {}", reference, resource.singular, shape.text);
        }
        for (std::size_t i = 0; i < parts.size(); ++i) wanted.emplace_back(shape.members[i], parts[i]);
        // Only the filters that every center has for this list; the rest is compared here.
        for (const auto& [name, value] : wanted) {
            if (std::find(resource.filters.begin(), resource.filters.end(), name) != resource.filters.end() ||
                resource.singular == "task") {
                query.emplace_back(name, value);
            }
        }
    }
    auto found = center.find("/" + resource.plural, query, [&](const json::Value& item) {
        return std::all_of(wanted.begin(), wanted.end(),
                           [&](const auto& one) { return text_member(item, one.first.c_str()) == one.second; });
    });
    if (found && found->IsNull()) return fail(Exit::not_found, "there is no {}", what);
    return found;
}

std::string path_of(const Resource& resource, const json::Value& item) {
    std::string key = id_of(item);
    if (resource.singular == "runtime") key = name_of(item);
    if (resource.singular == "package") key = sha256_of(item);
    return "/" + resource.plural + "/" + http::encode_component(key);
}

void print_table(std::ostream& out, const Resource& resource, const json::Value& items, Instant now, bool colours) {
    Table table(resource.heads);
    for (const auto& item : items.GetArray()) table.add(resource.cells(item, now));
    table.print(out, colours);
}

}  // namespace cloudtask::cli
