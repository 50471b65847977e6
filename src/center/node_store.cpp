// The table nodes.
#include "center/node_store.h"

#include "center/sql.h"

namespace cloudtask::center {

namespace {

constexpr const char* kNodeColumns = "id, runtime, name, token_hash, document, registered_at, last_seen_at, cordoned_at, cordoned_by";

struct NodeColumns {
    NodeRow node;
    long long registered_at = 0, last_seen_at = 0, cordoned_at = 0;
    std::string cordoned_by;

    void bind(soci::statement& statement) {
        statement.exchange(soci::into(node.id));
        statement.exchange(soci::into(node.runtime));
        statement.exchange(soci::into(node.name));
        statement.exchange(soci::into(node.token_hash));
        statement.exchange(soci::into(node.document));
        statement.exchange(soci::into(registered_at));
        statement.exchange(soci::into(last_seen_at));
        statement.exchange(soci::into(cordoned_at));
        statement.exchange(soci::into(cordoned_by));
    }
    NodeRow take() const {
        NodeRow taken = node;
        taken.registered_at = from_db(registered_at);
        taken.last_seen_at = from_db(last_seen_at);
        if (cordoned_at != 0) taken.cordoned = CordonWish{from_db(cordoned_at), cordoned_by};
        return taken;
    }
};

std::optional<NodeRow> find_node_by(soci::session& sql, const std::string& condition, const std::vector<std::string>& values) {
    NodeColumns row;
    soci::statement statement(sql);
    row.bind(statement);
    for (const auto& value : values) statement.exchange(soci::use(value));
    statement.alloc();
    statement.prepare(std::string("SELECT ") + kNodeColumns + " FROM nodes WHERE " + condition);
    statement.define_and_bind();
    if (!statement.execute(true)) return std::nullopt;
    return row.take();
}

}  // namespace

const ListSpec kNodeList{.id_column = "id",
                         .sort = {{"name", "name"}, {"registered_at", "id"}},
                         .default_sort = "name",
                         .filters = {"runtime", "name", "online"}};

std::optional<NodeRow> find_node(soci::session& sql, const std::string& id) { return find_node_by(sql, "id = :id", {id}); }

std::optional<NodeRow> find_node_by_name(soci::session& sql, const std::string& runtime, const std::string& name) {
    return find_node_by(sql, "runtime = :runtime AND name = :name", {runtime, name});
}

std::optional<NodeRow> find_node_of_token(soci::session& sql, const std::string& token_hash) {
    return find_node_by(sql, "token_hash = :hash", {token_hash});
}

void insert_node(soci::session& sql, const NodeRow& node) {
    const long long registered_at = to_db(node.registered_at), last_seen_at = to_db(node.last_seen_at);
    sql << "INSERT INTO nodes (id, runtime, name, token_hash, document, registered_at, last_seen_at) "
           "VALUES (:id, :runtime, :name, :hash, :document, :registered, :seen)",
        soci::use(node.id), soci::use(node.runtime), soci::use(node.name), soci::use(node.token_hash), soci::use(node.document),
        soci::use(registered_at), soci::use(last_seen_at);
}

void update_node(soci::session& sql, const NodeRow& node) {
    const long long last_seen_at = to_db(node.last_seen_at);
    sql << "UPDATE nodes SET runtime = :runtime, name = :name, token_hash = :hash, document = :document, last_seen_at = :seen WHERE id = "
           ":id",
        soci::use(node.runtime), soci::use(node.name), soci::use(node.token_hash), soci::use(node.document), soci::use(last_seen_at),
        soci::use(node.id);
}

void set_cordon_wish(soci::session& sql, const std::string& id, const std::optional<CordonWish>& wish) {
    const long long at = wish ? to_db(wish->at) : 0;
    const std::string by = wish ? wish->by : std::string{};
    sql << "UPDATE nodes SET cordoned_at = :at, cordoned_by = :by WHERE id = :id", soci::use(at), soci::use(by), soci::use(id);
}

void touch_node(soci::session& sql, const std::string& id, Instant last_seen_at) {
    const long long at = to_db(last_seen_at);
    sql << "UPDATE nodes SET last_seen_at = :at WHERE id = :id", soci::use(at), soci::use(id);
}

void erase_node(soci::session& sql, const std::string& id) { sql << "DELETE FROM nodes WHERE id = :id", soci::use(id); }

std::string list_nodes(soci::session& sql, const ListQuery& query, std::vector<NodeRow>& out) {
    PageQuery page(kNodeColumns, "nodes", query, kNodeList.id_column);
    if (const auto* runtime = query.filter("runtime")) page.where("runtime = :f_runtime", "f_runtime", *runtime);
    if (const auto* name = query.filter("name")) page.where("name = :f_name", "f_name", *name);
    NodeColumns row;
    return page.run(
        sql, [&](soci::statement& statement) { row.bind(statement); },
        [&] {
            out.push_back(row.take());
            return ListQuery::Position{query.sort.column == "name" ? row.node.name : "", row.node.id};
        });
}

}  // namespace cloudtask::center
