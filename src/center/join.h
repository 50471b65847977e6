// How a node joins a runtime: a join token in, the node's own token out. Worker threads; rows are in node_store.h and join_token_store.h.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>

#include "center/context.h"
#include "center/store.h"
#include "cloudtask/core/json.h"

namespace cloudtask::center {

struct JoinRequest {
    std::string token, runtime;
    std::string node_id;  // of a node that joins again; empty: a new one
    std::string name;
    std::map<std::string, std::string> labels;
    std::int64_t weight = 1;
    std::string version;
};

std::optional<JoinRequest> read_join_request(const json::Value& value, Faults& faults);

struct Joined {
    std::string node_id, node_token;
};

// Errors: unauthenticated (no such token, or expired), permission_denied (a token of another runtime), already_exists (the name is another
// node's), invalid_argument (the id is not one, or of another runtime's node).
Result<Joined> join_node(const Context& context, const JoinRequest& request);

}  // namespace cloudtask::center
