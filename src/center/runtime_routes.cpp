// Routes of runtimes and their allocation. Thin: the rules are in runtimes.h.
#include <map>

#include "center/failover_plan.h"
#include "center/runtime_store.h"
#include "center/runtimes.h"
#include "center/store.h"
#include "center/task_store.h"
#include "cloudtask/ring/allocation.h"
#include "cloudtask/task/codec.h"

namespace cloudtask::center {

namespace {

using http::Response;

Result<Response> list_runtimes_route(Call& call) {
    Faults faults;
    const auto query = call.list_query(kRuntimeList, faults);
    if (!query) return faulty_query(faults);
    std::vector<std::string> items;
    std::string next;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        next = list_runtimes(sql, *query, items);
        return {};
    });
    if (!read) return propagate(read);
    return Response::json(200, list_body(items, next));
}

Result<Response> get_runtime_route(Call& call) {
    Response response;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        const auto runtime = find_runtime(sql, call.param("name"));
        if (!runtime) return propagate(runtime);
        if (!*runtime) return fail(Errc::not_found, "there is no runtime {}", call.param("name"));
        response = versioned_json(200, runtime_json(**runtime), (*runtime)->version);
        return {};
    });
    if (!read) return propagate(read);
    return response;
}

Result<Response> create_runtime_route(Call& call) {
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    const auto input = task::read_runtime_input(*document, faults);
    if (!input) return faulty("runtime", faults);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto runtime = create_runtime(call.context, scope, *input);
        if (!runtime) return propagate(runtime);
        auto response = versioned_json(201, runtime_json(*runtime), runtime->version);
        response.headers.set("Location", "/api/v1/runtimes/" + runtime->name);
        return response;
    });
}

Result<Response> update_runtime_route(Call& call) {
    const auto expected = call.if_match();
    if (!expected) return propagate(expected);
    const auto document = call.json_body();
    if (!document) return propagate(document);
    Faults faults;
    const auto input = task::read_runtime_input(*document, faults);
    if (input && input->name != call.param("name")) {
        faults.add("/name", "cannot change: the name of a runtime is its identity", call.param("name"));
    }
    if (!faults.empty()) return faulty("runtime", faults);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        Faults found;
        const auto runtime = update_runtime(scope, call.param("name"), *expected, *input, found);
        if (!found.empty()) return faulty("runtime", found);
        if (!runtime) return propagate(runtime);
        return versioned_json(200, runtime_json(*runtime), runtime->version);
    });
}

Result<Response> erase_runtime_route(Call& call) {
    const auto expected = call.if_match_or_any();
    if (!expected) return propagate(expected);
    return call.write([&](WriteScope& scope) -> Result<Response> {
        if (auto deleted = delete_runtime(call.context, scope, call.param("name"), *expected); !deleted) return propagate(deleted);
        return Response::no_content();
    });
}

// How many enabled tasks each node owns, by node id.
Result<std::map<std::string, std::int64_t>> count_owned_by_node(Call& call, const RuntimeView& runtime) {
    std::map<std::string, std::int64_t> owned;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        if (!runtime_exists(sql, call.param("name"))) return fail(Errc::not_found, "there is no runtime {}", call.param("name"));
        if (!runtime.ring) return {};
        visit_enabled_tasks(sql, call.param("name"), [&](const std::string& id, const TaskPlacement& placement) {
            visit_owners(*runtime.ring, id, placement, [&](const PlacedPiece& piece) {
                if (piece.owner != nullptr) owned[piece.owner->id] += 1;
            });
        });
        return {};
    });
    if (!read) return propagate(read);
    return owned;
}

void write_nodes(json::Writer& out, const std::vector<ring::Member>& nodes, const std::map<std::string, std::int64_t>* owned) {
    out.key("nodes").begin_array();
    for (const auto& node : nodes) {
        out.begin_object().member("id", node.id).member("incarnation", node.incarnation).member("name", node.name);
        if (!node.labels.empty()) out.member("labels", node.labels);
        out.member("weight", static_cast<std::int64_t>(node.weight));
        if (owned != nullptr) {
            const auto count = owned->find(node.id);
            out.member("tasks", count == owned->end() ? std::int64_t{0} : count->second);
        }
        out.end_object();
    }
    out.end_array();
}

std::string describe(const ring::Allocation& allocation, const std::map<std::string, std::int64_t>& owned) {
    json::Writer out;
    out.begin_object().member("epoch", allocation.epoch);
    write_nodes(out, allocation.nodes, &owned);
    out.key("previous").begin_array();
    for (const auto& membership : allocation.previous) {
        out.begin_object().member("epoch", membership.epoch);
        write_nodes(out, membership.nodes, nullptr);
        out.end_object();
    }
    out.end_array().key("departed").begin_array();
    for (const auto& departed : allocation.departed) {
        out.begin_object()
            .member("incarnation", departed.incarnation)
            .member("horizon", departed.horizon)
            .member("done", departed.done)
            .end_object();
    }
    return out.end_array().end_object().text();
}

Result<Response> allocation(Call& call) {
    const auto view = call.context.cluster.get();
    const auto found = view->runtimes.find(call.param("name"));
    const RuntimeView runtime = found == view->runtimes.end() ? RuntimeView{} : found->second;
    const auto owned = count_owned_by_node(call, runtime);
    if (!owned) return propagate(owned);
    if (runtime.allocation.empty()) return Response::json(200, R"({"epoch":0,"nodes":[],"previous":[],"departed":[]})");
    const auto record = ring::read_allocation(runtime.allocation);
    if (!record) return propagate(record);
    return Response::json(200, describe(*record, *owned));
}

}  // namespace

void add_runtime_routes(RouteTable& table, const Context&) {
    table.add("GET", "/api/v1/runtimes", Access::user_read, list_runtimes_route);
    table.add("POST", "/api/v1/runtimes", Access::user_write, create_runtime_route, {.dry_run = true});
    table.add("GET", "/api/v1/runtimes/{name}", Access::user_read, get_runtime_route);
    table.add("PUT", "/api/v1/runtimes/{name}", Access::user_write, update_runtime_route, {.dry_run = true});
    table.add("DELETE", "/api/v1/runtimes/{name}", Access::user_write, erase_runtime_route);
    table.add("GET", "/api/v1/runtimes/{name}/allocation", Access::user_read, allocation);
    table.add("GET", "/api/v1/runtimes/{name}/failover-plan", Access::user_read, get_failover_plan, {.question = true});
}

}  // namespace cloudtask::center
