// Cordoning: the wish that a node stay out of the ring of its runtime, or come back. The wish is kept here and goes to the node as a
// command; the node keeps it as well, and carries it out.
//
// Any thread that holds a transaction of Store. Nothing here talks to ZooKeeper.
#pragma once

#include <string>

#include "center/api_routes.h"
#include "center/node_store.h"

namespace cloudtask::center {

struct CordonChange {
    NodeRow node;          // as it is now
    bool changed = false;  // false: this was the wish already, and the node knows
};

// Keeps the wish, with who had it, and asks the node; again, if the node is there and wants something else. Error: not_found.
Result<CordonChange> set_cordoned(const Context& context, WriteScope& scope, const std::string& node_id, bool cordoned);

// A command for the node; older ones of either kind that it has not reported are withdrawn: the newest wish wins.
void ask_node_to_cordon(soci::session& sql, const std::string& node_id, bool cordoned, const std::string& command_id, Instant now);

// The node is deleted, and its wish with it: nothing is asked of it any more. Who joins under its name later is another node, and not
// cordoned.
void forget_cordon(soci::session& sql, const std::string& node_id);

// The node has said that it is out of the ring and has begun its last fire. Only for one that is to be cordoned.
bool cordon_is_done(soci::session& sql, const std::string& node_id);

}  // namespace cloudtask::center
