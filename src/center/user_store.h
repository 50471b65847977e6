// The tables users and user_tokens. Functions that take a session throw SOCI's errors, which Store maps.
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

struct User {
    std::string id, name, role, email;
    std::string password_hash;  // never leaves the center
    std::int64_t version = 1;
    Instant created_at{}, updated_at{};
};

std::optional<User> find_user(soci::session& sql, const std::string& id);
std::optional<User> find_user_by_name(soci::session& sql, const std::string& name);
void insert_user(soci::session& sql, const User& user);
void update_user(soci::session& sql, const User& user);
void erase_user(soci::session& sql, const std::string& id);
bool any_user(soci::session& sql);
// How many users have the role admin, up to two: enough to know whether one is the last.
int count_admins(soci::session& sql);

extern const ListSpec kUserList;
std::string list_users(soci::session& sql, const ListQuery& query, std::vector<User>& out);

void insert_user_token(soci::session& sql, const std::string& token_hash, const std::string& user_id, Instant created_at,
                       Instant expires_at);
// The user of a token that has not expired.
std::optional<User> find_user_of_token(soci::session& sql, const std::string& token_hash, Instant now);
void erase_user_token(soci::session& sql, const std::string& token_hash);
void erase_tokens_of_user(soci::session& sql, const std::string& user_id);
int erase_expired_user_tokens(soci::session& sql, Instant now, int limit);

}  // namespace cloudtask::center
