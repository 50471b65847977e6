// Routes that show nodes to people, and keep them out of the ring. What a node itself asks is in node_routes.cpp.
#include "center/audit_store.h"
#include "center/cordon.h"
#include "center/node_store.h"
#include "center/owned_tasks.h"
#include "center/runs_store.h"
#include "center/store.h"

namespace cloudtask::center {

namespace {

using http::Response;

// What is known of a node beside its row and its registration.
struct NodeWork {
    std::int64_t running_runs = 0;            // that are not over, as far as it has reported
    bool cordon_done = false;                 // what is asked of a cordoned node is carried out
    std::optional<std::int64_t> owned_tasks;  // only where it was counted
};

NodeWork read_work(soci::session& sql, const NodeRow& node) {
    NodeWork work;
    // In this order: by the time that the node has said it is done, its last runs are known.
    work.cordon_done = node.cordoned && cordon_is_done(sql, node.id);
    work.running_runs = count_unfinished_runs(sql, node.id);
    return work;
}

// What the node said when it joined, overlaid by its live registration in ZooKeeper.
std::string node_json(const NodeRow& node, const ClusterView& cluster, const NodeWork& work) {
    std::map<std::string, std::string> labels;
    std::int64_t weight = 1, epoch = 0;
    std::string version, incarnation;
    if (const auto document = json::parse(node.document)) {
        Faults faults;
        json::ObjectReader reader{*document, "", faults};
        reader.read("labels", labels);
        reader.read("weight", weight);
        reader.read("version", version);
    }
    bool online = false, leaving = false;
    if (const auto runtime = cluster.runtimes.find(node.runtime); runtime != cluster.runtimes.end()) {
        epoch = runtime->second.epoch;
        if (const auto live = runtime->second.nodes.find(node.id); live != runtime->second.nodes.end()) {
            online = true;
            leaving = live->second.leaving;
            labels = live->second.member.labels;
            weight = live->second.member.weight;
            version = live->second.version;
            incarnation = live->second.member.incarnation;
        }
    }
    json::Writer out;
    out.begin_object();
    out.member("id", node.id).member("name", node.name).member("runtime", node.runtime).member("labels", labels).member("weight", weight);
    out.member("version", version).member("online", online).member("incarnation", incarnation).member("epoch", epoch);
    out.member("last_seen_at", node.last_seen_at).member("registered_at", node.registered_at);
    out.key("cordoned");
    if (node.cordoned) {
        out.begin_object().member("by", node.cordoned->by).member("at", node.cordoned->at).member("done", work.cordon_done).end_object();
    } else {
        out.null();
    }
    out.member("leaving", leaving)
        .member("in_ring", cluster.in_ring(node.runtime, node.id))
        .member("ring_settled", cluster.settled(node.runtime));
    out.member("running_runs", work.running_runs);
    if (work.owned_tasks) out.member("owned_tasks", *work.owned_tasks);
    out.end_object();
    return out.text();
}

Result<Response> list_nodes_route(Call& call) {
    Faults faults;
    const auto query = call.list_query(kNodeList, faults);
    if (!query) return faulty_query(faults);
    const auto online = read_flag_filter(*query, "online", faults);
    if (!faults.empty()) return faulty_query(faults);
    std::vector<NodeRow> nodes;
    std::vector<NodeWork> work;
    std::string next;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        next = list_nodes(sql, *query, nodes);
        for (const auto& node : nodes) work.push_back(read_work(sql, node));
        return {};
    });
    if (!read) return propagate(read);
    const auto view = call.context.cluster.get();
    std::vector<std::string> items;
    items.reserve(nodes.size());
    // Who is online is not in the database, so that this filter may leave a page shorter than its limit.
    for (std::size_t i = 0; i < nodes.size(); ++i) {
        const NodeRow& node = nodes[i];
        if (!online || view->online(node.runtime, node.id) == *online) items.push_back(node_json(node, *view, work[i]));
    }
    return Response::json(200, list_body(items, next));
}

Result<Response> get_node_route(Call& call, OwnedTasks& owned) {
    std::string body;
    // Taken first: what the node reported before it left the ring is then in the database that is read after it.
    const auto view = call.context.cluster.get();
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        const auto node = find_node(sql, call.param("id"));
        if (!node) return fail(Errc::not_found, "there is no node {}", call.param("id"));
        NodeWork work = read_work(sql, *node);
        work.owned_tasks = owned.of(sql, node->runtime, node->id, *view);
        body = node_json(*node, *view, work);
        return {};
    });
    if (!read) return propagate(read);
    return Response::json(200, std::move(body));
}

Result<Response> change_cordon(Call& call, bool cordoned) {
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto change = set_cordoned(call.context, scope, call.param("id"), cordoned);
        if (!change) return propagate(change);
        const auto body = node_json(change->node, *call.context.cluster.get(), read_work(scope.sql, change->node));
        return Response::json(change->changed ? 202 : 200, body);
    });
}

Result<Response> cordon(Call& call) { return change_cordon(call, true); }
Result<Response> uncordon(Call& call) { return change_cordon(call, false); }

Result<Response> erase_node_route(Call& call) {
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto node = find_node(scope.sql, call.param("id"));
        if (!node) return fail(Errc::not_found, "there is no node {}", call.param("id"));
        const auto view = call.context.cluster.get();
        if (view->online(node->runtime, node->id)) return fail(Errc::conflict, "the node {} is online; stop it first", node->name);
        forget_cordon(scope.sql, node->id);
        erase_node(scope.sql, node->id);
        write_audit(scope, "node.delete", "node:" + node->id, node_json(*node, *view, read_work(scope.sql, *node)), {});
        return Response::no_content();
    });
}

}  // namespace

void add_node_list_routes(RouteTable& table, const Context&) {
    table.add("GET", "/api/v1/nodes", Access::user_read, list_nodes_route);
    table.add("GET", "/api/v1/nodes/{id}", Access::user_read,
              [owned = std::make_shared<OwnedTasks>()](Call& call) { return get_node_route(call, *owned); });
    table.add("DELETE", "/api/v1/nodes/{id}", Access::user_write, erase_node_route);
    table.add("POST", "/api/v1/nodes/{id}/cordon", Access::user_write, cordon);
    table.add("POST", "/api/v1/nodes/{id}/uncordon", Access::user_write, uncordon);
}

}  // namespace cloudtask::center
