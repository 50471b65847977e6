// The table join_tokens: what lets a node join a runtime, as often as asked until it expires. Functions that take a session throw SOCI's
// errors, which Store maps.
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

struct JoinToken {
    std::string id, token_hash, runtime, description;
    std::string created_by;  // the user's name
    Instant created_at{}, expires_at{};
};

std::optional<JoinToken> find_join_token(soci::session& sql, const std::string& id);
// By the hash of the token (auth.h: hash_token()); expired ones are not found.
std::optional<JoinToken> find_valid_join_token(soci::session& sql, const std::string& token_hash, Instant now);
void insert_join_token(soci::session& sql, const JoinToken& token);
void erase_join_token(soci::session& sql, const std::string& id);

extern const ListSpec kJoinTokenList;
std::string list_join_tokens(soci::session& sql, const ListQuery& query, std::vector<JoinToken>& out);

}  // namespace cloudtask::center
