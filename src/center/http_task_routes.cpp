// The route of URL tasks in one call (docs/url-tasks.md): a request with an address and an instant becomes the definition of a task that
// fires once, and goes the way of all definitions from there on.
#include <fmt/format.h>

#include <algorithm>
#include <array>

#include "center/runtime_store.h"
#include "center/runtimes.h"
#include "center/task_routes.h"
#include "center/tasks.h"
#include "cloudtask/core/ids.h"
#include "cloudtask/task/codec.h"

namespace cloudtask::center {

namespace {

using http::Response;

// Where a request goes that names no group: it is made when it is needed first.
constexpr std::string_view kGroup = "http-tasks";
// Members of the request that are the call's; the others are the task's own.
constexpr std::array<std::string_view, 7> kCallMembers{"method", "url", "headers", "body", "expect", "redirects", "sign"};
// What the request stands for. They are not asked for beside it.
constexpr std::array<std::string_view, 3> kMadeMembers{"executor", "http", "schedules"};
// Where the definition has what a request has elsewhere.
constexpr std::array<std::pair<std::string_view, std::string_view>, 3> kPlaces{
    {{"/http", ""}, {"/schedules/0/at", "/at"}, {"/schedules/0", "/at"}}};

std::string_view name_of(const json::Value& member) { return {member.GetString(), member.GetStringLength()}; }

template <class List>
bool is_one_of(const List& list, std::string_view name) {
    return std::find(list.begin(), list.end(), name) != list.end();
}

bool has(const json::Value& object, const char* name) { return object.FindMember(name) != object.MemberEnd(); }

// The definition that the request stands for. Faults: of the request itself; those of the definition come when that is read.
json::Document definition_of(const json::Value& request, const std::string& name, Faults& faults) {
    json::Document task(rapidjson::kObjectType);
    auto& memory = task.GetAllocator();
    const auto text = [&memory](std::string_view from) {
        return json::Value(from.data(), static_cast<rapidjson::SizeType>(from.size()), memory);
    };
    if (!request.IsObject()) {
        faults.add("", "is not an object", R"({"runtime": "...", "url": "https://...", "at": "2027-01-31T09:00:00Z"})");
        return task;
    }
    json::Value call(rapidjson::kObjectType);
    json::Value schedule(rapidjson::kObjectType);
    for (const auto& member : request.GetObject()) {
        const std::string_view key = name_of(member.name);
        if (is_one_of(kMadeMembers, key)) {
            faults.add(pointer_to("", key), "is not a member of this request, which makes it itself",
                       "POST /api/v1/tasks for anything but one call at one instant");
        }
        json::Value& place = is_one_of(kCallMembers, key) ? call : key == "at" ? schedule : static_cast<json::Value&>(task);
        place.AddMember(text(key), json::Value(member.value, memory), memory);
    }
    if (!has(request, "at")) faults.add("/at", "is missing", "the instant of the call, such as 2027-01-31T09:00:00Z");
    if (!has(request, "name")) task.AddMember("name", text(name), memory);
    if (!has(request, "group")) task.AddMember("group", text(kGroup), memory);
    if (schedule.MemberCount() > 0 && schedule["at"].IsArray()) faults.add("/at", "is a list", "one instant");
    json::Value schedules(rapidjson::kArrayType);
    schedules.PushBack(schedule, memory);
    task.AddMember("schedules", schedules, memory);
    task.AddMember("http", call, memory);
    return task;
}

// The faults of the definition, where the request has what is faulty.
Faults at_request(const Faults& faults) {
    Faults out;
    for (const Fault& fault : faults.list()) {
        std::string pointer = fault.pointer;
        for (const auto& [there, here] : kPlaces) {
            const bool within = pointer == there || (pointer.starts_with(there) && pointer[there.size()] == '/');
            if (!within) continue;
            pointer = std::string(here) + pointer.substr(there.size());
            break;
        }
        out.add(std::move(pointer), fault.problem, fault.allowed);
    }
    return out;
}

Result<> make_group(const Call& call, WriteScope& scope, const task::Task& input) {
    if (input.group != kGroup || !runtime_exists(scope.sql, input.runtime)) return {};
    const auto found = find_group_by_name(scope.sql, input.runtime, input.group);
    if (!found) return propagate(found);
    if (*found) return {};
    task::Group group;
    group.runtime = input.runtime;
    group.name = input.group;
    group.description = "Calls at one instant";
    Faults faults;
    const auto made = create_group(call.context, scope, std::move(group), faults);
    if (!made) return propagate(made);
    return {};
}

Result<Response> create_http_task_route(Call& call) {
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    const auto definition = definition_of(*document, make_uuid(call.context.clock.now(), call.context.random), faults);
    if (!faults.empty()) return faulty("HTTP task", faults);
    const auto input = task::read_task_input(definition, faults);
    if (!input) return faulty("HTTP task", at_request(faults));
    return call.write([&](WriteScope& scope) -> Result<Response> {
        if (const auto made = make_group(call, scope, *input); !made) return propagate(made);
        const auto stored = create_task(call.context, scope, *input, faults);
        if (!faults.empty()) return faulty("HTTP task", at_request(faults));
        if (!stored) return propagate(stored);
        return task_response(call, 201, *stored);
    });
}

}  // namespace

void add_http_task_routes(RouteTable& table, const Context&) {
    table.add("POST", "/api/v1/http-tasks", Access::user_write, create_http_task_route, {.dry_run = true});
}

}  // namespace cloudtask::center
