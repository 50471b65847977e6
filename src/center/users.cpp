// The rules of users.
#include "center/users.h"

#include "center/audit_store.h"
#include "center/passwords.h"
#include "cloudtask/core/ids.h"

namespace cloudtask::center {

namespace {

bool is_user_name(std::string_view name) {
    if (name.empty() || name.size() > 64) return false;
    for (const char c : name) {
        const bool letter = (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9');
        if (!letter && std::string_view{"._-@"}.find(c) == std::string_view::npos) return false;
    }
    return true;
}

Result<> keep_an_admin(WriteScope& scope, const User& before) {
    if (before.role != "admin" || count_admins(scope.sql) > 1) return {};
    return fail(Errc::conflict, "{} is the last administrator; make another one first", before.name);
}

Result<> need_free_user_name(WriteScope& scope, const std::string& name) {
    if (!find_user_by_name(scope.sql, name)) return {};
    return fail(Errc::already_exists, "there is a user named {} already", name);
}

}  // namespace

std::optional<UserInput> read_user_input(const json::Value& value, bool is_new, Faults& faults) {
    const std::size_t before = faults.list().size();
    json::ObjectReader reader{value, "", faults};
    UserInput input;
    if (reader.require("name") && reader.read("name", input.name, {.max = 1024}) && !is_user_name(input.name)) {
        faults.add(reader.pointer("name"), "is not a user name", "1 to 64 letters, digits, and . _ - @");
    }
    if (reader.require("role")) reader.read_choice("role", input.role, {"admin", "viewer"});
    if (reader.read("email", input.email, {.max = 254}) && !input.email.empty()) {
        const auto at = input.email.find('@');
        if (at == 0 || at == std::string::npos || at + 1 == input.email.size() ||
            input.email.find_first_of(" ,;<>\"") != std::string::npos) {
            faults.add(reader.pointer("email"), "is not a mail address", "name@domain, or nothing");
        }
    }
    std::string password;
    if (is_new) reader.require("password");
    if (reader.read("password", password, {.max = 1024})) {
        if (const auto problem = password_problem(password); !problem.empty()) {
            faults.add(reader.pointer("password"), problem, "8 to 256 characters");
        }
        input.password = password;
    }
    for (const auto name : {"id", "version", "created_at", "updated_at"}) reader.ignore(name);
    reader.finish();
    if (faults.list().size() != before) return std::nullopt;
    return input;
}

Result<User> create_user(const Context& context, WriteScope& scope, const UserInput& input, const std::string& password_hash) {
    if (auto free = need_free_user_name(scope, input.name); !free) return propagate(free);
    User user;
    user.id = make_uuid(scope.now, context.random);
    user.name = input.name;
    user.role = input.role;
    user.email = input.email;
    user.password_hash = password_hash;
    user.created_at = user.updated_at = scope.now;
    insert_user(scope.sql, user);
    write_audit(scope, "user.create", "user:" + user.id, {}, user_json(user));
    return user;
}

Result<User> update_user(WriteScope& scope, const std::string& id, std::int64_t expected, const UserInput& input,
                         const std::string& password_hash) {
    const auto before = find_user(scope.sql, id);
    if (!before) return fail(Errc::not_found, "there is no user {}", id);
    if (auto same = check_version(expected, before->version); !same) return propagate(same);
    if (input.name != before->name) {
        if (auto free = need_free_user_name(scope, input.name); !free) return propagate(free);
    }
    if (input.role != "admin") {
        if (auto kept = keep_an_admin(scope, *before); !kept) return propagate(kept);
    }
    User user = *before;
    user.name = input.name;
    user.role = input.role;
    user.email = input.email;
    user.version += 1;
    user.updated_at = scope.now;
    if (!password_hash.empty()) {
        user.password_hash = password_hash;
        erase_tokens_of_user(scope.sql, id);
    }
    update_user(scope.sql, user);
    write_audit(scope, password_hash.empty() ? "user.update" : "user.update-password", "user:" + id, user_json(*before), user_json(user));
    return user;
}

Result<> delete_user(WriteScope& scope, const std::string& id, std::int64_t expected) {
    const auto before = find_user(scope.sql, id);
    if (!before) return fail(Errc::not_found, "there is no user {}", id);
    if (auto same = check_version(expected, before->version); !same) return propagate(same);
    if (auto kept = keep_an_admin(scope, *before); !kept) return propagate(kept);
    erase_user(scope.sql, id);
    write_audit(scope, "user.delete", "user:" + id, user_json(*before), {});
    return {};
}

std::string user_json(const User& user) {
    json::Writer out;
    out.begin_object();
    out.member("id", user.id)
        .member("name", user.name)
        .member("role", user.role)
        .member("email", user.email)
        .member("version", user.version);
    out.member("created_at", user.created_at).member("updated_at", user.updated_at);
    out.end_object();
    return out.text();
}

}  // namespace cloudtask::center
