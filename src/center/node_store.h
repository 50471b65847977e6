// The table nodes: who has joined which runtime. Functions that take a session throw SOCI's errors, which Store maps.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "center/listing.h"
#include "cloudtask/core/clock.h"

namespace soci {
class session;
}

namespace cloudtask::center {

// The wish that a node stay out of the ring.
struct CordonWish {
    Instant at{};
    std::string by;  // a user's name
};

struct NodeRow {
    std::string id, runtime, name;
    std::string token_hash;  // of the node's own token
    std::string document;    // JSON {"labels": {...}, "weight": 1, "version": "..."} as the node said when it joined
    Instant registered_at{}, last_seen_at{};
    std::optional<CordonWish> cordoned = {};
};

std::optional<NodeRow> find_node(soci::session& sql, const std::string& id);
std::optional<NodeRow> find_node_by_name(soci::session& sql, const std::string& runtime, const std::string& name);
std::optional<NodeRow> find_node_of_token(soci::session& sql, const std::string& token_hash);
void insert_node(soci::session& sql, const NodeRow& node);
void update_node(soci::session& sql, const NodeRow& node);  // all but id, registered_at and the wish to cordon it
void set_cordon_wish(soci::session& sql, const std::string& id, const std::optional<CordonWish>& wish);
void touch_node(soci::session& sql, const std::string& id, Instant last_seen_at);
void erase_node(soci::session& sql, const std::string& id);

extern const ListSpec kNodeList;
std::string list_nodes(soci::session& sql, const ListQuery& query, std::vector<NodeRow>& out);

}  // namespace cloudtask::center
