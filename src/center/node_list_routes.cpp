// Routes that show nodes to people. What a node itself asks is in node_routes.cpp.
#include "center/audit_store.h"
#include "center/node_store.h"
#include "center/store.h"

namespace cloudtask::center {

namespace {

using http::Response;

// What the node said when it joined, overlaid by its live registration in ZooKeeper.
std::string node_json(const NodeRow& node, const ClusterView& cluster) {
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
    bool online = false;
    if (const auto runtime = cluster.runtimes.find(node.runtime); runtime != cluster.runtimes.end()) {
        epoch = runtime->second.epoch;
        if (const auto live = runtime->second.nodes.find(node.id); live != runtime->second.nodes.end()) {
            online = true;
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
    out.end_object();
    return out.text();
}

Result<Response> list(Call& call) {
    Faults faults;
    const auto query = call.list_query(kNodeList, faults);
    if (!query) return faulty_query(faults);
    const auto online = read_flag_filter(*query, "online", faults);
    if (!faults.empty()) return faulty_query(faults);
    std::vector<NodeRow> nodes;
    std::string next;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        next = list_nodes(sql, *query, nodes);
        return {};
    });
    if (!read) return propagate(read);
    const auto view = call.context.cluster.get();
    std::vector<std::string> items;
    items.reserve(nodes.size());
    // Who is online is not in the database, so that this filter may leave a page shorter than its limit.
    for (const auto& node : nodes) {
        if (!online || view->online(node.runtime, node.id) == *online) items.push_back(node_json(node, *view));
    }
    return Response::json(200, list_body(items, next));
}

Result<Response> get(Call& call) {
    std::optional<NodeRow> node;
    auto read = call.context.store.read([&](soci::session& sql) -> Result<> {
        node = find_node(sql, call.param("id"));
        return {};
    });
    if (!read) return propagate(read);
    if (!node) return fail(Errc::not_found, "there is no node {}", call.param("id"));
    return Response::json(200, node_json(*node, *call.context.cluster.get()));
}

Result<Response> erase(Call& call) {
    return call.write([&](WriteScope& scope) -> Result<Response> {
        const auto node = find_node(scope.sql, call.param("id"));
        if (!node) return fail(Errc::not_found, "there is no node {}", call.param("id"));
        const auto view = call.context.cluster.get();
        if (view->online(node->runtime, node->id)) return fail(Errc::conflict, "the node {} is online; stop it first", node->name);
        erase_node(scope.sql, node->id);
        write_audit(scope, "node.delete", "node:" + node->id, node_json(*node, *view), {});
        return Response::no_content();
    });
}

}  // namespace

void add_node_list_routes(RouteTable& table, const Context&) {
    table.add("GET", "/api/v1/nodes", Access::user_read, list);
    table.add("GET", "/api/v1/nodes/{id}", Access::user_read, get);
    table.add("DELETE", "/api/v1/nodes/{id}", Access::user_write, erase);
}

}  // namespace cloudtask::center
