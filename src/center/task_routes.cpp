// Routes of tasks; starting one is in run_routes.cpp. Thin: the rules are in tasks.h.
#include "center/task_routes.h"

#include <charconv>

#include "center/canary.h"
#include "center/store.h"
#include "center/task_view.h"
#include "center/tasks.h"
#include "cloudtask/task/codec.h"

namespace cloudtask::center {

namespace {

using http::Response;

// What was read can be put back, with the calendars that the center writes into it.
constexpr RouteOptions kTaskBody{.max_body_bytes = 64 * 1024 + task::kMostCalendars * task::kLargestCalendar, .dry_run = true};

Result<StoredTask> task_asked_for(Call& call) {
    StoredTask stored;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        auto found = need_task(sql, call.param("id"));
        if (!found) return propagate(found);
        stored = std::move(*found);
        return {};
    });
    if (!read) return propagate(read);
    return stored;
}

Result<Response> list_tasks_route(Call& call) {
    Faults faults;
    const auto query = call.list_query(kTaskList, faults);
    if (!query) return faulty_query(faults);
    const auto enabled = read_flag_filter(*query, "enabled", faults);
    check_tag_filter(*query, faults);
    if (!faults.empty()) return faulty_query(faults);
    std::vector<StoredTask> tasks;
    std::string next;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        auto page = list_tasks(sql, *query, enabled, tasks);
        if (!page) return propagate(page);
        next = std::move(*page);
        return {};
    });
    if (!read) return propagate(read);
    const auto view = call.context.cluster.get();
    const Instant now = call.context.clock.now();
    std::vector<std::string> items;
    items.reserve(tasks.size());
    for (const auto& stored : tasks) items.push_back(task_json(stored, *view, now));
    return Response::json(200, list_body(items, next));
}

Result<Response> get_task_route(Call& call) {
    const auto stored = task_asked_for(call);
    if (!stored) return propagate(stored);
    return task_response(call, 200, *stored);
}

Result<Response> owner(Call& call) {
    const auto stored = task_asked_for(call);
    if (!stored) return propagate(stored);
    return Response::json(200, owner_json(stored->task, *call.context.cluster.get()));
}

// What is left out is as it is in the original.
CloneRequest read_clone_request(const json::Value& document, Faults& faults) {
    CloneRequest wanted;
    json::ObjectReader reader{document, "", faults};
    reader.require("name");
    for (const auto& [name, out] :
         {std::pair{"name", &wanted.name}, std::pair{"group", &wanted.group}, std::pair{"runtime", &wanted.runtime}}) {
        if (reader.read(name, *out) && !task::is_slug(*out)) {
            faults.add(reader.pointer(name), "is not a name", "1 to 63 characters of a-z, 0-9 and -, beginning with a letter or digit");
        }
    }
    reader.read("enabled", wanted.enabled);
    reader.finish();
    return wanted;
}

// By `allow_ended` of the query.
Result<Ended> ended_schedules(const Call& call) {
    const auto given = call.request.query.find("allow_ended");
    if (given == call.request.query.end() || given->second == "false") return Ended::refused;
    if (given->second == "true") return Ended::allowed;
    return fail(Errc::invalid_argument, "allow_ended is true or false");
}

Result<Response> create_task_route(Call& call) {
    const auto ended = ended_schedules(call);
    if (!ended) return propagate(ended);
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    const auto input = task::read_task_input(*document, faults);
    if (!input) return faulty("task", faults);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto stored = create_task(call.context, scope, *input, faults, *ended);
        if (!faults.empty()) return faulty("task", faults);
        if (!stored) return propagate(stored);
        return task_response(call, 201, *stored);
    });
}

// For how many fires the new version is on trial; 0: it is not.
Result<std::int64_t> canary_fires(const Call& call) {
    const auto given = call.request.query.find("canary");
    if (given == call.request.query.end()) return 0;
    const std::string& text = given->second;
    std::int64_t fires = 0;
    const auto [end, error] = std::from_chars(text.data(), text.data() + text.size(), fires);
    if (error != std::errc{} || end != text.data() + text.size() || fires < 1 || fires > kMostCanaryFires) {
        return fail(Errc::invalid_argument, "canary is a number of fires: 1 to {}", kMostCanaryFires);
    }
    return fires;
}

Result<Response> update_task_route(Call& call) {
    const auto expected = call.if_match();
    if (!expected) return propagate(expected);
    const auto ended = ended_schedules(call);
    if (!ended) return propagate(ended);
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    const auto input = task::read_task_input(*document, faults);
    if (!input) return faulty("task", faults);
    const auto canary = canary_fires(call);
    if (!canary) return propagate(canary);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto stored = update_task(scope, call.param("id"), *expected, *input, *canary, faults, *ended);
        if (!faults.empty()) return faulty("task", faults);
        if (!stored) return propagate(stored);
        return task_response(call, 200, *stored);
    });
}

Result<Response> set_enabled(Call& call, bool enabled) {
    const auto expected = call.if_match_or_any();
    if (!expected) return propagate(expected);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto stored = set_task_enabled(scope, call.param("id"), *expected, enabled);
        if (!stored) return propagate(stored);
        return task_response(call, 200, *stored);
    });
}

Result<Response> clone(Call& call) {
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    const auto wanted = read_clone_request(*document, faults);
    if (!faults.empty()) return faulty("clone", faults);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto stored = clone_task(call.context, scope, call.param("id"), wanted, faults);
        if (!faults.empty()) return faulty("clone", faults);
        if (!stored) return propagate(stored);
        return task_response(call, 201, *stored);
    });
}

Result<Response> erase_task_route(Call& call) {
    const auto expected = call.if_match_or_any();
    if (!expected) return propagate(expected);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        if (auto deleted = delete_task(scope, call.param("id"), *expected); !deleted) return propagate(deleted);
        return Response::no_content();
    });
}

}  // namespace

http::Response task_response(const Call& call, int status, const StoredTask& stored) {
    auto response = versioned_json(status, task_json(stored, *call.context.cluster.get(), call.context.clock.now()), stored.task.version);
    if (status == 201) response.headers.set("Location", "/api/v1/tasks/" + stored.task.id);
    return response;
}

void add_task_routes(RouteTable& table, const Context&) {
    table.add("GET", "/api/v1/tasks", Access::user_read, list_tasks_route);
    table.add("POST", "/api/v1/tasks", Access::user_write, create_task_route, {.dry_run = true});
    table.add("GET", "/api/v1/tasks/{id}", Access::user_read, get_task_route);
    table.add("PUT", "/api/v1/tasks/{id}", Access::user_write, update_task_route, kTaskBody);
    table.add("DELETE", "/api/v1/tasks/{id}", Access::user_write, erase_task_route);
    table.add("GET", "/api/v1/tasks/{id}/owner", Access::user_read, owner);
    table.add("POST", "/api/v1/tasks/{id}/enable", Access::user_write, [](Call& call) { return set_enabled(call, true); });
    table.add("POST", "/api/v1/tasks/{id}/disable", Access::user_write, [](Call& call) { return set_enabled(call, false); });
    table.add("POST", "/api/v1/tasks/{id}/clone", Access::user_write, clone, {.dry_run = true});
}

}  // namespace cloudtask::center
