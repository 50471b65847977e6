// Changing many tasks: see task_bulk.h; and its route.
#include "center/task_bulk.h"

#include <array>
#include <set>

#include "center/task_changes.h"
#include "center/tasks.h"
#include "cloudtask/task/codec.h"

namespace cloudtask::center {

namespace {

constexpr std::array<std::pair<std::string_view, BulkAction>, 4> kBulkActions{
    {{"enable", BulkAction::enable}, {"disable", BulkAction::disable}, {"delete", BulkAction::erase}, {"move", BulkAction::move}}};
constexpr std::array<std::string_view, 4> kSelectors = {"runtime", "group", "name", "tag"};
constexpr std::size_t kMostBulkBody = 1 << 20;

void read_selection(json::ObjectReader& reader, BulkRequest& request) {
    const json::Value* select = reader.require("select") ? reader.object("select") : nullptr;
    if (select == nullptr) return;
    Faults& faults = reader.faults();
    json::ObjectReader selection{*select, reader.pointer("select"), faults};
    const bool by_id = selection.read("ids", request.ids, {.min = 1, .max = kMostBulkTasks, .item = {.min = 1, .max = 64}});
    bool filtered = false;
    for (const std::string_view name : kSelectors) {
        std::string value;
        if (selection.read(name, value, {.min = 1, .max = 1024})) request.filters.filters[std::string{name}] = value;
        filtered = filtered || selection.has(name);
    }
    bool enabled = false;
    if (selection.read("enabled", enabled)) request.enabled = enabled;
    filtered = filtered || selection.has("enabled");
    check_tag_filter(request.filters, faults);
    selection.finish();
    if (by_id && filtered) {
        faults.add(selection.pointer("ids"), "stands beside other selectors", "either ids, or runtime, group, name, tag and enabled");
    } else if (!selection.has("ids") && request.filters.filters.empty()) {
        faults.add(reader.pointer("select"), "selects every task there is", "ids, or at least one of runtime, group, name and tag");
    }
}

std::string full_name(const task::Task& task) { return task.runtime + "/" + task.group + "/" + task.name; }

// One task. Nothing is written when it is refused. Returns whether it changed.
Result<bool> change_one(WriteScope& scope, const BulkRequest& request, const StoredTask& before, BulkOutcome& outcome) {
    task::Task task = before.task;
    if (request.action == BulkAction::erase) {
        store_task_end(scope, before);
        outcome.changed.push_back({task.id, task.runtime, task.group, task.name, task.version});
        return true;
    }
    std::string_view action = "task.move";
    if (request.action == BulkAction::move) {
        task.group = request.group;
    } else {
        task.enabled = request.action == BulkAction::enable;
        action = task.enabled ? "task.enable" : "task.disable";
    }
    Faults faults;
    const auto after = store_task_definition(scope, before, std::move(task), {action}, faults);
    if (!after) return propagate(after);
    if (after->task.version == before.task.version) return false;
    outcome.changed.push_back({after->task.id, after->task.runtime, after->task.group, after->task.name, after->task.version});
    return true;
}

// What concerns one task, and not the database.
bool is_refusal(const Error& error) {
    return error.is(Errc::unsupported) || error.is(Errc::already_exists) || error.is(Errc::not_found) || error.is(Errc::corrupt);
}

http::Response too_many() {
    return http::Response::problem(422, fmt::format("more than {} tasks are selected; select fewer at a time", kMostBulkTasks));
}

Result<http::Response> bulk_route(Call& call) {
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    auto request = read_bulk_request(*document, faults);
    if (!faults.empty()) return faulty("request", faults);
    call.dry_run = request.dry_run = call.dry_run || request.dry_run;
    return call.write([&](WriteScope& scope) -> Result<http::Response> {
        const auto outcome = change_tasks(scope, request);
        if (!outcome && outcome.error().is(Errc::too_large)) return too_many();
        if (!outcome) return propagate(outcome);
        return http::Response::json(200, bulk_json(request, *outcome));
    });
}

}  // namespace

BulkRequest read_bulk_request(const json::Value& document, Faults& faults) {
    BulkRequest request;
    request.filters.sort = kTaskList.sort.front();
    request.filters.limit = kMostBulkTasks;
    json::ObjectReader reader{document, "", faults};
    read_selection(reader, request);
    std::vector<std::string_view> names;
    for (const auto& [name, action] : kBulkActions) names.push_back(name);
    std::string chosen;
    if (reader.require("action") && reader.read_choice("action", chosen, names)) {
        for (const auto& [name, action] : kBulkActions) {
            if (name == chosen) request.action = action;
        }
    }
    if (request.action == BulkAction::move) reader.require("group");
    if (reader.read("group", request.group)) {
        if (request.action != BulkAction::move) faults.add(reader.pointer("group"), "is for the action move");
        if (!task::is_slug(request.group)) faults.add(reader.pointer("group"), "is not the name of a group");
    }
    reader.read("dry_run", request.dry_run);
    reader.finish();
    return request;
}

Result<BulkOutcome> change_tasks(WriteScope& scope, const BulkRequest& request) {
    std::vector<std::string> ids = request.ids;
    if (ids.empty()) {
        SelectedTasks selected = select_tasks(scope.sql, request.filters, request.enabled);
        if (selected.more) return fail(Errc::too_large, "more than {} tasks are selected", kMostBulkTasks);
        ids = std::move(selected.ids);
    }
    BulkOutcome outcome;
    std::set<std::string> seen;
    for (const std::string& id : ids) {
        if (!seen.insert(id).second) continue;
        const auto before = need_task(scope.sql, id);
        if (!before && !is_refusal(before.error())) return propagate(before);
        if (!before) {
            outcome.refused.push_back({id, {}, before.error().message});
            continue;
        }
        const auto changed = change_one(scope, request, *before, outcome);
        if (changed) {
            outcome.unchanged += *changed ? 0 : 1;
        } else if (is_refusal(changed.error())) {
            outcome.refused.push_back({id, full_name(before->task), changed.error().message});
        } else {
            return propagate(changed);
        }
    }
    return outcome;
}

std::string bulk_json(const BulkRequest& request, const BulkOutcome& outcome) {
    json::Writer out;
    out.begin_object();
    for (const auto& [name, action] : kBulkActions) {
        if (action == request.action) out.member("action", name);
    }
    out.member("dry_run", request.dry_run).member("unchanged", static_cast<std::uint64_t>(outcome.unchanged));
    out.key("changed").begin_array();
    for (const auto& task : outcome.changed) {
        out.begin_object().member("id", task.id).member("runtime", task.runtime).member("group", task.group).member("name", task.name);
        out.member("version", task.version).end_object();
    }
    out.end_array().key("refused").begin_array();
    for (const auto& task : outcome.refused) {
        out.begin_object().member("id", task.id);
        if (!task.name.empty()) out.member("task", task.name);
        out.member("reason", task.reason).end_object();
    }
    return out.end_array().end_object().text();
}

void add_bulk_routes(RouteTable& table, const Context&) {
    table.add("POST", "/api/v1/tasks/bulk", Access::user_write, bulk_route, {.max_body_bytes = kMostBulkBody, .dry_run = true});
}

}  // namespace cloudtask::center
