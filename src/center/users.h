// Users: who may log in and what they may do. The rules; rows are in user_store.h. Worker threads, within a transaction.
#pragma once

#include <optional>
#include <string>

#include "center/api_routes.h"
#include "center/user_store.h"

namespace cloudtask::center {

struct UserInput {
    std::string name, role, email;
    std::optional<std::string> password;  // needed for a new user; otherwise a change of it
};

// Faults with their pointers; nothing if there are any.
std::optional<UserInput> read_user_input(const json::Value& value, bool is_new, Faults& faults);

// `password_hash` is made outside of the transaction, as it takes long; empty: the password stays.
Result<User> create_user(const Context& context, WriteScope& scope, const UserInput& input, const std::string& password_hash);
// A new password ends every session of the user. The last administrator stays one.
Result<User> update_user(WriteScope& scope, const std::string& id, std::int64_t expected, const UserInput& input,
                         const std::string& password_hash);
Result<> delete_user(WriteScope& scope, const std::string& id, std::int64_t expected);

std::string user_json(const User& user);

}  // namespace cloudtask::center
